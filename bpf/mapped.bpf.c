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

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_mapped, struct task_struct *task, pid_t old_tid, struct linux_binprm *binary) {
    if (!in_scope())
        return 0;
    struct inode *inode = binary->file->f_inode;
    tell_mapped(inode->i_ino, device_of(inode), 1);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_mmap, struct pt_regs *regs, long result) {
    struct open_file opened;
    if (!(regs->dx & PROT_EXEC) || (__s32)regs->r8 < 0 || (__u64)result > -4096ULL || !in_scope())
        return 0;
    if (!file_of(regs->r8, &opened))
        tell_mapped(opened.inode, opened.device, 0);
    return 0;
}

struct call_table tls_exit SEC(".maps") = {
    .values = {[9] = (void *)&exit_mmap},
};
