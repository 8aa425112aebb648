// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Plaintext of TLS libraries, copied where the program hands it over or takes it back.
 *
 * One program at function entry and one at return serve every function: which one it is comes in the attach cookie
 * (enum intact_tls_role of loader/resolve.h). Bytes are logged at return with the returned length, so that a write
 * which is retried is logged once, and a read is logged with what it brought.
 */
#include "emit.bpf.h"
#include "tls.bpf.h"

RING(ring_tls_256, 1 << 18);
RING(ring_tls_1k, 1 << 19);
RING(ring_tls_4k, 1 << 20);
RING(ring_tls_16k, 1 << 23); /* two operations at their cap */

enum tls_role {
    ROLE_READ = 1,
    ROLE_WRITE = 2,
    ROLE_READ_EX = 3,
    ROLE_WRITE_EX = 4,
    ROLE_FREE = 5,
    ROLE_SET_FD = 6,
    ROLE_NEW = 7,
    ROLE_SET_RFD = 8,
    ROLE_SET_WFD = 9
};

#define PIECE (CLASS_16K - sizeof(struct intact_tls))
/* The largest write seen of an agent is 148 KB; beyond this one call is not a message any more. */
#define OPERATION_CAP (4 << 20)
#define OPERATION_PIECES (OPERATION_CAP / PIECE + 1)

/* Processes that called a hooked function: their silence on a descriptor is not deafness of ours. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, __u64);
} tls_callers SEC(".maps");

/* One read or write that returned, on its way out in pieces. */
struct operation {
    __u64 buffer;
    __u64 captured;          /* of fixed.total */
    struct intact_tls fixed; /* what its pieces have in common */
};

/* Inlined, because a ring and the size of its records must be constants to the verifier. */
static __always_inline void log_bytes(void *ring, __u32 class_bytes, const struct operation *operation, __u32 offset,
                                      __u32 bytes) {
    struct intact_tls *record = bpf_ringbuf_reserve(ring, class_bytes, 0);
    if (!record) {
        count(FAMILY_TLS, LOST_RING_FULL);
        return;
    }
    *record = operation->fixed;
    record->offset = offset;
    record->h.length = bytes;
    if (offset + bytes >= operation->captured) {
        record->h.flags = FLAG_LAST;
        record->h.clipped = operation->fixed.total - operation->captured;
    }
    __u32 room = class_bytes - sizeof(*record);
    bytes = bytes > room ? room : bytes;
    barrier_var(bytes);
    if (bytes > room || bpf_probe_read_user(record->data, bytes, (void *)(operation->buffer + offset))) {
        bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
        count(FAMILY_TLS, LOST_FAULT);
    } else {
        bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
        count(FAMILY_TLS, COUNT_SUBMITTED);
    }
}

/* A piece that is lost leaves a gap that the next piece's offset, or the next operation's stream_offset, tells. */
static long log_piece(__u32 index, struct operation *operation) {
    __u32 offset = index * PIECE;
    if (offset >= operation->captured)
        return 1;
    __u32 bytes = operation->captured - offset;
    if (bytes > PIECE)
        bytes = PIECE;
    count(FAMILY_TLS, COUNT_SEEN);
    if (bytes <= CLASS_256 - sizeof(struct intact_tls))
        log_bytes(&ring_tls_256, CLASS_256, operation, offset, bytes);
    else if (bytes <= CLASS_1K - sizeof(struct intact_tls))
        log_bytes(&ring_tls_1k, CLASS_1K, operation, offset, bytes);
    else if (bytes <= CLASS_4K - sizeof(struct intact_tls))
        log_bytes(&ring_tls_4k, CLASS_4K, operation, offset, bytes);
    else
        log_bytes(&ring_tls_16k, CLASS_16K, operation, offset, bytes);
    return 0;
}

