/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Files that become executable in the scope, each told of until user space has looked at it: they may carry TLS.
 */
#include "path.bpf.h"
#include "calls.bpf.h"

#define PROT_EXEC 4

/* Not part of a recording, so not in wire.h: read by src/intact/collect/uprobes.py. Devices as stat(2) shows them. */
struct mapped_file {
    __u64 inode;
    __u32 device;
    __u32 pad;
};

struct mapped {
    struct mapped_file file;
    __u32 tgid;
    __u32 is_exec;
};

/* What user space has looked at. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, struct mapped_file);
    __type(value, __u32);
} tls_files SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 1024);
    __type(value, struct mapped);
} tls_mapped SEC(".maps");

static __always_inline void tell_mapped(__u64 inode, __u32 device, __u32 is_exec) {
    struct mapped mapped = {.file = {.inode = inode, .device = device}, .is_exec = is_exec};
    if (bpf_map_lookup_elem(&tls_files, &mapped.file))
        return;
    mapped.tgid = bpf_get_current_pid_tgid() >> 32;
    /* A full queue loses nothing for good: the maps of every process that execs are read as well. */
    bpf_map_push_elem(&tls_mapped, &mapped, 0);
}

/* Nearly every map of a program is of data, which needs no scope to tell. */
static __always_inline bool maps_code(const struct pt_regs *regs, long result) {
    return (regs->dx & PROT_EXEC) && (__s32)regs->r8 >= 0 && (__u64)result <= -4096ULL;
}

__noinline int exit_map(int fd) {
    struct open_file opened = {};
    if (!file_of(fd, &opened))
        tell_mapped(opened.inode, opened.device, 0);
    return 0;
}
