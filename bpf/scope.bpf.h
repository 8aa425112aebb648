/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Who is watched: a task is in scope if its storage says so, or if it is under the cgroup of the run.
 *
 * The storage is set when a task in scope forks, so a child stays in scope when it leaves the cgroup. Children made
 * before their parent had storage are caught by the cgroup, at their first watched call.
 */
#ifndef INTACT_SCOPE_BPF_H
#define INTACT_SCOPE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "wire.h"

/* Its presence means: in scope. It also carries what the entry of a system call knows over to its exit. */
struct task_state {
    __u64 start_ns; /* of the process */
    __u64 enter_ns;
    __u64 registers; /* of the call under way: see as_number() */
    __u64 alive_ns;  /* when the task iterator told of it and its arguments are still due */
    __u32 call;      /* number of the call entered, plus one */
    __u32 pad;
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct task_state);
} tasks __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} scope_cgroup __weak SEC(".maps");

/* The observer itself: what it writes down of the host must not be something to write down. 0: none. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} scope_except __weak SEC(".maps");

/* Takes a task into scope. NULL if there was no memory: the cgroup check tries again at its next call. */
static __always_inline struct task_state *scope_take(struct task_struct *task) {
    __u32 zero = 0, *except = bpf_map_lookup_elem(&scope_except, &zero);
    if (except && *except == task->tgid)
        return NULL;
    struct task_state *state = bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (state && !state->start_ns)
        state->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
    return state;
}

/* State of the current task, NULL if it is out of scope. */
static __always_inline struct task_state *scope_state(void) {
    struct task_struct *task = bpf_get_current_task_btf();
    /* Most tasks of a machine have no storage at all, which one load tells. */
    if (!bpf_core_field_exists(task->bpf_storage) || task->bpf_storage) {
        struct task_state *state = bpf_task_storage_get(&tasks, task, NULL, 0);
        if (state)
            return state;
    }
    if (bpf_current_task_under_cgroup(&scope_cgroup, 0) != 1)
        return NULL;
    return scope_take(task);
}

static __always_inline bool in_scope(void) { return scope_state() != NULL; }

/* When the call `number` was entered; 0 if the probes came while it ran. */
static __always_inline __u64 scope_entered(const struct task_state *state, __u32 number) {
    return state->call == number + 1 ? state->enter_ns : 0;
}

#endif
