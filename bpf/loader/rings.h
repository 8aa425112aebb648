/* SPDX-License-Identifier: Apache-2.0
 *
 * A BPF ring buffer seen from its consumer: positions and records, no callback a record. */
#ifndef INTACT_RINGS_H
#define INTACT_RINGS_H

#include <stdint.h>

#include "loader.h"

enum { INTACT_MAX_RINGS = 32, INTACT_RING_NAME = 24 };

struct intact_ring {
    char name[INTACT_RING_NAME]; /* "<family>_<class>" */
    uint32_t record;             /* bytes a record, from the class */
    uint64_t size;
    uint64_t *consumer;
    const uint64_t *producer;
    const char *data;
    long page;
};

/* 0 or -errno; -EINVAL if the name does not end in a class. */
int intact_ring_open(struct intact_ring *ring, int map_fd, const char *name, uint32_t size);
void intact_ring_close(struct intact_ring *ring);
uint64_t intact_ring_waiting(const struct intact_ring *ring);
void intact_ring_drain(struct intact_ring *ring, void *buffer, uint64_t capacity, struct intact_drained *drained);

#endif
