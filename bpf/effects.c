/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The families that share one pair of system call hooks, as one unit.
 *
 * They are not linked as objects because the static linker of libbpf 1.1 loses the values of a table of programs that
 * another object names, and lets only one object name a kernel function.
 */
#include "path.bpf.c"
#include "file_named.bpf.c"
#include "file.bpf.c"
#include "io.bpf.c"
#include "sweep.bpf.c"
#include "net.bpf.c"
#include "calls_io.bpf.c"
#include "calls_net.bpf.c"
#include "calls_send.bpf.c"
#include "mapped.bpf.c"
#include "process.bpf.c"
#include "credential.bpf.c"
#include "signal.bpf.c"
#include "alive.bpf.c"
#include "dispatch.bpf.c"

char LICENSE[] SEC("license") = "GPL";
