/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Tables of the handlers of system calls, by number; each family fills its own pair, <family>_enter and _exit.
 */
#ifndef INTACT_CALLS_BPF_H
#define INTACT_CALLS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct call_table {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 512);
    __uint(key_size, sizeof(__u32));
    __array(values, int(void *));
};

#define EINTR 4
#define ERESTART_FIRST 512
#define ERESTART_LAST 516

/* 0 or a negative errno. A call that a signal broke off has a code the user never sees. */
static __always_inline __s32 result_of(long result) {
    if (result <= -ERESTART_FIRST && result >= -ERESTART_LAST)
        return -EINTR;
    return result < 0 ? result : 0;
}

#endif
