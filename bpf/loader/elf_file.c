/* SPDX-License-Identifier: Apache-2.0
 *
 * ELF64 headers, segments and the build-id, by pread: a mapping would raise SIGBUS in the
 * sensor when someone truncates the file, and would count towards its memory.
 */
#include "elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Program headers looked at; the kernel refuses tables over 64 KiB, real files have about a dozen. */
#define MAX_PROGRAM_HEADERS 128
/* Notes looked at in one PT_NOTE, and bytes of it. */
#define MAX_NOTES 64
#define MAX_NOTE_BYTES 8192
/* Bytes hashed at each end of a file that has no build-id. */
#define HASHED_END_BYTES (64 * 1024)

size_t intact_elf_read(const struct intact_elf *elf, uint64_t offset, void *buffer, size_t length) {
    size_t done = 0;

    if (offset >= elf->size)
        return 0;
    if (length > elf->size - offset)
        length = elf->size - offset;
    while (done < length) {
        ssize_t got = pread(elf->fd, (char *)buffer + done, length - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

const struct intact_segment *intact_elf_segment(const struct intact_elf *elf, uint64_t address) {
    for (unsigned i = 0; i < elf->segment_count; i++) {
        const struct intact_segment *segment = &elf->segments[i];

        if (address >= segment->address && address - segment->address < segment->size)
            return segment;
    }
    return NULL;
}

size_t intact_elf_read_at(const struct intact_elf *elf, uint64_t address, void *buffer, size_t length) {
    const struct intact_segment *segment = intact_elf_segment(elf, address);
    uint64_t within;

    if (!segment)
        return 0;
    within = address - segment->address;
    if (length > segment->size - within)
        length = segment->size - within;
    return intact_elf_read(elf, segment->offset + within, buffer, length);
}

static bool read_program_header(const struct intact_elf *elf, unsigned index, Elf64_Phdr *header) {
    uint64_t offset = elf->program_offset + (uint64_t)index * sizeof(*header);

    return intact_elf_read(elf, offset, header, sizeof(*header)) == sizeof(*header);
}

static void add_segment(struct intact_elf *elf, const Elf64_Phdr *header) {
    struct intact_segment *segment = &elf->segments[elf->segment_count];

    if (header->p_offset >= elf->size || !header->p_filesz)
        return;
    segment->address = header->p_vaddr;
    segment->offset = header->p_offset;
    segment->size = header->p_filesz;
    if (segment->size > elf->size - segment->offset)
        segment->size = elf->size - segment->offset;
    segment->executable = header->p_flags & PF_X;
    if (segment->address + segment->size < segment->address)
        return;
    elf->segment_count++;
}

static int read_headers(struct intact_elf *elf) {
    Elf64_Ehdr header;

    if (intact_elf_read(elf, 0, &header, sizeof(header)) != sizeof(header) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64)
        return -ENOEXEC;
    if ((header.e_type != ET_EXEC && header.e_type != ET_DYN) || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phoff >= elf->size)
        return -ENOEXEC;
    elf->program_offset = header.e_phoff;
    elf->program_count = header.e_phnum < MAX_PROGRAM_HEADERS ? header.e_phnum : MAX_PROGRAM_HEADERS;
    /* Stripped files may have no sections at all: .dynsym is then found through PT_DYNAMIC. */
    if (header.e_shentsize == sizeof(Elf64_Shdr) && header.e_shoff && header.e_shoff < elf->size) {
        elf->section_offset = header.e_shoff;
        elf->section_count = header.e_shnum;
    }
    for (unsigned i = 0; i < elf->program_count; i++) {
        Elf64_Phdr program;

        if (!read_program_header(elf, i, &program))
            break;
        if (program.p_type == PT_LOAD && elf->segment_count < INTACT_ELF_MAX_SEGMENTS)
            add_segment(elf, &program);
    }
    return elf->segment_count ? 0 : -ENOEXEC;
}

int intact_elf_open(struct intact_elf *elf, const char *path) {
    struct stat status;
    int error;

    memset(elf, 0, sizeof(*elf));
    /* O_NONBLOCK: a fifo planted at the path must not hang the sensor. */
    elf->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (elf->fd < 0)
        return -errno;
    if (fstat(elf->fd, &status) != 0) {
        error = -errno;
    } else if (!S_ISREG(status.st_mode)) {
        error = -ENOEXEC;
    } else {
        elf->size = (uint64_t)status.st_size;
        error = read_headers(elf);
    }
    if (error)
        intact_elf_close(elf);
    return error;
}

void intact_elf_close(struct intact_elf *elf) {
    if (elf->fd >= 0)
        close(elf->fd);
    elf->fd = -1;
}

static void write_hex(char *text, const uint8_t *bytes, size_t length) {
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = 0;
}

/* Walks the notes of one PT_NOTE; true when it held a GNU build-id. */
static bool find_build_id(const uint8_t *notes, size_t length, size_t alignment, char *text) {
    size_t at = 0;

    for (unsigned i = 0; i < MAX_NOTES && length - at >= sizeof(Elf64_Nhdr); i++) {
        Elf64_Nhdr note;
        size_t name, value, next;

        memcpy(&note, notes + at, sizeof(note));
        name = at + sizeof(note);
        if (note.n_namesz > length - name)
            return false;
        value = (name + note.n_namesz + alignment - 1) & ~(alignment - 1);
        if (value > length || note.n_descsz > length - value)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0 &&
            note.n_descsz > 0 && note.n_descsz <= INTACT_BUILD_ID_MAX_BYTES) {
            write_hex(text, notes + value, note.n_descsz);
            return true;
        }
        next = (value + note.n_descsz + alignment - 1) & ~(alignment - 1);
        if (next > length)
            return false;
        at = next;
    }
    return false;
}

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) {
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3ULL;
    return hash;
}

static void hash_ends(const struct intact_elf *elf, char *text) {
    uint8_t *buffer = malloc(HASHED_END_BYTES);
    uint64_t hash = hash_bytes(0xcbf29ce484222325ULL, &elf->size, sizeof(elf->size));
    uint64_t tail = elf->size > HASHED_END_BYTES ? elf->size - HASHED_END_BYTES : 0;

    text[0] = 0;
    if (!buffer)
        return;
    hash = hash_bytes(hash, buffer, intact_elf_read(elf, 0, buffer, HASHED_END_BYTES));
    hash = hash_bytes(hash, buffer, intact_elf_read(elf, tail, buffer, HASHED_END_BYTES));
    free(buffer);
    snprintf(text, INTACT_BUILD_ID_TEXT, "hash:%016llx", (unsigned long long)hash);
}

void intact_elf_build_id(const struct intact_elf *elf, char text[INTACT_BUILD_ID_TEXT]) {
    uint8_t notes[MAX_NOTE_BYTES];

    for (unsigned i = 0; i < elf->program_count; i++) {
        Elf64_Phdr program;
        size_t wanted;

        if (!read_program_header(elf, i, &program))
            break;
        if (program.p_type != PT_NOTE)
            continue;
        wanted = program.p_filesz < sizeof(notes) ? program.p_filesz : sizeof(notes);
        wanted = intact_elf_read(elf, program.p_offset, notes, wanted);
        if (find_build_id(notes, wanted, program.p_align == 8 ? 8 : 4, text))
            return;
    }
    hash_ends(elf, text);
}
