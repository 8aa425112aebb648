/* SPDX-License-Identifier: Apache-2.0
 *
 * By uprobe_multi links where the kernel has them, else by one perf event a place. libbpf 1.1 knows neither the link
 * nor its attach types, hence the bpf() calls by hand.
 */
#include "uprobes.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { MAX_PLACES = 64, MAX_ENTRY = 256 };

/* include/uapi/linux/bpf.h of 6.13. */
enum { ATTACH_UPROBE_MULTI = 48, ATTACH_UPROBE_SESSION = 57, UPROBE_MULTI_RETURN = 1 };

/* The program of the last way does both ends, those of the others one each. */
static const char SESSION_PROGRAM[] = "tls_session";

struct multi_link {
    uint32_t program_fd;
    uint32_t target_fd;
    uint32_t attach_type;
    uint32_t flags;
    uint64_t path;
    uint64_t offsets;
    uint64_t reference_offsets;
    uint64_t cookies;
    uint32_t count;
    uint32_t multi_flags;
    uint32_t pid;
    uint32_t pad;
};

static int link_create(void *attributes, unsigned size) {
    int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, attributes, size);
    return fd < 0 ? -errno : fd;
}

static int has_link(enum bpf_attach_type type) {
    struct bpf_insn nothing[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = type);
    int program = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", nothing, 2, &options);
    if (program < 0)
        return 0;
    uint64_t offset = 0;
    struct multi_link link = {.program_fd = (uint32_t)program, .attach_type = type, .count = 1};
    link.path = (uint64_t)(uintptr_t) "/";
    link.offsets = (uint64_t)(uintptr_t)&offset;
    int fd = link_create(&link, sizeof(link));
    close(program);
    if (fd >= 0)
        close(fd);
    return fd == -EBADF; /* a directory is refused as such only where the link type is known */
}

static int limit = INTACT_UPROBE_SESSION;

void intact_uprobes_limit(int most) { limit = most; }

int intact_uprobes_way(void) {
    static int best = -1;
    if (best < 0) {
        best = has_link((enum bpf_attach_type)ATTACH_UPROBE_MULTI) ? INTACT_UPROBE_MULTI : INTACT_UPROBE_PERF;
        if (best == INTACT_UPROBE_MULTI && has_link((enum bpf_attach_type)ATTACH_UPROBE_SESSION))
            best = INTACT_UPROBE_SESSION;
    }
    return best < limit ? best : limit;
}

void intact_uprobes_prepare(struct bpf_object *object) {
    struct bpf_program *program;
    int way = intact_uprobes_way();
    bpf_object__for_each_program(program, object) {
        if (strcmp(bpf_program__section_name(program), "kprobe"))
            continue;
        bool is_session = !strcmp(bpf_program__name(program), SESSION_PROGRAM);
        bpf_program__set_autoload(program, is_session == (way == INTACT_UPROBE_SESSION));
        if (way != INTACT_UPROBE_PERF)
            bpf_program__set_expected_attach_type(
                program, (enum bpf_attach_type)(is_session ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI));
    }
}

static int attach_multi(int program_fd, const char *path, const struct intact_uprobe *places, unsigned count, int end) {
    uint64_t offsets[MAX_PLACES], cookies[MAX_PLACES];
    for (unsigned i = 0; i < count; i++) {
        offsets[i] = places[i].file_offset;
        cookies[i] = places[i].cookie;
    }
    struct multi_link link = {
        .program_fd = (uint32_t)program_fd,
        .attach_type = end == INTACT_AT_BOTH ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI,
        .path = (uint64_t)(uintptr_t)path,
        .offsets = (uint64_t)(uintptr_t)offsets,
        .cookies = (uint64_t)(uintptr_t)cookies,
        .count = count,
        .multi_flags = end == INTACT_AT_RETURN ? UPROBE_MULTI_RETURN : 0,
    };
    return link_create(&link, sizeof(link));
}

static int read_number(const char *path, const char *format) {
    int number = -ENOENT;
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    if (fscanf(file, format, &number) != 1)
        number = -EINVAL;
    fclose(file);
    return number;
}

static int attach_perf(int program_fd, const char *path, const struct intact_uprobe *place, int at_return) {
    int type = read_number("/sys/bus/event_source/devices/uprobe/type", "%d");
    int bit = read_number("/sys/bus/event_source/devices/uprobe/format/retprobe", "config:%d");
    if (type < 0 || bit < 0)
        return type < 0 ? type : bit;
    struct perf_event_attr event = {.type = (uint32_t)type, .size = sizeof(event)};
    event.config = at_return ? 1ULL << bit : 0;
    event.uprobe_path = (uint64_t)(uintptr_t)path;
    event.probe_offset = place->file_offset;
    int perf = (int)syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    if (perf < 0)
        return -errno;
    LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = place->cookie);
    int link = bpf_link_create(program_fd, perf, BPF_PERF_EVENT, &options);
    close(perf); /* the link holds it */
    return link;
}

int intact_uprobes_attach(int program_fd, const char *path, const struct intact_uprobe *places, unsigned count, int end,
                          int *links, unsigned capacity) {
    if (!count || count > MAX_PLACES || capacity < count)
        return -EINVAL;
    if (intact_uprobes_way() != INTACT_UPROBE_PERF) {
        links[0] = attach_multi(program_fd, path, places, count, end);
        return links[0] < 0 ? links[0] : 1;
    }
    for (unsigned i = 0; i < count; i++) {
        links[i] = attach_perf(program_fd, path, &places[i], end == INTACT_AT_RETURN);
        if (links[i] >= 0)
            continue;
        int error = links[i];
        while (i--)
            close(links[i]);
        return error;
    }
    return (int)count;
}

int intact_map_entries(int map_fd, void *out, unsigned capacity) {
    struct bpf_map_info info = {};
    uint32_t length = sizeof(info);
    char key[MAX_ENTRY], next[MAX_ENTRY];
    if (bpf_obj_get_info_by_fd(map_fd, &info, &length))
        return -errno;
    if (info.key_size > MAX_ENTRY)
        return -E2BIG;
    unsigned count = 0;
    char *entry = out;
    for (void *last = NULL; count < capacity && !bpf_map_get_next_key(map_fd, last, next); last = key) {
        memcpy(key, next, info.key_size);
        if (bpf_map_lookup_elem(map_fd, key, entry + info.key_size))
            continue; /* gone meanwhile */
        memcpy(entry, key, info.key_size);
        entry += info.key_size + info.value_size;
        count++;
    }
    return (int)count;
}

int intact_queue_pop(int map_fd, void *value) {
    int error = bpf_map_lookup_and_delete_elem(map_fd, NULL, value);
    return error ? (errno == ENOENT ? 0 : -errno) : 1;
}

int intact_map_set(int map_fd, const void *key, const void *value) {
    return bpf_map_update_elem(map_fd, key, value, BPF_ANY);
}

int intact_map_has(int map_fd, const void *key) {
    char value[MAX_ENTRY];
    struct bpf_map_info info = {};
    uint32_t length = sizeof(info);
    if (bpf_obj_get_info_by_fd(map_fd, &info, &length))
        return -errno;
    return info.value_size <= MAX_ENTRY ? !bpf_map_lookup_elem(map_fd, key, value) : -E2BIG;
}

int intact_map_remove(int map_fd, const void *key) { return bpf_map_delete_elem(map_fd, key); }
