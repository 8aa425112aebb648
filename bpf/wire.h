/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Every record that crosses from the kernel to user space, and nothing else.
 *
 * A record is one of four fixed sizes (its class), so that a ring holds records of one size, a drain is a copy and a
 * numpy view, and a lost record is one lost record. A variable part (paths, argv, plaintext) fills what the fixed part
 * leaves; what does not fit is counted in `clipped`, never dropped in silence.
 * src/intact/decode/wire.py holds the same layouts; tests/test_wire.py lets the compiler compare the two.
 */
#ifndef INTACT_WIRE_H
#define INTACT_WIRE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define INTACT_WIRE_VERSION 1

enum intact_class_bytes { CLASS_256 = 256, CLASS_1K = 1024, CLASS_4K = 4096, CLASS_16K = 16384 };

enum intact_family { FAMILY_PROCESS, FAMILY_FILE, FAMILY_IO, FAMILY_NET, FAMILY_TLS, FAMILY_COUNT };

enum intact_type {
    TYPE_FORK = 1,       /* process or thread made */
    TYPE_EXEC = 2,       /* image replaced: exe, cwd; followed by its TYPE_ARGV records */
    TYPE_ARGV = 3,       /* a piece of the argument vector of the exec with the same ktime_ns */
    TYPE_EXIT = 4,       /* last thread of a process gone */
    TYPE_ALIVE = 5,      /* process already running when the probes came (task iterator) */
    TYPE_CREDENTIAL = 6, /* a call that sets credentials, or an exec that did; op is enum intact_credential_call */
    TYPE_SIGNAL = 7,     /* a signal sent to another process, or tried to */
    TYPE_FILE = 16,      /* one file system call; op is enum intact_file_op */
    TYPE_IO = 32,        /* a sum of reads or writes; op is enum intact_io_op */
    TYPE_NET = 48,       /* one socket call; op is enum intact_net_op */
    TYPE_TLS = 64,       /* plaintext of one TLS read or write, or a piece of it */
    TYPE_TLS_END = 65    /* a TLS session object was freed */
};

/* Why a record that was due did not reach user space whole; index of the per-CPU counters of its family. */
enum intact_counter {
    COUNT_SEEN,      /* events in scope that are worth a record */
    COUNT_SUBMITTED, /* records handed to a ring */
    LOST_RING_FULL,  /* no room in the ring of its class */
    LOST_MAP_FULL,   /* no room to keep state between entry and exit */
    LOST_FAULT,      /* user memory could not be read */
    LOST_TOO_LONG,   /* larger than the largest class or the cap of chunks */
    COUNT_BYTES,     /* plaintext bytes seen (tls) or summed (io) */
    COUNT_COMPAT,    /* 32-bit calls in scope, not decoded */
    COUNT_COUNTERS
};

struct intact_header {
    __u64 ktime_ns; /* boot clock, at the end of the event */
    __u64 start_ns; /* boot-clock start of the process: with tgid its identity */
    __u32 tgid;
    __u32 tid;
    __u32 uid;
    __u32 gid;
    __u64 cgroup_id;
    __u16 type;     /* enum intact_type */
    __u16 op;       /* meaning by type */
    __u16 length;   /* valid bytes of the variable part */
    __u16 flags;    /* enum intact_flag */
    __u32 clipped;  /* bytes of the variable part that did not fit */
    __u32 sequence; /* per-process-wide order of records with equal ktime_ns; chunk order for TYPE_TLS/TYPE_ARGV */
};

enum intact_flag {
    FLAG_THREAD = 1,          /* fork: a thread, not a process */
    FLAG_PATH_UNRESOLVED = 2, /* path is the resolved directory and the given text */
    FLAG_PATH_FAULT = 4,      /* the user's string could not be read, at entry or at exit */
    FLAG_PATH_CLIPPED = 8,    /* the walk hit its bound: leading components are missing */
    FLAG_OLD_PATH_UNRESOLVED = 16,
    FLAG_LAST = 32,       /* last piece of a chunked part */
    FLAG_UNTIMELY = 64,   /* io: cut because its interval ended, more may follow */
    FLAG_FROM_FILE = 128, /* path came from the open file (dentry walk), not from text */
    FLAG_PARENT = 256     /* exit: the parent is told */
};

/* TYPE_FORK: header is the parent. */
struct intact_fork {
    struct intact_header h;
    __u64 child_start_ns;
    __u32 child_tgid;
    __u32 child_tid;
    char comm[16];
    __u8 pad[256 - sizeof(struct intact_header) - 32];
};

/* TYPE_EXEC and TYPE_ALIVE. Variable part: exe, cwd (exe_length + cwd_length = header.length). Classes 256 .. 16K. */
struct intact_exec {
    struct intact_header h;
    __u64 parent_start_ns;
    __u32 parent_tgid;
    __u32 old_tid; /* thread that called exec, if it was not the leader */
    __u32 euid, egid;
    __u16 exe_length, cwd_length;
    __u32 argv_total; /* bytes of argv in the new image */
    char comm[16];
    char data[];
};

/* TYPE_ARGV: NUL-separated, in memory order. Classes 256 .. 16K; the sum is capped at 16 KiB, the rest in h.clipped. */
struct intact_argv {
    struct intact_header h; /* ktime_ns equals the exec's */
    __u32 offset;
    __u32 total;
    char data[];
};

