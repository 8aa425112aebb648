/* SPDX-License-Identifier: Apache-2.0
 *
 * Instruction lengths from tables (Intel SDM vol. 2, appendix A), and operands only where insn.h promises them.
 */
#include "insn.h"

#include <string.h>

#define MAX_INSN_BYTES 15

/* What follows the opcode byte. */
enum {
    M = 0x01, /* ModRM */
    B = 0x02, /* imm8 or rel8 */
    W = 0x04, /* imm16 */
    Z = 0x08, /* imm32, imm16 under 66 */
    J = 0x10, /* rel32 whatever the prefixes */
    V = 0x20, /* imm64 under REX.W, else as Z */
    O = 0x40, /* 64-bit address, 32 under 67 */
    X = 0x80, /* not an instruction in 64-bit mode, or handled before the table is asked */
};

/* clang-format off: one row a line */
static const uint8_t one_byte_map[256] = {
    /* 00 */ M,     M,     M, M,     B, Z, X,     X,     M,     M,     M, M,     B, Z, X, X,
    /* 10 */ M,     M,     M, M,     B, Z, X,     X,     M,     M,     M, M,     B, Z, X, X,
    /* 20 */ M,     M,     M, M,     B, Z, X,     X,     M,     M,     M, M,     B, Z, X, X,
    /* 30 */ M,     M,     M, M,     B, Z, X,     X,     M,     M,     M, M,     B, Z, X, X,
    /* 40 */ X,     X,     X, X,     X, X, X,     X,     X,     X,     X, X,     X, X, X, X,
    /* 50 */ 0,     0,     0, 0,     0, 0, 0,     0,     0,     0,     0, 0,     0, 0, 0, 0,
    /* 60 */ X,     X,     X, M,     X, X, X,     X,     Z,     M | Z, B, M | B, 0, 0, 0, 0,
    /* 70 */ B,     B,     B, B,     B, B, B,     B,     B,     B,     B, B,     B, B, B, B,
    /* 80 */ M | B, M | Z, X, M | B, M, M, M,     M,     M,     M,     M, M,     M, M, M, M,
    /* 90 */ 0,     0,     0, 0,     0, 0, 0,     0,     0,     0,     X, 0,     0, 0, 0, 0,
    /* a0 */ O,     O,     O, O,     0, 0, 0,     0,     B,     Z,     0, 0,     0, 0, 0, 0,
    /* b0 */ B,     B,     B, B,     B, B, B,     B,     V,     V,     V, V,     V, V, V, V,
    /* c0 */ M | B, M | B, W, 0,     X, X, M | B, M | Z, W | B, 0,     W, 0,     0, B, X, 0,
    /* d0 */ M,     M,     M, M,     X, X, X,     0,     M,     M,     M, M,     M, M, M, M,
    /* e0 */ B,     B,     B, B,     B, B, B,     B,     J,     J,     X, B,     0, 0, 0, 0,
    /* f0 */ X,     0,     X, X,     0, 0, M,     M,     0,     0,     0, 0,     0, 0, M, M,
};

static const uint8_t two_byte_map[256] = {
    /* 00 */ M,     M,     M,     M,     X,     0,     0,     0, 0, 0, X,     0, X,     M, 0, M | B,
    /* 10 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* 20 */ M,     M,     M,     M,     X,     X,     X,     X, M, M, M,     M, M,     M, M, M,
    /* 30 */ 0,     0,     0,     0,     0,     0,     X,     0, X, X, X,     X, X,     X, X, X,
    /* 40 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* 50 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* 60 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* 70 */ M | B, M | B, M | B, M | B, M,     M,     M,     0, M, M, X,     X, M,     M, M, M,
    /* 80 */ J,     J,     J,     J,     J,     J,     J,     J, J, J, J,     J, J,     J, J, J,
    /* 90 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* a0 */ 0,     0,     0,     M,     M | B, M,     X,     X, 0, 0, 0,     M, M | B, M, M, M,
    /* b0 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M | B, M, M,     M, M, M,
    /* c0 */ M,     M,     M | B, M,     M | B, M | B, M | B, M, 0, 0, 0,     0, 0,     0, 0, 0,
    /* d0 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* e0 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
    /* f0 */ M,     M,     M,     M,     M,     M,     M,     M, M, M, M,     M, M,     M, M, M,
};
/* clang-format on */

