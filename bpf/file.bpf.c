/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Calls that open a file or change the tree of files.
 *
 * A file that was opened is named by the kernel (descriptor, dentry, mount). Where there is no descriptor the name is
 * the resolved directory and the user's text; the text is read at entry, and again at exit if its page was not there.
 * A failed open changes nothing and is common: its text is read at exit only.
 */
#include "path.bpf.h"
#include "calls.bpf.h"

RING(ring_file_256, 1 << 23);
RING(ring_file_1k, 1 << 20);
RING(ring_file_4k, 1 << 20);
RING(ring_file_16k, 1 << 19);

DEFINE_EMIT(file, FAMILY_FILE, struct intact_file)

#define AT_FDCWD -100
#define O_CREAT_WRONLY_TRUNC 01101
#define O_TMPFILE_BIT 020000000
#define FMODE_CREATED 0x100000
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

struct text_scan {
    const char *text;
    __u32 length;
    __u32 slashes;
};

static long scan_step(__u32 index, void *context) {
    struct text_scan *scan = context;
    if (index >= scan->length || index >= TEXT_BYTES)
        return 1;
    if (scan->text[index] == '/') {
        scan->slashes = 1;
        return 1;
    }
    return 0;
}

/* Whether directory + text is the name itself: one component, no link followed, not "." or "..". */
static __always_inline bool is_plain(const char *text, __u32 length, bool follows) {
    if (follows || !length || (text[0] == '.' && (length == 1 || (length == 2 && text[1] == '.'))))
        return false;
    struct text_scan scan = {.text = text, .length = length};
    bpf_loop(TEXT_BYTES, scan_step, &scan, 0);
    return !scan.slashes;
}

