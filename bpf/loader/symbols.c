/* SPDX-License-Identifier: Apache-2.0
 *
 * Two streaming passes, so that a table of any size costs no memory: the string table gives the offsets
 * of the few names wanted, then symbols are compared by that offset alone.
 */
#define _GNU_SOURCE
#include "symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* Linkers merge names into the tails of others, so that one name can occur at several offsets. */
#define MAX_NAME_HITS 64
/* Names with our prefix examined: OpenSSL has 600, and a table of nothing else must not cost seconds. */
#define MAX_PREFIX_HITS (1u << 19)
/* Symbols and string bytes examined in one table; an unstripped browser has about two million and 300 MB. */
#define MAX_SYMBOLS (4u << 20)
#define MAX_STRING_BYTES (512u << 20)
/* Symbols with one hash; linkers choose buckets so that there are a few. */
#define MAX_HASH_CHAIN 4096
#define WINDOW_BYTES (256 * 1024)
#define PREFIX "SSL_"

static const struct wanted_name {
    const char *name;
    uint32_t role;
} wanted_names[] = {
    {"SSL_read", INTACT_TLS_SSL_READ},       {"SSL_write", INTACT_TLS_SSL_WRITE},
    {"SSL_read_ex", INTACT_TLS_SSL_READ_EX}, {"SSL_write_ex", INTACT_TLS_SSL_WRITE_EX},
    {"SSL_free", INTACT_TLS_SSL_FREE},       {"SSL_new", INTACT_TLS_SSL_NEW},
    {"SSL_set_fd", INTACT_TLS_SSL_SET_FD},   {"SSL_set_rfd", INTACT_TLS_SSL_SET_RFD},
    {"SSL_set_wfd", INTACT_TLS_SSL_SET_WFD},
};

#define LONGEST_NAME sizeof("SSL_write_ex")

struct table {
    uint64_t symbols_offset;
    uint64_t symbols_count;
    uint64_t strings_offset;
    uint64_t strings_size;
};

struct name_hit {
    uint32_t offset;
    uint32_t role;
};

struct name_hits {
    unsigned count;
    struct name_hit items[MAX_NAME_HITS];
};

/* `name` is NUL-terminated within `available` bytes, or it is none of ours. */
static uint32_t role_of(const char *name, size_t available) {
    for (size_t i = 0; i < sizeof(wanted_names) / sizeof(wanted_names[0]); i++) {
        size_t size = strlen(wanted_names[i].name) + 1;

        if (size <= available && memcmp(name, wanted_names[i].name, size) == 0)
            return wanted_names[i].role;
    }
    return 0;
}

static void find_names(const struct intact_elf *elf, const struct table *table, char *window, struct name_hits *hits) {
    uint64_t at = 0;
    unsigned seen = 0;

    while (at < table->strings_size) {
        uint64_t left = table->strings_size - at;
        size_t wanted = left < WINDOW_BYTES ? left : WINDOW_BYTES;
        size_t length = intact_elf_read(elf, table->strings_offset + at, window, wanted);
        char *name = window;

        while ((name = memmem(name, length - (size_t)(name - window), PREFIX, sizeof(PREFIX) - 1))) {
            size_t within = (size_t)(name - window);
            uint32_t role = role_of(name, length - within);

            if (role && hits->count < MAX_NAME_HITS)
                hits->items[hits->count++] = (struct name_hit){.offset = (uint32_t)(at + within), .role = role};
            name += sizeof(PREFIX) - 1;
            if (++seen == MAX_PREFIX_HITS)
                return;
        }
        if (length < WINDOW_BYTES)
            return;
        at += length - LONGEST_NAME; /* a name across the cut is whole in the next window */
    }
}

static void add_symbol(const struct intact_elf *elf, const Elf64_Sym *symbol, uint32_t role,
                       struct intact_tls_functions *found) {
    const struct intact_segment *segment = intact_elf_segment(elf, symbol->st_value);

    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF || !segment || !segment->executable)
        return;
    intact_add_function(found, symbol->st_value - segment->address + segment->offset, role, INTACT_METHOD_SYMBOL);
}

static void match_symbols(const struct intact_elf *elf, const struct table *table, char *window,
                          const struct name_hits *hits, struct intact_tls_functions *found) {
    const uint64_t batch = WINDOW_BYTES / sizeof(Elf64_Sym);

    for (uint64_t done = 0; done < table->symbols_count; done += batch) {
        uint64_t left = table->symbols_count - done;
        size_t wanted = (left < batch ? left : batch) * sizeof(Elf64_Sym);
        uint64_t offset = table->symbols_offset + done * sizeof(Elf64_Sym);
        size_t count = intact_elf_read(elf, offset, window, wanted) / sizeof(Elf64_Sym);
        const Elf64_Sym *symbols = (const Elf64_Sym *)(const void *)window;

        for (size_t i = 0; i < count; i++)
            for (unsigned hit = 0; hit < hits->count; hit++)
                if (symbols[i].st_name == hits->items[hit].offset)
                    add_symbol(elf, &symbols[i], hits->items[hit].role, found);
        if (count * sizeof(Elf64_Sym) < wanted)
            return;
    }
}

static void search_table(const struct intact_elf *elf, struct table *table, struct intact_tls_functions *found) {
    struct name_hits *hits = calloc(1, sizeof(*hits));
    char *window = malloc(WINDOW_BYTES);

    if (table->strings_size > MAX_STRING_BYTES)
        table->strings_size = MAX_STRING_BYTES;
    if (table->symbols_count > MAX_SYMBOLS)
        table->symbols_count = MAX_SYMBOLS;
    if (hits && window) {
        find_names(elf, table, window, hits);
        if (hits->count)
            match_symbols(elf, table, window, hits, found);
    }
    free(window);
    free(hits);
}

