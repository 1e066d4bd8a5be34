/* SPDX-License-Identifier: Apache-2.0 */
/* A few transports in one loop, and what they saw. */
#ifndef UNIT_NODE_TRANSPORT_FIXTURE_H
#define UNIT_NODE_TRANSPORT_FIXTURE_H

#include "node/transport.h"

#define TRANSPORTS_MAX 3

/* A member under test, its id is its place + 1. */
struct end {
    struct transport *transport;
    struct fixture *fixture;
    node_id id;
    unsigned opened[TRANSPORTS_MAX + 1], closed[TRANSPORTS_MAX + 1]; /* by id of the peer */
    unsigned refused[TRANSPORTS_MAX + 1];                            /* by id of the peer */
    enum rk_status refusal;                                          /* the last one */
    bool by_host;                                                    /* of the last close */
    struct buffer received;                                          /* payloads */
    unsigned frames;
    uint8_t cluster; /* first byte of the cluster id it says and wants */
    bool says_other_name, says_other_target;
    unsigned version; /* it says; 0 = the right one */
    bool refuses_all;
    bool drops_members; /* inside received() */
    char log[4096];
    unsigned log_lines;
};

struct fixture {
    struct event_base *base;
    struct end ends[TRANSPORTS_MAX];
    struct membership members;
    unsigned ports[TRANSPORTS_MAX];
    SSL_CTX *tls[TRANSPORTS_MAX];
    unsigned watched; /* for predicates */
    node_id other;
    unsigned wanted;
};

int transports_setup(void **state);
int transports_teardown(void **state);

/* Starts the end with `id`, on its port. */
void end_open(struct fixture *f, node_id id);
void end_close(struct fixture *f, node_id id);
struct end *end_of(struct fixture *f, node_id id);

/* Both see each other; fails the test when the deadline passes. */
void wait_connected(struct fixture *f, node_id a, node_id b);
/* `id` has logged a line with `text`. */
void wait_logged(struct fixture *f, node_id id, const char *text);
void wait_received(struct fixture *f, node_id id, unsigned frames);
void wait_closed(struct fixture *f, node_id id, node_id peer, unsigned times);

/* Sends a FRAME_MESSAGE with this payload. */
void end_send(struct fixture *f, node_id from, node_id to, const char *payload);

/* A client socket (blocking) to the listener of `id`. */
int dial_raw(struct fixture *f, node_id id);
/* Sends bytes, then waits until the other side closes; returns what it said in `out`. */
void expect_raw_closed(struct fixture *f, int fd, struct buffer *out);

#endif
