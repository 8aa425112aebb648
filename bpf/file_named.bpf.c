/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Calls that name a file without opening it. The name is the resolved directory and the user's text, read at entry, and
 * again at exit if its page was not there.
 */
#include "file.bpf.h"
#include "calls.bpf.h"

#define VARIABLE_BYTES (CLASS_16K - sizeof(struct intact_file))

/* Which argument holds what, one-based; 0: none. */
struct path_call {
    __u8 op;
    __u8 directory;
    __u8 path;
    __u8 old_directory;
    __u8 old_path;
    __u8 flags;
    __u8 mode;
    __u8 owner;   /* uid, followed by gid */
    __u8 follows; /* a link in the last component may be followed */
    __u8 raw_old; /* the old path is a text, not a file */
};

static const volatile struct path_call path_calls[512] = {
    [76] = {.op = FILE_TRUNCATE, .path = 1, .follows = 1},
    [82] = {.op = FILE_RENAME, .path = 2, .old_path = 1},
    [83] = {.op = FILE_MKDIR, .path = 1, .mode = 2},
    [84] = {.op = FILE_RMDIR, .path = 1},
    [86] = {.op = FILE_LINK, .path = 2, .old_path = 1},
    [87] = {.op = FILE_UNLINK, .path = 1},
    [88] = {.op = FILE_SYMLINK, .path = 2, .old_path = 1, .raw_old = 1},
    [90] = {.op = FILE_CHMOD, .path = 1, .mode = 2, .follows = 1},
    [92] = {.op = FILE_CHOWN, .path = 1, .owner = 2, .follows = 1},
    [94] = {.op = FILE_CHOWN, .path = 1, .owner = 2},
    [258] = {.op = FILE_MKDIR, .directory = 1, .path = 2, .mode = 3},
    [260] = {.op = FILE_CHOWN, .directory = 1, .path = 2, .owner = 3, .flags = 5, .follows = 1},
    [263] = {.op = FILE_UNLINK, .directory = 1, .path = 2, .flags = 3},
    [264] = {.op = FILE_RENAME, .directory = 3, .path = 4, .old_directory = 1, .old_path = 2},
    [265] = {.op = FILE_LINK, .directory = 3, .path = 4, .old_directory = 1, .old_path = 2, .flags = 5},
    [266] = {.op = FILE_SYMLINK, .directory = 2, .path = 3, .old_path = 1, .raw_old = 1},
    [268] = {.op = FILE_CHMOD, .directory = 1, .path = 2, .mode = 3, .follows = 1},
    [316] = {.op = FILE_RENAME, .directory = 3, .path = 4, .old_directory = 1, .old_path = 2, .flags = 5},
    [452] = {.op = FILE_CHMOD, .directory = 1, .path = 2, .mode = 3, .flags = 4, .follows = 1},
};

#define AT_REMOVEDIR 0x200
#define AT_SYMLINK_NOFOLLOW 0x100

/* The names of a call between its entry and its exit. */
struct named_call {
    __u32 call; /* number plus one */
    __u32 flags;
    __u32 path_length;
    __u32 old_path_length;
    char names[2 * JOINED_BYTES];
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct named_call);
} named_calls SEC(".maps");

static __always_inline __u64 argument(struct pt_regs *regs, __u8 which) {
    switch (which) {
    case 1:
        return regs->di;
    case 2:
        return regs->si;
    case 3:
        return regs->dx;
    case 4:
        return regs->r10;
    case 5:
        return regs->r8;
    }
    return 0;
}

static __always_inline bool follows_link(const volatile struct path_call *call, struct pt_regs *regs) {
    return call->follows && !(call->flags && (argument(regs, call->flags) & AT_SYMLINK_NOFOLLOW));
}

/* Reads the names of the call `number` from the user and resolves their directories. */
static __noinline int name_call(struct named_call *named, struct pt_regs *regs, __u32 number) {
    const volatile struct path_call *call = &path_calls[number & 511];
    __u32 flags = 0, old_flags = 0;
    if (!named)
        return 0;
    int directory = call->directory ? (int)argument(regs, call->directory) : AT_FDCWD;
    named->path_length =
        join_path(named->names, directory, argument(regs, call->path), &flags, follows_link(call, regs));
    named->old_path_length = 0;
    if (call->old_path) {
        __u32 at = named->path_length;
        __u64 text = argument(regs, call->old_path);
        if (at > JOINED_BYTES)
            at = JOINED_BYTES;
        char *old = named->names + at;
        if (call->raw_old) {
            long got = bpf_probe_read_user_str(old, TEXT_BYTES, (const void *)text);
            named->old_path_length = got > 0 ? got - 1 : 0;
            old_flags = got > 0 ? FLAG_PATH_UNRESOLVED : FLAG_PATH_FAULT;
        } else {
            directory = call->old_directory ? (int)argument(regs, call->old_directory) : AT_FDCWD;
            named->old_path_length = join_path(old, directory, text, &old_flags, false);
        }
    }
    if (old_flags & FLAG_PATH_UNRESOLVED)
        flags |= FLAG_OLD_PATH_UNRESOLVED;
    named->flags = flags | (old_flags & (FLAG_PATH_FAULT | FLAG_PATH_CLIPPED));
    named->call = number + 1;
    return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(enter_named, struct pt_regs *regs, long number) {
    struct named_call *named =
        bpf_task_storage_get(&named_calls, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (named)
        name_call(named, regs, number);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_named, struct pt_regs *regs, long result) {
    __u32 number = regs->orig_ax & 511;
    const volatile struct path_call *call = &path_calls[number];
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    struct named_call *named =
        bpf_task_storage_get(&named_calls, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!named) {
        count_lost(FAMILY_FILE, LOST_MAP_FULL);
        return 0;
    }
    if (named->call != number + 1 || (named->flags & FLAG_PATH_FAULT))
        name_call(named, regs, number);
    named->call = 0;
    struct intact_file file;
    fill_file(&file, state, number, call->op);
    file.result = result_of(result);
    file.flags = argument(regs, call->flags);
    file.mode = argument(regs, call->mode);
    if (call->owner) {
        file.new_uid = argument(regs, call->owner);
        file.new_gid = argument(regs, call->owner + 1);
    }
    if (call->op == FILE_UNLINK && (file.flags & AT_REMOVEDIR))
        file.h.op = FILE_RMDIR;
    file.h.flags = named->flags;
    __u32 length = named->path_length, old_length = named->old_path_length;
    if (length + old_length > VARIABLE_BYTES) {
        file.h.clipped = length + old_length - VARIABLE_BYTES;
        old_length = VARIABLE_BYTES - length;
    }
    file.path_length = length;
    file.old_path_length = old_length;
    file.h.length = length + old_length;
    emit_file(&file, named->names, length + old_length);
    return 0;
}

struct call_table file_enter SEC(".maps") = {
    .values =
        {
            [76] = (void *)&enter_named,  [82] = (void *)&enter_named,  [83] = (void *)&enter_named,
            [84] = (void *)&enter_named,  [86] = (void *)&enter_named,  [87] = (void *)&enter_named,
            [88] = (void *)&enter_named,  [90] = (void *)&enter_named,  [92] = (void *)&enter_named,
            [94] = (void *)&enter_named,  [258] = (void *)&enter_named, [260] = (void *)&enter_named,
            [263] = (void *)&enter_named, [264] = (void *)&enter_named, [265] = (void *)&enter_named,
            [266] = (void *)&enter_named, [268] = (void *)&enter_named, [316] = (void *)&enter_named,
            [452] = (void *)&enter_named,
        },
};
