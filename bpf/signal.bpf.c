/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Signals that a process in scope sends to another: each where the kernel queues it, those refused where the call
 * returns.
 */
#include "calls.bpf.h"
#include "process.bpf.h"

#define EAGAIN 11
#define SIGNALS 64
#define NOT_INFO 4096   /* below lie the kernel's marks for signals of its own */
#define OVERFLOW_FAIL 3 /* TRACE_SIGNAL_OVERFLOW_FAIL */

enum {
    TO_THREAD = 1, /* first argument is a thread, not a process */
    TO_PIDFD = 2,
    SIGNAL_IS_THIRD = 4
};

static __always_inline int emit_signal(struct intact_signal *record) {
    return emit_record(&ring_process_256, FAMILY_PROCESS, CLASS_256, record, offsetof(struct intact_signal, pad), NULL,
                       0);
}

static __always_inline bool sends(__u64 number) {
    return number == 62 || number == 129 || number == 200 || number == 234 || number == 297 || number == 424;
}

static __always_inline bool sends_compat(__u64 number) {
    return number == 37 || number == 178 || number == 238 || number == 270 || number == 335 || number == 424;
}

/* Whether the current task is inside a call that sends signals: a timer that fires meanwhile has no sender. */
static __always_inline bool is_sending(struct task_struct *task) {
    __u64 number = ((struct pt_regs *)bpf_task_pt_regs(task))->orig_ax;
    return task->thread_info.status & TS_COMPAT ? sends_compat(number) : sends(number & ~X32_BIT);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int number, struct kernel_siginfo *info, struct task_struct *target, int group, int result) {
    struct task_struct *task = bpf_get_current_task_btf();
    int code = 1;
    if (target->tgid == task->tgid || (__u64)ctx[1] < NOT_INFO || !is_sending(task))
        return 0;
    bpf_probe_read_kernel(&code, sizeof(code), &info->si_code);
    if (code > 0)
        return 0;
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    struct intact_signal record;
    fill_header(&record.h, state->start_ns, TYPE_SIGNAL, 0);
    record.target_start_ns = target->group_leader->start_boottime;
    record.target_tgid = target->tgid;
    record.signal = number;
    record.result = result == OVERFLOW_FAIL ? -EAGAIN : 0;
    return emit_signal(&record);
}

__noinline int exit_signal(const struct task_state *state, __u64 registers, long result, __u32 how) {
    struct task_struct *task = bpf_get_current_task_btf();
    struct pt_regs *regs = AS(struct pt_regs, registers);
    __u32 signal = how & SIGNAL_IS_THIRD ? regs->dx : regs->si;
    __s32 given = how & (TO_PIDFD | TO_THREAD) ? 0 : regs->di;
    /* Sent ones were told when they were queued; so was one for which there was no room. */
    if (!state || result >= 0 || result == -EAGAIN || !signal || signal > SIGNALS)
        return 0;
    if (given == own_number())
        return 0;
    /* In a pid namespace of its own the process gives numbers that are others here. */
    bool is_ours = task->tgid == own_number();
    struct intact_signal record;
    fill_header(&record.h, state->start_ns, TYPE_SIGNAL, 0);
    record.target_start_ns = 0;
    record.target_tgid = is_ours && given > 0 ? given : 0;
    record.signal = signal;
    record.result = result_of(result);
    return emit_signal(&record);
}
