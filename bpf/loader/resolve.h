/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the TLS plaintext functions are in an ELF file, without a table of versions.
 */
#ifndef INTACT_RESOLVE_H
#define INTACT_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

#include "elf_file.h"

/* Raised when the same file may resolve differently: caches are keyed on it. */
#define INTACT_RESOLVER_VERSION 1

enum intact_tls_role {
    INTACT_TLS_SSL_READ = 1,
    INTACT_TLS_SSL_WRITE = 2,
    INTACT_TLS_SSL_READ_EX = 3,
    INTACT_TLS_SSL_WRITE_EX = 4,
    INTACT_TLS_SSL_FREE = 5,
    INTACT_TLS_SSL_SET_FD = 6,
    INTACT_TLS_SSL_NEW = 7,
    INTACT_TLS_SSL_SET_RFD = 8,
    INTACT_TLS_SSL_SET_WFD = 9,
};

enum intact_tls_method {
    INTACT_METHOD_SYMBOL = 1,
    INTACT_METHOD_BORINGSSL = 2,
};

enum intact_resolve_flags {
    /* Also scan the code for BoringSSL: reads the whole file, so only for main executables. */
    INTACT_RESOLVE_DEEP = 1 << 0,
    /* Ignore the symbol tables: to check the scan against them. */
    INTACT_RESOLVE_NO_SYMBOLS = 1 << 1,
};

struct intact_tls_function {
    uint64_t file_offset; /* what a uprobe takes */
    uint32_t role;        /* enum intact_tls_role */
    uint32_t method;      /* enum intact_tls_method */
};

/* A caller's array and how much of it is filled. */
struct intact_tls_functions {
    struct intact_tls_function *items;
    unsigned capacity;
    unsigned count;
};

/* Appends unless the same role is already there at the same place, or the array is full. */
void intact_add_function(struct intact_tls_functions *found, uint64_t file_offset, uint32_t role, uint32_t method);

/* True when both a read and a write are known. */
bool intact_functions_complete(const struct intact_tls_functions *found);

/* The number of functions written to `out`, or -errno. `why` gets one line when nothing was found or it was refused,
 * and is empty otherwise. Functions are only returned when both a read and a write are known. */
int intact_resolve(const char *path, uint32_t flags, struct intact_tls_function *out, unsigned capacity,
                   char build_id[INTACT_BUILD_ID_TEXT], char *why, unsigned why_length);

/* Only the identity of the file, for a cache: 0, or -errno. */
int intact_identify(const char *path, char build_id[INTACT_BUILD_ID_TEXT], uint64_t *size);

unsigned intact_resolver_version(void);

#endif
