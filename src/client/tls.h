/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of a client connection, between memory buffers: the transport owns the socket, so that
 * deadlines and MSG_NOSIGNAL hold for TLS as for plain text.
 */
#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "base/status.h"

struct tls_context; /* certificates; shared by the connections of one client */
struct tls_session; /* one connection */

struct rk_options;
struct ssl_st; /* OpenSSL's */

/* The certificate must carry this name: an address, or a host name that is sent as SNI, too. */
bool tls_expect_name(struct ssl_st *ssl, const char *name);

/* Loads what the options name.  Errors: CONFIG. */
enum rk_status tls_context_new(const struct rk_options *options, struct tls_context **ret_context,
                               struct errmsg *why) MUST_USE;
void tls_context_free(struct tls_context *context); /* accepts NULL */

/* `host` is what the certificate must name unless the options gave a server name. */
enum rk_status tls_session_new(struct tls_context *context, const char *host,
                               struct tls_session **ret_session, struct errmsg *why) MUST_USE;
void tls_session_free(struct tls_session *s); /* accepts NULL */

/* Ciphertext in from the socket, and out to it (appended to `out`). */
void tls_session_feed(struct tls_session *s, const void *data, size_t size);
void tls_session_drain(struct tls_session *s, struct buffer *out);

/* One step of the handshake; *ret_done says whether it is over.  Errors: NOPERM. */
enum rk_status tls_session_handshake(struct tls_session *s, bool *ret_done,
                                     struct errmsg *why) MUST_USE;

/* Plaintext.  *ret_size 0 = more ciphertext is needed first.  Errors: CLOSED. */
enum rk_status tls_session_write(struct tls_session *s, const void *data, size_t size,
                                 size_t *ret_size, struct errmsg *why) MUST_USE;
enum rk_status tls_session_read(struct tls_session *s, void *data, size_t size, size_t *ret_size,
                                struct errmsg *why) MUST_USE;

#endif
