/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP connection: one request at a time.  Those pipelined behind it wait in the input.
 */
#ifndef SERVER_HTTP_CONNECTION_H
#define SERVER_HTTP_CONNECTION_H

#include "server/connection.h"
#include "server/http_parser.h"
#include "server/request.h"

struct http_connection;

/* What the node has been asked for; outlives the connection when that is closed. */
struct http_ticket {
    struct server *server;
    struct http_connection *connection; /* NULL: closed meanwhile */
    struct asked asked;
};

struct http_connection {
    struct connection base;
    size_t scanned; /* of the head that is coming */
    bool has_continued;
    bool is_draining;

    /* Of the request in progress. */
    bool is_busy;
    bool is_answered; /* just now: the next one may be looked at */
    bool is_head;     /* HEAD: no body in the answer */
    bool will_close;
    bool is_route;              /* /route/headers */
    bool is_map;                /* /map/haproxy */
    bool is_old;                /* HTTP/1.0: knows no chunks */
    struct http_events *events; /* what is answered with events as they come; NULL = not */
    struct request request;
    struct http_ticket *ticket;
    uint8_t *bytes; /* its decoded texts */
};

/* Answers the request in progress and makes ready for the next. */
void http_answer(struct http_connection *c, int code, const char *type, const char *headers,
                 struct slice body);

/* An error as JSON. */
void http_answer_failure(struct http_connection *c, int code, const struct failure *f);

/* The typed request is carried out, here or by the node. */
void http_execute(struct http_connection *c, const struct request *r);

/* ---- Events (http_events.c) ---- */

void http_events_begin(struct http_connection *c, const struct request *r);
/* The connection's output has left: more may follow. */
void http_events_flushed(struct http_connection *c);
/* Ends it with a last word: the node stops, or the client does not read. */
void http_events_end(struct http_connection *c, bool is_slow);
void http_events_abandon(struct http_connection *c);

/* The outer object of an answer; the answer itself, which releases `s->out`. */
void http_begin_json(struct http_connection *c, struct sink *s, struct buffer *out);
void http_end_json(struct http_connection *c, struct sink *s, int code);

/* The answer is complete: makes ready for the next request. */
void http_answered(struct http_connection *c);

/* Finds what the path asks for and starts it (http_routes.c).  `body` is complete. */
void http_route(struct http_connection *c, const struct http_head *head, struct slice body);

/* Answers /route/headers once the state is fresh enough, or, with a status, that it is not. */
void http_answer_route(struct http_connection *c, enum rk_status status);

/* Answers /map/haproxy (http_map.c).  PRE: the state is fresh enough. */
void http_answer_map(struct http_connection *c);

#endif
