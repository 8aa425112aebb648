/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer's side of a BPF ring buffer (Documentation/bpf/ringbuf.rst): page 0 is ours, the next is the producer's,
 * then the data. The kernel would map the data a second time behind the first, so that no record wraps; every page of
 * it counts as resident from the start, so it is mapped once and a record that wraps is copied in two parts. */
#include "rings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bpf.h>

static uint32_t record_of_class(const char *name) {
    static const struct {
        const char *class;
        uint32_t bytes;
    } classes[] = {{"256", 256}, {"1k", 1024}, {"4k", 4096}, {"16k", 16384}};
    const char *class = strrchr(name, '_');
    for (size_t i = 0; class && i < sizeof(classes) / sizeof(*classes); i++)
        if (!strcmp(class + 1, classes[i].class))
            return classes[i].bytes;
    return 0;
}

int intact_ring_open(struct intact_ring *ring, int map_fd, const char *name, uint32_t size) {
    memset(ring, 0, sizeof(*ring));
    ring->record = record_of_class(name);
    if (!ring->record)
        return -EINVAL;
    snprintf(ring->name, sizeof(ring->name), "%s", name);
    ring->size = size;
    ring->page = sysconf(_SC_PAGESIZE);
    void *ours = mmap(NULL, (size_t)ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (ours == MAP_FAILED)
        return -errno;
    void *theirs = mmap(NULL, (size_t)ring->page + ring->size, PROT_READ, MAP_SHARED, map_fd, ring->page);
    if (theirs == MAP_FAILED) {
        int error = -errno;
        munmap(ours, (size_t)ring->page);
        return error;
    }
    ring->consumer = ours;
    ring->producer = theirs;
    ring->data = (const char *)theirs + ring->page;
    return 0;
}

void intact_ring_close(struct intact_ring *ring) {
    if (!ring->consumer)
        return;
    munmap(ring->consumer, (size_t)ring->page);
    munmap((void *)ring->producer, (size_t)ring->page + ring->size);
    ring->consumer = NULL;
}

uint64_t intact_ring_waiting(const struct intact_ring *ring) {
    return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - *ring->consumer;
}

/* Frames are 8 bytes and aligned to 8, so only a record can wrap. */
static void copy_record(const struct intact_ring *ring, uint64_t at, char *out) {
    uint64_t from = at & (ring->size - 1);
    uint64_t straight = ring->size - from < ring->record ? ring->size - from : ring->record;
    memcpy(out, ring->data + from, straight);
    memcpy(out + straight, ring->data, ring->record - straight);
}

void intact_ring_drain(struct intact_ring *ring, void *buffer, uint64_t capacity, struct intact_drained *drained) {
    uint64_t at = *ring->consumer;
    uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
    char *out = buffer;
    memset(drained, 0, sizeof(*drained));
    while (at < end) {
        const uint32_t *frame = (const uint32_t *)(ring->data + (at & (ring->size - 1)));
        uint32_t head = __atomic_load_n(frame, __ATOMIC_ACQUIRE);
        uint32_t length = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        bool whole = length == ring->record;
        if (head & BPF_RINGBUF_BUSY_BIT)
            break; /* being written; what is behind it waits with it */
        if (head & BPF_RINGBUF_DISCARD_BIT)
            drained->discarded++;
        else if (!whole)
            drained->odd++;
        else if (drained->bytes + length > capacity)
            break;
        else {
            copy_record(ring, at + BPF_RINGBUF_HDR_SZ, out + drained->bytes);
            drained->bytes += length;
        }
        at += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL;
    }
    /* Published once: the kernel sees the room at the end of the drain, not record by record. */
    __atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
    drained->left_bytes = end - at;
}
