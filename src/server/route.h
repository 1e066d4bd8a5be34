/* SPDX-License-Identifier: Apache-2.0 */
/* The decision behind ROUTE and /route/headers. */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include "server/request.h"

struct route {
    struct refdb_repository repository;
    struct refdb_storage primary; /* when has_primary */
    bool has_primary;             /* the storage is known */
    bool can_serve; /* the primary is not down and, for a write, the repository is rw */
};

/* Slices are valid until the next apply.  Errors: NOREPO, REMOVED. */
enum rk_status route_find(const struct refdb *db, struct slice path, bool is_write,
                          struct route *ret_route) MUST_USE;

#endif
