/* SPDX-License-Identifier: Apache-2.0
 *
 * Open, load, attach, detach. The rings are in rings.c. */
#include "loader.h"
#include "rings.h"
#include "uprobes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { MAX_LINKS = 64, LOG_BYTES = 64 * 1024, FAILURES_BYTES = 4096 };

struct intact_loader {
    struct bpf_object *object;
    struct bpf_link *links[MAX_LINKS];
    int link_count;
    struct intact_ring rings[INTACT_MAX_RINGS];
    int ring_count;
    char failures[FAILURES_BYTES];
};

/* libbpf's print hook has no context, hence one log for the library; a loader is used by one thread. */
static char log_text[LOG_BYTES];
static size_t log_length;

static int keep_log(enum libbpf_print_level level, const char *format, va_list arguments) {
    if (level == LIBBPF_DEBUG)
        return 0;
    /* The end is what explains a failure: when half is not enough room, the older half goes. */
    if (log_length > LOG_BYTES / 2) {
        memmove(log_text, log_text + log_length - LOG_BYTES / 4, LOG_BYTES / 4);
        log_length = LOG_BYTES / 4;
    }
    int length = vsnprintf(log_text + log_length, LOG_BYTES - log_length, format, arguments);
    if (length > 0)
        log_length += (size_t)length < LOG_BYTES - log_length ? (size_t)length : LOG_BYTES - log_length - 1;
    return length;
}

const char *intact_loader_log(void) {
    log_text[log_length < LOG_BYTES ? log_length : LOG_BYTES - 1] = 0;
    return log_text;
}

struct intact_loader *intact_loader_open(const char *object_path, int *error) {
    struct intact_loader *loader = calloc(1, sizeof(*loader));
    if (!loader) {
        *error = -ENOMEM;
        return NULL;
    }
    log_length = 0;
    libbpf_set_print(keep_log);
    loader->object = bpf_object__open_file(object_path, NULL);
    if (!loader->object) {
        *error = -errno;
        free(loader);
        return NULL;
    }
    intact_uprobes_prepare(loader->object);
    *error = 0;
    return loader;
}

