/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What RESP and HTTP connections have in common: a stream, a place in the server's lists,
 * a deadline, and being flushed once per turn.
 */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include "model/types.h"
#include "node/stream.h"

struct server;
struct connection;

/* What a connection is given time for; each class has one span, so its list is in order. */
enum deadline {
    DEADLINE_NONE,
    DEADLINE_OPENING, /* TLS handshake, AUTH where a password is asked for */
    DEADLINE_REQUEST, /* half a RESP request, or the body of an HTTP request */
    DEADLINE_HEAD,    /* the head of an HTTP request */
    DEADLINE_IDLE,    /* HTTP between requests */
    DEADLINE_OUTPUT,  /* answers that the other side does not read */
    DEADLINE_COUNT,
};

struct connection_ops {
    size_t (*input)(struct connection *c, struct slice input);
    void (*opened)(struct connection *c);
    /* It was closed, its stream is gone: what the node still owes it is not wanted any more. */
    void (*leave)(struct connection *c);
    /* Nobody refers to it any more. */
    void (*free)(struct connection *c);
    /* Output was flushed, or more of it left: may take more requests. */
    void (*flushed)(struct connection *c);
    /* Stop taking requests; close when the pending ones are answered. */
    void (*drain)(struct connection *c);
    /* The deadline has passed: say a last word.  It is closed after this. */
    void (*expired)(struct connection *c, enum deadline deadline);
};

struct connection_link {
    struct connection *next;
    struct connection *previous;
};

struct connection {
    const struct connection_ops *ops;
    struct server *server;
    struct stream *stream;
    struct connection_link all;
    struct connection_link timed;
    time_ms since_ms; /* when its deadline began */
    enum deadline deadline;
    bool is_http;
    bool is_dirty;       /* in the server's list of connections to flush */
    bool wants_to_close; /* after its output has left */
    bool is_closed;      /* freed when the server has left it */
    struct connection *next_dirty;
};

/* Takes an accepted socket; `c` was allocated by the protocol and is freed by ops->free. */
void connection_open(struct connection *c, struct server *server, int fd, bool is_http,
                     const struct connection_ops *ops);

/* To be flushed at the end of the turn. */
void connection_touch(struct connection *c);

/* Starts the deadline anew, or with DEADLINE_NONE ends it.  The same class goes on running. */
void connection_expect(struct connection *c, enum deadline deadline);

/* Closes when the output has left, at the latest when its deadline passes. */
void connection_finish(struct connection *c);

/* Closes at once; `c` is void when the event that is being handled ends. */
void connection_close(struct connection *c);

#endif