static bool read_section(const struct intact_elf *elf, unsigned index, Elf64_Shdr *header) {
    uint64_t offset = elf->section_offset + (uint64_t)index * sizeof(*header);

    return index < elf->section_count && intact_elf_read(elf, offset, header, sizeof(*header)) == sizeof(*header);
}

/* The first section of `type`; a second one is not something a linker makes. */
static bool table_from_sections(const struct intact_elf *elf, uint32_t type, struct table *table) {
    Elf64_Shdr symbols, strings;

    for (unsigned i = 0; i < elf->section_count; i++) {
        if (!read_section(elf, i, &symbols))
            return false;
        if (symbols.sh_type != type)
            continue;
        if (symbols.sh_entsize != sizeof(Elf64_Sym) || !read_section(elf, symbols.sh_link, &strings) ||
            strings.sh_type != SHT_STRTAB)
            return false;
        *table =
            (struct table){symbols.sh_offset, symbols.sh_size / sizeof(Elf64_Sym), strings.sh_offset, strings.sh_size};
        return true;
    }
    return false;
}

struct dynamic {
    uint64_t symbols, strings, strings_size, hash, gnu_hash;
};

static bool read_dynamic(const struct intact_elf *elf, struct dynamic *dynamic) {
    Elf64_Phdr program;
    Elf64_Dyn entries[128]; /* real tables have 20 to 40 */
    size_t count = 0;

    for (unsigned i = 0; i < elf->program_count && !count; i++) {
        uint64_t offset = elf->program_offset + (uint64_t)i * sizeof(program);

        if (intact_elf_read(elf, offset, &program, sizeof(program)) != sizeof(program))
            return false;
        if (program.p_type == PT_DYNAMIC) {
            size_t wanted = program.p_filesz < sizeof(entries) ? program.p_filesz : sizeof(entries);

            count = intact_elf_read(elf, program.p_offset, entries, wanted) / sizeof(entries[0]);
        }
    }
    for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
        uint64_t value = entries[i].d_un.d_val;

        switch (entries[i].d_tag) {
        case DT_SYMTAB:
            dynamic->symbols = value;
            break;
        case DT_STRTAB:
            dynamic->strings = value;
            break;
        case DT_STRSZ:
            dynamic->strings_size = value;
            break;
        case DT_HASH:
            dynamic->hash = value;
            break;
        case DT_GNU_HASH:
            dynamic->gnu_hash = value;
            break;
        }
    }
    return dynamic->symbols && dynamic->strings;
}

/* DT_GNU_HASH holds no count: it is one more than the end of the chain of the highest bucket. */
static uint64_t gnu_hash_count(const struct intact_elf *elf, uint64_t address) {
    uint32_t header[4], buckets[1024], chain, highest = 0;
    uint64_t at;

    if (intact_elf_read_at(elf, address, header, sizeof(header)) != sizeof(header))
        return 0;
    at = address + sizeof(header) + 8ULL * header[2];
    for (uint32_t done = 0; done < header[0] && done < MAX_SYMBOLS; done += 1024) {
        uint32_t batch = header[0] - done < 1024 ? header[0] - done : 1024;
        size_t count = intact_elf_read_at(elf, at + 4ULL * done, buckets, 4ULL * batch) / 4;

        for (size_t i = 0; i < count; i++)
            highest = buckets[i] > highest ? buckets[i] : highest;
        if (count < batch)
            return 0;
    }
    if (highest < header[1])
        return header[1];
    at += 4ULL * header[0];
    for (unsigned i = 0; i < MAX_HASH_CHAIN; i++, highest++)
        if (intact_elf_read_at(elf, at + 4ULL * (highest - header[1]), &chain, sizeof(chain)) != sizeof(chain) ||
            (chain & 1))
            break;
    return highest + 1ULL;
}

static bool table_from_dynamic(const struct intact_elf *elf, struct table *table) {
    struct dynamic dynamic = {0};
    const struct intact_segment *symbols, *strings;
    uint32_t hash[2] = {0};

    if (!read_dynamic(elf, &dynamic))
        return false;
    symbols = intact_elf_segment(elf, dynamic.symbols);
    strings = intact_elf_segment(elf, dynamic.strings);
    if (!symbols || !strings)
        return false;
    table->symbols_offset = symbols->offset + (dynamic.symbols - symbols->address);
    table->strings_offset = strings->offset + (dynamic.strings - strings->address);
    table->strings_size = dynamic.strings_size;
    if (dynamic.hash && intact_elf_read_at(elf, dynamic.hash, hash, sizeof(hash)) == sizeof(hash))
        table->symbols_count = hash[1];
    else if (dynamic.gnu_hash)
        table->symbols_count = gnu_hash_count(elf, dynamic.gnu_hash);
    return table->symbols_count > 0;
}

void intact_find_symbols(const struct intact_elf *elf, struct intact_tls_functions *found) {
    struct table table = {0};

    if (table_from_sections(elf, SHT_DYNSYM, &table) || table_from_dynamic(elf, &table))
        search_table(elf, &table, found);
    if (!intact_functions_complete(found) && table_from_sections(elf, SHT_SYMTAB, &table))
        search_table(elf, &table, found);
}
