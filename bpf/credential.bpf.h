/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What an exec does to credentials.
 */
#ifndef INTACT_CREDENTIAL_BPF_H
#define INTACT_CREDENTIAL_BPF_H

#include "emit.bpf.h"

/* The exec of the current task succeeded: what it changed is told, if it changed anything. */
__noinline int credential_exec(const struct task_state *state);

#endif
