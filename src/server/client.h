/* SPDX-License-Identifier: Apache-2.0 */
/* What a RESP connection is to the requests of the connect family. */
#ifndef SERVER_CLIENT_H
#define SERVER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct client {
    uint64_t id;         /* unique in the life of the server */
    unsigned scopes;     /* enum server_scope */
    bool is_known;       /* has authenticated, or need not */
    bool is_in_multi;    /* between MULTI and EXEC or DISCARD: nothing is executed */
    bool wants_to_close; /* after the replies given so far */
    char *name;          /* CLIENT SETNAME; NULL = none */
};

/* What the password allows; sets client->scopes.  False when refused. */
struct server;
bool server_authenticate(struct server *s, struct client *client, struct slice user,
                         struct slice password);

/* True when a password is asked for. */
bool server_has_authentication(const struct server *s);

/* What INFO tells of connections: of RESP, and of requests of both front ends since the start. */
struct server_totals {
    unsigned connections;
    unsigned waiting; /* for events */
    uint64_t connections_total;
    uint64_t requests_total;
};

struct server_totals server_get_totals(const struct server *s);

#endif
