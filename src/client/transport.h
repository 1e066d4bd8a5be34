/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One byte stream to a server, plain or TLS, that never blocks past a deadline.
 *
 * The socket is non-blocking; SIGPIPE is never raised.  Deadlines are monotonic milliseconds.
 * Thread: one at a time.
 */
#ifndef CLIENT_TRANSPORT_H
#define CLIENT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "base/status.h"
#include "client/options.h"
#include "client/tls.h"

struct transport;

/*
 * Connects to the first address of the endpoint that answers, and shakes hands.  Name
 * resolution is the C library's and not bounded by the deadline.  `tls` NULL = plain.
 * Errors: UNREACHABLE, TIMED_OUT, NOPERM (the certificate was refused).
 */
enum rk_status transport_dial(const struct endpoint *endpoint, struct tls_context *tls,
                              int64_t deadline_ms, struct transport **ret_transport,
                              struct errmsg *why) MUST_USE;
void transport_close(struct transport *t); /* accepts NULL */

/* Hands over as many bytes as fit now; *ret_size may be 0.  Errors: CLOSED. */
enum rk_status transport_send(struct transport *t, const void *data, size_t size, size_t *ret_size,
                              struct errmsg *why) MUST_USE;

/* Takes what has come; *ret_size 0 = nothing yet.  Errors: CLOSED. */
enum rk_status transport_receive(struct transport *t, void *data, size_t size, size_t *ret_size,
                                 struct errmsg *why) MUST_USE;

/* True while bytes handed to transport_send have not reached the kernel (TLS only). */
bool transport_has_output(const struct transport *t);

/* The socket, to wait on. */
int transport_fd(const struct transport *t);

/* Waits until bytes can be received, or sent if `wants_send`.  Errors: TIMED_OUT. */
enum rk_status transport_wait(struct transport *t, bool wants_send, int64_t deadline_ms) MUST_USE;

#endif
