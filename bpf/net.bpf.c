/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * To be filled.
 */
#include "path.bpf.h"
#include "calls.bpf.h"

struct call_table net_enter SEC(".maps") = {};
struct call_table net_exit SEC(".maps") = {};
