/* SPDX-License-Identifier: Apache-2.0 */
/* The decision behind ROUTE and /route/headers. */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include "server/request.h"

struct route {
    struct refdb_repository repository;
    struct refdb_storage primary; /* when has_primary */
    bool has_primary;             /* the storage is known */
    bool can_serve;               /* a push: the primary is not down, the repository rw; a fetch:
                                     the primary is not down, or a replica is in sync */
    size_t in_sync_count;         /* other storages that hold all of it, are active and live */
    struct refdb_storage in_sync[REPLICAS_MAX];
    const struct refdb_storage *target; /* where this request goes; NULL unless can_serve */
};

/*
 * Pushes go to the primary.  Fetches take turns over the replicas that are in sync, else the
 * primary.  Slices are valid until the next apply.  Errors: NOREPO, REMOVED.
 */
enum rk_status route_find(const struct node *n, struct slice path, bool is_write,
                          struct route *ret_route) MUST_USE;

/* host:port, as proxies want it: without the scheme and the slash some write. */
struct slice route_address(struct slice http_address);

/*
 * Routes of one page of repositories, by the prefix, after and limit of the request.  `ret_last`
 * gets where the next page goes on, empty at the end.
 */
void routes_walk(const struct node *n, const struct request *r,
                 void (*each)(void *context, const struct route *route), void *context,
                 struct buffer *ret_last);

/* The replica, as reported to this node, holds all that the repository is at now. */
bool route_is_complete(const struct node *n, const struct refdb_repository *repository,
                       struct slice storage);

#endif
