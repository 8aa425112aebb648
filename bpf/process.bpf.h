/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The image of a process as records: its paths and its arguments.
 */
#ifndef INTACT_PROCESS_BPF_H
#define INTACT_PROCESS_BPF_H

#include "path.bpf.h"

RING(ring_process_256, 1 << 20);
RING(ring_process_1k, 1 << 19);
RING(ring_process_4k, 1 << 19);
RING(ring_process_16k, 1 << 20);

DEFINE_EMIT(process, FAMILY_PROCESS, struct intact_exec)

#define ARGV_BYTES 16384

struct argv_piece {
    __u64 from;
    __u32 length;
    __u32 is_user; /* `from` is memory of the current process */
    struct intact_argv fixed;
};

static __always_inline void emit_argv_piece(void *ring, const __u32 size, const struct argv_piece *piece) {
    count(FAMILY_PROCESS, COUNT_SEEN);
    struct intact_argv *record = bpf_ringbuf_reserve(ring, size, 0);
    if (!record) {
        count(FAMILY_PROCESS, LOST_RING_FULL);
        return;
    }
    *record = piece->fixed;
    __u32 length = piece->length;
    barrier_var(length);
    long fault = -1;
    if (length <= size - sizeof(struct intact_argv) && piece->is_user)
        fault = bpf_probe_read_user(record->data, length, (const void *)piece->from);
    else if (length <= size - sizeof(struct intact_argv))
        fault = bpf_probe_read_kernel(record->data, length, (const void *)piece->from);
    if (fault) {
        bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
        count(FAMILY_PROCESS, LOST_FAULT);
        return;
    }
    record->h.length = length;
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    count(FAMILY_PROCESS, COUNT_SUBMITTED);
}

__noinline int emit_argv(const struct argv_piece *piece) {
    if (!piece)
        return 0;
    __u32 need = sizeof(struct intact_argv) + piece->length;
    if (need <= CLASS_256)
        emit_argv_piece(&ring_process_256, CLASS_256, piece);
    else if (need <= CLASS_1K)
        emit_argv_piece(&ring_process_1k, CLASS_1K, piece);
    else if (need <= CLASS_4K)
        emit_argv_piece(&ring_process_4k, CLASS_4K, piece);
    else
        emit_argv_piece(&ring_process_16k, CLASS_16K, piece);
    return 0;
}

/* The arguments as the kernel laid them out on the new stack: present, so a read that may not fault finds them. */
static __always_inline void argv_of(const struct intact_header *header, __u64 from, __u32 total, bool is_user) {
    const __u32 room = CLASS_16K - sizeof(struct intact_argv);
    struct argv_piece piece = {.fixed.h = *header, .fixed.total = total, .from = from, .is_user = is_user};
    __u32 kept = total < ARGV_BYTES ? total : ARGV_BYTES;
    piece.fixed.h.type = TYPE_ARGV;
    piece.fixed.h.flags = kept > room ? 0 : FLAG_LAST;
    piece.fixed.h.clipped = total - kept;
    piece.length = kept > room ? room : kept;
    if (!kept)
        return;
    emit_argv(&piece);
    if (kept <= room)
        return;
    piece.fixed.h.flags = FLAG_LAST;
    piece.fixed.h.sequence = 1;
    piece.fixed.offset = room;
    piece.from += room;
    piece.length = kept - room;
    emit_argv(&piece);
}

/* Tells of an image: the rest of its fixed part, and its two paths, put together in the scratch. */
static __always_inline void tell_image(struct task_struct *of, struct intact_exec *exec, __u32 which) {
    struct path_scratch *scratch = path_scratch(which);
    struct path_found found = {};
    __u32 length = 0;
    if (!scratch)
        return;
    struct task_struct *task = AS(struct task_struct, of);
    struct mm_struct *mm = task->mm;
    struct fs_struct *fs = task->fs;
    exec->parent_tgid = task->real_parent->tgid;
    exec->parent_start_ns = task->real_parent->group_leader->start_boottime;
    exec->euid = task->cred->euid.val;
    exec->egid = task->cred->egid.val;
    exec->exe_length = 0;
    exec->cwd_length = 0;
    exec->argv_total = 0;
    bpf_probe_read_kernel(exec->comm, sizeof(exec->comm), task->comm);
    if (mm) {
        exec->argv_total = mm->arg_end - mm->arg_start;
        struct file *file = mm->exe_file;
        if (file && !path_walk(word_at(&file->f_path.dentry), word_at(&file->f_path.mnt), which, &found) &&
            found.length <= PATH_BYTES) {
            bpf_probe_read_kernel(scratch->joined.bytes, found.length, (void *)found.start);
            exec->exe_length = length = found.length;
            exec->h.flags |= found.flags;
        }
    }
    if (fs && !path_walk(word_at(&fs->pwd.dentry), word_at(&fs->pwd.mnt), which, &found) &&
        found.length <= PATH_BYTES) {
        if (length <= PATH_BYTES)
            bpf_probe_read_kernel(scratch->joined.bytes + length, found.length, (void *)found.start);
        exec->cwd_length = found.length;
        exec->h.flags |= found.flags;
    }
    exec->h.length = exec->exe_length + exec->cwd_length;
    emit_process(exec, as_number(scratch->joined.bytes, &scratch->through), exec->h.length);
}

#endif
