/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The system calls that move bytes through descriptors, and those that close descriptors.
 */
#include "calls.bpf.h"
#include "io.bpf.h"
#include "net.bpf.h"
#include "tls.bpf.h"

/* What is watched of a call that moves bytes. */
enum { HOW_SENDS = 1, HOW_VECTOR = 2, HOW_MESSAGE = 4, HOW_ADDRESS = 8 };

/* Bytes that went through one descriptor. 1 if it is a socket. */
__noinline int moved(int fd, __u32 direction, __u64 bytes) {
    struct open_file opened = {};
    if (file_of(fd, &opened)) {
        count_lost(FAMILY_IO, LOST_FAULT); /* closed by another thread meanwhile */
        return 0;
    }
    /* A type of zero is an event counter, a timer, a watch: nothing of the machine passes through it. */
    if (!(opened.mode & S_IFMT))
        return 0;
    io_add(&opened, fd, direction, bytes);
    if (!is_socket(&opened))
        return 0;
    net_count(&opened, direction, bytes);
    return 1;
}

/* What the TLS probes want to know of a socket: the first bytes that passed it. */
__noinline int note_socket(int fd, __u64 buffer, __u32 how, long result) {
    const void *first = (const void *)buffer;
    if (how & HOW_MESSAGE)
        first = tls_first_of_message(first);
    else if (how & HOW_VECTOR)
        first = tls_first_vector(first);
    if (how & HOW_SENDS)
        tls_note_send(fd, first);
    else
        tls_note_receive(fd, first, result);
    return 0;
}

/* Reads and writes of every kind, of files and sockets. */
static __always_inline void exit_move(__u64 registers, __u32 how, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    int fd = regs->di;
    if (moved(fd, how & HOW_SENDS ? SUM_WRITE : SUM_READ, result))
        note_socket(fd, regs->si, how, result);
}

/* sendfile, copy_file_range and splice: from one descriptor to another. */
static __always_inline void exit_transfer(__u64 registers, __u32 number, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    bool is_sendfile = number == 40;
    moved(is_sendfile ? regs->si : regs->di, SUM_READ, result);
    moved(is_sendfile ? regs->di : regs->dx, SUM_WRITE, result);
}

/* The descriptor is about to be closed, also by a dup2 or dup3 onto it. */
__noinline int close_one(int fd) {
    struct open_file opened = {};
    if (file_of(fd, &opened))
        return 0;
    io_cut(&opened);
    if (is_socket(&opened) && !opened.references)
        net_closed(&opened, fd, 0);
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
    struct open_file opened = {};
    if (file_of(fd, &opened))
        return 0;
    io_cut(&opened);
    if (!is_socket(&opened) || opened.references)
        return 0;
    if (!walk->is_exec)
        net_closed(&opened, fd, 0);
    else if (closes_on_exec(walk, fd))
        net_closed(&opened, fd, 1);
    return 0;
}

__noinline int cut_range(__u32 first, __u32 last, __u32 is_exec) {
    struct files_struct *files = CURRENT->files;
    if (!files)
        return 0;
    struct fdtable *table = files->fdt;
    struct descriptors walk = {.open_words = (__u64)table->open_fds, .first = first, .last = last};
    walk.exec_words = (__u64)table->close_on_exec;
    walk.is_exec = is_exec;
    __u32 slots = table->max_fds;
    bpf_loop(slots > MOST_DESCRIPTORS ? MOST_DESCRIPTORS : slots, cut_descriptor, &walk, 0);
    return 0;
}

#define CLOSE_RANGE_CLOEXEC 4

static __always_inline void enter_close_range(const struct pt_regs *regs) {
    if (!(regs->dx & CLOSE_RANGE_CLOEXEC))
        cut_range(regs->di, regs->si, 0);
}

/* Descriptors with CLOEXEC are closed inside exec, before its event: all sums are cut here. */
static __always_inline void enter_exec(void) {
    net_forget();
    cut_range(0, -1, 1);
}
