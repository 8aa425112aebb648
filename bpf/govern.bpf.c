/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Enforcement in one cgroup: who is governed here, and the refusal of addresses and ports. Its own object, so that the
 * recorder carries none of it when there is no policy.
 */
#include "govern.bpf.h"
#include "govern_exec.bpf.h"

struct net_try {
    __u8 address[16];
    __u64 groups;
    __u32 skip; /* rule that is decided, plus one */
    __u32 rule;
    __u16 port;
    __u8 protocol;
    __u8 hook;
    __u8 verdict;
};

static __always_inline bool prefix_holds(const __u8 *address, const __u8 *wanted, __u32 bits) {
    for (int i = 0; i < 16; i++) {
        __u32 left = bits > i * 8 ? bits - i * 8 : 0;
        __u8 mask = left >= 8 ? 0xff : 0xff << (8 - left);
        if ((address[i] ^ wanted[i]) & mask)
            return false;
    }
    return true;
}

static long net_step(__u32 index, void *context) {
    struct net_try *attempt = context;
    struct govern_net_entry *entry = bpf_map_lookup_elem(&net_entries, &index);
    if (!entry)
        return 1;
    if (attempt->skip == entry->rule + 1 || !(entry->groups & attempt->groups) || !(entry->hooks & attempt->hook) ||
        (entry->protocol && entry->protocol != attempt->protocol) || attempt->port < entry->port_low ||
        attempt->port > entry->port_high || !prefix_holds(attempt->address, entry->address, entry->prefix))
        return 0;
    attempt->skip = entry->rule + 1;
    if (entry->action == ACTION_EXCEPT)
        return 0;
    count_hit(entry->rule);
    if (entry->action > attempt->verdict) {
        attempt->verdict = entry->action;
        attempt->rule = entry->rule;
    }
    return 0;
}

static __always_inline void tell_net(const struct net_try *attempt, __u8 kind, __u16 sock_kind) {
    count(HITS_SEEN);
    struct govern_hit *hit = bpf_ringbuf_reserve(&ring_govern_256, 256, 0);
    if (!hit) {
        count(HITS_LOST);
        return;
    }
    __builtin_memset(hit, 0, sizeof(*hit));
    fill_hit(hit, kind, attempt->verdict);
    hit->rule = attempt->rule;
    hit->port = attempt->port;
    hit->protocol = attempt->protocol;
    hit->sock_kind = sock_kind;
    hit->outcome = attempt->verdict == ACTION_AUDIT ? OUTCOME_OBSERVED : OUTCOME_PREVENTED;
    hit->result = attempt->verdict == ACTION_AUDIT ? 0 : -EPERM;
    __builtin_memcpy(hit->address, attempt->address, 16);
    bpf_ringbuf_submit(hit, BPF_RB_NO_WAKEUP);
    count(HITS_SUBMITTED);
}

static __always_inline __u32 is_zero(const __u8 *bytes, int from, int to) {
    __u8 any = 0;
    for (int i = from; i < to; i++)
        any |= bytes[i];
    return !any;
}

/* An address of nothing means this machine: the kernel puts the loopback address in after the hook. */
static __always_inline int decide(struct net_try *attempt, struct bpf_sock_addr *context, __u8 kind) {
    struct govern_config *settings = configured();
    if (!settings)
        return 1;
    struct govern_member *member = member_now();
    attempt->groups = member ? member->groups : ALL_GROUPS;
    attempt->port = bpf_ntohs(context->user_port);
    attempt->protocol = context->protocol;
    attempt->hook = kind == HIT_BIND ? HOOK_BIND : HOOK_CONNECT;
    __u32 entries = settings->net_entries;
    bool mapped = is_zero(attempt->address, 0, 10) && attempt->address[10] == 0xff && attempt->address[11] == 0xff;
    bool unspecified = (mapped && is_zero(attempt->address, 12, 16)) || is_zero(attempt->address, 0, 16);
    if (unspecified && kind != HIT_BIND) {
        __u8 as_six = is_zero(attempt->address, 0, 16);
        __builtin_memset(attempt->address, 0, 16);
        attempt->address[10] = attempt->address[11] = 0xff;
        attempt->address[12] = 127;
        attempt->address[15] = 1;
        bpf_loop(entries, net_step, attempt, 0);
        if (as_six && attempt->verdict <= ACTION_AUDIT) {
            __builtin_memset(attempt->address, 0, 16);
            attempt->address[15] = 1;
            attempt->skip = 0;
            bpf_loop(entries, net_step, attempt, 0);
        }
    } else {
        bpf_loop(entries, net_step, attempt, 0);
    }
    if (attempt->verdict)
        tell_net(attempt, kind, context->type);
    return attempt->verdict < ACTION_DENY;
}

