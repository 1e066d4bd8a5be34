/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front ends of a node: RESP and HTTP over one table of typed requests.  [DESIGN 6, 7]
 *
 * They parse, ask the node to propose or to read, and format the answer; they hold no
 * state of the cluster.  Any node serves any request: forwarding is the node's work.
 *
 * Thread: the loop.  Nothing here blocks.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <event2/event.h>

#include "base/errmsg.h"
#include "base/status.h"
#include "node/node.h"
#include "node/tls.h"

struct server;

/* What a client may do; the table of requests says what each request needs. */
enum server_scope {
    SERVER_MAY_READ = 1 << 0,
    SERVER_MAY_WRITE = 1 << 1,
    SERVER_MAY_ADMIN = 1 << 2, /* storages, members, snapshots, forced moves */
};
#define SERVER_MAY_ALL (SERVER_MAY_READ | SERVER_MAY_WRITE | SERVER_MAY_ADMIN)

/* Texts and structs are copied unless said otherwise. */
struct server_options {
    const char *listen_client;            /* host:port of RESP; NULL = not served; port 0 = any */
    const char *listen_http;              /* host:port of HTTP; NULL = not served; port 0 = any */
    const struct tls_options *client_tls; /* of both ports; NULL = plaintext */
    unsigned max_clients;                 /* RESP connections; 0 = CLIENT_CONNECTIONS_MAX_DEFAULT */
    unsigned max_http;                    /* HTTP connections; 0 = HTTP_CONNECTIONS_MAX_DEFAULT */

    /*
     * What a user with this password may do: server_scope bits, 0 = refused.  RESP gives
     * AUTH [user] password (user "default" when left out), HTTP gives "Authorization: Basic"
     * or "Bearer" (user "default").  NULL = no authentication, everyone may do everything.
     */
    unsigned (*authenticate)(void *context, struct slice user, struct slice password);
    /* Appends further metrics in the Prometheus text format; NULL = none. */
    void (*put_metrics)(void *context, struct buffer *out);
    /* One line for the log; `level` is an enum node_log_level; NULL = silent. */
    void (*log)(void *context, int level, const char *text);
    void *context; /* of the three callbacks; borrowed until server_close() */
};

/*
 * Binds and listens on both addresses.  `n` is borrowed until server_close().
 * Errors: CONFIG (an address that cannot be parsed, resolved or bound; TLS files).
 */
enum rk_status server_open(struct event_base *base, struct node *n,
                           const struct server_options *options, struct server **ret_server,
                           struct errmsg *why) MUST_USE;

/* Stops accepting and reading: requests already read are answered, then each connection
 * is closed.  Harmless when called again. */
void server_drain(struct server *s);

/* True when no request is waiting for its answer and all answers were handed to sockets. */
bool server_is_drained(const struct server *s);

/*
 * Closes every connection and the listeners; answers that have not come are dropped.
 * Call it between the end of node_run() and node_close(), which may still call back for
 * what was pending: that is harmless.  Accepts NULL.
 */
void server_close(struct server *s);

/* New certificates for connections accepted from now on; on errors the old ones stay. */
enum rk_status server_reload_tls(struct server *s, const struct tls_options *client_tls,
                                 struct errmsg *why) MUST_USE;

/* The ports bound; 0 = not served. */
unsigned server_client_port(const struct server *s);
unsigned server_http_port(const struct server *s);

#endif
