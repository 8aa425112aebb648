/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Fork, exec with its arguments, exit, and the processes that ran before the probes came.
 */
#include "path.bpf.h"

RING(ring_process_256, 1 << 20);
RING(ring_process_1k, 1 << 19);
RING(ring_process_4k, 1 << 19);
RING(ring_process_16k, 1 << 20);

DEFINE_EMIT(process, FAMILY_PROCESS, struct intact_exec)

#define ARGV_BYTES 16384
#define SIGNAL_GROUP_EXIT 4

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child) {
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    scope_take(child);
    struct intact_fork record;
    fill_header(&record.h, state->start_ns, TYPE_FORK, 0);
    if (child->tgid == parent->tgid)
        record.h.flags = FLAG_THREAD;
    record.child_start_ns = child->group_leader->start_boottime;
    record.child_tgid = child->tgid;
    record.child_tid = child->pid;
    bpf_probe_read_kernel(record.comm, sizeof(record.comm), child->comm);
    emit_record(&ring_process_256, FAMILY_PROCESS, CLASS_256, &record, offsetof(struct intact_fork, pad), NULL, 0);
    return 0;
}

struct argv_piece {
    __u64 from;
    __u32 length;
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
    if (length > size - sizeof(struct intact_argv) ||
        bpf_probe_read_user(record->data, length, (const void *)piece->from)) {
        bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
        count(FAMILY_PROCESS, LOST_FAULT);
        return;
    }
    record->h.length = length;
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    count(FAMILY_PROCESS, COUNT_SUBMITTED);
}

static __noinline int emit_argv(const struct argv_piece *piece) {
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
static __always_inline void argv_of(const struct intact_header *header, __u64 from, __u32 total) {
    const __u32 room = CLASS_16K - sizeof(struct intact_argv);
    struct argv_piece piece = {.fixed.h = *header, .fixed.total = total, .from = from};
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

/* The fixed part and the two paths of an image, put together in the scratch. Length of the paths. */
static __always_inline __u32 image_of(struct task_struct *task, struct intact_exec *exec, __u32 which, char **joined) {
    struct path_scratch *scratch = path_scratch(which);
    struct path_found found;
    __u32 length = 0;
    if (!scratch)
        return 0;
    *joined = scratch->joined;
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
        if (file && !path_walk((__u64)file->f_path.dentry, (__u64)file->f_path.mnt, which, &found) &&
            found.length <= PATH_BYTES) {
            bpf_probe_read_kernel(scratch->joined, found.length, found.start);
            exec->exe_length = length = found.length;
            exec->h.flags |= found.flags;
        }
    }
    if (fs && !path_walk((__u64)fs->pwd.dentry, (__u64)fs->pwd.mnt, which, &found) && found.length <= PATH_BYTES) {
        if (length <= PATH_BYTES)
            bpf_probe_read_kernel(scratch->joined + length, found.length, found.start);
        exec->cwd_length = found.length;
        exec->h.flags |= found.flags;
    }
    length = exec->exe_length + exec->cwd_length;
    exec->h.length = length;
    return length;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_tid, struct linux_binprm *binprm) {
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    net_exec();
    struct intact_exec exec;
    char *joined = NULL;
    fill_header(&exec.h, state->start_ns, TYPE_EXEC, 0);
    exec.old_tid = old_tid == task->pid ? 0 : old_tid;
    __u32 length = image_of(task, &exec, SCRATCH_CALL, &joined);
    emit_process(&exec, joined, length);
    struct mm_struct *mm = task->mm;
    argv_of(&exec.h, mm->arg_start, exec.argv_total);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task) {
    struct task_state *state = scope_state();
    if (!state || task->signal->live.counter > 0)
        return 0;
    cut_range(0, -1, 0);
    struct intact_exit record;
    fill_header(&record.h, state->start_ns, TYPE_EXIT, 0);
    struct signal_struct *signal = task->signal;
    __u32 code = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->group_leader->exit_code;
    record.exit_signal = code & 0x7f;
    record.exit_code = record.exit_signal ? -1 : (code >> 8) & 0xff;
    bpf_probe_read_kernel(record.comm, sizeof(record.comm), task->comm);
    emit_record(&ring_process_256, FAMILY_PROCESS, CLASS_256, &record, offsetof(struct intact_exit, pad), NULL, 0);
    return 0;
}
