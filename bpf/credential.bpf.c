/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The calls that set credentials, with what they were before and after: one record a call, also of one that failed.
 */
#include "calls.bpf.h"
#include "credential.bpf.h"
#include "process.bpf.h"

#define MOST_GROUPS 32 /* told of each side */
#define EPERM 1

/* The record is made where it waits for the end of the call. */
struct remembered {
    __u32 call;   /* number plus one; 0: nothing is remembered */
    __u32 groups; /* all there were, told or not */
    __u32 gids[2 * MOST_GROUPS];
    struct intact_credential record;
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct remembered);
} credentials SEC(".maps");

static __always_inline void take_credentials(struct intact_credentials *into) {
    const struct cred *cred = bpf_get_current_task_btf()->cred;
    into->uid = cred->uid.val;
    into->euid = cred->euid.val;
    into->suid = cred->suid.val;
    into->fsuid = cred->fsuid.val;
    into->gid = cred->gid.val;
    into->egid = cred->egid.val;
    into->sgid = cred->sgid.val;
    into->fsgid = cred->fsgid.val;
    /* One word, or two halves of one in older kernels: the same bytes. */
    bpf_probe_read_kernel(&into->effective, sizeof(into->effective), &cred->cap_effective);
    bpf_probe_read_kernel(&into->permitted, sizeof(into->permitted), &cred->cap_permitted);
    bpf_probe_read_kernel(&into->inheritable, sizeof(into->inheritable), &cred->cap_inheritable);
    bpf_probe_read_kernel(&into->ambient, sizeof(into->ambient), &cred->cap_ambient);
}

/* How many of the supplementary groups were taken; `all` is how many there are. */
static __always_inline __u32 take_groups(__u32 *into, __u32 *all) {
    struct group_info *info = bpf_get_current_task_btf()->cred->group_info;
    __u32 kept = *all = info->ngroups;
    if (kept > MOST_GROUPS)
        kept = MOST_GROUPS;
    bpf_probe_read_kernel(into, kept * sizeof(*into), &info->gid);
    return kept;
}

/* Keeps the credentials of the current task as they are before the call `number`. */
__noinline int credential_remember(__u32 number) {
    struct task_struct *task = bpf_get_current_task_btf();
    struct remembered *kept = bpf_task_storage_get(&credentials, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!kept)
        return 0;
    kept->call = number + 1;
    kept->record.enter_ns = bpf_ktime_get_boot_ns();
    take_credentials(&kept->record.before);
    kept->record.groups_before = take_groups(kept->gids, &kept->groups);
    return 0;
}

/* The record is whole but for the groups. The uid and gid of its header are those the call was made with. */
static __always_inline int credential_tell(struct remembered *kept, const struct task_state *state, __u32 op,
                                           __s32 result) {
    struct intact_credential *record = &kept->record;
    __u32 before = record->groups_before, all = 0;
    if (before > MOST_GROUPS)
        return 0;
    fill_header(&record->h, state->start_ns, TYPE_CREDENTIAL, op);
    record->h.uid = record->before.uid;
    record->h.gid = record->before.gid;
    record->result = result;
    __u32 after = take_groups(kept->gids + before, &all);
    record->groups_after = after;
    __u32 length = (before + after) * sizeof(*kept->gids);
    record->h.length = length;
    record->h.clipped = (kept->groups + all) * sizeof(*kept->gids) - length;
    if (sizeof(*record) + length <= CLASS_256)
        return emit_record(&ring_process_256, FAMILY_PROCESS, CLASS_256, record, sizeof(*record), kept->gids, length);
    return emit_record(&ring_process_1k, FAMILY_PROCESS, CLASS_1K, record, sizeof(*record), kept->gids, length);
}

__noinline int credential_exec(const struct task_state *state) {
    struct task_struct *task = bpf_get_current_task_btf();
    struct remembered *kept = bpf_task_storage_get(&credentials, task, NULL, 0);
    if (!kept || !state)
        return 0;
    take_credentials(&kept->record.after);
    const __u64 *before = (const void *)&kept->record.before, *after = (const void *)&kept->record.after;
    __u64 differs = 0;
    for (__u32 i = 0; i < sizeof(struct intact_credentials) / sizeof(*before); i++)
        differs |= before[i] ^ after[i];
    if (differs && kept->call)
        credential_tell(kept, state, CREDENTIAL_EXEC, 0);
    /* Most processes change no credentials after their exec. */
    bpf_task_storage_delete(&credentials, task);
    return 0;
}

/* setfsuid and setfsgid tell the id there was, never that they failed: they did if another was asked for and none came.
 */
static __always_inline __s32 fs_result(const struct intact_credential *record, struct pt_regs *regs, __u32 was) {
    const struct intact_credentials *before = &record->before, *after = &record->after;
    __u32 asked = regs->di;
    bool is_same = before->fsuid == after->fsuid && before->fsgid == after->fsgid;
    return is_same && asked != was && asked != (__u32)-1 ? -EPERM : 0;
}

__noinline int exit_credential(const struct task_state *state, __u64 registers, __u32 number, long result, __u32 how) {
    struct remembered *kept = bpf_task_storage_get(&credentials, bpf_get_current_task_btf(), NULL, 0);
    if (!state || !scope_entered(state, number))
        return 0;
    if (!kept || kept->call != number + 1) {
        count_lost(FAMILY_PROCESS, LOST_MAP_FULL);
        return 0;
    }
    kept->call = 0;
    take_credentials(&kept->record.after);
    __s32 code = result_of(result);
    if (how == CREDENTIAL_SETFSUID || how == CREDENTIAL_SETFSGID)
        code = fs_result(&kept->record, AS(struct pt_regs, registers), result);
    return credential_tell(kept, state, how, code);
}
