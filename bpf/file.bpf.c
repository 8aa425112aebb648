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
