/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Sums of reads and writes, cut when idle, when long, when the file is closed, and at exec and exit.
 *
 * A cut takes what a sum holds and leaves the sum, all under its lock; only a sum marked dead leaves the map. So a byte
 * is in exactly one record, whichever CPUs add and cut at once.
 */
#include "io.bpf.h"

RING(ring_io_256, 1 << 21);
RING(ring_io_1k, 1 << 18);
RING(ring_io_4k, 1 << 18);

#define LONG_PATH_BYTES (CLASS_4K - sizeof(struct intact_io))

struct long_path {
    char path[CLASS_4K];
};

struct fresh_sum {
    char bytes[sizeof(struct io_sum)];
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8192);
    __type(key, struct io_key);
    __type(value, struct io_sum);
} io_sums SEC(".maps");

/* Paths that do not fit the sum; few, and large. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, struct io_key);
    __type(value, struct long_path);
} io_long_paths SEC(".maps");

/* A new sum is made here: it is too large for the stack. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct fresh_sum);
} io_fresh SEC(".maps");

static __always_inline void emit_io(const struct intact_io *io, const void *path, __u32 length) {
    __u32 need = sizeof(*io) + length;
    if (need <= CLASS_256)
        emit_record(&ring_io_256, FAMILY_IO, CLASS_256, io, sizeof(*io), path, length);
    else if (need <= CLASS_1K)
        emit_record(&ring_io_1k, FAMILY_IO, CLASS_1K, io, sizeof(*io), path, length);
    else
        emit_record(&ring_io_4k, FAMILY_IO, CLASS_4K, io, sizeof(*io), path, length);
}

/* Hands out what a sum holds in one direction, and empties it. */
static __noinline int io_flush(struct io_sum *sum, const struct io_key *key, __u32 direction, __u32 flags) {
    if (!sum || direction >= SUM_DIRECTIONS)
        return 0;
    struct io_total *total = &sum->totals[direction];
    struct intact_io io = {};
    bpf_spin_lock(&sum->lock);
    io.first_ns = total->first_ns;
    io.last_ns = total->last_ns;
    io.bytes = total->bytes;
    io.count = total->count;
    io.fd = total->fd;
    total->bytes = 0;
    total->count = 0;
    bpf_spin_unlock(&sum->lock);
    if (!io.count)
        return 0;
    io.h.ktime_ns = bpf_ktime_get_boot_ns();
    io.h.start_ns = sum->start_ns;
    io.h.tgid = key->tgid;
    io.h.tid = sum->tid;
    io.h.uid = sum->uid;
    io.h.gid = sum->gid;
    io.h.cgroup_id = sum->cgroup_id;
    io.h.type = TYPE_IO;
    io.h.op = direction == SUM_READ ? IO_READ : IO_WRITE;
    io.h.length = sum->path_length;
    io.h.flags = sum->flags | flags;
    io.h.clipped = sum->clipped;
    io.inode = sum->inode;
    io.device = sum->device;
    io.fd_kind = sum->kind;
    const char *path = sum->path;
    if (io.h.length > SUM_PATH_BYTES) {
        path = bpf_map_lookup_elem(&io_long_paths, key);
        if (!path) {
            io.h.clipped += io.h.length;
            io.h.length = 0;
        }
    }
    emit_io(&io, path, io.h.length);
    return 1;
}

static __always_inline __u16 kind_of(const struct open_file *opened) {
    switch (opened->mode & S_IFMT) {
    case S_IFREG:
        return FD_REGULAR;
    case S_IFDIR:
        return FD_DIRECTORY;
    case S_IFIFO:
        return FD_PIPE;
    case S_IFSOCK:
        return FD_SOCKET;
    case S_IFCHR:
        return FD_CHARACTER;
    case S_IFBLK:
        return FD_BLOCK;
    }
    return FD_ANONYMOUS;
}