/* TYPE_EXIT */
struct intact_exit {
    struct intact_header h;
    __s32 exit_code;   /* 0..255, -1 if killed */
    __s32 exit_signal; /* 0 if it exited */
    char comm[16];
    __u64 parent_start_ns; /* with FLAG_PARENT */
    __u32 parent_tgid;
    __u8 pad[256 - sizeof(struct intact_header) - 36];
};

enum intact_credential_call {
    CREDENTIAL_SETUID = 1,
    CREDENTIAL_SETGID,
    CREDENTIAL_SETREUID,
    CREDENTIAL_SETREGID,
    CREDENTIAL_SETRESUID,
    CREDENTIAL_SETRESGID,
    CREDENTIAL_SETFSUID,
    CREDENTIAL_SETFSGID,
    CREDENTIAL_SETGROUPS,
    CREDENTIAL_CAPSET,
    CREDENTIAL_EXEC /* of a setuid or setgid file, of one with capabilities, or one that took some away */
};

/* Ids as the initial user namespace has them; capabilities one bit each. */
struct intact_credentials {
    __u32 uid, euid, suid, fsuid;
    __u32 gid, egid, sgid, fsgid;
    __u64 effective, permitted, inheritable, ambient;
};

/* TYPE_CREDENTIAL. The header's uid and gid are those before. Variable part: supplementary groups before, then after;
 * what of them did not fit is in h.clipped. Classes 256 and 1K. */
struct intact_credential {
    struct intact_header h;
    __u64 enter_ns;
    struct intact_credentials before, after;
    __s32 result; /* 0 or negative errno */
    __u16 groups_before, groups_after;
    char data[];
};

/* TYPE_SIGNAL. Class 256. */
struct intact_signal {
    struct intact_header h;
    __u64 target_start_ns; /* 0: of who it should have gone to only the number is known */
    __u32 target_tgid;     /* of a signal that was not sent as the sender gave it, 0: a group, or not known */
    __s32 signal, result;
    __u8 pad[256 - sizeof(struct intact_header) - 20];
};

enum intact_file_op {
    FILE_OPEN = 1,
    FILE_CREATE, /* an open that made the file, or creat */
    FILE_UNLINK,
    FILE_RENAME,
    FILE_LINK,
    FILE_SYMLINK,
    FILE_MKDIR,
    FILE_RMDIR,
    FILE_TRUNCATE,
    FILE_CHMOD,
    FILE_CHOWN
};

/* TYPE_FILE. Variable part: path, old_path (path_length + old_path_length = header.length). Classes 256 .. 16K. */
struct intact_file {
    struct intact_header h;
    __u64 enter_ns;
    __u64 inode;
    __u32 device;
    __s32 result; /* 0 or negative errno */
    __s32 fd;     /* descriptor made or given, -1 if none */
    __u32 flags;  /* open or at-flags as given */
    __u32 mode;
    __u32 new_uid;
    __u32 new_gid;
    __u16 path_length;
    __u16 old_path_length;
    char data[];
};

enum intact_io_op { IO_READ = 1, IO_WRITE = 2 };
enum intact_fd_kind { FD_OTHER, FD_REGULAR, FD_DIRECTORY, FD_PIPE, FD_SOCKET, FD_CHARACTER, FD_BLOCK, FD_ANONYMOUS };

/* TYPE_IO. Sum over [first_ns, h.ktime_ns]. Variable part: path. Classes 256 .. 4K. */
struct intact_io {
    struct intact_header h;
    __u64 first_ns;
    __u64 last_ns;
    __u64 bytes;
    __u64 inode;
    __u32 count;
    __u32 device;
    __s32 fd;
    __u16 fd_kind;
    __u16 pad;
    char data[];
};

enum intact_net_op { NET_CONNECT = 1, NET_ACCEPT, NET_BIND, NET_LISTEN, NET_SEND, NET_CLOSE };

/* TYPE_NET. address bytes are in network order; AF_UNIX uses data as its path (abstract: leading NUL). Class 256. */
struct intact_net {
    struct intact_header h;
    __u64 enter_ns;
    __u64 socket; /* inode of the socket: its identity while open */
    __u64 sent;   /* close: bytes since open */
    __u64 received;
    __s32 result;
    __s32 fd;
    __u16 family;   /* AF_INET, AF_INET6, AF_UNIX, … */
    __u16 protocol; /* IPPROTO_* */
    __u16 kind;     /* SOCK_STREAM, SOCK_DGRAM, … */
    __u16 port;     /* host order */
    __u16 local_port;
    __u16 pad;
    __u8 address[16];
    __u8 local_address[16];
    __u32 pad2;
    char data[256 - sizeof(struct intact_header) - 88];
};

enum intact_direction { DIRECTION_READ = 1, DIRECTION_WRITE = 2 };

/* TYPE_TLS and TYPE_TLS_END. Classes 256 .. 16K. One operation of `total` bytes is cut into pieces. */
struct intact_tls {
    struct intact_header h; /* h.sequence: number of the operation on this connection and direction */
    __u64 connection;       /* address of the session object */
    __u64 generation;       /* start of this use of that address: boot clock of its first operation */
    __u64 stream_offset;    /* bytes of this direction before this operation */
    __u32 total;            /* bytes of the whole operation */
    __u32 offset;           /* of this piece in the operation */
    __s32 fd;               /* best guess of the descriptor, -1 if not known */
    __u16 direction;
    __u16 basis; /* how fd was found: 0 none, 1 nested call, 2 last receive, 3 next send, 4 SSL_set_fd */
    char data[];
};

#endif
