/* SPDX-License-Identifier: Apache-2.0 */
/* A transport with requests going out and replies coming in, in order. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdbool.h>

#include "base/bytes.h"
#include "client/options.h"
#include "client/tls.h"

struct connection;

/*
 * Dials, and authenticates when the options say so.  Errors: UNREACHABLE, TIMED_OUT, CLOSED,
 * NOPERM, NOAUTH.
 */
enum rk_status connection_open(const struct rk_options *options, const struct endpoint *endpoint,
                               struct tls_context *tls, int64_t deadline_ms,
                               struct connection **ret_connection, struct rk_error *error) MUST_USE;
void connection_close(struct connection *c); /* accepts NULL */

const struct endpoint *connection_endpoint(const struct connection *c);

/* For a loop of its own, which then leaves connection_send() and _receive() alone. */
struct transport *connection_transport(struct connection *c);

/*
 * Sends all bytes; replies that come meanwhile are kept, so that two full pipes never wait for
 * each other.  *ret_has_left: true when at least one byte may have left, also on errors.
 * Errors: CLOSED, TIMED_OUT.
 */
enum rk_status connection_send(struct connection *c, struct slice bytes, int64_t deadline_ms,
                               bool *ret_has_left, struct errmsg *why) MUST_USE;

/* The next reply.  Errors: CLOSED, TIMED_OUT, PROTOCOL. */
enum rk_status connection_receive(struct connection *c, int64_t deadline_ms,
                                  struct rk_reply **ret_reply, struct errmsg *why) MUST_USE;

/* Appends one encoded request. */
void request_encode(struct buffer *out, int argc, const char **argv, const size_t *sizes);

#endif
