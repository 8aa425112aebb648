/* SPDX-License-Identifier: Apache-2.0
 *
 * What this kernel can do, found out by doing it with programs that do nothing. */
#ifndef INTACT_PROBE_H
#define INTACT_PROBE_H

enum intact_probe_kind { INTACT_PROBE_TP_BTF = 1, INTACT_PROBE_FENTRY, INTACT_PROBE_LSM, INTACT_PROBE_ITERATOR };

/* 1 yes, 0 no, or -errno if it could not be told. */
int intact_probe_map(int type);
int intact_probe_uprobe_multi(void);
/* Load, and where `attach` says so attach, an empty program; 1, or -errno of the step that failed. */
int intact_probe_hook(int kind, const char *target, int attach);
/* Whether the kernel has this helper for a sleepable iterator of tasks, where all of ours may be called. */
int intact_probe_helper(int helper);

#endif
