/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Sockets: who they are, how many bytes they moved, and their end.
 */
#include "io.bpf.h"
#include "net.bpf.h"
#include <bpf/bpf_endian.h>

RING(ring_net_256, 1 << 20);

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define NET_DATA_BYTES (CLASS_256 - sizeof(struct intact_header) - 88)
#define EXEC_CLOSES 8

struct net_total {
    __u64 sent;
    __u64 received;
};

/* By inode of the socket. A socket that is passed on and closed out of sight leaves its total: hence LRU. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u64);
    __type(value, struct net_total);
} net_totals SEC(".maps");

/* Records are made here: they are too large for the stack. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct intact_net);
} net_fresh SEC(".maps");

struct exec_closes {
    __u32 count;
    __u32 pad;
    struct intact_net records[EXEC_CLOSES];
};

/* By tgid: sockets that an exec under way will close if it succeeds. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct exec_closes);
} net_exec_closes SEC(".maps");

__noinline int net_count(const struct open_file *opened, __u32 direction, __u64 bytes) {
    if (!opened)
        return 0;
    __u64 key = opened->inode;
    struct net_total *total = bpf_map_lookup_elem(&net_totals, &key);
    if (!total) {
        struct net_total fresh = {};
        bpf_map_update_elem(&net_totals, &key, &fresh, BPF_NOEXIST);
        total = bpf_map_lookup_elem(&net_totals, &key);
        if (!total)
            return 0;
    }
    if (direction == SUM_WRITE)
        __sync_fetch_and_add(&total->sent, bytes);
    else
        __sync_fetch_and_add(&total->received, bytes);
    return 0;
}

/* The name of a unix socket: its file if it has one, else the bytes it was bound to (abstract: leading NUL). */
__noinline int net_unix_name(struct intact_net *net, __u64 address) {
    if (!address || !net)
        return 0;
    struct unix_sock *sock = AS(struct unix_sock, address);
    struct unix_address *name = sock->addr;
    struct path_found found = {};
    if (!name)
        return 0;
    __u64 dentry = word_at(&sock->path.dentry);
    if (dentry && !path_walk(dentry, word_at(&sock->path.mnt), SCRATCH_CALL, &found)) {
        __u32 length = found.length;
        if (length && length <= NET_DATA_BYTES) {
            bpf_probe_read_kernel(net->data, length, (void *)found.start);
            net->h.length = length;
            net->h.flags |= found.flags | FLAG_FROM_FILE;
            return 1;
        }
    }
    __u32 length = name->len - sizeof(__u16);
    if (length > NET_DATA_BYTES)
        return 0;
    const char *bytes = (const char *)name + bpf_core_field_offset(struct unix_address, name) + sizeof(__u16);
    if (!length || bpf_probe_read_kernel(net->data, length, bytes))
        return 0;
    /* The length of a path counts its final NUL. */
    net->h.length = net->data[0] ? length - 1 : length;
    return 1;
}

/* Fills both ends as the socket knows them. */
__noinline int net_ends(struct intact_net *net, const struct open_file *opened) {
    if (!net || !opened)
        return 0;
    struct socket *socket = AS(struct socket, opened->private_data);
    __u64 address = word_at(&socket->sk);
    struct sock *sock = AS(struct sock, address);
    net->socket = opened->inode;
    net->kind = socket->type;
    net->family = sock->__sk_common.skc_family;
    net->protocol = sock->sk_protocol;
    if (net->family == AF_INET || net->family == AF_INET6) {
        net->port = bpf_ntohs(sock->__sk_common.skc_dport);
        net->local_port = sock->__sk_common.skc_num;
    }
    if (net->family == AF_INET) {
        *(__u32 *)net->address = sock->__sk_common.skc_daddr;
        *(__u32 *)net->local_address = sock->__sk_common.skc_rcv_saddr;
    } else if (net->family == AF_INET6) {
        bpf_probe_read_kernel(net->address, 16, &sock->__sk_common.skc_v6_daddr);
        bpf_probe_read_kernel(net->local_address, 16, &sock->__sk_common.skc_v6_rcv_saddr);
    } else if (net->family == AF_UNIX) {
        /* The peer's name, or our own where the peer has none: the end of an accepted connection. */
        struct unix_sock *own = AS(struct unix_sock, address);
        if (!net_unix_name(net, word_at(&own->peer)))
            net_unix_name(net, address);
    }
    return 0;
}

/* A record about a socket; NULL if there is no memory for it. */
static __always_inline struct intact_net *net_new(const struct task_state *state, __u16 op, int fd) {
    __u32 zero = 0;
    struct intact_net *net = bpf_map_lookup_elem(&net_fresh, &zero);
    if (!net)
        return NULL;
    __builtin_memset(net, 0, sizeof(*net));
    fill_header(&net->h, state->start_ns, TYPE_NET, op);
    net->fd = fd;
    return net;
}

__noinline int emit_net(const struct intact_net *net) {
    if (!net)
        return 0;
    return emit_record(&ring_net_256, FAMILY_NET, CLASS_256, net, sizeof(*net), NULL, 0);
}

__noinline int net_hold(const struct intact_net *net) {
    __u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
    struct exec_closes *held = bpf_map_lookup_elem(&net_exec_closes, &tgid);
    if (!held) {
        struct path_scratch *scratch = path_scratch(SCRATCH_CALL);
        if (!scratch)
            return 0;
        __builtin_memset(scratch->joined.bytes, 0, sizeof(__u64));
        bpf_map_update_elem(&net_exec_closes, &tgid, scratch->joined.bytes, BPF_ANY);
        held = bpf_map_lookup_elem(&net_exec_closes, &tgid);
    }
    __u32 slot = held ? held->count : EXEC_CLOSES;
    if (!held || !net || slot >= EXEC_CLOSES) {
        count_lost(FAMILY_NET, LOST_MAP_FULL);
        return zero;
    }
    held->records[slot & (EXEC_CLOSES - 1)] = *net;
    held->count = slot + 1;
    return 1;
}

__noinline int net_closed(const struct open_file *opened, int fd, __u32 is_exec) {
    struct task_state *state = scope_state();
    if (!state || !opened)
        return 0;
    struct intact_net *net = net_new(state, NET_CLOSE, fd);
    if (!net)
        return 0;
    net_ends(net, opened);
    __u64 key = opened->inode;
    struct net_total *total = bpf_map_lookup_elem(&net_totals, &key);
    if (total) {
        net->sent = total->sent;
        net->received = total->received;
    }
    if (is_exec)
        return net_hold(net);
    emit_net(net);
    if (total)
        bpf_map_delete_elem(&net_totals, &key);
    return 1;
}

static __always_inline void net_forget(void) {
    __u32 tgid = bpf_get_current_pid_tgid() >> 32;
    bpf_map_delete_elem(&net_exec_closes, &tgid);
}

__noinline int net_exec(void) {
    __u32 tgid = bpf_get_current_pid_tgid() >> 32;
    struct exec_closes *held = bpf_map_lookup_elem(&net_exec_closes, &tgid);
    if (!held)
        return 0;
    for (__u32 i = 0; i < EXEC_CLOSES; i++) {
        if (i >= held->count)
            break;
        __u64 key = held->records[i].socket;
        held->records[i].h.ktime_ns = bpf_ktime_get_boot_ns();
        emit_net(&held->records[i]);
        bpf_map_delete_elem(&net_totals, &key);
    }
    bpf_map_delete_elem(&net_exec_closes, &tgid);
    return 0;
}
