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
#define AT_SYMLINK_FOLLOW 0x400

/* The names of a call between its entry and its exit. */
struct named_call {
    __u32 call; /* number plus one */
    __u32 flags;
    __u32 path_length;
    __u32 old_path_length;
    __u64 through; /* as_number() */
    struct names names;
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct named_call);
} named_calls SEC(".maps");

/* The arguments of a call, to be picked by a number without a branch for each. */
struct arguments {
    __u64 values[8];
};

static __always_inline struct arguments arguments_of(__u64 registers) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    struct arguments given = {{0, regs->di, regs->si, regs->dx, regs->r10, regs->r8, regs->r9, 0}};
    return given;
}

static __always_inline __u64 argument(const struct arguments *given, __u8 which) { return given->values[which & 7]; }

static __always_inline int directory_of(const struct arguments *given, __u8 which) {
    return which ? (int)argument(given, which) : AT_FDCWD;
}

/* Reads the names of the call `number` from the user and resolves their directories. */
__noinline int name_call(struct named_call *named, __u64 registers, __u32 number) {
    const volatile struct path_call *call = &path_calls[number & 511];
    struct arguments given = arguments_of(registers);
    __u32 at_flags = argument(&given, call->flags), old_flags = 0, old_length = 0;
    if (!named)
        return 0;
    bool follows = call->follows && !(at_flags & AT_SYMLINK_NOFOLLOW);
    __u64 joined =
        join_path(&named->names, 0, directory_of(&given, call->directory), argument(&given, call->path), follows);
    __u32 flags = joined >> 32, length = joined;
    if (length > JOINED_BYTES)
        return 0;
    if (call->raw_old) {
        long got = bpf_probe_read_user_str(named->names.bytes + length, TEXT_BYTES,
                                           (const void *)argument(&given, call->old_path));
        old_length = got > 0 ? got - 1 : 0;
        old_flags = got > 0 ? FLAG_PATH_UNRESOLVED : FLAG_PATH_FAULT;
    } else if (call->old_path) {
        follows = call->op == FILE_LINK && (at_flags & AT_SYMLINK_FOLLOW);
        joined = join_path(&named->names, length, directory_of(&given, call->old_directory),
                           argument(&given, call->old_path), follows);
        old_flags = joined >> 32;
        old_length = joined;
    }
    if (old_flags & FLAG_PATH_UNRESOLVED)
        flags |= FLAG_OLD_PATH_UNRESOLVED;
    named->path_length = length;
    named->old_path_length = old_length;
    named->flags = flags | (old_flags & (FLAG_PATH_FAULT | FLAG_PATH_CLIPPED));
    named->call = number + 1;
    return 0;
}

static __always_inline struct named_call *named_call(void) {
    return bpf_task_storage_get(&named_calls, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void enter_named(__u64 registers, __u32 number) {
    struct named_call *named = named_call();
    if (named)
        name_call(named, registers, number);
}

__noinline int tell_named(const struct task_state *state, struct named_call *named, __u64 registers, long result) {
    if (!state || !named)
        return 0;
    __u32 number = (named->call - 1) & 511;
    const volatile struct path_call *call = &path_calls[number];
    struct arguments given = arguments_of(registers);
    struct intact_file file;
    fill_file(&file, state, number, call->op);
    file.result = result_of(result);
    file.flags = argument(&given, call->flags);
    file.mode = argument(&given, call->mode);
    if (call->owner) {
        file.new_uid = argument(&given, call->owner);
        file.new_gid = argument(&given, call->owner + 1);
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
    named->call = 0;
    return emit_file(&file, as_number(named->names.bytes, &named->through), length + old_length);
}

static __always_inline void exit_named(const struct task_state *state, __u64 registers, __u32 number, long result) {
    struct named_call *named = named_call();
    if (!named) {
        count_lost(FAMILY_FILE, LOST_MAP_FULL);
        return;
    }
    if (named->call != number + 1 || (named->flags & FLAG_PATH_FAULT))
        name_call(named, registers, number);
    tell_named(state, named, registers, result);
}
