/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What crosses between policies and the kernel: compiled rules in, hits out.
 *
 * src/intact/govern/layouts.py holds the same layouts; tests/govern/test_layouts.py lets the compiler compare the two.
 */
#ifndef INTACT_GOVERN_H
#define INTACT_GOVERN_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define GOVERN_RULES 256 /* of a policy set; also slots of `hits` per outcome */
#define GOVERN_NET_ENTRIES 1024
#define GOVERN_EXEC_ENTRIES 256
#define GOVERN_CONDITIONS 4
#define GOVERN_PATH_TEXT 256
#define GOVERN_ARGUMENT_TEXT 64
#define GOVERN_RULE_SCOPE 0xffff /* not a rule: a process tried to leave the cgroup that holds it */

enum govern_action { ACTION_EXCEPT, ACTION_AUDIT, ACTION_DENY, ACTION_KILL };
enum govern_outcome { OUTCOME_OBSERVED = 1, OUTCOME_PREVENTED, OUTCOME_STOPPED_AFTER, OUTCOME_MISSED };
enum govern_kind { HIT_CONNECT = 1, HIT_SENDMSG, HIT_BIND, HIT_SOCKET, HIT_EXEC, HIT_LEAVE };
enum govern_hook { HOOK_CONNECT = 1, HOOK_BIND = 2 };
enum govern_path_match { PATH_ANY, PATH_IS, PATH_STARTS, PATH_ENDS };
enum govern_argument_match {
    ARGUMENT_IS = 1,
    ARGUMENT_STARTS,
    ARGUMENT_ENDS,
    ARGUMENT_CONTAINS,
    LINE_STARTS,
    LINE_CONTAINS
};
enum govern_counter { HITS_SEEN, HITS_SUBMITTED, HITS_LOST, MEMBERS_LOST, ARGV_CLIPPED, ARGV_FAULT, GOVERN_COUNTERS };

struct govern_config {
    __u64 scope_id; /* of the cgroup, 0: nothing is enforced */
    __u32 net_entries;
    __u32 exec_entries;
    __u32 plain_sockets; /* only TCP and UDP sockets may be made: others pass no hook by address */
    __u32 plain_rule;    /* the rule to name for it */
    __u32 hold;          /* kill who moves a member out of the cgroup */
    __u32 strict;        /* exec whose arguments could not be read whole: treat as a match */
    __u64 plain_groups;  /* for whom plain_sockets holds */
};

/* Entries of one rule stand together, its exceptions first; the first that matches decides for the rule. */
struct govern_net_entry {
    __u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
    __u64 groups;
    __u32 rule;
    __u16 port_low;
    __u16 port_high;
    __u8 prefix;   /* bits */
    __u8 protocol; /* 0: any */
    __u8 action;
    __u8 hooks;
    __u32 pad;
};

struct govern_condition {
    __s16 index; /* -1: any argument */
    __u16 length;
    __u8 match;
    __u8 pad[3];
    char text[GOVERN_ARGUMENT_TEXT];
};

struct govern_exec_entry {
    __u64 groups;
    __u32 rule;
    __u16 path_length;
    __u8 path_match;
    __u8 action;
    __u32 conditions;
    __u32 pad;
    char path[GOVERN_PATH_TEXT];
    struct govern_condition condition[GOVERN_CONDITIONS];
};

/* A thread that is governed. Key: tid. */
struct govern_member {
    __u64 start_ns; /* of the process, boot clock */
    __u64 groups;   /* which selectors of the policies it falls under */
    __u32 tgid;
    __u32 pad;
};

struct govern_hit {
    __u64 ktime_ns;
    __u64 start_ns;
    __u32 tgid;
    __u32 tid;
    __u32 uid;
    __u32 gid;
    __u32 rule;
    __s32 result;
    __u8 kind;
    __u8 action;
    __u8 outcome;
    __u8 flags;
    __u16 port;
    __u16 protocol;
    __u16 sock_kind;
    __u16 path_length;
    __u16 argv_length;
    __u16 pad;
    __u8 address[16];
    char comm[16];
    char data[];
};

#endif
