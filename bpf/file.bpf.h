/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What calls on files share: their record, and names made of a directory and a text.
 */
#ifndef INTACT_FILE_BPF_H
#define INTACT_FILE_BPF_H

#include "path.bpf.h"

RING(ring_file_256, 1 << 23);
RING(ring_file_1k, 1 << 20);
RING(ring_file_4k, 1 << 20);
RING(ring_file_16k, 1 << 19);

DEFINE_EMIT(file, FAMILY_FILE, struct intact_file)

#define AT_FDCWD -100

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

#define THROUGH "/proc/self/fd/"
#define THROUGH_BYTES (sizeof(THROUGH) - 1)
#define THROUGH_DIGITS 7

/* The descriptor of "/proc/self/fd/N/rest", with what precedes the rest in `skip`: a way to name a file beside an open
 * directory that agents take to be safe from races. -1 for any other text.
 */
static __noinline int through_descriptor(__u64 text, __u32 *skip) {
    char given[THROUGH_BYTES + THROUGH_DIGITS + 1] = {};
    int descriptor = 0;
    if (!skip || bpf_probe_read_user_str(given, sizeof(given), (const void *)text) <= (long)THROUGH_BYTES + 1)
        return -1;
#pragma unroll
    for (__u32 i = 0; i < THROUGH_BYTES; i++)
        if (given[i] != THROUGH[i])
            return -1;
    for (__u32 i = THROUGH_BYTES; i < THROUGH_BYTES + THROUGH_DIGITS; i++) {
        if (given[i] == '/' && i > THROUGH_BYTES) {
            *skip = i + 1;
            return descriptor;
        }
        if (given[i] < '0' || given[i] > '9')
            return -1;
        descriptor = descriptor * 10 + (given[i] - '0');
    }
    return -1;
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
    if (first == '/') {
        __u32 skip = 0;
        int through = through_descriptor(text, &skip);
        struct open_file opened;
        char rest = 0;
        /* Only what follows the slash is text then; nothing, or another slash, is left to the general case. */
        if (through >= 0 && !file_of(through, &opened) && (opened.mode & S_IFMT) == S_IFDIR &&
            !bpf_probe_read_user(&rest, 1, (const void *)(text + skip)) && rest && rest != '/') {
            text += skip;
            first = rest;
            directory = through;
        }
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

#endif
