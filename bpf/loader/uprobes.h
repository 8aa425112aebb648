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

/* How uprobes hang on a file, the best last. */
enum intact_uprobe_way {
    INTACT_UPROBE_PERF = 0,    /* a perf event for each place */
    INTACT_UPROBE_MULTI = 1,   /* one link for all entries and one for all returns (Linux 6.6) */
    INTACT_UPROBE_SESSION = 2, /* one link for both, and no return where the entry does not want it (Linux 6.13) */
};

enum intact_uprobe_end { INTACT_AT_ENTRY, INTACT_AT_RETURN, INTACT_AT_BOTH };

/* Before the load: uprobe programs must say how they will be attached, and those of another way are left out. */
void intact_uprobes_prepare(struct bpf_object *object);
/* The best way this kernel has. */
int intact_uprobes_way(void);
/* Do as on a kernel that has no better way than `most`, so that the others are tested too. */
void intact_uprobes_limit(int most);

/* Link descriptors made, to be closed by the caller, or -errno with none made. `capacity` >= `count`. */
int intact_uprobes_attach(int program_fd, const char *path, const struct intact_uprobe *places, unsigned count, int end,
                          int *links, unsigned capacity);

/* Entries of a hash map as key and value in a row: their number, at most `capacity`, or -errno. */
int intact_map_entries(int map_fd, void *out, unsigned capacity);
/* The oldest value of a queue: 1, or 0 if it is empty, or -errno. */
int intact_queue_pop(int map_fd, void *value);
int intact_map_set(int map_fd, const void *key, const void *value);
int intact_map_has(int map_fd, const void *key);
int intact_map_remove(int map_fd, const void *key);

#endif
