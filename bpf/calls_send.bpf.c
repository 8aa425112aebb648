/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Calls that send and receive on sockets only, and the table of all calls of sockets.
 */
#include "calls.bpf.h"
#include "io.bpf.h"
#include "net.bpf.h"
#include "tls.bpf.h"

#define MESSAGES 1024 /* the kernel takes no more in one call */
#define MMSGHDR_BYTES 64
#define MSG_LEN_OFFSET 56
#define TOLD_MESSAGES 8 /* of one sendmmsg: their destinations are told */

struct destination {
    __u64 socket;
    __u64 address; /* hash */
};

/* Where datagrams of a socket went: each is told once. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, struct destination);
    __type(value, __u8);
} net_destinations SEC(".maps");

/* A datagram was sent to an address: told once for a socket and address, and once more if it failed. */
static __noinline int datagram(struct pt_regs *regs, __u64 address, __u32 length, long result) {
    struct task_state *state = scope_state();
    struct given_address *given = given_address();
    struct open_file opened;
    if (!state || !given || take_address(given, address, length))
        return 0;
    if (file_of(regs->di, &opened) || !is_socket(&opened))
        return 0;
    struct destination key = {.socket = opened.inode, .address = 14695981039346656037ULL ^ (result < 0)};
    for (__u32 i = 0; i < SOCKADDR_BYTES; i++) {
        if (i >= given->length)
            break;
        key.address = (key.address ^ given->bytes[i]) * 1099511628211ULL;
    }
    __u8 told = 1;
    if (bpf_map_lookup_elem(&net_destinations, &key))
        return 0;
    bpf_map_update_elem(&net_destinations, &key, &told, BPF_ANY);
    struct intact_net *net = net_new(state, NET_SEND, regs->di);
    if (!net) {
        count_lost(FAMILY_NET, LOST_MAP_FULL);
        return 0;
    }
    net->enter_ns = scope_entered(state, regs->orig_ax);
    net->result = result_of(result);
    net_ends(net, &opened);
    put_address(net, given, 0);
    emit_net(net);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_sendto, struct pt_regs *regs, long result) {
    struct open_file opened;
    if (!in_scope())
        return 0;
    if (regs->r8)
        datagram(regs, regs->r8, regs->r9, result);
    if (result <= 0)
        return 0;
    moved(regs->di, SUM_WRITE, result, &opened);
    tls_note_send(regs->di, (const void *)regs->si);
    return 0;
}

struct user_message {
    __u64 name;
    __u32 name_length;
    __u32 pad;
};

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_sendmsg, struct pt_regs *regs, long result) {
    struct open_file opened;
    struct user_message message = {};
    if (!in_scope())
        return 0;
    bpf_probe_read_user(&message, sizeof(message), (const void *)regs->si);
    if (message.name)
        datagram(regs, message.name, message.name_length, result);
    if (result <= 0)
        return 0;
    moved(regs->di, SUM_WRITE, result, &opened);
    tls_note_send(regs->di, tls_first_of_message((const void *)regs->si));
    return 0;
}

struct messages {
    __u64 base;
    __u64 bytes;
};

static long one_message(__u32 index, void *context) {
    struct messages *messages = context;
    __u64 at = messages->base + index * MMSGHDR_BYTES;
    __u32 length = 0;
    bpf_probe_read_user(&length, sizeof(length), (const void *)(at + MSG_LEN_OFFSET));
    messages->bytes += length;
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_messages, struct pt_regs *regs, long result) {
    struct open_file opened;
    struct user_message message = {};
    if (!in_scope())
        return 0;
    bool is_send = regs->orig_ax == 307;
    if (is_send) {
        for (__u32 i = 0; i < TOLD_MESSAGES; i++) {
            if (i && i >= result)
                break;
            bpf_probe_read_user(&message, sizeof(message), (const void *)(regs->si + i * MMSGHDR_BYTES));
            if (message.name)
                datagram(regs, message.name, message.name_length, result);
        }
    }
    if (result <= 0)
        return 0;
    struct messages messages = {.base = regs->si};
    bpf_loop(result > MESSAGES ? MESSAGES : result, one_message, &messages, 0);
    moved(regs->di, is_send ? SUM_WRITE : SUM_READ, messages.bytes, &opened);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_recvmsg, struct pt_regs *regs, long result) {
    struct open_file opened;
    if (result <= 0 || !in_scope())
        return 0;
    moved(regs->di, SUM_READ, result, &opened);
    tls_note_receive(regs->di, tls_first_of_message((const void *)regs->si), result);
    return 0;
}

struct call_table net_enter SEC(".maps") = {
    .values =
        {
            [42] = (void *)&enter_address,
            [49] = (void *)&enter_address,
        },
};

/* recvfrom is a read of a socket. */
struct call_table net_exit SEC(".maps") = {
    .values =
        {
            [42] = (void *)&exit_address,
            [43] = (void *)&exit_server,
            [44] = (void *)&exit_sendto,
            [45] = (void *)&exit_read,
            [46] = (void *)&exit_sendmsg,
            [47] = (void *)&exit_recvmsg,
            [49] = (void *)&exit_address,
            [50] = (void *)&exit_server,
            [288] = (void *)&exit_server,
            [299] = (void *)&exit_messages,
            [307] = (void *)&exit_messages,
        },
};
