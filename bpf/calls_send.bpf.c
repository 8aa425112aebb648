/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Calls that send and receive on sockets only, with or without an address.
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

struct hashed {
    const __u8 *bytes;
    __u64 hash;
    __u32 length;
};

static long hash_byte(__u32 index, void *context) {
    struct hashed *hashed = context;
    if (index >= SOCKADDR_BYTES)
        return 1;
    hashed->hash = (hashed->hash ^ hashed->bytes[index]) * 1099511628211ULL;
    return 0;
}

/* Whether it is the first time that the socket sends to this address. */
__noinline int is_new_destination(const struct given_address *given, __u64 inode, bool has_failed) {
    if (!given)
        return 0;
    struct hashed hashed = {.bytes = given->bytes, .hash = 14695981039346656037ULL ^ has_failed};
    bpf_loop(given->length, hash_byte, &hashed, 0);
    struct destination key = {.socket = inode, .address = hashed.hash};
    __u8 told = 1;
    if (bpf_map_lookup_elem(&net_destinations, &key))
        return 0;
    bpf_map_update_elem(&net_destinations, &key, &told, BPF_ANY);
    return 1;
}

/* A datagram was sent to an address: told once for a socket and address, and once more if it failed. */
__noinline int datagram(int fd, __u64 address, __u32 length, __u32 number, long result) {
    struct task_state *state = scope_state();
    struct given_address *given = given_address();
    struct open_file opened = {};
    if (!state || !given || take_address(given, address, length))
        return 0;
    if (file_of(fd, &opened) || !is_socket(&opened) || !is_new_destination(given, opened.inode, result < 0))
        return 0;
    struct intact_net *net = net_new(state, NET_SEND, fd);
    if (!net) {
        count_lost(FAMILY_NET, LOST_MAP_FULL);
        return 0;
    }
    net->enter_ns = scope_entered(state, number);
    net->result = result_of(result);
    net_ends(net, &opened);
    put_address(net, given, 0);
    return emit_net(net);
}

struct user_message {
    __u64 name;
    __u32 name_length;
    __u32 pad;
};

static __always_inline int told_message(int fd, __u64 at, __u32 number, long result) {
    struct user_message message = {};
    bpf_probe_read_user(&message, sizeof(message), (const void *)at);
    return message.name ? datagram(fd, message.name, message.name_length, number, result) : 0;
}

/* sendto and sendmsg, which may carry an address. */
static __always_inline void exit_send(__u64 registers, __u32 number, __u32 how, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    if (how & HOW_MESSAGE)
        told_message(regs->di, regs->si, number, result);
    else if (regs->r8)
        datagram(regs->di, regs->r8, regs->r9, number, result);
    if (result > 0)
        exit_move(registers, how, result);
}

struct messages {
    __u64 base;
    __u64 bytes;
    __s64 result;
    __s32 fd;
    __u32 number;
};

static long one_message(__u32 index, void *context) {
    struct messages *messages = context;
    __u64 at = messages->base + index * MMSGHDR_BYTES;
    __u32 length = 0;
    bpf_probe_read_user(&length, sizeof(length), (const void *)(at + MSG_LEN_OFFSET));
    messages->bytes += length;
    return 0;
}

static long one_destination(__u32 index, void *context) {
    struct messages *messages = context;
    told_message(messages->fd, messages->base + index * MMSGHDR_BYTES, messages->number, messages->result);
    return 0;
}

/* sendmmsg and recvmmsg. */
__noinline int exit_messages(__u64 registers, __u32 number, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    struct messages messages = {.base = regs->si, .result = result, .fd = regs->di, .number = number};
    bool is_send = number == 307;
    __u32 sent = result > 1 ? result : 1; /* a call that failed failed at its first */
    if (is_send)
        bpf_loop(sent > TOLD_MESSAGES ? TOLD_MESSAGES : sent, one_destination, &messages, 0);
    if (result <= 0)
        return 0;
    bpf_loop(result > MESSAGES ? MESSAGES : result, one_message, &messages, 0);
    return moved(regs->di, is_send ? SUM_WRITE : SUM_READ, messages.bytes);
}
