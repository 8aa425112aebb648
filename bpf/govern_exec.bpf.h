/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Exec decided by path text and arguments: the new image is killed before its first instruction.
 */
#ifndef INTACT_GOVERN_EXEC_BPF_H
#define INTACT_GOVERN_EXEC_BPF_H

#include "govern_text.bpf.h"

struct exec_try {
    __u64 groups;
    __u32 path_start;
    __u32 script_length;
    __u32 argv_length;
    __u32 incomplete; /* arguments that could not be read whole */
    __u32 skip;
    __u32 rule;
    __u32 verdict;
    __u32 strict;
    __u32 missed; /* action of a rule that could not be decided */
    __u32 missed_rule;
};

struct image_walk {
    struct dentry *dentry;
    struct mount *mount;
    __u32 position;
};

static long image_step(__u32 index, void *context) {
    struct image_walk *walk = context;
    struct exec_scratch *scratch = exec_scratch();
    struct dentry *dentry = walk->dentry, *parent = BPF_CORE_READ(dentry, d_parent);
    struct mount *mount = walk->mount;
    if (dentry == BPF_CORE_READ(mount, mnt.mnt_root) || dentry == parent) {
        struct mount *above = BPF_CORE_READ(mount, mnt_parent);
        if (above == mount || !above)
            return 1;
        walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
        walk->mount = above;
        return 0;
    }
    __u32 length = BPF_CORE_READ(dentry, d_name.len), position = walk->position;
    const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
    if (!scratch || length > 255 || position > PATH_SCRATCH || position < length + 1)
        return 1;
    position = (position - length) & (PATH_SCRATCH - 1);
    bpf_probe_read_kernel(scratch->path + position, length & 255, name);
    position = (position - 1) & (PATH_SCRATCH - 1);
    scratch->path[position] = '/';
    walk->position = position;
    walk->dentry = parent;
    return 0;
}

static long exec_step(__u32 index, void *context) {
    struct exec_try *attempt = context;
    struct govern_exec_entry *entry = bpf_map_lookup_elem(&exec_entries, &index);
    struct exec_scratch *scratch = exec_scratch();
    if (!entry || !scratch)
        return 1;
    if (attempt->skip == entry->rule + 1 || !(entry->groups & attempt->groups))
        return 0;
    __u32 start = attempt->path_start;
    if (!path_matches(TEXT_PATH, start, PATH_SCRATCH - start, index) &&
        !(attempt->script_length && path_matches(TEXT_SCRIPT, 0, attempt->script_length, index)))
        return 0;
    __u8 action = entry->action;
    int texts = entry->conditions ? arguments_match(index, entry->conditions, attempt->argv_length) : TEXT_YES;
    if (texts == TEXT_NO || (texts == TEXT_UNKNOWN && (!attempt->incomplete || action == ACTION_EXCEPT)))
        return 0;
    /* The rest, which could not be read, may match: a strict policy needs no proof, another is told that it cannot
     * know. */
    if (texts == TEXT_UNKNOWN && !attempt->strict) {
        attempt->missed = action;
        attempt->missed_rule = entry->rule;
        return 0;
    }
    attempt->skip = entry->rule + 1;
    if (action == ACTION_EXCEPT)
        return 0;
    count_hit(entry->rule);
    if (action > attempt->verdict) {
        attempt->verdict = action;
        attempt->rule = entry->rule;
    }
    return 0;
}

static __always_inline void read_image(struct exec_scratch *scratch, struct linux_binprm *binprm,
                                       struct exec_try *attempt) {
    struct path path = BPF_CORE_READ(binprm, file, f_path);
    struct image_walk walk = {.dentry = path.dentry, .position = PATH_SCRATCH};
    walk.mount = (void *)path.mnt - bpf_core_field_offset(struct mount, mnt);
    bpf_loop(PATH_SCRATCH, image_step, &walk, 0);
    attempt->path_start = walk.position;
    const char *given = BPF_CORE_READ(binprm, filename), *interpreter = BPF_CORE_READ(binprm, interp);
    if (given != interpreter) {
        long length = bpf_probe_read_kernel_str(scratch->script, PATH_SCRATCH, given);
        attempt->script_length = length > 0 ? length - 1 : 0;
    }
}

static __always_inline void read_arguments(struct exec_scratch *scratch, struct task_struct *task,
                                           struct exec_try *attempt) {
    __u64 from = BPF_CORE_READ(task, mm, arg_start), to = BPF_CORE_READ(task, mm, arg_end);
    __u64 length = to > from ? to - from : 0;
    if (length > ARGV_SCRATCH) {
        length = ARGV_SCRATCH;
        attempt->incomplete = 1;
        count(ARGV_CLIPPED);
    }
    if (length && bpf_probe_read_user(scratch->argv, length, (void *)from)) {
        length = 0;
        attempt->incomplete = 1;
        count(ARGV_FAULT);
    }
    attempt->argv_length = length;
}

static __always_inline void tell_exec(struct exec_scratch *scratch, struct exec_try *attempt, __u8 outcome) {
    count(HITS_SEEN);
    struct govern_hit *hit = bpf_ringbuf_reserve(&ring_govern_1k, HIT_BYTES, 0);
    if (!hit) {
        count(HITS_LOST);
        return;
    }
    __builtin_memset(hit, 0, sizeof(*hit));
    fill_hit(hit, HIT_EXEC, attempt->verdict);
    hit->rule = attempt->rule;
    hit->outcome = outcome;
    __u32 start = attempt->path_start & (PATH_SCRATCH - 1), length = PATH_SCRATCH - start;
    if (length > 320)
        length = 320;
    hit->path_length = length;
    bpf_probe_read_kernel(hit->data, length, scratch->path + start);
    __u32 argv = attempt->argv_length > 512 ? 512 : attempt->argv_length;
    hit->argv_length = argv;
    bpf_probe_read_kernel(hit->data + 320, argv, scratch->argv);
    bpf_ringbuf_submit(hit, BPF_RB_NO_WAKEUP);
    count(HITS_SUBMITTED);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_tid, struct linux_binprm *binprm) {
    struct govern_config *settings = configured();
    struct exec_scratch *scratch = exec_scratch();
    __u32 before = old_tid, now = task->pid;
    if (!settings || !scratch)
        return 0;
    /* A thread that execs becomes the leader; the leader's end has taken its entry. */
    struct govern_member *member = bpf_map_lookup_elem(&members, &before);
    if (member && before != now) {
        struct govern_member moved = *member;
        bpf_map_update_elem(&members, &now, &moved, BPF_ANY);
        bpf_map_delete_elem(&members, &before);
    }
    member = member_now();
    if ((!member && bpf_current_task_under_cgroup(&scope_cgroup, 0) != 1) || !settings->exec_entries)
        return 0;
    struct exec_try attempt = {.groups = member ? member->groups : ALL_GROUPS, .strict = settings->strict};
    read_image(scratch, binprm, &attempt);
    read_arguments(scratch, task, &attempt);
    bpf_loop(settings->exec_entries, exec_step, &attempt, 0);
    __u8 outcome = OUTCOME_OBSERVED;
    if (!attempt.verdict && attempt.missed) {
        attempt.verdict = attempt.missed;
        attempt.rule = attempt.missed_rule;
        outcome = OUTCOME_MISSED;
    } else if (!attempt.verdict) {
        return 0;
    } else if (attempt.verdict >= ACTION_DENY) {
        outcome = bpf_send_signal(SIGKILL) ? OUTCOME_MISSED : OUTCOME_PREVENTED;
    }
    tell_exec(scratch, &attempt, outcome);
    return 0;
}

#endif