enum opcode_map { MAP_ONE_BYTE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_OTHER };

struct decoder {
    const uint8_t *code;
    size_t available;
    size_t at;
    bool operand_16;
    bool address_32;
    bool rex_w;
    bool vector_prefix; /* VEX, EVEX or XOP */
    uint8_t rex_r, rex_b, rex_x;
    uint8_t map;
    uint8_t opcode;
    uint8_t follows;
    uint8_t mod, reg, rm;
    bool rip_relative;
    bool has_index;
    uint8_t base;
    int64_t displacement;
    int64_t immediate;
};

static bool take(struct decoder *d, uint8_t *byte) {
    if (d->at >= d->available || d->at >= MAX_INSN_BYTES)
        return false;
    *byte = d->code[d->at++];
    return true;
}

static bool take_signed(struct decoder *d, unsigned bytes, int64_t *value) {
    uint64_t bits = 0;

    if (d->at + bytes > d->available || d->at + bytes > MAX_INSN_BYTES)
        return false;
    memcpy(&bits, d->code + d->at, bytes);
    d->at += bytes;
    *value = bytes == 8 ? (int64_t)bits : (int64_t)(bits << (64 - 8 * bytes)) >> (64 - 8 * bytes);
    return true;
}

static void set_rex(struct decoder *d, uint8_t rex) {
    d->rex_w = rex & 8;
    d->rex_r = (rex & 4) << 1;
    d->rex_x = (rex & 2) << 2;
    d->rex_b = (rex & 1) << 3;
}

/* Legacy prefixes and REX; leaves the first byte that is neither in `byte`. Only a REX right before it counts. */
static bool take_prefixes(struct decoder *d, uint8_t *byte) {
    while (take(d, byte)) {
        switch (*byte) {
        case 0x66:
            d->operand_16 = true;
            break;
        case 0x67:
            d->address_32 = true;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0xf0:
        case 0xf2:
        case 0xf3:
            break;
        default:
            if ((*byte & 0xf0) != 0x40)
                return true;
            set_rex(d, *byte);
            continue;
        }
        set_rex(d, 0);
    }
    return false;
}

/* VEX (c4, c5), EVEX (62) and XOP (8f): payload bytes, then the opcode. */
static bool take_vector_prefix(struct decoder *d, uint8_t escape) {
    uint8_t first = 0, payload, map = 1;
    unsigned more = escape == 0x62 ? 2 : escape == 0xc5 ? 0 : 1;

    d->vector_prefix = true;
    if (!take(d, &first))
        return false;
    d->rex_r = first & 0x80 ? 0 : 8;
    if (escape != 0xc5) {
        map = first & (escape == 0x62 ? 0x07 : 0x1f);
        d->rex_x = first & 0x40 ? 0 : 8;
        d->rex_b = first & 0x20 ? 0 : 8;
    }
    while (more--)
        if (!take(d, &payload))
            return false;
    if (!take(d, &d->opcode))
        return false;
    if (escape == 0x8f) {
        d->map = MAP_OTHER;
        d->follows = map == 8 ? M | B : map == 9 ? M : map == 10 ? M | J : X;
        return true;
    }
    switch (map) {
    case 1:
        d->map = MAP_0F;
        d->follows = two_byte_map[d->opcode];
        return d->follows != J;
    case 2:
        d->map = MAP_0F38;
        d->follows = M;
        return true;
    case 3:
        d->map = MAP_0F3A;
        d->follows = M | B;
        return true;
    case 5:
    case 6: /* half-precision AVX-512: no immediates */
        d->map = MAP_OTHER;
        d->follows = escape == 0x62 ? M : X;
        return true;
    default:
        return false;
    }
}

