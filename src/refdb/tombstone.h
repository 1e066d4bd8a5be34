/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of removed repositories, so that a late hook hears REMOVED and not
 * NOREPO.  A courtesy with a bound: the oldest removal is forgotten first.  A path that means
 * a repository again has no tombstone.
 */
#ifndef REFDB_TOMBSTONE_H
#define REFDB_TOMBSTONE_H

#include "refdb/state.h"

struct tombstone {
    uint64_t id;
    raft_index removed_index;
};

bool tombstone_find(const struct state_maps *maps, struct slice path, struct tombstone *ret_t);

/* PRE: no tombstone has this index. */
void tombstone_put(struct refdb *db, struct slice path, const struct tombstone *t);

/* Nothing when there is none. */
void tombstone_remove(struct refdb *db, struct slice path);

struct digest tombstone_digest(struct slice path, const struct tombstone *t);

#endif
