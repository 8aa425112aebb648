/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * One read or write of plaintext, cut into the pieces that fit the records.
 */
#ifndef INTACT_TLS_LOG_BPF_H
#define INTACT_TLS_LOG_BPF_H

#include "emit.bpf.h"

RING(ring_tls_256, 1 << 18);
RING(ring_tls_1k, 1 << 19);
RING(ring_tls_4k, 1 << 20);
RING(ring_tls_16k, 1 << 23); /* two operations at their cap */

#define PIECE (CLASS_16K - sizeof(struct intact_tls))
/* The largest write seen of an agent is 148 KB; beyond this one call is not a message any more. */
#define OPERATION_CAP (4 << 20)
#define OPERATION_PIECES (OPERATION_CAP / PIECE + 1)

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

#endif
