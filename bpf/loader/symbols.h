/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS functions by name, from .dynsym and .symtab.
 */
#ifndef INTACT_SYMBOLS_H
#define INTACT_SYMBOLS_H

#include "elf_file.h"
#include "resolve.h"

/* Appends the TLS functions the symbol tables name; a name met twice at one place is appended once. */
void intact_find_symbols(const struct intact_elf *elf, struct intact_tls_functions *found);

#endif
