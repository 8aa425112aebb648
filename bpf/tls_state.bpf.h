/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What is known of TLS sessions, threads inside the library, and descriptors that carry TLS; and how votes are counted.
 *
 * A session object of a TLS library need not know its descriptor (memory BIOs), so the descriptor is voted on: socket
 * calls made inside a call of the library (1), the last TLS-headed receive of the thread before a read (2), and, only
 * where neither ever fires, the next TLS-headed send after a write (3). SSL_set_fd is exact (4).
 */
#ifndef INTACT_TLS_STATE_BPF_H
#define INTACT_TLS_STATE_BPF_H

#include "scope.bpf.h"

/* Node reads, runs script in the callback and writes, on one thread: two deep; twice that is room enough. */
#define TLS_DEPTH 4
/* A vote is not overturned by one stray, nor held for ever: so many agreeing votes are remembered. */
#define TLS_VOTES_KEPT 4

enum tls_basis { BASIS_NONE, BASIS_NESTED, BASIS_RECEIVE, BASIS_NEXT_SEND, BASIS_EXACT };

/* One call of the library that has not returned. */
struct tls_frame {
    __u64 connection;
    __u64 buffer;
    __u64 length_at; /* where an _ex function stores the length */
    __u64 stack;     /* stack pointer at entry: tells the frame from those it is nested in */
    __u32 role;
    __u32 logged; /* the same bytes were logged by a call nested in this one */
};

/* The first bytes of an operation, while it is judged (tls_judge.bpf.h): of this thread, so that no other writes there.
 */
#define TLS_HEAD_BYTES 256

struct tls_head {
    __u32 length;
    __u32 method; /* where it ends */
    __u32 path;   /* where it begins */
    __u32 end;    /* of the path */
    __u32 wanted;
    __u32 pad;
    char text[TLS_HEAD_BYTES];
};

struct tls_thread {
    __u32 depth;
    __s32 received_fd;   /* of the last TLS-headed receive, -1 if none */
    __u64 received_for;  /* the first session that read after it: no other has a claim on it */
    __u64 awaiting_send; /* session that wrote last and has no better vote */
    struct tls_frame frames[TLS_DEPTH];
    struct tls_head head;
};

struct tls_connection_key {
    __u64 connection;
    __u32 tgid;
    __u32 pad;
};

struct tls_connection {
    __u64 generation;
    __u64 last_ns; /* of the last plaintext, 0 before the first */
    __u64 exec_id; /* an exec reuses addresses without freeing */
    __u64 offset[2];
    __u32 operations[2];
    __s32 fd;
    __u16 basis;
    __u16 votes;
    __u32 serves_wanted; /* the last request read on it is one a recogniser wants */
    __u32 last_way;      /* of the operation before, plus one: 0 if there was none */
};

struct tls_socket_key {
    __u32 tgid;
    __s32 fd;
};

/* A descriptor on which a process in scope sent a ClientHello; src/intact/collect/uprobes.py reads it. */
struct tls_socket {
    __u64 hello_ns;
    __u64 start_ns; /* of the process */
    __u64 heard_ns; /* of the last plaintext voted to it, 0 if none since the hello */
    __u64 connection;
    __u32 sends;   /* TLS records longer than an alert sent since the hello, counted by call */
    __u32 unheard; /* earlier hellos on this descriptor that were never heard */
    __u16 family;
    __u16 port; /* host order */
    __u8 address[16];
    char comm[16];
    __u32 pad;
};

_Static_assert(sizeof(struct tls_socket_key) == 8 && sizeof(struct tls_socket) == 80, "read by uprobes.py");

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct tls_thread);
} tls_threads __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, struct tls_connection_key);
    __type(value, struct tls_connection);
} tls_connections __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct tls_socket_key);
    __type(value, struct tls_socket);
} tls_sockets __weak SEC(".maps");

static __always_inline __u32 tls_tgid(void) { return bpf_get_current_pid_tgid() >> 32; }

static __always_inline struct tls_thread *tls_thread(bool create) {
    return bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL,
                                create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

static __always_inline struct tls_connection *tls_find(__u64 connection) {
    struct tls_connection_key key = {.connection = connection, .tgid = tls_tgid()};
    return bpf_map_lookup_elem(&tls_connections, &key);
}

static __always_inline struct tls_socket *tls_socket(__s32 fd) {
    struct tls_socket_key key = {.tgid = tls_tgid(), .fd = fd};
    return bpf_map_lookup_elem(&tls_sockets, &key);
}

static __always_inline void tls_hear(struct tls_connection *known, __u64 connection) {
    struct tls_socket *socket = known->fd >= 0 && known->last_ns ? tls_socket(known->fd) : NULL;
    if (!socket || socket->hello_ns > known->last_ns)
        return;
    socket->heard_ns = known->last_ns;
    socket->connection = connection;
}

/* Boyer and Moore's majority: agreeing votes strengthen, others weaken, and at nothing the new one takes over. */
static __always_inline void tls_vote(struct tls_connection *known, __s32 fd, __u16 basis) {
    if (known->basis == BASIS_EXACT)
        return;
    bool guess = known->basis == BASIS_NONE || known->basis == BASIS_NEXT_SEND;
    if (basis == BASIS_NEXT_SEND && !guess)
        return;
    if (known->fd == fd) {
        if (known->votes < TLS_VOTES_KEPT)
            known->votes++;
        if (basis < known->basis)
            known->basis = basis;
        return;
    }
    if (!guess || basis == BASIS_NEXT_SEND) {
        if (known->votes > 1) {
            known->votes--;
            return;
        }
    }
    known->fd = fd;
    known->basis = basis;
    known->votes = 1;
}

/* A vote from a socket call. Not told apart here: a session whose address was reused (see tls.bpf.c). */
static __always_inline void tls_vote_for(__u64 connection, __s32 fd, __u16 basis) {
    struct tls_connection *known = tls_find(connection);
    if (!known)
        return;
    tls_vote(known, fd, basis);
    tls_hear(known, connection);
}

static __always_inline struct tls_frame *tls_top(struct tls_thread *thread) {
    __u32 depth = thread ? thread->depth : 0;
    if (depth == 0 || depth > TLS_DEPTH)
        return NULL;
    return &thread->frames[(depth - 1) & (TLS_DEPTH - 1)];
}

#endif
