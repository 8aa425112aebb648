/* SPDX-License-Identifier: Apache-2.0
 *
 * Attaches uprobes to a file at many places at once, and reads the maps of the TLS probes.
 */
#ifndef INTACT_UPROBES_H
#define INTACT_UPROBES_H

#include <stdint.h>

struct bpf_object;

struct intact_uprobe {
    uint64_t file_offset;
    uint64_t cookie;
};

/* Before the load: uprobe programs must say that they will be attached by uprobe_multi, where the kernel has it. */
void intact_uprobes_prepare(struct bpf_object *object);
/* 1 if this kernel attaches all places of a file by one link, 0 if each takes a perf event. */
int intact_uprobes_multi(void);
/* 1: do as on a kernel that lacks it, so that the other way is tested too; 0: ask the kernel again. */
void intact_uprobes_forbid_multi(int forbid);

/* Link descriptors made, to be closed by the caller, or -errno with none made. `capacity` >= `count`. */
int intact_uprobes_attach(int program_fd, const char *path, const struct intact_uprobe *places, unsigned count,
                          int at_return, int *links, unsigned capacity);

/* Entries of a hash map as key and value in a row: their number, at most `capacity`, or -errno. */
int intact_map_entries(int map_fd, void *out, unsigned capacity);
/* The oldest value of a queue: 1, or 0 if it is empty, or -errno. */
int intact_queue_pop(int map_fd, void *value);
int intact_map_set(int map_fd, const void *key, const void *value);
int intact_map_has(int map_fd, const void *key);
int intact_map_remove(int map_fd, const void *key);

#endif
