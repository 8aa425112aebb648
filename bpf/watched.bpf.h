/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The system calls that are watched, by number, and what handles each.
 */
#ifndef INTACT_WATCHED_BPF_H
#define INTACT_WATCHED_BPF_H

#include "calls.bpf.h"

#define CALLS 512

enum {
    FAMILY_MASK = 7,
    ON_ENTER = 8, /* has a handler at entry */
    ON_EXIT = 16, /* has a handler at exit */
    TIMED = 32,   /* its entry time is kept */
    IF_MOVED = 64 /* of interest only if it returned more than 0 */
};

enum call_handler {
    CALL_NONE,
    CALL_OPEN,
    CALL_DESCRIPTOR,
    CALL_NAMED,
    CALL_MOVE,
    CALL_TRANSFER,
    CALL_CLOSE,
    CALL_DUP,
    CALL_EXEC,
    CALL_CLOSE_RANGE,
    CALL_ADDRESS,
    CALL_SERVER,
    CALL_SEND,
    CALL_MESSAGES,
    CALL_MAP,
    CALL_CREDENTIAL, /* its `how` is the enum intact_credential_call */
    CALL_SIGNAL
};

struct watched_call {
    __u8 what;
    __u8 handler;
    __u8 how; /* HOW_… */
    __u8 pad;
};

#define FILE_PATH (FAMILY_FILE | ON_ENTER | ON_EXIT | TIMED)
#define FILE_FD (FAMILY_FILE | ON_EXIT | TIMED)
#define IO_SUM (FAMILY_IO | ON_EXIT | IF_MOVED)
#define IO_CUT (FAMILY_IO | ON_ENTER)
#define NET_CALL (FAMILY_NET | ON_EXIT | TIMED)
#define NET_PEER (FAMILY_NET | ON_ENTER | ON_EXIT | TIMED)
#define NET_SUM (FAMILY_NET | ON_EXIT | IF_MOVED)
#define TLS_MAP (FAMILY_TLS | ON_EXIT)
#define CREDENTIAL (FAMILY_PROCESS | ON_ENTER | ON_EXIT | TIMED)
#define SIGNAL (FAMILY_PROCESS | ON_EXIT)

const volatile struct watched_call watched[CALLS] = {
    [2] = {FILE_FD, CALL_OPEN},                                  /* open */
    [85] = {FILE_FD, CALL_OPEN},                                 /* creat */
    [257] = {FILE_FD, CALL_OPEN},                                /* openat */
    [437] = {FILE_FD, CALL_OPEN},                                /* openat2 */
    [77] = {FILE_FD, CALL_DESCRIPTOR},                           /* ftruncate */
    [91] = {FILE_FD, CALL_DESCRIPTOR},                           /* fchmod */
    [93] = {FILE_FD, CALL_DESCRIPTOR},                           /* fchown */
    [76] = {FILE_PATH, CALL_NAMED},                              /* truncate */
    [82] = {FILE_PATH, CALL_NAMED},                              /* rename */
    [83] = {FILE_PATH, CALL_NAMED},                              /* mkdir */
    [84] = {FILE_PATH, CALL_NAMED},                              /* rmdir */
    [86] = {FILE_PATH, CALL_NAMED},                              /* link */
    [87] = {FILE_PATH, CALL_NAMED},                              /* unlink */
    [88] = {FILE_PATH, CALL_NAMED},                              /* symlink */
    [90] = {FILE_PATH, CALL_NAMED},                              /* chmod */
    [92] = {FILE_PATH, CALL_NAMED},                              /* chown */
    [94] = {FILE_PATH, CALL_NAMED},                              /* lchown */
    [258] = {FILE_PATH, CALL_NAMED},                             /* mkdirat */
    [260] = {FILE_PATH, CALL_NAMED},                             /* fchownat */
    [263] = {FILE_PATH, CALL_NAMED},                             /* unlinkat */
    [264] = {FILE_PATH, CALL_NAMED},                             /* renameat */
    [265] = {FILE_PATH, CALL_NAMED},                             /* linkat */
    [266] = {FILE_PATH, CALL_NAMED},                             /* symlinkat */
    [268] = {FILE_PATH, CALL_NAMED},                             /* fchmodat */
    [316] = {FILE_PATH, CALL_NAMED},                             /* renameat2 */
    [452] = {FILE_PATH, CALL_NAMED},                             /* fchmodat2 */
    [0] = {IO_SUM, CALL_MOVE},                                   /* read */
    [1] = {IO_SUM, CALL_MOVE, HOW_SENDS},                        /* write */
    [17] = {IO_SUM, CALL_MOVE},                                  /* pread64 */
    [18] = {IO_SUM, CALL_MOVE, HOW_SENDS},                       /* pwrite64 */
    [19] = {IO_SUM, CALL_MOVE, HOW_VECTOR},                      /* readv */
    [20] = {IO_SUM, CALL_MOVE, HOW_SENDS | HOW_VECTOR},          /* writev */
    [40] = {IO_SUM, CALL_TRANSFER},                              /* sendfile */
    [275] = {IO_SUM, CALL_TRANSFER},                             /* splice */
    [295] = {IO_SUM, CALL_MOVE, HOW_VECTOR},                     /* preadv */
    [296] = {IO_SUM, CALL_MOVE, HOW_SENDS | HOW_VECTOR},         /* pwritev */
    [326] = {IO_SUM, CALL_TRANSFER},                             /* copy_file_range */
    [327] = {IO_SUM, CALL_MOVE, HOW_VECTOR},                     /* preadv2 */
    [328] = {IO_SUM, CALL_MOVE, HOW_SENDS | HOW_VECTOR},         /* pwritev2 */
    [3] = {IO_CUT, CALL_CLOSE},                                  /* close */
    [33] = {IO_CUT, CALL_DUP},                                   /* dup2 */
    [59] = {IO_CUT, CALL_EXEC},                                  /* execve */
    [292] = {IO_CUT, CALL_DUP},                                  /* dup3 */
    [322] = {IO_CUT, CALL_EXEC},                                 /* execveat */
    [436] = {IO_CUT, CALL_CLOSE_RANGE},                          /* close_range */
    [42] = {NET_PEER, CALL_ADDRESS},                             /* connect */
    [43] = {NET_CALL, CALL_SERVER},                              /* accept */
    [44] = {NET_CALL, CALL_SEND, HOW_SENDS},                     /* sendto */
    [45] = {NET_SUM, CALL_MOVE},                                 /* recvfrom */
    [46] = {NET_CALL, CALL_SEND, HOW_SENDS | HOW_MESSAGE},       /* sendmsg */
    [47] = {NET_SUM, CALL_MOVE, HOW_MESSAGE},                    /* recvmsg */
    [49] = {NET_PEER, CALL_ADDRESS},                             /* bind */
    [50] = {NET_CALL, CALL_SERVER},                              /* listen */
    [288] = {NET_CALL, CALL_SERVER},                             /* accept4 */
    [299] = {NET_SUM, CALL_MESSAGES},                            /* recvmmsg */
    [307] = {NET_CALL, CALL_MESSAGES},                           /* sendmmsg */
    [9] = {TLS_MAP, CALL_MAP},                                   /* mmap */
    [105] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETUID},    /* setuid */
    [106] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETGID},    /* setgid */
    [113] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETREUID},  /* setreuid */
    [114] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETREGID},  /* setregid */
    [116] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETGROUPS}, /* setgroups */
    [117] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETRESUID}, /* setresuid */
    [119] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETRESGID}, /* setresgid */
    [122] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETFSUID},  /* setfsuid */
    [123] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_SETFSGID},  /* setfsgid */
    [126] = {CREDENTIAL, CALL_CREDENTIAL, CREDENTIAL_CAPSET},    /* capset */
    [62] = {SIGNAL, CALL_SIGNAL},                                /* kill */
    [129] = {SIGNAL, CALL_SIGNAL},                               /* rt_sigqueueinfo */
    [200] = {SIGNAL, CALL_SIGNAL, TO_THREAD},                    /* tkill */
    [234] = {SIGNAL, CALL_SIGNAL, SIGNAL_IS_THIRD},              /* tgkill */
    [297] = {SIGNAL, CALL_SIGNAL, SIGNAL_IS_THIRD},              /* rt_tgsigqueueinfo */
    [424] = {SIGNAL, CALL_SIGNAL, TO_PIDFD},                     /* pidfd_send_signal */
};