static __always_inline int decide4(struct bpf_sock_addr *context, __u8 kind) {
    struct net_try attempt = {};
    __u32 address = context->user_ip4;
    attempt.address[10] = attempt.address[11] = 0xff;
    __builtin_memcpy(attempt.address + 12, &address, 4);
    return decide(&attempt, context, kind);
}

static __always_inline int decide6(struct bpf_sock_addr *context, __u8 kind) {
    struct net_try attempt = {};
    __u32 words[4] = {context->user_ip6[0], context->user_ip6[1], context->user_ip6[2], context->user_ip6[3]};
    __builtin_memcpy(attempt.address, words, 16);
    return decide(&attempt, context, kind);
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *context) { return decide4(context, HIT_CONNECT); }

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *context) { return decide6(context, HIT_CONNECT); }

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *context) { return decide4(context, HIT_SENDMSG); }

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *context) { return decide6(context, HIT_SENDMSG); }

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *context) { return decide4(context, HIT_BIND); }

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *context) { return decide6(context, HIT_BIND); }

/* Raw, ping and multipath sockets reach an address without passing the hooks above. */
SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *socket) {
    struct govern_config *settings = configured();
    if (!settings || !settings->plain_sockets)
        return 1;
    __u32 kind = socket->type, protocol = socket->protocol;
    if ((kind == SOCK_STREAM && protocol == IPPROTO_TCP) || (kind == SOCK_DGRAM && protocol == IPPROTO_UDP))
        return 1;
    struct govern_member *member = member_now();
    if (member && !(member->groups & settings->plain_groups))
        return 1;
    struct net_try attempt = {.rule = settings->plain_rule, .verdict = ACTION_DENY, .protocol = protocol};
    count_hit(attempt.rule);
    tell_net(&attempt, HIT_SOCKET, kind);
    return 0;
}

static __always_inline bool under_scope(struct task_struct *task, __u64 scope_id) {
    struct cgroup *group = BPF_CORE_READ(task, cgroups, dfl_cgrp);
    __u32 level = BPF_CORE_READ(group, level);
    for (__u32 i = 0; i < CGROUP_LEVELS; i++) {
        struct cgroup *above = NULL;
        if (i > level)
            break;
        bpf_core_read(&above, sizeof(above), &group->ancestors[i]);
        if (above && BPF_CORE_READ(above, kn, id) == scope_id)
            return true;
    }
    return false;
}

static __always_inline void take(struct task_struct *task, __u64 groups) {
    __u32 key = BPF_CORE_READ(task, pid);
    struct govern_member member = {.groups = groups};
    member.tgid = BPF_CORE_READ(task, tgid);
    member.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
    if (bpf_map_update_elem(&members, &key, &member, BPF_ANY))
        count(MEMBERS_LOST);
}

SEC("iter/task")
int seed(struct bpf_iter__task *context) {
    struct govern_config *settings = configured();
    struct task_struct *task = context->task;
    if (task && settings && under_scope(task, settings->scope_id))
        take(task, 1);
    return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(on_new_task, struct task_struct *task) {
    if (!configured())
        return 0;
    struct govern_member *parent = member_now();
    if (parent)
        take(task, parent->groups);
    else if (bpf_current_task_under_cgroup(&scope_cgroup, 0) == 1)
        take(task, 1);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_end, struct task_struct *task) {
    __u32 key = task->pid;
    bpf_map_delete_elem(&members, &key);
    return 0;
}

/* Who is moved in is governed from here on. The hooks by address belong to the cgroup: who takes a member out of it
 * ends before it is back in its program. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_move, struct cgroup *group, const char *path, struct task_struct *task) {
    struct govern_config *settings = configured();
    if (!settings)
        return 0;
    if (under_scope(task, settings->scope_id)) {
        __u32 key = task->tgid;
        if (!bpf_map_lookup_elem(&members, &key))
            take(task->group_leader, 1);
        return 0;
    }
    if (!settings->hold || !member_now())
        return 0;
    __u8 outcome = bpf_send_signal(SIGKILL) ? OUTCOME_MISSED : OUTCOME_PREVENTED;
    count(HITS_SEEN);
    struct govern_hit *hit = bpf_ringbuf_reserve(&ring_govern_256, 256, 0);
    if (!hit) {
        count(HITS_LOST);
        return 0;
    }
    __builtin_memset(hit, 0, sizeof(*hit));
    fill_hit(hit, HIT_LEAVE, ACTION_KILL);
    hit->rule = GOVERN_RULE_SCOPE;
    hit->outcome = outcome;
    bpf_ringbuf_submit(hit, BPF_RB_NO_WAKEUP);
    count(HITS_SUBMITTED);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
