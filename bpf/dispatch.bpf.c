/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * One pair of hooks for all system calls: a table of numbers first, then scope, then the handler.
 *
 * A call is watched by one line in the table of watched.bpf.h. Handlers are functions and not programs of their own:
 * what they share is then verified once, and a call costs less than a tail call.
 */
#include "emit.bpf.h"
#include "calls.bpf.h"
#include "watched.bpf.h"

static __noinline int count_compat(__u32 family) {
    if (in_scope())
        count(family, COUNT_COMPAT);
    return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long number) {
    struct task_struct *task = bpf_get_current_task_btf();
    if (task->thread_info.status & TS_COMPAT) {
        __u8 compat = (__u64)number < CALLS ? watched_compat[number & (CALLS - 1)] : 0;
        return compat ? count_compat(compat & FAMILY_MASK) : 0;
    }
    if ((__u64)number >= CALLS) {
        number &= ~X32_BIT;
        if ((__u64)number < CALLS && watched[number & (CALLS - 1)].what)
            count_compat(watched[number & (CALLS - 1)].what & FAMILY_MASK);
        return 0;
    }
    const volatile struct watched_call *call = &watched[number & (CALLS - 1)];
    __u8 what = call->what;
    if (!(what & (ON_ENTER | TIMED)))
        return 0;
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    if (what & TIMED) {
        state->enter_ns = bpf_ktime_get_boot_ns();
        state->call = number + 1;
    }
    if (!(what & ON_ENTER))
        return 0;
    switch (call->handler) {
    case CALL_NAMED:
        enter_named(as_number(regs, &state->registers), number);
        break;
    case CALL_CLOSE:
        close_one(regs->di);
        break;
    case CALL_DUP:
        if (regs->di != regs->si)
            close_one(regs->si);
        break;
    case CALL_ADDRESS:
        enter_address(regs, number);
        break;
    case CALL_EXEC:
        credential_remember(number);
        enter_exec();
        break;
    case CALL_CREDENTIAL:
        credential_remember(number);
        break;
    case CALL_CLOSE_RANGE:
        enter_close_range(regs);
        break;
    }
    return 0;
}

/* What the call came to, for a task in scope. */
static __always_inline void handle_exit(struct task_state *state, struct pt_regs *regs,
                                        const volatile struct watched_call *call, long result) {
    __u32 number = regs->orig_ax;
    __u64 registers = as_number(regs, &state->registers);
    switch (call->handler) {
    case CALL_MOVE:
        exit_move(registers, call->how, result);
        break;
    case CALL_OPEN:
        exit_open(state, registers, number, result);
        break;
    case CALL_NAMED:
        exit_named(state, registers, number, result);
        break;
    case CALL_DESCRIPTOR:
        exit_descriptor(state, registers, number, result);
        break;
    case CALL_SEND:
        exit_send(registers, number, call->how, result);
        break;
    case CALL_ADDRESS:
        exit_address(state, registers, number, result);
        break;
    case CALL_SERVER:
        exit_server(state, registers, number, result);
        break;
    case CALL_TRANSFER:
        exit_transfer(registers, number, result);
        break;
    case CALL_MESSAGES:
        exit_messages(registers, number, result);
        break;
    case CALL_MAP:
        exit_map(regs->r8);
        break;
    case CALL_CREDENTIAL:
        exit_credential(state, registers, number, result, call->how);
        break;
    case CALL_SIGNAL:
        exit_signal(state, registers, result, call->how);
        break;
    }
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result) {
    __u64 number = regs->orig_ax;
    if (number >= CALLS)
        return 0;
    const volatile struct watched_call *call = &watched[number & (CALLS - 1)];
    __u8 what = call->what;
    if (!(what & ON_EXIT) || ((what & IF_MOVED) && result <= 0))
        return 0;
    if (call->handler == CALL_MAP && !maps_code(regs, result))
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    if (task->thread_info.status & TS_COMPAT)
        return 0;
    struct task_state *state = scope_state();
    if (state)
        handle_exit(state, regs, call, result);
    return 0;
}
