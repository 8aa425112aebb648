/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Calls that open a file or act on an open one: the kernel names it (descriptor, dentry, mount).
 *
 * A failed open changes nothing and is common: its text is read at exit only.
 */
#include "file.bpf.h"
#include "calls.bpf.h"

#define O_CREAT_WRONLY_TRUNC 01101
#define O_TMPFILE_BIT 020000000
#define FMODE_CREATED 0x100000

/* Fills in the file behind a descriptor. Its FMODE_… bits and 1 << 32, 0 if there is none; its path in `found`. */
__noinline __u64 describe(struct intact_file *file, int fd, struct path_found *found) {
    struct open_file opened = {};
    if (!file || !found || file_of(fd, &opened))
        return 0;
    path_of(&opened, found);
    file->inode = opened.inode;
    file->device = opened.device;
    file->h.flags |= found->flags | FLAG_FROM_FILE;
    file->path_length = found->length;
    file->h.length = found->length;
    return 1ULL << 32 | opened.open_mode;
}

/* The flags and the mode of an open. */
static __always_inline void how_to_open(struct intact_file *file, const struct pt_regs *regs, __u32 number) {
    if (number == 437) { /* openat2 */
        __u64 how[2] = {};
        bpf_probe_read_user(how, sizeof(how), (const void *)regs->dx);
        file->flags = how[0];
        file->mode = how[1];
    } else if (number == 85) { /* creat */
        file->flags = O_CREAT_WRONLY_TRUNC;
        file->mode = regs->si;
    } else {
        bool at = number >= 257;
        file->flags = at ? regs->dx : regs->si;
        file->mode = at ? regs->r10 : regs->dx;
    }
}

__noinline int exit_open(const struct task_state *state, __u64 registers, __u32 number, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    struct intact_file file;
    struct path_found found = {};
    if (!state)
        return 0;
    fill_file(&file, state, number, FILE_OPEN);
    how_to_open(&file, regs, number);
    file.result = result_of(result);
    if (result >= 0) {
        file.fd = result;
        __u64 mode = describe(&file, result, &found);
        if (mode) {
            if ((mode & FMODE_CREATED) || (file.flags & O_TMPFILE_BIT))
                file.h.op = FILE_CREATE;
            return emit_file(&file, found.start, found.length);
        }
    }
    struct path_scratch *scratch = path_scratch(SCRATCH_CALL);
    if (!scratch) {
        count_lost(FAMILY_FILE, LOST_MAP_FULL);
        return 0;
    }
    bool at = number >= 257;
    __u64 joined = join_path(&scratch->joined, 0, at ? (int)regs->di : AT_FDCWD, at ? regs->si : regs->di, true);
    file.h.flags = joined >> 32;
    file.path_length = joined;
    file.h.length = joined;
    return emit_file(&file, as_number(scratch->joined.bytes, &scratch->through), joined);
}

__noinline int exit_descriptor(const struct task_state *state, __u64 registers, __u32 number, long result) {
    struct pt_regs *regs = AS(struct pt_regs, registers);
    struct intact_file file;
    struct path_found found = {};
    if (!state)
        return 0;
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
    describe(&file, file.fd, &found);
    return emit_file(&file, found.start, found.length);
}