static bool take_opcode(struct decoder *d) {
    uint8_t byte;

    if (!take_prefixes(d, &byte))
        return false;
    if (byte == 0xc4 || byte == 0xc5 || byte == 0x62)
        return take_vector_prefix(d, byte);
    /* 8f /0 is pop; any other value of these bits is an XOP map number of 8 or more. */
    if (byte == 0x8f && d->at < d->available && (d->code[d->at] & 0x1f) >= 8)
        return take_vector_prefix(d, byte);
    if (byte != 0x0f) {
        d->opcode = byte;
        d->follows = one_byte_map[byte];
        return true;
    }
    if (!take(d, &byte))
        return false;
    if (byte == 0x38 || byte == 0x3a) {
        d->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
        d->follows = byte == 0x38 ? M : M | B;
        return take(d, &d->opcode);
    }
    d->map = MAP_0F;
    d->opcode = byte;
    d->follows = two_byte_map[byte];
    return true;
}

static bool take_modrm(struct decoder *d) {
    uint8_t byte, sib;
    unsigned bytes = 0;

    if (!take(d, &byte))
        return false;
    d->mod = byte >> 6;
    d->reg = ((byte >> 3) & 7) | d->rex_r;
    d->rm = (byte & 7) | d->rex_b;
    /* Moves to and from control and debug registers have no memory form. */
    if (d->mod == 3 || (d->map == MAP_0F && !d->vector_prefix && (d->opcode & 0xfc) == 0x20)) {
        d->mod = 3;
        return true;
    }
    d->base = d->rm;
    if ((byte & 7) == 4) {
        if (!take(d, &sib))
            return false;
        d->has_index = (((sib >> 3) & 7) | d->rex_x) != 4;
        d->base = (sib & 7) | d->rex_b;
        if ((sib & 7) == 5 && d->mod == 0) {
            d->base = INTACT_INSN_NO_BASE;
            bytes = 4;
        }
    } else if ((byte & 7) == 5 && d->mod == 0) {
        d->rip_relative = true;
        d->base = INTACT_INSN_NO_BASE;
        bytes = 4;
    }
    if (d->mod == 1)
        bytes = 1;
    else if (d->mod == 2)
        bytes = 4;
    return !bytes || take_signed(d, bytes, &d->displacement);
}

static bool take_immediates(struct decoder *d) {
    unsigned full = d->operand_16 && !d->rex_w ? 2 : 4;
    bool group_3 = d->map == MAP_ONE_BYTE && (d->opcode & 0xfe) == 0xf6 && (d->reg & 6) == 0;
    uint8_t follows = d->follows;

    if (group_3) /* test, alone of its group, has an immediate */
        follows |= d->opcode == 0xf6 ? B : Z;
    if ((follows & O) && !take_signed(d, d->address_32 ? 4 : 8, &d->immediate))
        return false;
    if ((follows & W) && !take_signed(d, 2, &d->immediate))
        return false;
    if ((follows & B) && !take_signed(d, 1, &d->immediate))
        return false;
    if ((follows & J) && !take_signed(d, 4, &d->immediate))
        return false;
    if ((follows & Z) && !take_signed(d, full, &d->immediate))
        return false;
    return !(follows & V) || take_signed(d, d->rex_w ? 8 : full, &d->immediate);
}

