/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What calls on files share: their record, and names made of a directory and a text.
 */
#ifndef INTACT_FILE_BPF_H
#define INTACT_FILE_BPF_H

#include "path.bpf.h"

RING(ring_file_256, 1 << 23);
RING(ring_file_1k, 1 << 21);
RING(ring_file_4k, 1 << 22);
RING(ring_file_16k, 1 << 19);

DEFINE_EMIT(file, FAMILY_FILE, struct intact_file)

#define AT_FDCWD -100
#define NUMBER_BYTES 12 /* the digits of a process or descriptor, one too many, and a NUL */

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

/* What a text that leads through a magic link of procfs names: a descriptor, and where the rest of the text begins. */
enum magic_kind { MAGIC_NONE, MAGIC_DESCRIPTOR, MAGIC_ROOT };

struct magic {
    __u32 kind;
    __s32 directory; /* AT_FDCWD: the working directory */
    __u32 rest;      /* offset in the text */
    __u32 is_whole;  /* nothing follows the link */
};

/* Without a branch a byte: there is no memcmp to call. */
static __always_inline bool begins(const char *text, const char *with, const __u32 length) {
    __u8 differs = 0;
#pragma unroll
    for (__u32 i = 0; i < length; i++)
        differs |= text[i] ^ with[i];
    return !differs;
}

#define BEGINS(text, with) begins(text, with, sizeof(with) - 1)

/* A decimal number in the user's text: its value in the low half, how many digits in the high one; 0 if there is none.
 */
__noinline __u64 text_number(__u64 text) {
    char digits[NUMBER_BYTES] = {};
    __u64 value = 0, count = 0;
    bpf_probe_read_user_str(digits, sizeof(digits), (const void *)text);
    for (__u32 i = 0; i < NUMBER_BYTES - 1; i++) {
        __u32 digit = digits[i] - '0';
        if (digit > 9)
            break;
        value = value * 10 + digit;
        count++;
    }
    return value > 0x7fffffff ? 0 : count << 32 | value;
}

/* The number of this process as its own /proc shows it. */
static __always_inline __u32 own_number(void) {
    struct pid *pid = CURRENT->group_leader->thread_pid;
    __u64 at = (__u64)pid + bpf_core_field_offset(struct pid, numbers) + pid->level * bpf_core_type_size(struct upid);
    __u32 number = 0;
    bpf_probe_read_kernel(&number, sizeof(number), (const void *)(at + bpf_core_field_offset(struct upid, nr)));
    return number;
}

/* Bytes of "/proc/self/", "/proc/thread-self/" or "/proc/<own number>/" that the text begins with; 0 if it does not. */
__noinline __u32 own_proc(__u64 text) {
    char head[24] = {};
    bpf_probe_read_user_str(head, sizeof(head), (const void *)text);
    if (!BEGINS(head, "/proc/"))
        return 0;
    if (BEGINS(head + 6, "self/"))
        return 11;
    if (BEGINS(head + 6, "thread-self/"))
        return 18;
    __u64 number = text_number(text + 6);
    if (!number || (__u32)number != own_number())
        return 0;
    char after = 0;
    __u32 length = 6 + (number >> 32);
    bpf_probe_read_user(&after, 1, (const void *)(text + length));
    return after == '/' ? length + 1 : 0;
}

/* The kernel resolves such a link by the process, not by the text, so the text alone would name a file of procfs. */
__noinline int find_magic(__u64 text, struct magic *magic) {
    char head[8] = {};
    if (!magic)
        return 0;
    magic->kind = MAGIC_NONE;
    bpf_probe_read_user_str(head, sizeof(head), (const void *)text);
    __u32 at = BEGINS(head, "/dev/fd") ? 5 : own_proc(text);
    if (!at)
        return 0;
    __builtin_memset(head, 0, sizeof(head));
    bpf_probe_read_user_str(head, sizeof(head), (const void *)(text + at));
    __u32 kind = MAGIC_DESCRIPTOR;
    magic->directory = AT_FDCWD;
    if (BEGINS(head, "fd/")) {
        __u64 number = text_number(text + at + 3);
        if (!number)
            return 0;
        magic->directory = number;
        at += 3 + (number >> 32);
    } else if (BEGINS(head, "cwd")) {
        at += 3;
    } else if (BEGINS(head, "root")) {
        at += 4;
        kind = MAGIC_ROOT;
    } else {
        return 0;
    }
    char after[2] = {};
    bpf_probe_read_user_str(after, sizeof(after), (const void *)(text + at));
    if (after[0] && after[0] != '/')
        return 0;
    magic->is_whole = !after[0];
    magic->rest = at + !magic->is_whole;
    magic->kind = kind;
    return 0;
}

/* The directory that a text begins at: its path as far as it goes, nothing for the root. */
static __always_inline int base_path(bool is_absolute, int directory, struct path_found *found) {
    struct fs_struct *fs = CURRENT->fs;
    if (is_absolute)
        return path_walk(word_at(&fs->root.dentry), word_at(&fs->root.mnt), SCRATCH_CALL, found);
    if (directory == AT_FDCWD)
        return path_walk(word_at(&fs->pwd.dentry), word_at(&fs->pwd.mnt), SCRATCH_CALL, found);
    return path_of_fd(directory, found);
}

/* Writes directory/text to `out` from `at` on. Length in the low half, flags in the high one. */
__noinline __u64 join_path(struct names *out, __u32 at, int directory, __u64 text, bool follows) {
    struct path_found found = {};
    __u64 flags = 0;
    __u32 length = 0;
    char head[8] = {}; /* enough for /proc/ and /dev/fd */
    if (!out || at > JOINED_BYTES)
        return 0;
    if (bpf_probe_read_user_str(head, sizeof(head), (const void *)text) < 0)
        return (__u64)FLAG_PATH_FAULT << 32;
    char first = head[0];
    bool is_absolute = first == '/', is_resolved = !is_absolute;
    if (is_absolute && (head[1] == 'p' || head[1] == 'd')) {
        struct magic magic = {};
        find_magic(text, &magic);
        if (magic.kind && (follows || !magic.is_whole)) {
            bool is_root = magic.kind == MAGIC_ROOT;
            if (!base_path(is_root, magic.directory, &found)) {
                text += magic.rest;
                directory = magic.directory;
                is_absolute = is_root;
                is_resolved = true;
                bpf_probe_read_user(&first, 1, (const void *)text);
            }
        }
    }
    if (base_path(is_absolute, directory, &found))
        flags |= FLAG_PATH_UNRESOLVED;                    /* a bad descriptor: the text is all there is */
    if (is_absolute && found.length == 1 && first == '/') /* nearly always: the process was not moved to another root */
        found.length = 0;
    flags |= found.flags;
    char *start = out->bytes + at;
    __u32 base = found.length;
    barrier_var(base);
    if (base && base <= PATH_BYTES) {
        bpf_probe_read_kernel(start, base, (const void *)found.start);
        length = base;
        if (first && first != '/' && !(length == 1 && start[0] == '/'))
            start[length++] = '/';
    }
    barrier_var(length);
    if (length > PATH_BYTES + 1)
        return 0;
    long got = bpf_probe_read_user_str(start + length, TEXT_BYTES, (const void *)text);
    if (got <= 0)
        return (flags | FLAG_PATH_FAULT) << 32 | length;
    __u32 text_length = got - 1;
    if (first && (!is_resolved || !is_plain(start + length, text_length, follows)))
        flags |= FLAG_PATH_UNRESOLVED;
    return flags << 32 | (length + text_length);
}

#endif
