/* SPDX-License-Identifier: Apache-2.0
 *
 * Feature probes. The empty programs return 0 and look at nothing; they are attached for less than a millisecond. */
#include "probe.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* r0 = 0; exit */
static const struct bpf_insn nothing[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
    {.code = BPF_JMP | BPF_EXIT},
};
enum { NOTHING = sizeof(nothing) / sizeof(*nothing) };

/* linux/bpf.h of Debian 12 does not have it yet (Linux 6.6). */
enum { UPROBE_MULTI = 48 };

struct link_create_multi {
    uint32_t program, target, attach_type, flags;
    uint64_t path, offsets, reference_offsets, cookies;
    uint32_t count, multi_flags, pid, pad;
};

int intact_probe_map(int type) {
    libbpf_set_print(NULL); /* what fails here is an answer, not an error */
    return libbpf_probe_bpf_map_type((enum bpf_map_type)type, NULL);
}

int intact_probe_uprobe_multi(void) {
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = (enum bpf_attach_type)UPROBE_MULTI);
    int program = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "probe", "GPL", nothing, NOTHING, &options);
    if (program < 0)
        return program == -EINVAL ? 0 : program;
    /* A directory is no file to hook: a kernel that knows the link type gets as far as saying so. */
    uint64_t offset = 0;
    struct link_create_multi attributes = {
        .program = (uint32_t)program,
        .attach_type = UPROBE_MULTI,
        .path = (uintptr_t) "/",
        .offsets = (uintptr_t)&offset,
        .count = 1,
    };
    long link = syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));
    int error = link < 0 ? errno : 0;
    if (link >= 0)
        close((int)link);
    close(program);
    return error == EBADF ? 1 : error == EPERM ? -EPERM : 0;
}

static int attach_type_of(int kind) {
    switch (kind) {
    case INTACT_PROBE_TP_BTF:
        return BPF_TRACE_RAW_TP;
    case INTACT_PROBE_FENTRY:
        return BPF_TRACE_FENTRY;
    case INTACT_PROBE_LSM:
        return BPF_LSM_MAC;
    default:
        return BPF_TRACE_ITER;
    }
}

int intact_probe_hook(int kind, const char *target, int attach) {
    int type = attach_type_of(kind);
    libbpf_set_print(NULL);
    int id = libbpf_find_vmlinux_btf_id(target, (enum bpf_attach_type)type);
    if (id < 0)
        return id;
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = (enum bpf_attach_type)type,
                .attach_btf_id = (uint32_t)id);
    enum bpf_prog_type program_type = kind == INTACT_PROBE_LSM ? BPF_PROG_TYPE_LSM : BPF_PROG_TYPE_TRACING;
    int program = bpf_prog_load(program_type, "probe", "GPL", nothing, NOTHING, &options);
    if (program < 0 || !attach) {
        if (program >= 0)
            close(program);
        return program < 0 ? program : 1;
    }
    int link = kind == INTACT_PROBE_ITERATOR ? bpf_link_create(program, 0, BPF_TRACE_ITER, NULL)
                                             : bpf_raw_tracepoint_open(NULL, program);
    if (link >= 0)
        close(link);
    close(program);
    return link < 0 ? link : 1;
}

int intact_probe_helper(int helper) {
    /* Refused in any case. The verifier looks at the arguments only of a helper that there is. */
    const struct bpf_insn call[] = {
        {.code = BPF_JMP | BPF_CALL, .imm = helper},
        {.code = BPF_JMP | BPF_EXIT},
    };
    char log[4096] = "";
    libbpf_set_print(NULL);
    int id = libbpf_find_vmlinux_btf_id("task", BPF_TRACE_ITER);
    if (id < 0)
        return id;
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_ITER, .attach_btf_id = (uint32_t)id,
                .prog_flags = BPF_F_SLEEPABLE, .log_buf = log, .log_size = sizeof(log), .log_level = 1);
    int program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "probe", "GPL", call, 2, &options);
    if (program >= 0) {
        close(program);
        return 1;
    }
    if (strstr(log, " type=") || strstr(log, " !read_ok"))
        return 1;
    return log[0] ? 0 : program;
}
