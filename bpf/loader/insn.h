/* SPDX-License-Identifier: Apache-2.0
 *
 * x86-64 instruction lengths and the few operands that finding functions needs.
 */
#ifndef INTACT_INSN_H
#define INTACT_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum intact_insn_kind {
    INTACT_INSN_OTHER,
    INTACT_INSN_CALL,          /* rel32: `target` */
    INTACT_INSN_CALL_INDIRECT, /* through a register or memory */
    INTACT_INSN_JUMP,          /* rel8 or rel32: `target` */
    INTACT_INSN_JUMP_INDIRECT,
    INTACT_INSN_JUMP_IF, /* conditional: `target` */
    INTACT_INSN_RETURN,
    INTACT_INSN_INT3,
    INTACT_INSN_UD2,
    INTACT_INSN_SET_CONSTANT, /* mov reg, imm32 or xor reg, reg: `reg`, `constant` */
    INTACT_INSN_LEA_RIP,      /* lea reg, [rip+disp]: `reg`, `target` */
    INTACT_INSN_LOAD,         /* 64 or 128 bits from [base+disp] */
    INTACT_INSN_STORE,        /* 64 or 128 bits to [base+disp] */
    INTACT_INSN_ADJUST,       /* add or sub, 64 bits, to [base+disp] */
};

#define INTACT_INSN_NO_BASE 0xff
#define INTACT_RCX 1
#define INTACT_RDX 2
#define INTACT_RSP 4
#define INTACT_RSI 6
#define INTACT_RDI 7

struct intact_insn {
    uint8_t length;
    uint8_t kind;
    uint8_t reg;  /* the register operand, 0 to 15 */
    uint8_t base; /* base register of a memory operand without index, else INTACT_INSN_NO_BASE */
    int32_t displacement;
    int64_t constant;
    uint64_t target;
};

/* Decodes the instruction at `code`, which lies at `address`. False: invalid, or longer than `available`. */
bool intact_insn_decode(const uint8_t *code, size_t available, uint64_t address, struct intact_insn *insn);

#endif
