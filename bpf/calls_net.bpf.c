/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The system calls of sockets.
 */
#include "calls.bpf.h"
#include "io.bpf.h"
#include "net.bpf.h"
#include "tls.bpf.h"

#define SOCKADDR_BYTES 128

/* An address as the user gave it. */
struct given_address {
    __u32 call; /* number plus one */
    __u32 length;
    union {
        __u16 family;
        __u8 bytes[SOCKADDR_BYTES];
    };
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct given_address);
} given_addresses SEC(".maps");

/* Reads the user's address. Not 0 if it cannot be read. */
__noinline int take_address(struct given_address *given, __u64 address, __u32 length) {
    if (!given)
        return -1;
    if (length > SOCKADDR_BYTES)
        length = SOCKADDR_BYTES;
    given->length = 0;
    given->family = 0;
    if (length < sizeof(__u16) || bpf_probe_read_user(given->bytes, length, (const void *)address))
        return -1;
    given->length = length;
    return 0;
}

static __always_inline struct given_address *given_address(void) {
    return bpf_task_storage_get(&given_addresses, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* Puts the user's address into a record, as the peer, or as our own end for a bind. */
__noinline int put_address(struct intact_net *net, const struct given_address *given, __u32 is_own) {
    if (!net || !given || !given->length)
        return 0;
    net->family = given->family;
    if (given->family == AF_UNIX) {
        __u32 length = given->length - sizeof(__u16);
        if (length > NET_DATA_BYTES)
            length = NET_DATA_BYTES;
        net->h.flags &= ~FLAG_FROM_FILE;
        net->h.length = 0;
        if (!length || bpf_probe_read_kernel(net->data, length, given->bytes + sizeof(__u16)))
            return 0;
        /* A path ends at its NUL; a padded one has many. */
        if (net->data[0]) {
            __u32 kept = 0;
            for (; kept < NET_DATA_BYTES; kept++)
                if (kept >= length || !net->data[kept])
                    break;
            length = kept;
        }
        net->h.length = length;
        return 0;
    }
    if (given->family != AF_INET && given->family != AF_INET6)
        return 0;
    __u16 port = bpf_ntohs(*(const __u16 *)(given->bytes + 2));
    __u8 *address = is_own ? net->local_address : net->address;
    if (is_own)
        net->local_port = port;
    else
        net->port = port;
    __builtin_memset(address, 0, 16);
    if (given->family == AF_INET)
        bpf_probe_read_kernel(address, 4, given->bytes + 4);
    else
        bpf_probe_read_kernel(address, 16, given->bytes + 8);
    return 0;
}

/* connect and bind: the address is read at entry. */
static __always_inline void enter_address(const struct pt_regs *regs, __u32 number) {
    struct given_address *given = given_address();
    if (given)
        given->call = take_address(given, regs->si, regs->dx) ? 0 : number + 1;
}

/* Fills both ends of the socket behind a descriptor, if it is one. */
__noinline int ends_of(struct intact_net *net, int fd) {
    struct open_file opened = {};
    if (net && !file_of(fd, &opened) && is_socket(&opened))
        net_ends(net, &opened);
    return 0;
}

__noinline int exit_address(const struct task_state *state, __u64 registers, __u32 number, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    if (!state)
        return 0;
    bool is_bind = number == 49;
    struct given_address *given = given_address();
    struct intact_net *net = net_new(state, is_bind ? NET_BIND : NET_CONNECT, regs->di);
    if (!net || !given) {
        count_lost(FAMILY_NET, LOST_MAP_FULL);
        return 0;
    }
    net->enter_ns = scope_entered(state, number);
    net->result = result_of(result);
    if (given->call != number + 1)
        take_address(given, regs->si, regs->dx);
    given->call = 0;
    ends_of(net, regs->di);
    /* The socket knows best where it is; it forgets when it was refused. */
    bool is_inet = net->family == AF_INET || net->family == AF_INET6;
    bool knows = is_inet ? (is_bind ? net->local_port : net->port) : net->h.length;
    if (result || !knows)
        put_address(net, given, is_bind);
    return emit_net(net);
}

/* accept and listen. */
__noinline int exit_server(const struct task_state *state, __u64 registers, __u32 number, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    if (!state)
        return 0;
    bool is_accept = number != 50;
    int fd = is_accept && result >= 0 ? result : regs->di;
    struct intact_net *net = net_new(state, is_accept ? NET_ACCEPT : NET_LISTEN, fd);
    if (!net) {
        count_lost(FAMILY_NET, LOST_MAP_FULL);
        return 0;
    }
    net->enter_ns = scope_entered(state, number);
    net->result = result_of(result);
    ends_of(net, fd);
    return emit_net(net);
}