/* Writes directory/text to `out`, which has room for JOINED_BYTES and more. Length; flags of the result in `flags`. */
static __noinline __u32 join_path(char *out, int directory, __u64 text, __u32 *flags, bool follows) {
    struct path_found found = {};
    __u32 length = 0;
    char first = 0;
    if (!out)
        return 0;
    if (bpf_probe_read_user(&first, 1, (const void *)text)) {
        *flags |= FLAG_PATH_FAULT;
        return 0;
    }
    struct task_struct *task = bpf_get_current_task_btf();
    struct fs_struct *fs = task->fs;
    if (first == '/') {
        path_walk((__u64)fs->root.dentry, (__u64)fs->root.mnt, SCRATCH_CALL, &found);
        if (found.length == 1) /* nearly always: the process was not moved to another root */
            found.length = 0;
    } else if (directory == AT_FDCWD) {
        path_walk((__u64)fs->pwd.dentry, (__u64)fs->pwd.mnt, SCRATCH_CALL, &found);
    } else {
        struct open_file opened;
        if (!file_of(directory, &opened))
            path_of(&opened, &found);
        else
            *flags |= FLAG_PATH_UNRESOLVED; /* a bad descriptor: the text is all there is */
    }
    *flags |= found.flags;
    if (found.length && found.length <= PATH_BYTES) {
        bpf_probe_read_kernel(out, found.length, found.start);
        length = found.length;
        if (first && first != '/' && !(length == 1 && out[0] == '/'))
            out[length++] = '/';
    }
    barrier_var(length);
    if (length > PATH_BYTES + 1)
        return 0;
    char *rest = out + length;
    long got = bpf_probe_read_user_str(rest, TEXT_BYTES, (const void *)text);
    if (got <= 0) {
        *flags |= FLAG_PATH_FAULT;
        return length;
    }
    __u32 text_length = got - 1;
    if (first && (first == '/' || !is_plain(rest, text_length, follows)))
        *flags |= FLAG_PATH_UNRESOLVED;
    return length + text_length;
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

static __always_inline void fill_file(struct intact_file *file, const struct task_state *state, __u32 number,
                                      __u16 op) {
    fill_header(&file->h, state->start_ns, TYPE_FILE, op);
    file->enter_ns = scope_entered(state, number);
    file->inode = 0;
    file->device = 0;
    file->fd = -1;
    file->flags = 0;
    file->mode = 0;
    file->new_uid = -1;
    file->new_gid = -1;
    file->path_length = 0;
    file->old_path_length = 0;
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

/* The name, inode and device of an open file. */
static __always_inline void describe(struct intact_file *file, const struct open_file *opened,
                                     struct path_found *found) {
    file->inode = opened->inode;
    file->device = opened->device;
    path_of(opened, found);
    file->h.flags |= found->flags | FLAG_FROM_FILE;
    file->path_length = found->length;
    file->h.length = found->length;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_open, struct pt_regs *regs, long result) {
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    __u32 number = regs->orig_ax;
    struct intact_file file;
    struct path_found found = {};
    fill_file(&file, state, number, FILE_OPEN);
    bool at = number >= 257;
    __u64 text = at ? regs->si : regs->di;
    if (number == 437) { /* openat2 */
        __u64 how[2] = {};
        bpf_probe_read_user(how, sizeof(how), (const void *)regs->dx);
        file.flags = how[0];
        file.mode = how[1];
    } else if (number == 85) { /* creat */
        file.flags = O_CREAT_WRONLY_TRUNC;
        file.mode = regs->si;
    } else {
        file.flags = at ? regs->dx : regs->si;
        file.mode = at ? regs->r10 : regs->dx;
    }
    file.result = result_of(result);
    struct open_file opened;
    if (result >= 0)
        file.fd = result;
    if (result >= 0 && !file_of(result, &opened)) {
        if ((opened.open_mode & FMODE_CREATED) || (file.flags & O_TMPFILE_BIT))
            file.h.op = FILE_CREATE;
        describe(&file, &opened, &found);
        emit_file(&file, found.start, found.length);
        return 0;
    }
    struct path_scratch *scratch = path_scratch(SCRATCH_CALL);
    if (!scratch) {
        count_lost(FAMILY_FILE, LOST_MAP_FULL);
        return 0;
    }
    __u32 flags = 0;
    __u32 length = join_path(scratch->joined, at ? (int)regs->di : AT_FDCWD, text, &flags, true);
    file.h.flags = flags;
    file.path_length = length;
    file.h.length = length;
    emit_file(&file, scratch->joined, length);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_descriptor, struct pt_regs *regs, long result) {
    struct task_state *state = scope_state();
    if (!state)
        return 0;
    __u32 number = regs->orig_ax;
    struct intact_file file;
    struct path_found found = {};
    fill_file(&file, state, number, FILE_TRUNCATE);
    file.result = result_of(result);
    file.fd = regs->di;
    if (number == 91) { /* fchmod */
        file.h.op = FILE_CHMOD;
        file.mode = regs->si;
    } else if (number == 93) { /* fchown */
        file.h.op = FILE_CHOWN;
        file.new_uid = regs->si;
        file.new_gid = regs->dx;
    }
    struct open_file opened;
    if (!file_of(file.fd, &opened))
        describe(&file, &opened, &found);
    emit_file(&file, found.start, found.length);
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

struct call_table file_exit SEC(".maps") = {
    .values =
        {
            [2] = (void *)&exit_open,        [85] = (void *)&exit_open,       [257] = (void *)&exit_open,
            [437] = (void *)&exit_open,      [77] = (void *)&exit_descriptor, [91] = (void *)&exit_descriptor,
            [93] = (void *)&exit_descriptor, [76] = (void *)&exit_named,      [82] = (void *)&exit_named,
            [83] = (void *)&exit_named,      [84] = (void *)&exit_named,      [86] = (void *)&exit_named,
            [87] = (void *)&exit_named,      [88] = (void *)&exit_named,      [90] = (void *)&exit_named,
            [92] = (void *)&exit_named,      [94] = (void *)&exit_named,      [258] = (void *)&exit_named,
            [260] = (void *)&exit_named,     [263] = (void *)&exit_named,     [264] = (void *)&exit_named,
            [265] = (void *)&exit_named,     [266] = (void *)&exit_named,     [268] = (void *)&exit_named,
            [316] = (void *)&exit_named,     [452] = (void *)&exit_named,
        },
};
