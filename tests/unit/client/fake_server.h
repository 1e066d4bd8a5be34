/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that follows a script: one step per request, over as many connections as it takes.
 * Runs in a thread of its own on a free port of loopback.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_SERVER_H
#define TESTS_UNIT_CLIENT_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct fake_step {
    const char *expect; /* words the request must hold, joined by blanks; NULL = any */
    const char *reply;  /* bytes; NULL = none */
    bool closes;        /* the connection, after the reply if there is one */
    bool drips;         /* sends the reply byte by byte */
};

struct fake_server;

/* The steps are borrowed.  After the last one further connections are refused. */
struct fake_server *fake_server_start(const struct fake_step *steps, size_t count);

/* "127.0.0.1:port", valid until the end. */
const char *fake_server_address(const struct fake_server *s);

/* Request `i` as words joined by blanks; "" when it did not come.  After fake_server_stop(). */
const char *fake_server_request(const struct fake_server *s, size_t i);

/* Ends the thread; fails the test when a step was not reached or a request was not expected. */
void fake_server_stop(struct fake_server *s);
void fake_server_free(struct fake_server *s);

#endif
