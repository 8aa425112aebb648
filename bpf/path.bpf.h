/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Absolute paths: from a dentry and its mount up to the root of the mount namespace.
 */
#ifndef INTACT_PATH_BPF_H
#define INTACT_PATH_BPF_H

#include "emit.bpf.h"

#define PATH_BYTES 4096   /* of one walk */
#define NAME_BYTES 256    /* of one component */
#define TEXT_BYTES 4096   /* what the user may give, its NUL included */
#define JOINED_BYTES 8448 /* a directory, a slash and a text */

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

/* System calls and the scheduler's events run with preemption off and share one; an iterator may be preempted. */
enum { SCRATCH_CALL, SCRATCH_ITERATOR, SCRATCHES };

/* Room for two names, each a directory, a slash and a text. */
struct names {
    char bytes[2 * JOINED_BYTES];
};

/* The path grows from the end of `path` downward; a last component may be read past the start of a full one. */
struct path_scratch {
    char path[PATH_BYTES];
    char guard[NAME_BYTES];
    struct names joined;
    __u64 through; /* as_number() */
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, SCRATCHES);
    __type(key, __u32);
    __type(value, struct path_scratch);
} path_scratches __weak SEC(".maps");

extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym;
/* Reads through such a pointer are single loads that fault to zero: five times cheaper than the read helper. */
#define AS(type, pointer) ((type *)bpf_rdonly_cast((const void *)(pointer), bpf_core_type_id_kernel(type)))

/* The current task, to read from. For each step through a pointer that it trusts the verifier searches all types of the
 * kernel for a promise about the field, so nothing here walks on such a pointer. */
#define CURRENT AS(struct task_struct, bpf_get_current_task())

/* A field of the kernel's that holds a pointer, as a number: functions that are verified once take no typed pointers.
 */
static __always_inline __u64 word_at(const void *field) { return AS(struct timespec64, field)->tv_sec; }

/* The same for a pointer at hand; it has to pass through memory of a map, whose contents the verifier does not follow.
 */
static __always_inline __u64 as_number(const void *pointer, __u64 *through) {
    *(volatile __u64 *)through = (__u64)pointer;
    return *(volatile __u64 *)through;
}

/* What a walk found; `start` is an address in the scratch and holds until the next walk. */
struct path_found {
    __u64 start;
    __u32 length;
    __u32 flags;
};

static __always_inline struct path_scratch *path_scratch(__u32 which) {
    return bpf_map_lookup_elem(&path_scratches, &which);
}

/* An open file, read once. */
struct open_file {
    __u64 file;
    __u64 dentry;
    __u64 mnt;
    __u64 private_data;
    __u64 inode;
    __s64 references; /* beyond the first */
    __u32 device;     /* as stat(2) shows it */
    __u32 mode;       /* of the inode */
    __u32 open_mode;  /* FMODE_… */
    __u32 pad;
};

static __always_inline bool is_socket(const struct open_file *opened) { return (opened->mode & S_IFMT) == S_IFSOCK; }

/* The walk from a dentry and its mount upward, in scratch `which`. Not 0 if there is nothing to walk. */
__noinline int path_walk(__u64 dentry, __u64 mnt, __u32 which, struct path_found *found);
/* The file behind a descriptor of the current task. Not 0 if there is none. */
__noinline int file_of(int fd, struct open_file *opened);

/* The path of what is behind a descriptor. Not 0 if there is nothing. */
__noinline int path_of_fd(int fd, struct path_found *found);

static __always_inline int path_of(const struct open_file *opened, struct path_found *found) {
    return path_walk(opened->dentry, opened->mnt, SCRATCH_CALL, found);
}

#endif
