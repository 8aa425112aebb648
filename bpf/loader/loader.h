/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads the linked kernel object, attaches it to one cgroup's processes, and copies its rings out. */
#ifndef INTACT_LOADER_H
#define INTACT_LOADER_H

#include <stddef.h>
#include <stdint.h>

struct intact_loader;

/* What one drain of one ring came to. */
struct intact_drained {
    uint64_t bytes;      /* written to the buffer, a multiple of the record size */
    uint64_t left_bytes; /* still in the ring, framing included: the buffer was full or a record is being written */
    uint64_t discarded;  /* records the kernel side gave up */
    uint64_t odd;        /* records of a wrong size, skipped */
};

/* Every int below is 0 or a count on success and -errno on failure; the reason in words is in intact_loader_log(). */
struct intact_loader *intact_loader_open(const char *object_path, int *error);
int intact_loader_resize(struct intact_loader *loader, const char *map, uint32_t entries); /* before the load */
int intact_loader_load(struct intact_loader *loader);
int intact_loader_set_scope(struct intact_loader *loader, int cgroup_fd);
int intact_loader_attach(struct intact_loader *loader); /* number of programs attached */
void intact_loader_detach(struct intact_loader *loader);
void intact_loader_close(struct intact_loader *loader);

/* One line a program that could not be attached, "name: reason\n"; empty if all could. */
const char *intact_loader_failures(const struct intact_loader *loader);
/* The end of what libbpf and the verifier said. */
const char *intact_loader_log(void);

int intact_loader_ring_count(const struct intact_loader *loader);
const char *intact_loader_ring_name(const struct intact_loader *loader, int ring); /* "file_256" */
uint32_t intact_loader_ring_record(const struct intact_loader *loader, int ring);
uint64_t intact_loader_ring_size(const struct intact_loader *loader, int ring);
uint64_t intact_loader_ring_waiting(const struct intact_loader *loader, int ring);
int intact_loader_drain(struct intact_loader *loader, int ring, void *buffer, uint64_t capacity,
                        struct intact_drained *drained);

/* Runs the task iterators; what they write themselves (not into rings) goes to the buffer. Bytes written. */
int64_t intact_loader_iterate(struct intact_loader *loader, void *buffer, uint64_t capacity);
/* Runs a program of type syscall once; 0 and nothing done if the object has none of that name. */
int intact_loader_run(struct intact_loader *loader, const char *program);
/* Sums the slots of a per-CPU array of u64. The number of slots read. */
int intact_loader_counters(struct intact_loader *loader, const char *map, uint64_t *values, uint32_t count);

int intact_program_fd(struct intact_loader *loader, const char *name);
int intact_map_fd(struct intact_loader *loader, const char *name);

#endif
