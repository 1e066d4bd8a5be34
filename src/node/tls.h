/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts from files.  Peers: TLS 1.3, both sides present certificates [DESIGN 5].
 *
 * Errors of the two makers are CONFIG, with the file and OpenSSL's reason in `why`; nothing of
 * a key's content is ever in a message.
 */
#ifndef NODE_TLS_H
#define NODE_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "base/status.h"

struct tls_options {
    const char *ca_file; /* PEM; who may sign the other side; NULL = no certificate is asked for */
    const char *cert_file; /* PEM chain */
    const char *key_file;  /* PEM; refused when readable by group or others */
    bool requires_client_cert;
};

/* Both sides of peer connections: TLS 1.3 only, peer verification on. */
enum rk_status tls_peer_context(const struct tls_options *options, SSL_CTX **ret_context,
                                struct errmsg *why) MUST_USE;

/* Servers for clients (RESP, HTTP): TLS 1.2 and up, client certificates by option. */
enum rk_status tls_server_context(const struct tls_options *options, SSL_CTX **ret_context,
                                  struct errmsg *why) MUST_USE;

/* True when the verified certificate of the other side names `name` as a DNS or URI SAN
 * ("refkeeper://node/<name>"). */
bool tls_peer_is_named(SSL *ssl, const char *name);

/* When the context's own certificate ends, in seconds since 1970 UTC; false = it has none. */
bool tls_not_after(const SSL_CTX *context, int64_t *ret_seconds);

/* The same of the first certificate in a PEM file. */
bool tls_file_not_after(const char *cert_file, int64_t *ret_seconds);

#endif
