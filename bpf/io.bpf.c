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

/* Hands out what the sum of `key` holds in one direction, and empties it. */
__noinline int io_flush(const struct io_key *key, __u32 direction, __u32 flags) {
    if (!key)
        return 0;
    struct io_sum *sum = bpf_map_lookup_elem(&io_sums, key);
    if (!sum)
        return 0;
    struct io_total *total = &sum->totals[direction & (SUM_DIRECTIONS - 1)];
    const struct io_about *about = &sum->about;
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
    io.h.start_ns = about->start_ns;
    io.h.tgid = key->tgid;
    io.h.tid = about->tid;
    io.h.uid = about->uid;
    io.h.gid = about->gid;
    io.h.cgroup_id = about->cgroup_id;
    io.h.type = TYPE_IO;
    io.h.op = direction == SUM_READ ? IO_READ : IO_WRITE;
    io.h.length = about->path_length;
    io.h.flags = about->flags | flags;
    io.h.clipped = about->clipped;
    io.inode = about->inode;
    io.device = about->device;
    io.fd_kind = about->kind;
    const char *path = about->path;
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

/* Makes in `io_fresh` a sum about an open file of this task. Its path is found once, at the first use. */
__noinline int io_name(const struct io_key *key, const struct open_file *opened) {
    struct path_found found = {};
    __u32 zero = 0;
    struct io_sum *fresh = bpf_map_lookup_elem(&io_fresh, &zero);
    if (!fresh || !key || !opened)
        return 0;
    __builtin_memset(fresh, 0, offsetof(struct io_sum, about));
    struct io_about *about = &fresh->about;
    path_of(opened, &found);
    __u32 length = found.length;
    about->clipped = 0;
    if (length > LONG_PATH_BYTES) {
        about->clipped = length - LONG_PATH_BYTES;
        length = LONG_PATH_BYTES;
    }
    about->path_length = length;
    if (length <= SUM_PATH_BYTES) {
        if (length)
            bpf_probe_read_kernel(about->path, length, (void *)found.start);
    } else {
        struct path_scratch *scratch = path_scratch(SCRATCH_CALL);
        if (scratch) {
            bpf_probe_read_kernel(scratch->joined.bytes, length, (void *)found.start);
            bpf_map_update_elem(&io_long_paths, key, scratch->joined.bytes, BPF_ANY);
        }
    }
    struct task_struct *task = CURRENT;
    __u64 gid_uid = bpf_get_current_uid_gid();
    about->dentry = opened->dentry;
    about->inode = opened->inode;
    about->start_ns = task->group_leader->start_boottime;
    about->cgroup_id = bpf_get_current_cgroup_id();
    about->tid = task->pid;
    about->uid = gid_uid;
    about->gid = gid_uid >> 32;
    about->device = opened->device;
    about->kind = kind_of(opened);
    about->flags = found.flags | FLAG_FROM_FILE;
    about->pad = 0;
    return 0;
}

/* The sum of an open file, about that very file, NULL if there is no room. It may be dead. */
static __always_inline struct io_sum *io_sum_of(const struct io_key *key, const struct open_file *opened) {
    struct io_sum *sum = bpf_map_lookup_elem(&io_sums, key);
    if (sum &&
        (sum->dead || (!sum->closed && sum->about.inode == opened->inode && sum->about.dentry == opened->dentry)))
        return sum;
    if (sum) {
        io_flush(key, SUM_READ, 0);
        io_flush(key, SUM_WRITE, 0);
    }
    io_name(key, opened);
    __u32 zero = 0;
    struct io_sum *fresh = bpf_map_lookup_elem(&io_fresh, &zero);
    if (!fresh)
        return NULL;
    if (sum) {
        sum->about = fresh->about;
        sum->closed = 0;
        return sum;
    }
    bpf_map_update_elem(&io_sums, key, fresh, BPF_NOEXIST);
    return bpf_map_lookup_elem(&io_sums, key);
}

/* Not 0 if there is no sum, or it is dead. */
__noinline int io_put(const struct io_key *key, const struct open_file *opened, int fd, __u32 direction, __u64 bytes) {
    if (!key || !opened)
        return 1;
    struct io_sum *sum = io_sum_of(key, opened);
    if (!sum)
        return 1;
    struct io_total *total = &sum->totals[direction & (SUM_DIRECTIONS - 1)];
    __u64 now = bpf_ktime_get_boot_ns();
    if (total->count) {
        __s64 quiet = now - total->last_ns, long_ns = now - total->first_ns;
        if (quiet > (__s64)IDLE_NS)
            io_flush(key, direction, 0);
        else if (long_ns >= (__s64)LONGEST_NS)
            io_flush(key, direction, FLAG_UNTIMELY);
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

__noinline int io_add(const struct open_file *opened, int fd, __u32 direction, __u64 bytes) {
    if (!opened || !bytes)
        return 0;
    struct io_key key = {.file = opened->file, .tgid = bpf_get_current_pid_tgid() >> 32};
    count_add(FAMILY_IO, COUNT_BYTES, bytes);
    if (!io_put(&key, opened, fd, direction, bytes))
        return 0;
    /* The sweep is just taking it out: another may not have its key until that is done. */
    key.spare = 1;
    if (io_put(&key, opened, fd, direction, bytes))
        count_lost(FAMILY_IO, LOST_MAP_FULL);
    return 0;
}

__noinline int io_cut(const struct open_file *opened) {
    if (!opened)
        return 0;
    struct io_key key = {.file = opened->file, .tgid = bpf_get_current_pid_tgid() >> 32};
    struct io_sum *sum = bpf_map_lookup_elem(&io_sums, &key);
    if (!sum)
        return 0;
    if (sum->totals[SUM_READ].count)
        io_flush(&key, SUM_READ, 0);
    if (sum->totals[SUM_WRITE].count)
        io_flush(&key, SUM_WRITE, 0);
    sum->closed = 1;
    return 0;
}
