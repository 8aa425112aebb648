/* SPDX-License-Identifier: Apache-2.0
 *
 * A read-only, bounds-checked view of one ELF64 x86-64 file.
 */
#ifndef INTACT_ELF_FILE_H
#define INTACT_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Linkers emit four to eight PT_LOADs; a file with more than this is not worth trusting. */
#define INTACT_ELF_MAX_SEGMENTS 32
/* Bytes of one build-id that are kept; SHA-1 has 20, the longest in use 32. */
#define INTACT_BUILD_ID_MAX_BYTES 32
/* Hexadecimal build-id, or "hash:" and 16 digits, and a NUL. */
#define INTACT_BUILD_ID_TEXT (2 * INTACT_BUILD_ID_MAX_BYTES + 1)

struct intact_segment {
    uint64_t address;
    uint64_t offset;
    uint64_t size; /* bytes in the file, already cut to its end */
    bool executable;
};

struct intact_elf {
    int fd;
    uint64_t size;
    uint64_t program_offset;
    uint64_t section_offset;
    unsigned program_count;
    unsigned section_count;
    unsigned segment_count;
    struct intact_segment segments[INTACT_ELF_MAX_SEGMENTS];
};

/* 0, or -errno; -ENOEXEC when the file is not an ELF64 x86-64 executable or library. */
int intact_elf_open(struct intact_elf *elf, const char *path);
void intact_elf_close(struct intact_elf *elf);

/* Bytes read, fewer than asked for at the end of the file or on an I/O error. */
size_t intact_elf_read(const struct intact_elf *elf, uint64_t offset, void *buffer, size_t length);

/* The same by virtual address; never crosses the end of the segment. */
size_t intact_elf_read_at(const struct intact_elf *elf, uint64_t address, void *buffer, size_t length);

/* The segment that holds `address` in the file, or NULL. */
const struct intact_segment *intact_elf_segment(const struct intact_elf *elf, uint64_t address);

/* GNU build-id in hexadecimal; without one, "hash:" and a hash of the size and of both ends of the file. */
void intact_elf_build_id(const struct intact_elf *elf, char text[INTACT_BUILD_ID_TEXT]);

#endif
