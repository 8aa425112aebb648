/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * One pair of hooks for all system calls: a bitmap of numbers first, then scope, then a tail call by number.
 *
 * A call is watched by one line in its family's table of handlers and one line here.
 */
#include "emit.bpf.h"
#include "calls.bpf.h"

#define CALLS 512
#define TS_COMPAT 2
#define X32_BIT 0x40000000

enum {
    FAMILY_MASK = 7,
    ON_ENTER = 8, /* has a handler at entry */
    ON_EXIT = 16, /* has a handler at exit */
    TIMED = 32    /* its entry time is kept */
};

#define FILE_PATH (FAMILY_FILE | ON_ENTER | ON_EXIT | TIMED)
#define FILE_FD (FAMILY_FILE | ON_EXIT | TIMED)
#define IO_SUM (FAMILY_IO | ON_EXIT)
#define IO_CUT (FAMILY_IO | ON_ENTER)
#define NET_CALL (FAMILY_NET | ON_EXIT | TIMED)
#define NET_PEER (FAMILY_NET | ON_ENTER | ON_EXIT | TIMED)
#define NET_SUM (FAMILY_NET | ON_EXIT)
#define TLS_MAP (FAMILY_TLS | ON_EXIT)

const volatile __u8 watched[CALLS] = {
    [2] = FILE_FD,     /* open */
    [85] = FILE_FD,    /* creat */
    [257] = FILE_FD,   /* openat */
    [437] = FILE_FD,   /* openat2 */
    [77] = FILE_FD,    /* ftruncate */
    [91] = FILE_FD,    /* fchmod */
    [93] = FILE_FD,    /* fchown */
    [76] = FILE_PATH,  /* truncate */
    [82] = FILE_PATH,  /* rename */
    [83] = FILE_PATH,  /* mkdir */
    [84] = FILE_PATH,  /* rmdir */
    [86] = FILE_PATH,  /* link */
    [87] = FILE_PATH,  /* unlink */
    [88] = FILE_PATH,  /* symlink */
    [90] = FILE_PATH,  /* chmod */
    [92] = FILE_PATH,  /* chown */
    [94] = FILE_PATH,  /* lchown */
    [258] = FILE_PATH, /* mkdirat */
    [260] = FILE_PATH, /* fchownat */
    [263] = FILE_PATH, /* unlinkat */
    [264] = FILE_PATH, /* renameat */
    [265] = FILE_PATH, /* linkat */
    [266] = FILE_PATH, /* symlinkat */
    [268] = FILE_PATH, /* fchmodat */
    [316] = FILE_PATH, /* renameat2 */
    [452] = FILE_PATH, /* fchmodat2 */
    [0] = IO_SUM,      /* read */
    [1] = IO_SUM,      /* write */
    [17] = IO_SUM,     /* pread64 */
    [18] = IO_SUM,     /* pwrite64 */
    [19] = IO_SUM,     /* readv */
    [20] = IO_SUM,     /* writev */
    [40] = IO_SUM,     /* sendfile */
    [275] = IO_SUM,    /* splice */
    [295] = IO_SUM,    /* preadv */
    [296] = IO_SUM,    /* pwritev */
    [326] = IO_SUM,    /* copy_file_range */
    [327] = IO_SUM,    /* preadv2 */
    [328] = IO_SUM,    /* pwritev2 */
    [3] = IO_CUT,      /* close */
    [33] = IO_CUT,     /* dup2 */
    [59] = IO_CUT,     /* execve */
    [292] = IO_CUT,    /* dup3 */
    [322] = IO_CUT,    /* execveat */
    [436] = IO_CUT,    /* close_range */
    [42] = NET_PEER,   /* connect */
    [43] = NET_CALL,   /* accept */
    [44] = NET_CALL,   /* sendto */
    [45] = NET_SUM,    /* recvfrom */
    [46] = NET_CALL,   /* sendmsg */
    [47] = NET_SUM,    /* recvmsg */
    [49] = NET_PEER,   /* bind */
    [50] = NET_CALL,   /* listen */
    [288] = NET_CALL,  /* accept4 */
    [299] = NET_SUM,   /* recvmmsg */
    [307] = NET_CALL,  /* sendmmsg */
    [9] = TLS_MAP,     /* mmap */
};

/* Numbers of the same calls in the 32-bit table: counted in their family, not decoded. */
const volatile __u8 watched_compat[CALLS] = {
    [5] = FILE_FD,    [8] = FILE_FD,    [9] = FILE_FD,    [10] = FILE_FD,  [12] = 0,         [15] = FILE_FD,
    [16] = FILE_FD,   [38] = FILE_FD,   [39] = FILE_FD,   [40] = FILE_FD,  [83] = FILE_FD,   [92] = FILE_FD,
    [93] = FILE_FD,   [94] = FILE_FD,   [95] = FILE_FD,   [182] = FILE_FD, [193] = FILE_FD,  [194] = FILE_FD,
    [198] = FILE_FD,  [207] = FILE_FD,  [212] = FILE_FD,  [295] = FILE_FD, [296] = FILE_FD,  [298] = FILE_FD,
    [301] = FILE_FD,  [302] = FILE_FD,  [303] = FILE_FD,  [304] = FILE_FD, [306] = FILE_FD,  [353] = FILE_FD,
    [437] = FILE_FD,  [452] = FILE_FD,  [3] = IO_SUM,     [4] = IO_SUM,    [145] = IO_SUM,   [146] = IO_SUM,
    [180] = IO_SUM,   [181] = IO_SUM,   [187] = IO_SUM,   [239] = IO_SUM,  [313] = IO_SUM,   [333] = IO_SUM,
    [334] = IO_SUM,   [377] = IO_SUM,   [378] = IO_SUM,   [379] = IO_SUM,  [102] = NET_CALL, [361] = NET_CALL,
    [362] = NET_CALL, [363] = NET_CALL, [364] = NET_CALL, [369] = NET_SUM, [370] = NET_SUM,  [345] = NET_SUM,
};

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
        if ((__u64)number < CALLS && watched[number & (CALLS - 1)])
            count_compat(watched[number & (CALLS - 1)] & FAMILY_MASK);
        return 0;
    }
    __u8 what = watched[number & (CALLS - 1)];
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
    switch (what & FAMILY_MASK) {
    case FAMILY_FILE:
        bpf_tail_call(ctx, &file_enter, number);
        break;
    case FAMILY_IO:
        bpf_tail_call(ctx, &io_enter, number);
        break;
    case FAMILY_NET:
        bpf_tail_call(ctx, &net_enter, number);
        break;
    }
    return 0;
}

/* Handlers ask for the scope themselves: they need the state of the task anyway. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result) {
    __u64 number = regs->orig_ax;
    if (number >= CALLS)
        return 0;
    __u8 what = watched[number & (CALLS - 1)];
    if (!(what & ON_EXIT))
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    if (task->thread_info.status & TS_COMPAT)
        return 0;
    switch (what & FAMILY_MASK) {
    case FAMILY_FILE:
        bpf_tail_call(ctx, &file_exit, number);
        break;
    case FAMILY_IO:
        bpf_tail_call(ctx, &io_exit, number);
        break;
    case FAMILY_NET:
        bpf_tail_call(ctx, &net_exit, number);
        break;
    case FAMILY_TLS:
        bpf_tail_call(ctx, &tls_exit, number);
        break;
    }
    return 0;
}
