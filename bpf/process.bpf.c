/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Fork, exec with its arguments, exit, and the processes that ran before the probes came.
 */
#include "credential.bpf.h"
#include "io.bpf.h"
#include "net.bpf.h"
#include "process.bpf.h"

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
    record.child_start_ns = AS(struct task_struct, child)->group_leader->start_boottime;
    record.child_tgid = child->tgid;
    record.child_tid = child->pid;
    bpf_probe_read_kernel(record.comm, sizeof(record.comm), child->comm);
    emit_record(&ring_process_256, FAMILY_PROCESS, CLASS_256, &record, offsetof(struct intact_fork, pad), NULL, 0);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_tid, struct linux_binprm *binprm) {
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    net_exec();
    struct inode *inode = AS(struct linux_binprm, binprm)->file->f_inode;
    tell_mapped(inode->i_ino, device_of(inode), 1);
    struct intact_exec exec = {};
    fill_header(&exec.h, state->start_ns, TYPE_EXEC, 0);
    exec.old_tid = old_tid == task->pid ? 0 : old_tid;
    tell_image(task, &exec, SCRATCH_CALL);
    struct mm_struct *mm = AS(struct task_struct, task)->mm;
    argv_of(&exec.h, mm->arg_start, exec.argv_total, true);
    credential_exec(state);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task) {
    struct task_state *state = scope_state();
    struct task_struct *own = AS(struct task_struct, task);
    struct signal_struct *signal = own->signal;
    if (!state || signal->live.counter > 0)
        return 0;
    cut_range(0, -1, 0);
    net_forget();
    struct intact_exit record;
    fill_header(&record.h, state->start_ns, TYPE_EXIT, 0);
    record.h.flags = FLAG_PARENT;
    record.parent_start_ns = own->real_parent->group_leader->start_boottime;
    record.parent_tgid = own->real_parent->tgid;
    __u32 code = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : own->group_leader->exit_code;
    record.exit_signal = code & 0x7f;
    record.exit_code = record.exit_signal ? -1 : (code >> 8) & 0xff;
    bpf_probe_read_kernel(record.comm, sizeof(record.comm), task->comm);
    emit_record(&ring_process_256, FAMILY_PROCESS, CLASS_256, &record, offsetof(struct intact_exit, pad), NULL, 0);
    return 0;
}