/* Says which file the sum is about. Its path is found once, at the first use. */
static __noinline int io_name(struct io_sum *sum, const struct io_key *key, const struct open_file *opened) {
    struct path_found found = {};
    if (!sum)
        return 0;
    path_of(opened, &found);
    __u32 length = found.length;
    sum->clipped = 0;
    if (length > LONG_PATH_BYTES) {
        sum->clipped = length - LONG_PATH_BYTES;
        length = LONG_PATH_BYTES;
    }
    sum->path_length = length;
    if (length <= SUM_PATH_BYTES) {
        if (length)
            bpf_probe_read_kernel(sum->path, length, found.start);
    } else {
        struct path_scratch *scratch = path_scratch(SCRATCH_CALL);
        if (scratch) {
            bpf_probe_read_kernel(scratch->joined, length, found.start);
            bpf_map_update_elem(&io_long_paths, key, scratch->joined, BPF_ANY);
        }
    }
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 gid_uid = bpf_get_current_uid_gid();
    sum->dentry = opened->dentry;
    sum->inode = opened->inode;
    sum->start_ns = task->group_leader->start_boottime;
    sum->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
    sum->tid = task->pid;
    sum->uid = gid_uid;
    sum->gid = gid_uid >> 32;
    sum->device = opened->device;
    sum->kind = kind_of(opened);
    sum->flags = found.flags | FLAG_FROM_FILE;
    return 0;
}

/* The sum of an open file, about that very file, NULL if there is no room. It may be dead. */
static __always_inline struct io_sum *io_sum_of(const struct io_key *key, const struct open_file *opened) {
    struct io_sum *sum = bpf_map_lookup_elem(&io_sums, key);
    if (sum) {
        if (sum->dead || (!sum->closed && sum->inode == opened->inode && sum->dentry == opened->dentry))
            return sum;
        io_flush(sum, key, SUM_READ, 0);
        io_flush(sum, key, SUM_WRITE, 0);
        io_name(sum, key, opened);
        sum->closed = 0;
        return sum;
    }
    __u32 zero = 0;
    struct io_sum *fresh = bpf_map_lookup_elem(&io_fresh, &zero);
    if (!fresh)
        return NULL;
    __builtin_memset(fresh, 0, offsetof(struct io_sum, path));
    io_name(fresh, key, opened);
    bpf_map_update_elem(&io_sums, key, fresh, BPF_NOEXIST);
    return bpf_map_lookup_elem(&io_sums, key);
}

/* Not 0 if the sum is dead. */
static __always_inline __u32 io_put(struct io_sum *sum, const struct io_key *key, int fd, __u32 direction,
                                    __u64 bytes) {
    struct io_total *total = &sum->totals[direction];
    __u64 now = bpf_ktime_get_boot_ns();
    if (total->count) {
        __s64 quiet = now - total->last_ns, long_ns = now - total->first_ns;
        if (quiet > (__s64)IDLE_NS)
            io_flush(sum, key, direction, 0);
        else if (long_ns >= (__s64)LONGEST_NS)
            io_flush(sum, key, direction, FLAG_UNTIMELY);
    }
    bpf_spin_lock(&sum->lock);
    __u32 dead = sum->dead;
    if (!dead) {
        if (!total->count)
            total->first_ns = now;
        total->last_ns = now;
        total->bytes += bytes;
        total->count += 1;
        total->fd = fd;
    }
    bpf_spin_unlock(&sum->lock);
    return dead;
}

static __noinline int io_add(const struct open_file *opened, int fd, __u32 direction, __u64 bytes) {
    struct io_key key = {.file = opened->file, .tgid = bpf_get_current_pid_tgid() >> 32};
    if (!bytes || direction >= SUM_DIRECTIONS)
        return 0;
    count_add(FAMILY_IO, COUNT_BYTES, bytes);
    struct io_sum *sum = io_sum_of(&key, opened);
    if (sum && !io_put(sum, &key, fd, direction, bytes))
        return 0;
    /* The sweep is just taking it out: another may not have its key until that is done. */
    key.spare = 1;
    sum = sum ? io_sum_of(&key, opened) : NULL;
    if (!sum || io_put(sum, &key, fd, direction, bytes))
        count_lost(FAMILY_IO, LOST_MAP_FULL);
    return 0;
}

static __noinline int io_cut(const struct open_file *opened, int fd) {
    struct io_key key = {.file = opened->file, .tgid = bpf_get_current_pid_tgid() >> 32};
    struct io_sum *sum = bpf_map_lookup_elem(&io_sums, &key);
    if (!sum)
        return 0;
    if (sum->totals[SUM_READ].count)
        io_flush(sum, &key, SUM_READ, 0);
    if (sum->totals[SUM_WRITE].count)
        io_flush(sum, &key, SUM_WRITE, 0);
    sum->closed = 1;
    return 0;
}
