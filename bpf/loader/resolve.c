/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks each method in turn, the surest first.
 */
#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boringssl.h"
#include "symbols.h"

void intact_add_function(struct intact_tls_functions *found, uint64_t file_offset, uint32_t role, uint32_t method) {
    for (unsigned i = 0; i < found->count; i++)
        if (found->items[i].file_offset == file_offset && found->items[i].role == role)
            return;
    if (found->count < found->capacity)
        found->items[found->count++] =
            (struct intact_tls_function){.file_offset = file_offset, .role = role, .method = method};
}

bool intact_functions_complete(const struct intact_tls_functions *found) {
    bool read = false, write = false;

    for (unsigned i = 0; i < found->count; i++) {
        uint32_t role = found->items[i].role;

        read |= role == INTACT_TLS_SSL_READ || role == INTACT_TLS_SSL_READ_EX;
        write |= role == INTACT_TLS_SSL_WRITE || role == INTACT_TLS_SSL_WRITE_EX;
    }
    return read && write;
}

static void ask_each_method(const struct intact_elf *elf, uint32_t flags, struct intact_tls_functions *found, char *why,
                            unsigned why_length) {
    if (!(flags & INTACT_RESOLVE_NO_SYMBOLS))
        intact_find_symbols(elf, found);
    if (intact_functions_complete(found))
        return;
    found->count = 0;
    if (flags & INTACT_RESOLVE_DEEP)
        intact_find_boringssl(elf, found, why, why_length);
    else
        snprintf(why, why_length, "no TLS symbols");
    if (!intact_functions_complete(found))
        found->count = 0;
}

int intact_resolve(const char *path, uint32_t flags, struct intact_tls_function *out, unsigned capacity,
                   char build_id[INTACT_BUILD_ID_TEXT], char *why, unsigned why_length) {
    struct intact_tls_functions found = {.items = out, .capacity = capacity};
    struct intact_elf elf;
    int error = intact_elf_open(&elf, path);

    build_id[0] = 0;
    if (why_length)
        why[0] = 0;
    if (error) {
        snprintf(why, why_length, "%s", error == -ENOEXEC ? "not an x86-64 ELF program" : strerror(-error));
        return error;
    }
    intact_elf_build_id(&elf, build_id);
    ask_each_method(&elf, flags, &found, why, why_length);
    intact_elf_close(&elf);
    return (int)found.count;
}

int intact_identify(const char *path, char build_id[INTACT_BUILD_ID_TEXT], uint64_t *size) {
    struct intact_elf elf;
    int error = intact_elf_open(&elf, path);

    build_id[0] = 0;
    *size = 0;
    if (error)
        return error;
    intact_elf_build_id(&elf, build_id);
    *size = elf.size;
    intact_elf_close(&elf);
    return 0;
}

unsigned intact_resolver_version(void) { return INTACT_RESOLVER_VERSION; }
