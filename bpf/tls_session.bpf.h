/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * From the first use of a session object to its end: which session an address stands for, and on which descriptor.
 */
#ifndef INTACT_TLS_SESSION_BPF_H
#define INTACT_TLS_SESSION_BPF_H

#include "tls_log.bpf.h"
#include "tls_state.bpf.h"

static __always_inline void describe(struct intact_tls *fixed, __u64 connection, const struct tls_connection *known) {
    fixed->connection = connection;
    fixed->generation = known->generation;
    fixed->fd = known->fd;
    fixed->basis = known->basis;
}

static __noinline int end_connection(__u64 connection) {
    struct tls_connection_key key = {.connection = connection, .tgid = tls_tgid()};
    struct tls_connection *known = bpf_map_lookup_elem(&tls_connections, &key);
    struct task_state *state = scope_state();
    if (!known || !state)
        return 0;
    if (known->operations[0] || known->operations[1]) {
        struct intact_tls end = {};
        fill_header(&end.h, state->start_ns, TYPE_TLS_END, 0);
        describe(&end, connection, known);
        emit_record(&ring_tls_256, FAMILY_TLS, CLASS_256, &end, sizeof(end), NULL, 0);
    }
    bpf_map_delete_elem(&tls_connections, &key);
    return 0;
}

static __always_inline __u64 exec_id(void) { return bpf_get_current_task_btf()->self_exec_id; }

/* The session at this address, made known if it is not. */
static __always_inline struct tls_connection *open_connection(__u64 connection) {
    struct tls_connection_key key = {.connection = connection, .tgid = tls_tgid()};
    struct tls_connection *known = bpf_map_lookup_elem(&tls_connections, &key);
    if (known && known->exec_id == exec_id())
        return known;
    struct tls_connection fresh = {.generation = bpf_ktime_get_boot_ns(), .exec_id = exec_id(), .fd = -1};
    if (bpf_map_update_elem(&tls_connections, &key, &fresh, BPF_ANY))
        count(FAMILY_TLS, LOST_MAP_FULL);
    return bpf_map_lookup_elem(&tls_connections, &key);
}

/* Static BoringSSL has no SSL_free to hook: a ClientHello on the session's descriptor, later than the last plaintext of
 * the session at this address, says that the address has been given to a new session. */
static __always_inline bool reused(const struct tls_connection *known, __s32 fd) {
    if (!known->last_ns)
        return false;
    struct tls_socket *socket = tls_socket(fd);
    return socket && socket->hello_ns > known->last_ns;
}

/* The session that a call is about: the one known at this address, or a new one if that has been given away. */
static __always_inline struct tls_connection *session_of(__u64 connection) {
    struct tls_connection *known = open_connection(connection);
    if (!known || known->basis == BASIS_NONE || known->basis == BASIS_NEXT_SEND || !reused(known, known->fd))
        return known;
    end_connection(connection);
    return open_connection(connection);
}

/* The second ballot: data for this session was received just now, by this thread, and no other session took it. */
static __always_inline void vote_received(struct tls_connection *known, struct tls_thread *thread, __u64 connection) {
    __s32 fd = thread->received_fd;
    if (fd < 0 || (thread->received_for && thread->received_for != connection))
        return;
    thread->received_for = connection;
    if (reused(known, fd)) {
        end_connection(connection);
        known = open_connection(connection);
    }
    if (known)
        tls_vote(known, fd, BASIS_RECEIVE);
}

/* A write may come before any read: then what the thread received last, if nobody read after it, was the handshake. */
static __always_inline void guess_received(struct tls_connection *known, const struct tls_thread *thread) {
    if (known->basis == BASIS_NONE && thread->received_fd >= 0 && !thread->received_for)
        tls_vote(known, thread->received_fd, BASIS_NEXT_SEND);
}

static __always_inline void set_descriptor(__u64 connection, __s32 fd) {
    struct tls_connection *known = tls_find(connection);
    if (known && known->last_ns)
        end_connection(connection);
    known = open_connection(connection);
    if (!known)
        return;
    known->fd = fd;
    known->basis = BASIS_EXACT;
}

#endif
