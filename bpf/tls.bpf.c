/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Plaintext of TLS libraries, copied where the program hands it over or takes it back.
 *
 * One program at function entry and one at return serve every function: which one it is comes in the attach cookie
 * (enum intact_tls_role of loader/resolve.h). Bytes are logged at return with the returned length, so that a write
 * which is retried is logged once, and a read is logged with what it brought.
 */
#include "tls_judge.bpf.h"
#include "tls_session.bpf.h"

enum tls_role {
    ROLE_READ = 1,
    ROLE_WRITE = 2,
    ROLE_READ_EX = 3,
    ROLE_WRITE_EX = 4,
    ROLE_FREE = 5,
    ROLE_SET_FD = 6,
    ROLE_NEW = 7,
    ROLE_SET_RFD = 8,
    ROLE_SET_WFD = 9
};

/* Processes that called a hooked function: their silence on a descriptor is not deafness of ours. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, __u64);
} tls_callers SEC(".maps");

static __always_inline bool is_read(__u32 role) { return role == ROLE_READ || role == ROLE_READ_EX; }
static __always_inline bool is_ex(__u32 role) { return role == ROLE_READ_EX || role == ROLE_WRITE_EX; }

static __always_inline void push(struct pt_regs *ctx, struct tls_thread *thread, __u32 role) {
    __u32 depth = thread->depth;
    struct tls_frame *top = tls_top(thread);
    /* Hooked twice (one file seen through two mounts of a container store): one call is one frame. */
    if (top && top->stack == PT_REGS_SP(ctx) && top->role == role)
        depth--;
    if (depth >= TLS_DEPTH) {
        /* Calls that never returned (a thread of coroutines, a longjmp) are the oldest. */
        for (int i = 0; i < TLS_DEPTH - 1; i++)
            thread->frames[i] = thread->frames[i + 1];
        depth = TLS_DEPTH - 1;
        count_lost(FAMILY_TLS, LOST_MAP_FULL);
    }
    struct tls_frame *frame = &thread->frames[depth & (TLS_DEPTH - 1)];
    frame->connection = PT_REGS_PARM1(ctx);
    frame->buffer = PT_REGS_PARM2(ctx);
    frame->length_at = PT_REGS_PARM4(ctx);
    frame->stack = PT_REGS_SP(ctx);
    frame->role = role;
    frame->logged = 0;
    thread->depth = depth + 1;
}

/* Takes the call that returns off the stack, with those above it that never returned. */
static __always_inline bool pop(struct tls_thread *thread, __u64 stack, __u32 role, struct tls_frame *out) {
    for (int i = TLS_DEPTH - 1; i >= 0; i--) {
        if (i >= thread->depth || thread->frames[i].stack != stack || thread->frames[i].role != role)
            continue;
        *out = thread->frames[i];
        thread->depth = i;
        return true;
    }
    return false;
}

static __always_inline void note_caller(void) {
    __u32 tgid = tls_tgid();
    if (bpf_map_lookup_elem(&tls_callers, &tgid))
        return;
    __u64 now = bpf_ktime_get_boot_ns();
    bpf_map_update_elem(&tls_callers, &tgid, &now, BPF_ANY);
}

/* True if the return of the call is wanted too. */
static __always_inline bool enter(struct pt_regs *ctx) {
    if (!in_scope())
        return false;
    __u32 role = bpf_get_attach_cookie(ctx);
    note_caller();
    switch (role) {
    case ROLE_FREE:
        end_connection(PT_REGS_PARM1(ctx));
        return false;
    case ROLE_SET_FD:
    case ROLE_SET_RFD:
    case ROLE_SET_WFD:
        set_descriptor(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
        return false;
    case ROLE_NEW:
        return true;
    case ROLE_READ:
    case ROLE_WRITE:
    case ROLE_READ_EX:
    case ROLE_WRITE_EX:
        break;
    default:
        return false;
    }
    struct tls_thread *thread = tls_thread(false);
    if (!thread) {
        thread = tls_thread(true);
        if (!thread) {
            count_lost(FAMILY_TLS, LOST_MAP_FULL);
            return false;
        }
        thread->received_fd = -1;
    }
    struct tls_connection *known = session_of(PT_REGS_PARM1(ctx));
    /* Votes are cast before the call: it may call back, and what is written in there is already on its way. */
    if (known && is_read(role))
        vote_received(known, thread, PT_REGS_PARM1(ctx));
    else if (known)
        guess_received(known, thread);
    push(ctx, thread, role);
    return true;
}

/* Bytes that crossed the boundary by this call; 0 if it failed or must be retried. */
static __always_inline __u64 moved(struct pt_regs *ctx, const struct tls_frame *frame) {
    __s32 result = PT_REGS_RC(ctx);
    __u64 bytes = 0;
    if (!is_ex(frame->role))
        return result > 0 ? result : 0;
    if (result != 1)
        return 0;
    if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)frame->length_at)) {
        count_lost(FAMILY_TLS, LOST_FAULT);
        return 0;
    }
    return bytes;
}

