/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the handlers of system calls share. A handler takes its call's registers as an address, which the verifier need
 * not follow: read them through AS(struct pt_regs, …).
 */
#ifndef INTACT_CALLS_BPF_H
#define INTACT_CALLS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define TS_COMPAT 2
#define X32_BIT 0x40000000

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
