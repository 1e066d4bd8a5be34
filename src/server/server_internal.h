/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a server, for the files of this layer that carry connections. */
#ifndef SERVER_SERVER_INTERNAL_H
#define SERVER_SERVER_INTERNAL_H

#include <event2/listener.h>

#include "server/connection.h"
#include "server/event_wait.h"
#include "server/request.h"
#include "server/server.h"

struct write_slot;
struct read_slot;
struct read_group;

struct server_counters {
    uint64_t accepted_total[2]; /* RESP, HTTP */
    uint64_t refused_total[2];  /* over the cap */
    uint64_t broken_total[2];   /* closed for what they sent */
    uint64_t requests_total[REQUEST_TYPES_MAX];
    uint64_t failures_total[RK_STATUS_COUNT];
    uint64_t slow_watchers_total; /* event streams closed because they were not read */
};

struct server {
    struct event_base *base;
    struct node *node;
    struct server_options options;       /* its texts are owned */
    SSL_CTX *tls;                        /* NULL = plaintext */
    struct evconnlistener *listeners[2]; /* RESP, HTTP; NULL = not served */
    struct event *sweep;
    struct event *listen_again; /* after accept() found no descriptor */
    bool is_draining;
    bool is_closed;
    unsigned holders; /* server_close() not called yet, and callbacks the node owes */

    struct connection *all;
    unsigned counts[2];
    uint64_t next_client_id;
    struct connection *dirty;
    struct connection_link timed[DEADLINE_COUNT]; /* next = oldest, previous = newest */
    uint64_t turn;
    size_t partial_bytes; /* of requests begun, over all connections */

    struct request_scratch scratch;
    struct buffer command; /* the command being encoded */
    struct slice *words;   /* of the request being parsed */
    uint32_t word_capacity;
    struct write_slot *free_writes;
    struct read_slot *free_reads;
    struct read_group *free_groups;
    unsigned free_read_count;

    struct event_waits waits;
    struct server_counters counters;
};

/* The node has been asked and will call back: the server lives until then. */
void server_hold(struct server *s);
void server_release(struct server *s);

void server_log(struct server *s, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void server_count_request(struct server *s, const struct request_type *type, enum rk_status status);

/* Protocols: each takes an accepted socket. */
void resp_accept(struct server *s, int fd);
void http_accept(struct server *s, int fd);
void resp_release_pools(struct server *s);

/* Appends /metrics. */
void metrics_put(struct server *s, struct buffer *out);

#endif