static uint8_t memory_kind(const struct decoder *d) {
    if (d->mod == 3 || d->rip_relative || d->has_index || d->base == INTACT_INSN_NO_BASE)
        return INTACT_INSN_OTHER;
    if (d->map == MAP_ONE_BYTE && d->rex_w) {
        if (d->opcode == 0x8b)
            return INTACT_INSN_LOAD;
        if (d->opcode == 0x89)
            return INTACT_INSN_STORE;
        if (d->opcode == 0x01 || d->opcode == 0x29)
            return INTACT_INSN_ADJUST;
        /* Group 1: /0 is add, /5 is sub. */
        if ((d->opcode == 0x81 || d->opcode == 0x83) && ((d->reg & 7) == 0 || (d->reg & 7) == 5))
            return INTACT_INSN_ADJUST;
    }
    if (d->map == MAP_0F) {
        if (d->opcode == 0x10 || d->opcode == 0x28 || d->opcode == 0x6f)
            return INTACT_INSN_LOAD;
        if (d->opcode == 0x11 || d->opcode == 0x29 || d->opcode == 0x7f)
            return INTACT_INSN_STORE;
    }
    return INTACT_INSN_OTHER;
}

static void classify_one_byte(const struct decoder *d, struct intact_insn *insn) {
    uint8_t opcode = d->opcode, group = d->reg & 7;

    if (opcode == 0xe8)
        insn->kind = INTACT_INSN_CALL;
    else if (opcode == 0xe9 || opcode == 0xeb)
        insn->kind = INTACT_INSN_JUMP;
    else if ((opcode & 0xf0) == 0x70)
        insn->kind = INTACT_INSN_JUMP_IF;
    else if (opcode == 0xc3 || opcode == 0xc2)
        insn->kind = INTACT_INSN_RETURN;
    else if (opcode == 0xcc)
        insn->kind = INTACT_INSN_INT3;
    else if (opcode == 0xff && (group == 2 || group == 4))
        insn->kind = group == 2 ? INTACT_INSN_CALL_INDIRECT : INTACT_INSN_JUMP_INDIRECT;
    else if (opcode == 0x8d && d->rip_relative && d->rex_w)
        insn->kind = INTACT_INSN_LEA_RIP;
    else if ((opcode & 0xf8) == 0xb8 && !d->operand_16) {
        insn->kind = INTACT_INSN_SET_CONSTANT;
        insn->reg = (opcode & 7) | d->rex_b;
    } else if (opcode == 0xc7 && d->mod == 3 && group == 0 && !d->operand_16) {
        insn->kind = INTACT_INSN_SET_CONSTANT;
        insn->reg = d->rm;
    } else if ((opcode == 0x31 || opcode == 0x33) && d->mod == 3 && d->reg == d->rm) {
        insn->kind = INTACT_INSN_SET_CONSTANT;
        insn->constant = 0;
    }
}

bool intact_insn_decode(const uint8_t *code, size_t available, uint64_t address, struct intact_insn *insn) {
    struct decoder d = {.code = code, .available = available};

    if (!take_opcode(&d) || (d.follows & X))
        return false;
    if ((d.follows & M) && !take_modrm(&d))
        return false;
    if (!take_immediates(&d))
        return false;
    memset(insn, 0, sizeof(*insn));
    insn->length = (uint8_t)d.at;
    insn->reg = d.reg;
    insn->base = (d.follows & M) && d.mod != 3 && !d.has_index ? d.base : INTACT_INSN_NO_BASE;
    insn->displacement = (int32_t)d.displacement;
    insn->constant = d.immediate;
    if (d.vector_prefix || d.map != MAP_ONE_BYTE) {
        if (!d.vector_prefix && d.map == MAP_0F && (d.opcode & 0xf0) == 0x80)
            insn->kind = INTACT_INSN_JUMP_IF;
        else if (!d.vector_prefix && d.map == MAP_0F && d.opcode == 0x0b)
            insn->kind = INTACT_INSN_UD2;
    } else {
        classify_one_byte(&d, insn);
    }
    if (insn->kind == INTACT_INSN_OTHER && (d.follows & M))
        insn->kind = memory_kind(&d);
    insn->target = address + d.at + (uint64_t)(d.rip_relative ? d.displacement : d.immediate);
    return true;
}
