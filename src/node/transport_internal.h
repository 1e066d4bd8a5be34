/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the transport, for transport*.c and peer_link.c only.
 *
 *   transport.c         members, output, the outcome of links
 *   transport_listen.c  accepts, and bounds what is not authenticated
 *   transport_dial.c    dials, and dials again
 *   peer_link.c         one connection: HELLO both ways, then frames
 */
#ifndef NODE_TRANSPORT_INTERNAL_H
#define NODE_TRANSPORT_INTERNAL_H

#include <event2/event_struct.h>
#include <event2/listener.h>
#include <sys/queue.h>

#include "node/address.h"
#include "node/log_limit.h"
#include "node/node.h"
#include "node/peer_link.h"
#include "node/resolver.h"
#include "node/transport.h"

/*
 * Another member.
 *
 *   dialling != NULL or lookup != NULL   implies  link == NULL, and this side dials
 */
struct peer {
    struct transport *transport;
    node_id id;
    char name[NODE_NAME_BYTES_MAX + 1];
    char address[ADDRESS_BYTES_MAX + 1];
    struct peer_link *link;     /* authenticated; NULL = not connected */
    struct peer_link *dialling; /* on its way */
    struct lookup *lookup;
    struct event dial; /* the next attempt */
    unsigned attempts; /* dials in a row that did not last */
    int64_t opened_ms; /* when `link` was authenticated */
    uint64_t opened_total, bad_frames_total;
    uint64_t sent_bytes, received_bytes; /* of links that are gone */
    struct log_limit log_limit;
    char last_failure[192]; /* of a dial; the same one is logged once */
};

LIST_HEAD(link_list, peer_link);
TAILQ_HEAD(pending_links, peer_link);

struct transport {
    struct event_base *base;
    struct transport_callbacks callbacks;
    void *context;
    SSL_CTX *tls;
    node_id self;
    struct rng rng;
    struct evconnlistener *listener;
    struct event listen_again;
    struct membership members;
    struct peer *peers[MEMBERS_MAX]; /* every member but self */
    unsigned peer_count;
    struct link_list links;       /* all of them */
    struct pending_links pending; /* inbound, not authenticated, oldest first */
    struct transport_stranger_status strangers;
    struct log_limit log_limit; /* of what strangers cause */
    unsigned depth;             /* callbacks under way */
};

/* ---- transport.c ---- */

struct peer *transport_find(const struct transport *t, node_id id); /* NULL = no member */

/* Writes a line unless the like was written just now.  NULL `peer` = a stranger. */
void transport_log(struct transport *t, struct peer *peer, int level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A link was authenticated as `peer`; it replaces the one there was. */
void transport_link_opened(struct peer_link *link, struct peer *peer, const struct hello *hello);

/* A link is over; `link` is freed after this. */
void transport_link_closed(struct peer_link *link, const char *cause, bool by_host);

/* ---- transport_listen.c ---- */

enum rk_status transport_listen(struct transport *t, const char *address,
                                struct errmsg *why) MUST_USE;
void transport_unlisten(struct transport *t);

/* ---- transport_dial.c ---- */

void dial_init(struct peer *peer);
/* The smaller id dials. */
static inline bool dial_is_ours(const struct peer *peer)
{
    return peer->transport->self < peer->id;
}
/* Dials after the pause that `attempts` calls for. */
void dial_later(struct peer *peer);
/* No attempt is under way or planned after this. */
void dial_stop(struct peer *peer);
void dial_failed(struct peer *peer, const char *cause);
/* Detects a host that went silent. */
void dial_watch_silence(int fd);

#endif
