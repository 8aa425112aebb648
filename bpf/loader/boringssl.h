/* SPDX-License-Identifier: Apache-2.0
 *
 * SSL_read and SSL_write of a BoringSSL that is linked in statically and stripped.
 */
#ifndef INTACT_BORINGSSL_H
#define INTACT_BORINGSSL_H

#include "elf_file.h"
#include "resolve.h"

/* Appends SSL_read and SSL_write when there is exactly one candidate for each, and then SSL_new likewise; else says in
 * `why` why not. */
void intact_find_boringssl(const struct intact_elf *elf, struct intact_tls_functions *found, char *why,
                           unsigned why_length);

#endif
