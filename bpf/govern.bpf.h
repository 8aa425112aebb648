/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Maps of enforcement, who is governed, and how a hit is told.
 */
#ifndef INTACT_GOVERN_BPF_H
#define INTACT_GOVERN_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "govern.h"

#define EPERM 1
#define SIGKILL 9
#define ALL_GROUPS (~0ULL)
#define HIT_BYTES 1024
#define PATH_SCRATCH 1024
#define ARGV_SCRATCH 16384
#define CGROUP_LEVELS 16

#define MAP(name_, type_, entries_, key_, value_)                                                                      \
    struct {                                                                                                           \
        __uint(type, type_);                                                                                           \
        __uint(max_entries, entries_);                                                                                 \
        __type(key, key_);                                                                                             \
        __type(value, value_);                                                                                         \
    } name_ SEC(".maps")

MAP(scope_cgroup, BPF_MAP_TYPE_CGROUP_ARRAY, 1, __u32, __u32);
MAP(govern_settings, BPF_MAP_TYPE_ARRAY, 1, __u32, struct govern_config);
MAP(net_entries, BPF_MAP_TYPE_ARRAY, GOVERN_NET_ENTRIES, __u32, struct govern_net_entry);
MAP(exec_entries, BPF_MAP_TYPE_ARRAY, GOVERN_EXEC_ENTRIES, __u32, struct govern_exec_entry);
MAP(hits, BPF_MAP_TYPE_PERCPU_ARRAY, GOVERN_RULES, __u32, __u64);
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, GOVERN_COUNTERS, __u32, __u64);

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1 << 16);
    __type(key, __u32);
    __type(value, struct govern_member);
} members SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 19);
} ring_govern_256 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 19);
} ring_govern_1k SEC(".maps");

static __always_inline void count(__u32 counter) {
    __u64 *value = bpf_map_lookup_elem(&counters, &counter);
    if (value)
        *value += 1;
}

static __always_inline void count_hit(__u32 rule) {
    __u64 *value = bpf_map_lookup_elem(&hits, &rule);
    if (value)
        *value += 1;
}

static __always_inline struct govern_config *configured(void) {
    __u32 slot = 0;
    struct govern_config *found = bpf_map_lookup_elem(&govern_settings, &slot);
    return found && found->scope_id ? found : NULL;
}

/* The current task as a member: by its thread, else by its process. */
static __always_inline struct govern_member *member_now(void) {
    __u64 id = bpf_get_current_pid_tgid();
    __u32 key = id;
    struct govern_member *member = bpf_map_lookup_elem(&members, &key);
    if (member)
        return member;
    key = id >> 32;
    return bpf_map_lookup_elem(&members, &key);
}

static __always_inline void fill_hit(struct govern_hit *hit, __u8 kind, __u8 action) {
    __u64 id = bpf_get_current_pid_tgid(), owner = bpf_get_current_uid_gid();
    struct govern_member *member = member_now();
    hit->ktime_ns = bpf_ktime_get_boot_ns();
    hit->start_ns = member ? member->start_ns : 0;
    hit->tgid = id >> 32;
    hit->tid = id;
    hit->uid = owner;
    hit->gid = owner >> 32;
    hit->kind = kind;
    hit->action = action;
    bpf_get_current_comm(hit->comm, sizeof(hit->comm));
}

#endif
