/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The processes of the scope that ran before the probes came.
 */
#include "process.bpf.h"

#define SCOPE_ARRAY_BYTES 1024 /* more than struct bpf_array takes; what lies beyond is not looked at */

/* The cgroup of the scope, out of the map's own memory: a program may not look it up. */
static __noinline __u64 scope_root(void) {
    struct path_scratch *scratch = path_scratch(SCRATCH_ITERATOR);
    const __u32 at = bpf_core_field_offset(struct bpf_array, ptrs);
    __u64 cgroup = 0;
    if (!scratch || bpf_probe_read_kernel(scratch->path, SCOPE_ARRAY_BYTES, &scope_cgroup))
        return 0;
    bpf_probe_read_kernel(&cgroup, sizeof(cgroup), scratch->path + at);
    return cgroup;
}

static __always_inline bool is_below(struct task_struct *task, __u64 root) {
    struct cgroup *scope = AS(struct cgroup, root);
    struct cgroup *own = AS(struct task_struct, task)->cgroups->dfl_cgrp;
    __u64 ancestor = 0;
    __u32 level = scope->level;
    if (own->level < level)
        return false;
    __u64 ancestors = (__u64)own + bpf_core_field_offset(struct cgroup, ancestors);
    bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (const void *)(ancestors + level * sizeof(__u64)));
    return ancestor == root;
}

SEC("iter/task")
int alive(struct bpf_iter__task *ctx) {
    struct task_struct *task = ctx->task;
    __u64 root = scope_root();
    if (!task || !root || !is_below(task, root))
        return 0;
    struct task_state *state = scope_take(task);
    if (!state || task->pid != task->tgid)
        return 0;
    struct intact_exec exec = {};
    exec.h.ktime_ns = bpf_ktime_get_boot_ns();
    exec.h.start_ns = state->start_ns;
    exec.h.tgid = task->tgid;
    exec.h.tid = task->pid;
    exec.h.uid = task->cred->uid.val;
    exec.h.gid = task->cred->gid.val;
    exec.h.cgroup_id = AS(struct task_struct, task)->cgroups->dfl_cgrp->kn->id;
    exec.h.type = TYPE_ALIVE;
    tell_image(task, &exec, SCRATCH_ITERATOR);
    state->alive_ns = exec.h.ktime_ns;
    return 0;
}

/* Their arguments may have been paged out, so this one sleeps; hence it may not ask for the cgroup itself. */
SEC("iter.s/task")
int alive_arguments(struct bpf_iter__task *ctx) {
    struct task_struct *task = ctx->task;
    if (!task || task->pid != task->tgid)
        return 0;
    struct task_state *state = bpf_task_storage_get(&tasks, task, NULL, 0);
    struct path_scratch *scratch = path_scratch(SCRATCH_ITERATOR);
    struct mm_struct *mm = AS(struct task_struct, task)->mm;
    if (!state || !state->alive_ns || !scratch || !mm)
        return 0;
    struct intact_header header = {.ktime_ns = state->alive_ns, .start_ns = state->start_ns};
    header.tgid = header.tid = task->tgid;
    header.uid = task->cred->uid.val;
    header.gid = task->cred->gid.val;
    header.cgroup_id = AS(struct task_struct, task)->cgroups->dfl_cgrp->kn->id;
    state->alive_ns = 0;
    __u64 from = mm->arg_start;
    __u32 total = mm->arg_end - from;
    __u32 kept = total < ARGV_BYTES ? total : ARGV_BYTES;
    if (bpf_copy_from_user_task(scratch->joined.bytes, kept, (const void *)from, task, 0))
        count_lost(FAMILY_PROCESS, LOST_FAULT);
    else
        argv_of(&header, (__u64)scratch->joined.bytes, total, false);
    return 0;
}
