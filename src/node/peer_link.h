/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection with a member, or with somebody who claims to be one.
 *
 *   dialled:   connect, TLS -> HELLO out -> HELLO in, judged -> open
 *   accepted:  TLS -> HELLO in, judged -> HELLO out -> open
 *
 * It has HANDSHAKE_TIMEOUT_MS to become open.  For transport*.c only.
 */
#ifndef NODE_PEER_LINK_H
#define NODE_PEER_LINK_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "node/stream.h"
#include "wire/frame.h"
#include "wire/handshake.h"

struct transport;
struct peer;

struct peer_link {
    struct transport *transport;
    struct stream *stream; /* NULL once closed */
    struct peer *peer;     /* dialled: whom; accepted: NULL until open */
    bool is_open;
    bool is_dead;    /* freed when no callback is under way */
    bool is_goodbye; /* the other side said why before it closed: not its host's doing */
    unsigned depth;
    struct event deadline; /* of the handshake */
    char remote[64];       /* who, for the log */
    LIST_ENTRY(peer_link) all;
    TAILQ_ENTRY(peer_link) pending; /* while accepted and not open */
};

/* Takes the socket.  `peer` NULL = accepted. */
struct peer_link *peer_link_new(struct transport *t, int fd, struct peer *peer, const char *remote);

/* A last word to an open link, before it is closed. */
void peer_link_say_removed(struct peer_link *link, const char *name);

/* Closes without further calls; safe inside its callbacks. */
void peer_link_close(struct peer_link *link, bool drains);

#endif
