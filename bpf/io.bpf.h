/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Sums of reads and writes, by process and open file: what the families that move bytes or close files need of them.
 */
#ifndef INTACT_IO_BPF_H
#define INTACT_IO_BPF_H

#include "path.bpf.h"

#define IDLE_NS 100000000ULL     /* a sum ends after this long without traffic */
#define LONGEST_NS 1000000000ULL /* and after this long with it */
#define FORGET_NS 2000000000ULL  /* its slot is kept a while: files are opened again at the same address */

enum { SUM_READ, SUM_WRITE, SUM_DIRECTIONS };

/* `file` addresses are reused: the sum says which inode and dentry it is about. */
struct io_key {
    __u64 file;
    __u32 tgid;
    __u32 spare; /* 1: stands in for one that is being taken out */
};

struct io_total {
    __u64 first_ns;
    __u64 last_ns;
    __u64 bytes;
    __u32 count;
    __s32 fd;
};

#define SUM_PATH_BYTES 152

/* Whose sum it is, and of which file. */
struct io_about {
    __u64 dentry;
    __u64 inode;
    __u64 start_ns;
    __u64 cgroup_id;
    __u32 tid;
    __u32 uid;
    __u32 gid;
    __u32 device;
    __u16 kind;
    __u16 flags;
    __u32 clipped;
    __u32 path_length;
    __u32 pad;
    char path[SUM_PATH_BYTES];
};

struct io_sum {
    struct bpf_spin_lock lock;
    __u32 dead;   /* taken out of the map: what is added here is lost */
    __u32 closed; /* the next use is another open: the path is to be found anew */
    __u32 pad;
    struct io_total totals[SUM_DIRECTIONS];
    struct io_about about;
};

/* Counts `bytes` moved through `opened`; 0 bytes is a read at the end and not traffic. */
__noinline int io_add(const struct open_file *opened, int fd, __u32 direction, __u64 bytes);
/* The open file is about to be closed by this process: cuts its sums. */
__noinline int io_cut(const struct open_file *opened);

#endif
