/* SPDX-License-Identifier: Apache-2.0
 *
 * Where code refers to a string and where calls lead, in the executable segments of a file.
 */
#ifndef INTACT_XREF_H
#define INTACT_XREF_H

#include "elf_file.h"

struct intact_range {
    uint64_t first;
    uint64_t last; /* inclusive */
};

/* An instruction that loads the address of a string. */
struct intact_reference {
    uint64_t at;     /* address of its 32-bit operand */
    uint64_t target; /* the string */
};

/* A call or jump, rel32, with a 16-aligned target. Bytes that only look like one are among them. */
struct intact_branch {
    uint64_t target;
    uint64_t source;
};

struct intact_references {
    struct intact_reference *items;
    unsigned capacity;
    unsigned count; /* may exceed `capacity`: those past it were not kept */
};

struct intact_branches {
    struct intact_branch *items;
    unsigned capacity;
    unsigned count; /* as above */
};

/* Addresses at which a string ending in `suffix` (its NUL included) may begin; the number of ranges written. */
unsigned intact_find_string(const struct intact_elf *elf, const char *suffix, struct intact_range *ranges,
                            unsigned capacity);

/* Every `lea reg, [rip+disp]` and `mov reg, imm32` whose operand lies in one of `ranges`. */
void intact_find_references(const struct intact_elf *elf, const struct intact_range *ranges, unsigned range_count,
                            struct intact_references *found);

/* Every rel32 call and jump to a 16-aligned address in `ranges`, which are sorted and apart. Calls come as they are;
 * jumps only from further off than `jump_distance`, since nearer ones are loops. */
void intact_find_branches(const struct intact_elf *elf, const struct intact_range *ranges, unsigned range_count,
                          uint64_t jump_distance, struct intact_branches *found);

#endif