/* Numbers of the same calls in the 32-bit table: counted in their family, not decoded. */
const volatile __u8 watched_compat[CALLS] = {
    [5] = FILE_FD,      [8] = FILE_FD,      [9] = FILE_FD,      [10] = FILE_FD,     [12] = 0,
    [15] = FILE_FD,     [16] = FILE_FD,     [38] = FILE_FD,     [39] = FILE_FD,     [40] = FILE_FD,
    [83] = FILE_FD,     [92] = FILE_FD,     [93] = FILE_FD,     [94] = FILE_FD,     [95] = FILE_FD,
    [182] = FILE_FD,    [193] = FILE_FD,    [194] = FILE_FD,    [198] = FILE_FD,    [207] = FILE_FD,
    [212] = FILE_FD,    [295] = FILE_FD,    [296] = FILE_FD,    [298] = FILE_FD,    [301] = FILE_FD,
    [302] = FILE_FD,    [303] = FILE_FD,    [304] = FILE_FD,    [306] = FILE_FD,    [353] = FILE_FD,
    [437] = FILE_FD,    [452] = FILE_FD,    [3] = IO_SUM,       [4] = IO_SUM,       [145] = IO_SUM,
    [146] = IO_SUM,     [180] = IO_SUM,     [181] = IO_SUM,     [187] = IO_SUM,     [239] = IO_SUM,
    [313] = IO_SUM,     [333] = IO_SUM,     [334] = IO_SUM,     [377] = IO_SUM,     [378] = IO_SUM,
    [379] = IO_SUM,     [102] = NET_CALL,   [361] = NET_CALL,   [362] = NET_CALL,   [363] = NET_CALL,
    [364] = NET_CALL,   [369] = NET_SUM,    [370] = NET_SUM,    [345] = NET_SUM,    [23] = CREDENTIAL,
    [46] = CREDENTIAL,  [70] = CREDENTIAL,  [71] = CREDENTIAL,  [81] = CREDENTIAL,  [138] = CREDENTIAL,
    [139] = CREDENTIAL, [164] = CREDENTIAL, [170] = CREDENTIAL, [185] = CREDENTIAL, [203] = CREDENTIAL,
    [204] = CREDENTIAL, [206] = CREDENTIAL, [208] = CREDENTIAL, [210] = CREDENTIAL, [213] = CREDENTIAL,
    [214] = CREDENTIAL, [215] = CREDENTIAL, [216] = CREDENTIAL,
};

#endif