static __noinline int leave(struct pt_regs *ctx) {
    struct task_state *state = scope_state();
    if (!state || !ctx)
        return 0;
    __u32 role = bpf_get_attach_cookie(ctx);
    if (role == ROLE_NEW) {
        end_connection(PT_REGS_RC(ctx));
        return 0;
    }
    struct tls_thread *thread = tls_thread(false);
    struct tls_frame frame;
    /* The return address is off the stack by now. */
    if (!thread || !pop(thread, PT_REGS_SP(ctx) - sizeof(__u64), role, &frame) || frame.logged)
        return 0;
    __u64 bytes = moved(ctx, &frame);
    struct tls_connection *known = bytes ? open_connection(frame.connection) : NULL;
    if (!known)
        return 0;
    /* SSL_read_ex of some libraries is SSL_read in a wrapper. */
    struct tls_frame *outer = tls_top(thread);
    if (outer && outer->connection == frame.connection && outer->buffer == frame.buffer)
        outer->logged = 1;

    __u32 way = is_read(role) ? 0 : 1;
    if (!may_leave(thread, known, state->start_ns, frame.buffer, bytes, way)) {
        known->last_ns = bpf_ktime_get_boot_ns(); /* heard, though not told: it is no connection we are deaf to */
        tls_hear(known, frame.connection);
        return 0;
    }
    struct operation operation = {.buffer = frame.buffer};
    struct intact_tls *fixed = &operation.fixed;
    fill_header(&fixed->h, state->start_ns, TYPE_TLS, 0);
    describe(fixed, frame.connection, known);
    fixed->total = bytes > 0xffffffff ? 0xffffffff : bytes;
    fixed->direction = way ? DIRECTION_WRITE : DIRECTION_READ;
    fixed->stream_offset = __sync_fetch_and_add(&known->offset[way], bytes);
    fixed->h.sequence = __sync_fetch_and_add(&known->operations[way], 1);
    known->last_ns = fixed->h.ktime_ns;
    tls_hear(known, frame.connection);
    if (way)
        thread->awaiting_send = known->basis == BASIS_NONE || known->basis == BASIS_NEXT_SEND ? frame.connection : 0;
    log_operation(&operation);
    return 0;
}

/* Where the kernel has it (6.13): a call out of scope, or one whose return tells nothing, is not stopped at its return.
 */
SEC("kprobe")
int tls_session(struct pt_regs *ctx) {
    if (bpf_get_func_ip(ctx) == PT_REGS_IP(ctx))
        return enter(ctx) ? 0 : 1;
    leave(ctx);
    return 0;
}

SEC("kprobe")
int tls_enter(struct pt_regs *ctx) {
    enter(ctx);
    return 0;
}

SEC("kprobe")
int tls_return(struct pt_regs *ctx) {
    leave(ctx);
    return 0;
}

/* What an agent starts is the agent's. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(tls_fork, struct task_struct *parent, struct task_struct *child) {
    if (!judge_settings() || child->tgid == parent->tgid)
        return 0;
    struct tls_process_key key = {.start_ns = parent->group_leader->start_boottime, .tgid = parent->tgid};
    struct tls_known *known = bpf_map_lookup_elem(&tls_known, &key);
    if (!known)
        return 0;
    key.start_ns = child->group_leader->start_boottime;
    key.tgid = child->tgid;
    become_known(&key, known->by);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tls_exit_known, struct task_struct *task) {
    if (!judge_settings() || task->signal->live.counter > 0)
        return 0;
    struct tls_process_key key = {.start_ns = task->group_leader->start_boottime, .tgid = task->tgid};
    bpf_map_delete_elem(&tls_known, &key);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
