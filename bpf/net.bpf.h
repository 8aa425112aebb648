/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the calls that move bytes or close descriptors tell about sockets.
 */
#ifndef INTACT_NET_BPF_H
#define INTACT_NET_BPF_H

#include "path.bpf.h"

/* `bytes` went through an open socket; direction as in io.bpf.h. */
__noinline int net_count(const struct open_file *opened, __u32 direction, __u64 bytes);
/* The last descriptor of a socket is about to be closed; at an exec, only if that succeeds. */
__noinline int net_closed(const struct open_file *opened, int fd, __u32 is_exec);
/* The exec succeeded: the sockets it closed are reported. */
__noinline int net_exec(void);
/* What an exec that failed, or a process that ended, left to be reported is not. */
static __always_inline void net_forget(void);

#endif