int intact_loader_resize(struct intact_loader *loader, const char *map_name, uint32_t entries) {
    struct bpf_map *map = bpf_object__find_map_by_name(loader->object, map_name);
    return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

int intact_loader_load(struct intact_loader *loader) {
    int error = bpf_object__load(loader->object);
    if (error)
        return error;
    struct bpf_map *map;
    bpf_object__for_each_map(map, loader->object) {
        if (bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF || strncmp(bpf_map__name(map), "ring_", 5))
            continue;
        if (loader->ring_count == INTACT_MAX_RINGS)
            return -E2BIG;
        struct intact_ring *ring = &loader->rings[loader->ring_count];
        error = intact_ring_open(ring, bpf_map__fd(map), bpf_map__name(map) + 5, bpf_map__max_entries(map));
        if (error)
            return error;
        loader->ring_count++;
    }
    return 0;
}

int intact_loader_set_scope(struct intact_loader *loader, int cgroup_fd) {
    int map = intact_map_fd(loader, "scope_cgroup");
    uint32_t slot = 0;
    return map < 0 ? map : bpf_map_update_elem(map, &slot, &cgroup_fd, BPF_ANY);
}

static int attaches_itself(const char *section) {
    static const char *const prefixes[] = {"tp_btf/",     "raw_tp/", "raw_tracepoint/", "tp/",
                                           "tracepoint/", "fentry/", "fexit/",          "lsm/"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (!strncmp(section, prefixes[i], strlen(prefixes[i])))
            return 1;
    return 0;
}

int intact_loader_attach(struct intact_loader *loader) {
    size_t used = 0;
    struct bpf_program *program;
    loader->failures[0] = 0;
    bpf_object__for_each_program(program, loader->object) {
        if (bpf_program__fd(program) < 0 || !bpf_program__autoattach(program) ||
            !attaches_itself(bpf_program__section_name(program)))
            continue;
        struct bpf_link *link = loader->link_count < MAX_LINKS ? bpf_program__attach(program) : NULL;
        if (link) {
            loader->links[loader->link_count++] = link;
            continue;
        }
        int length = snprintf(loader->failures + used, sizeof(loader->failures) - used, "%s: %s\n",
                              bpf_program__name(program), strerror(loader->link_count < MAX_LINKS ? errno : E2BIG));
        if (length > 0 && used + (size_t)length < sizeof(loader->failures))
            used += (size_t)length;
    }
    return loader->link_count;
}

const char *intact_loader_failures(const struct intact_loader *loader) { return loader->failures; }

void intact_loader_detach(struct intact_loader *loader) {
    while (loader->link_count)
        bpf_link__destroy(loader->links[--loader->link_count]);
}

void intact_loader_close(struct intact_loader *loader) {
    if (!loader)
        return;
    intact_loader_detach(loader);
    while (loader->ring_count)
        intact_ring_close(&loader->rings[--loader->ring_count]);
    bpf_object__close(loader->object);
    free(loader);
}

static int64_t read_iterator(struct bpf_program *program, char *buffer, uint64_t capacity) {
    struct bpf_link *link = bpf_program__attach_iter(program, NULL);
    if (!link)
        return -errno;
    int fd = bpf_iter_create(bpf_link__fd(link));
    int64_t total = 0, got = fd < 0 ? fd : 1;
    char spill[4096];
    while (got > 0) {
        /* Reading drives the iterator, so it is read to its end even when there is no more room. */
        uint64_t room = capacity - (uint64_t)total;
        got = read(fd, room ? buffer + total : spill, room ? room : sizeof(spill));
        if (got > 0 && room)
            total += got;
        if (got < 0 && errno == EAGAIN)
            got = 1;
    }
    int error = errno;
    if (fd >= 0)
        close(fd);
    bpf_link__destroy(link);
    return got < 0 ? -error : total;
}

int64_t intact_loader_iterate(struct intact_loader *loader, void *buffer, uint64_t capacity) {
    int64_t total = 0;
    struct bpf_program *program;
    bpf_object__for_each_program(program, loader->object) {
        const char *section = bpf_program__section_name(program);
        if (bpf_program__fd(program) < 0 || (strcmp(section, "iter/task") && strcmp(section, "iter.s/task")))
            continue;
        int64_t got = read_iterator(program, (char *)buffer + total, capacity - (uint64_t)total);
        if (got < 0)
            return got;
        total += got;
    }
    return total;
}

int intact_loader_run(struct intact_loader *loader, const char *name) {
    int fd = intact_program_fd(loader, name);
    if (fd == -ENOENT)
        return 0;
    LIBBPF_OPTS(bpf_test_run_opts, options);
    return bpf_prog_test_run_opts(fd, &options);
}

int intact_loader_counters(struct intact_loader *loader, const char *name, uint64_t *values, uint32_t count) {
    struct bpf_map *map = bpf_object__find_map_by_name(loader->object, name);
    int cpus = libbpf_num_possible_cpus();
    if (!map || cpus < 0)
        return map ? cpus : -ENOENT;
    uint64_t *slots = calloc((size_t)cpus, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    uint32_t entries = bpf_map__max_entries(map), slot = 0;
    for (; slot < count && slot < entries; slot++) {
        values[slot] = 0;
        if (bpf_map_lookup_elem(bpf_map__fd(map), &slot, slots))
            break;
        for (int cpu = 0; cpu < cpus; cpu++)
            values[slot] += slots[cpu];
    }
    free(slots);
    return (int)slot;
}

int intact_loader_ring_count(const struct intact_loader *loader) { return loader->ring_count; }

const char *intact_loader_ring_name(const struct intact_loader *loader, int ring) { return loader->rings[ring].name; }

uint32_t intact_loader_ring_record(const struct intact_loader *loader, int ring) { return loader->rings[ring].record; }

uint64_t intact_loader_ring_size(const struct intact_loader *loader, int ring) { return loader->rings[ring].size; }

uint64_t intact_loader_ring_waiting(const struct intact_loader *loader, int ring) {
    return intact_ring_waiting(&loader->rings[ring]);
}

int intact_loader_drain(struct intact_loader *loader, int ring, void *buffer, uint64_t capacity,
                        struct intact_drained *drained) {
    if (ring < 0 || ring >= loader->ring_count)
        return -EINVAL;
    intact_ring_drain(&loader->rings[ring], buffer, capacity, drained);
    return 0;
}

int intact_program_fd(struct intact_loader *loader, const char *name) {
    struct bpf_program *program = bpf_object__find_program_by_name(loader->object, name);
    int fd = program ? bpf_program__fd(program) : -ENOENT;
    return fd < 0 ? -ENOENT : fd;
}

int intact_map_fd(struct intact_loader *loader, const char *name) {
    return bpf_object__find_map_fd_by_name(loader->object, name);
}
