/* SPDX-License-Identifier: Apache-2.0 */
/* A server over the fake node, and a client's socket to it. */
#ifndef TESTS_UNIT_SERVER_SERVER_FIXTURE_H
#define TESTS_UNIT_SERVER_SERVER_FIXTURE_H

#include "fake_node.h"
#include "server/server.h"

struct fixture {
    struct event_base *base;
    struct node *node;
    struct server *server;
    int fd;
    struct buffer seen; /* what came and was not compared yet, NUL-terminated */
    bool is_closed;     /* by the server */
};

/* `options` NULL = defaults; the addresses are set here. */
void fixture_open(struct fixture *f, const struct server_options *options);
void fixture_close(struct fixture *f);

int fixture_connect(struct fixture *f, bool is_http);

/* Turns the loop until nothing moves any more; what came is in f->seen. */
void fixture_settle(struct fixture *f);

void fixture_send(struct fixture *f, const void *bytes, size_t size);

/* Sends the words, separated by one space each, as one RESP request. */
void fixture_ask(struct fixture *f, const char *words);

/* Settles, and expects exactly this to have come since the last look. */
void fixture_expect(struct fixture *f, const char *text);

/* Asks and expects. */
void fixture_chat(struct fixture *f, const char *words, const char *text);

#define OID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define OID_0 "0000000000000000000000000000000000000000"

#endif
