/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The system calls that move bytes through descriptors, and those that close descriptors.
 */
#include "calls.bpf.h"
#include "io.bpf.h"
#include "net.bpf.h"
#include "tls.bpf.h"

/* Bytes that went through one descriptor. */
static __always_inline void moved(int fd, __u32 direction, long bytes, struct open_file *opened) {
    opened->mode = 0;
    if (file_of(fd, opened)) {
        count_lost(FAMILY_IO, LOST_FAULT); /* closed by another thread meanwhile */
        return;
    }
    /* A type of zero is an event counter, a timer, a watch: nothing of the machine passes through it. */
    if (!(opened->mode & S_IFMT))
        return;
    io_add(opened, fd, direction, bytes);
    if ((opened->mode & S_IFMT) == S_IFSOCK)
        net_count(opened, direction, bytes);
}

/* Where the first bytes of a vectored call are. */
static __always_inline const void *first_bytes(struct pt_regs *regs, bool vectored) {
    const void *buffer = (const void *)regs->si;
    return vectored ? tls_first_vector(buffer) : buffer;
}

static __always_inline int received(struct pt_regs *regs, long result, bool vectored) {
    struct open_file opened;
    if (result <= 0 || !in_scope())
        return 0;
    moved(regs->di, SUM_READ, result, &opened);
    if (is_socket(&opened))
        tls_note_receive(regs->di, first_bytes(regs, vectored), result);
    return 0;
}

static __always_inline int sent(struct pt_regs *regs, long result, bool vectored) {
    struct open_file opened;
    if (result <= 0 || !in_scope())
        return 0;
    moved(regs->di, SUM_WRITE, result, &opened);
    if (is_socket(&opened))
        tls_note_send(regs->di, first_bytes(regs, vectored));
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_read, struct pt_regs *regs, long result) { return received(regs, result, false); }

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_readv, struct pt_regs *regs, long result) { return received(regs, result, true); }

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_write, struct pt_regs *regs, long result) { return sent(regs, result, false); }

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_writev, struct pt_regs *regs, long result) { return sent(regs, result, true); }

/* sendfile, copy_file_range and splice: from one descriptor to another. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_transfer, struct pt_regs *regs, long result) {
    struct open_file opened;
    if (result <= 0 || !in_scope())
        return 0;
    bool is_sendfile = regs->orig_ax == 40;
    moved(is_sendfile ? regs->si : regs->di, SUM_READ, result, &opened);
    moved(is_sendfile ? regs->di : regs->dx, SUM_WRITE, result, &opened);
    return 0;
}

static __always_inline void close_one(int fd) {
    struct open_file opened;
    if (file_of(fd, &opened))
        return;
    io_cut(&opened, fd);
    if (is_socket(&opened) && !opened.references)
        net_closed(&opened, fd, 0);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(enter_close, struct pt_regs *regs, long number) {
    close_one(regs->di);
    return 0;
}

/* dup2 and dup3 close what their second descriptor was. */
SEC("tp_btf/sys_enter")
int BPF_PROG(enter_dup, struct pt_regs *regs, long number) {
    if (regs->di != regs->si)
        close_one(regs->si);
    return 0;
}

#define MOST_DESCRIPTORS 65536

struct descriptors {
    __u64 open_words;
    __u64 word;
    __u32 first;
    __u32 last;
    __u64 exec_words; /* descriptors with CLOEXEC */
    __u32 is_exec;    /* only those are closed, and only if it succeeds */
};

static __always_inline bool closes_on_exec(const struct descriptors *walk, __u32 fd) {
    __u64 word = 0;
    bpf_probe_read_kernel(&word, sizeof(word), (const void *)(walk->exec_words + fd / 64 * sizeof(__u64)));
    return word >> (fd & 63) & 1;
}

static long cut_descriptor(__u32 fd, void *context) {
    struct descriptors *walk = context;
    if (!(fd & 63)) {
        walk->word = 0;
        bpf_probe_read_kernel(&walk->word, sizeof(walk->word), (const void *)(walk->open_words + fd / 8));
    }
    if (!(walk->word >> (fd & 63) & 1) || fd < walk->first || fd > walk->last)
        return 0;
    struct open_file opened;
    if (file_of(fd, &opened))
        return 0;
    io_cut(&opened, fd);
    if (!is_socket(&opened) || opened.references)
        return 0;
    if (!walk->is_exec)
        net_closed(&opened, fd, 0);
    else if (closes_on_exec(walk, fd))
        net_closed(&opened, fd, 1);
    return 0;
}

static __always_inline void cut_range(__u32 first, __u32 last, __u32 is_exec) {
    struct task_struct *task = bpf_get_current_task_btf();
    struct files_struct *files = task->files;
    if (!files)
        return;
    struct fdtable *table = files->fdt;
    struct descriptors walk = {.open_words = (__u64)table->open_fds, .first = first, .last = last};
    walk.exec_words = (__u64)table->close_on_exec;
    walk.is_exec = is_exec;
    __u32 slots = table->max_fds;
    bpf_loop(slots > MOST_DESCRIPTORS ? MOST_DESCRIPTORS : slots, cut_descriptor, &walk, 0);
}

#define CLOSE_RANGE_CLOEXEC 4

SEC("tp_btf/sys_enter")
int BPF_PROG(enter_close_range, struct pt_regs *regs, long number) {
    if (!(regs->dx & CLOSE_RANGE_CLOEXEC))
        cut_range(regs->di, regs->si, 0);
    return 0;
}

/* Descriptors with CLOEXEC are closed inside exec, before its event: all sums are cut here. */
SEC("tp_btf/sys_enter")
int BPF_PROG(enter_exec, struct pt_regs *regs, long number) {
    net_forget();
    cut_range(0, -1, 1);
    return 0;
}

struct call_table io_enter SEC(".maps") = {
    .values =
        {
            [3] = (void *)&enter_close,
            [33] = (void *)&enter_dup,
            [59] = (void *)&enter_exec,
            [292] = (void *)&enter_dup,
            [322] = (void *)&enter_exec,
            [436] = (void *)&enter_close_range,
        },
};

struct call_table io_exit SEC(".maps") = {
    .values =
        {
            [0] = (void *)&exit_read,
            [1] = (void *)&exit_write,
            [17] = (void *)&exit_read,
            [18] = (void *)&exit_write,
            [19] = (void *)&exit_readv,
            [20] = (void *)&exit_writev,
            [40] = (void *)&exit_transfer,
            [275] = (void *)&exit_transfer,
            [295] = (void *)&exit_readv,
            [296] = (void *)&exit_writev,
            [326] = (void *)&exit_transfer,
            [327] = (void *)&exit_readv,
            [328] = (void *)&exit_writev,
        },
};
