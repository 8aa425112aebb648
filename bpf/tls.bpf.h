/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the socket handlers tell the TLS probes: which descriptor carries TLS, seen where the bytes pass it.
 *
 * Every ClientHello is kept until plaintext is heard on its descriptor: what remains is what we are deaf to.
 */
#ifndef INTACT_TLS_BPF_H
#define INTACT_TLS_BPF_H

#include "tls_state.bpf.h"
#include <bpf/bpf_endian.h>

enum tls_record_kind { TLS_CHANGE_CIPHER = 0x14, TLS_HANDSHAKE = 0x16, TLS_DATA = 0x17 };
#define TLS_CLIENT_HELLO 1
/* An encrypted alert is 2 bytes, a type byte and a 16-byte tag; anything longer is handshake or data. */
#define TLS_ALERT_BYTES 19

static __always_inline bool tls_headed(const __u8 *head) {
    return head[0] >= TLS_CHANGE_CIPHER && head[0] <= TLS_DATA && head[1] == 3 && head[2] <= 4;
}

static __always_inline void tls_peer(struct tls_socket *socket, __s32 fd) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct fdtable *table = BPF_CORE_READ(task, files, fdt);
    struct file **slots = BPF_CORE_READ(table, fd);
    struct file *file = NULL;
    if (fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds))
        return;
    if (bpf_probe_read_kernel(&file, sizeof(file), slots + fd) || !file)
        return;
    struct socket *opened = BPF_CORE_READ(file, private_data);
    struct sock *sock = BPF_CORE_READ(opened, sk);
    socket->family = BPF_CORE_READ(sock, __sk_common.skc_family);
    socket->port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
    if (socket->family == 2) { /* AF_INET */
        __u32 address = BPF_CORE_READ(sock, __sk_common.skc_daddr);
        __builtin_memcpy(socket->address, &address, sizeof(address));
    } else if (socket->family == 10) { /* AF_INET6 */
        BPF_CORE_READ_INTO(&socket->address, sock, __sk_common.skc_v6_daddr);
    }
}

static __noinline int tls_hello(__s32 fd) {
    struct tls_socket_key key = {.tgid = tls_tgid(), .fd = fd};
    struct tls_socket fresh = {};
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct tls_socket *old = bpf_map_lookup_elem(&tls_sockets, &key);
    /* A second hello of one handshake (HelloRetryRequest) is not a second connection: no data was sent between. */
    if (old && !old->heard_ns)
        fresh.unheard = old->unheard + (old->sends > 0);
    fresh.hello_ns = bpf_ktime_get_boot_ns();
    fresh.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
    bpf_get_current_comm(fresh.comm, sizeof(fresh.comm));
    tls_peer(&fresh, fd);
    bpf_map_update_elem(&tls_sockets, &key, &fresh, BPF_ANY);
    return 0;
}

/* For socket `fd`, at entry or (cheaper, the registers still hold the arguments) at exit of write and sendto, and of
 * writev and sendmsg with their first vector. */
static __always_inline void tls_note_send(__s32 fd, const void *buffer) {
    __u8 head[6];
    if (bpf_probe_read_user(head, sizeof(head), buffer) || !tls_headed(head))
        return;
    if (head[0] == TLS_HANDSHAKE && head[5] == TLS_CLIENT_HELLO) {
        tls_hello(fd);
    } else if (head[0] == TLS_DATA && ((head[3] << 8) | head[4]) > TLS_ALERT_BYTES) {
        struct tls_socket *socket = tls_socket(fd);
        if (socket)
            __sync_fetch_and_add(&socket->sends, 1);
    }
    struct tls_thread *thread = tls_thread(false);
    struct tls_frame *frame = tls_top(thread);
    if (frame) {
        tls_vote_for(frame->connection, fd, BASIS_NESTED);
    } else if (thread && thread->awaiting_send) {
        tls_vote_for(thread->awaiting_send, fd, BASIS_NEXT_SEND);
        thread->awaiting_send = 0;
    }
}

/* For socket `fd`, at exit with the result, of read and recvfrom, and of readv and recvmsg with their first vector. */
static __always_inline void tls_note_receive(__s32 fd, const void *buffer, long result) {
    __u8 head[3];
    if (result < 5 || bpf_probe_read_user(head, sizeof(head), buffer) || !tls_headed(head))
        return;
    struct tls_thread *thread = tls_thread(true);
    struct tls_frame *frame = tls_top(thread);
    if (frame) {
        tls_vote_for(frame->connection, fd, BASIS_NESTED);
    } else if (thread) {
        thread->received_fd = fd;
        thread->received_for = 0;
    }
}

/* The first buffer of an iovec array, and of a msghdr, as the user gave them. */
static __always_inline const void *tls_first_vector(const void *vectors) {
    const void *base = NULL;
    bpf_probe_read_user(&base, sizeof(base), vectors);
    return base;
}

static __always_inline const void *tls_first_of_message(const void *message) {
    const void *vectors = NULL;
    bpf_probe_read_user(&vectors, sizeof(vectors), message + 16); /* msg_iov of struct user_msghdr */
    return tls_first_vector(vectors);
}

#endif