static __always_inline void log_operation(struct operation *operation) {
    __u32 total = operation->fixed.total;
    operation->captured = total > OPERATION_CAP ? OPERATION_CAP : total;
    __u32 rest = total - operation->captured;
    count_add(FAMILY_TLS, COUNT_BYTES, total);
    if (rest) {
        __u32 pieces = (rest + PIECE - 1) / PIECE;
        count_add(FAMILY_TLS, COUNT_SEEN, pieces);
        count_add(FAMILY_TLS, LOST_TOO_LONG, pieces);
    }
    bpf_loop(OPERATION_PIECES, log_piece, operation, 0);
}

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
    if (known->last_ns) {
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

static __always_inline bool is_read(__u32 role) { return role == ROLE_READ || role == ROLE_READ_EX; }
static __always_inline bool is_ex(__u32 role) { return role == ROLE_READ_EX || role == ROLE_WRITE_EX; }

static __always_inline void push(struct pt_regs *ctx, struct tls_thread *thread, __u32 role) {
    __u32 depth = thread->depth;
    struct tls_frame *top = tls_top(thread);
    /* Hooked twice (one file seen through two mounts of a container store): one call is one frame. */
    if (top && top->stack == PT_REGS_SP(ctx) && top->role == role)
        depth--;
    if (depth >= TLS_DEPTH) {
        /* Calls that never returned (a thread of coroutines, a longjmp) are the oldest. */
        for (int i = 0; i < TLS_DEPTH - 1; i++)
            thread->frames[i] = thread->frames[i + 1];
        depth = TLS_DEPTH - 1;
        count_lost(FAMILY_TLS, LOST_MAP_FULL);
    }
    struct tls_frame *frame = &thread->frames[depth & (TLS_DEPTH - 1)];
    frame->connection = PT_REGS_PARM1(ctx);
    frame->buffer = PT_REGS_PARM2(ctx);
    frame->length_at = PT_REGS_PARM4(ctx);
    frame->stack = PT_REGS_SP(ctx);
    frame->role = role;
    frame->logged = 0;
    thread->depth = depth + 1;
}

/* Takes the call that returns off the stack, with those above it that never returned. */
static __always_inline bool pop(struct tls_thread *thread, __u64 stack, __u32 role, struct tls_frame *out) {
    for (int i = TLS_DEPTH - 1; i >= 0; i--) {
        if (i >= thread->depth || thread->frames[i].stack != stack || thread->frames[i].role != role)
            continue;
        *out = thread->frames[i];
        thread->depth = i;
        return true;
    }
    return false;
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

SEC("kprobe")
int tls_enter(struct pt_regs *ctx) {
    if (!in_scope())
        return 0;
    __u32 role = bpf_get_attach_cookie(ctx);
    __u32 tgid = tls_tgid();
    if (!bpf_map_lookup_elem(&tls_callers, &tgid)) {
        __u64 now = bpf_ktime_get_boot_ns();
        bpf_map_update_elem(&tls_callers, &tgid, &now, BPF_ANY);
    }
    switch (role) {
    case ROLE_FREE:
        end_connection(PT_REGS_PARM1(ctx));
        return 0;
    case ROLE_SET_FD:
    case ROLE_SET_RFD:
    case ROLE_SET_WFD:
        set_descriptor(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
        return 0;
    case ROLE_READ:
    case ROLE_WRITE:
    case ROLE_READ_EX:
    case ROLE_WRITE_EX:
        break;
    default:
        return 0;
    }
    struct tls_thread *thread = tls_thread(false);
    if (!thread) {
        thread = tls_thread(true);
        if (!thread) {
            count_lost(FAMILY_TLS, LOST_MAP_FULL);
            return 0;
        }
        thread->received_fd = -1;
    }
    struct tls_connection *known = session_of(PT_REGS_PARM1(ctx));
    /* Votes are cast before the call: it may call back, and what is written in there is already on its way. */
    if (known && is_read(role))
        vote_received(known, thread, PT_REGS_PARM1(ctx));
    else if (known)
        guess_received(known, thread);
    push(ctx, thread, role);
    return 0;
}

/* Bytes that crossed the boundary by this call; 0 if it failed or must be retried. */
static __always_inline __u64 moved(struct pt_regs *ctx, const struct tls_frame *frame) {
    __s32 result = PT_REGS_RC(ctx);
    __u64 bytes = 0;
    if (!is_ex(frame->role))
        return result > 0 ? result : 0;
    if (result != 1)
        return 0;
    if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)frame->length_at)) {
        count_lost(FAMILY_TLS, LOST_FAULT);
        return 0;
    }
    return bytes;
}

SEC("kprobe")
int tls_return(struct pt_regs *ctx) {
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    __u32 role = bpf_get_attach_cookie(ctx);
    if (role == ROLE_NEW) {
        end_connection(PT_REGS_RC(ctx));
        return 0;
    }
    struct tls_thread *thread = tls_thread(false);
    struct tls_frame frame;
    /* The return address is off the stack by now. */
    if (!thread || !pop(thread, PT_REGS_SP(ctx) - sizeof(__u64), role, &frame) || frame.logged)
        return 0;
    __u64 bytes = moved(ctx, &frame);
    struct tls_connection *known = bytes ? open_connection(frame.connection) : NULL;
    if (!known)
        return 0;
    /* SSL_read_ex of some libraries is SSL_read in a wrapper. */
    struct tls_frame *outer = tls_top(thread);
    if (outer && outer->connection == frame.connection && outer->buffer == frame.buffer)
        outer->logged = 1;

    struct operation operation = {.buffer = frame.buffer};
    struct intact_tls *fixed = &operation.fixed;
    __u32 way = is_read(role) ? 0 : 1;
    fill_header(&fixed->h, state->start_ns, TYPE_TLS, 0);
    describe(fixed, frame.connection, known);
    fixed->total = bytes > 0xffffffff ? 0xffffffff : bytes;
    fixed->direction = way ? DIRECTION_WRITE : DIRECTION_READ;
    fixed->stream_offset = __sync_fetch_and_add(&known->offset[way], bytes);
    fixed->h.sequence = __sync_fetch_and_add(&known->operations[way], 1);
    known->last_ns = fixed->h.ktime_ns;
    tls_hear(known, frame.connection);
    if (way)
        thread->awaiting_send = known->basis == BASIS_NONE || known->basis == BASIS_NEXT_SEND ? frame.connection : 0;
    log_operation(&operation);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
