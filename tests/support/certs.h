/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for tests, made by scripts/make-certs in a directory of its own:
 *
 *   good/     ca, n1 n2 n3, client alice
 *   expired/  the same CA, n1 that ended yesterday
 *   other/    another CA, n1
 */
#ifndef SUPPORT_CERTS_H
#define SUPPORT_CERTS_H

#include "node/tls.h"

struct certs {
    char dir[64];
};

void certs_make(struct certs *c); /* fails the test when openssl cannot */
void certs_remove(struct certs *c);

/* dir/file in a buffer that the next four calls leave alone. */
const char *certs_path(const struct certs *c, const char *file);

/* The context of node `name` with its CA, both in `set`. */
SSL_CTX *certs_peer_context(const struct certs *c, const char *set, const char *name);

#endif
