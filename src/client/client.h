/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct rk_client, shared by its call machine, verbs and pipelines. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <refkeeper/client.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "client/connection.h"
#include "client/options.h"

struct rk_client {
    struct rk_options *options;
    struct tls_context *tls;       /* NULL = plain */
    struct connection *connection; /* NULL = not connected */
    size_t endpoint_next;          /* tried first when connecting anew */
    int64_t timeout_ms;
    char session[24];    /* decimal id; "" = not opened */
    bool has_no_session; /* not wanted, or the server has none */
    bool knows_leader;   /* the leader was looked up since the last loss */
    uint64_t sequence;   /* of the last write */
    struct rng rng;      /* jitter of waits */
};

/* Connects if needed, trying endpoints in turn, once round.  Errors: of the last attempt. */
enum rk_status client_connect(struct rk_client *client, int64_t deadline_ms,
                              struct rk_error *error) MUST_USE;

/* Drops the connection; the next attempt begins at the endpoint after it. */
void client_disconnect(struct rk_client *client);

#endif
