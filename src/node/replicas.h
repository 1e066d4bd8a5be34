/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What storages say they hold: soft state of this node, never guessed.  [DESIGN 3]
 *
 * A storage reports the digest of a repository's refs; where it equals ours, the storage had all
 * of it as of the repository's last index.  A later change makes that index old by itself, and
 * the storage that says the same digest again is as far behind as it was.
 * Nothing is kept over a restart, no node tells another: storages report to each.
 *
 * At most REPLICA_REPORTS_MAX reports are kept; one more and all are forgotten, and come again
 * with the storages' next round.
 *
 * Thread: the loop.
 */
#ifndef NODE_REPLICAS_H
#define NODE_REPLICAS_H

#include "base/bytes.h"
#include "model/types.h"

struct replicas;

struct replicas *replicas_new(void);
void replicas_free(struct replicas *r); /* accepts NULL */

/*
 * `complete_index`: the repository's last index, whose digest this is; 0 = it has another one.
 * A digest that is not ours leaves what was known of it; one never seen complete is unknown.
 */
void replicas_report(struct replicas *r, uint64_t repository_id, struct slice storage,
                     const uint8_t digest[16], raft_index complete_index);

/* The last index as of which the storage holds all of it; 0 = unknown. */
raft_index replicas_seen(const struct replicas *r, uint64_t repository_id, struct slice storage);

/* The storage lives; any report says so too. */
void replicas_heard(struct replicas *r, struct slice storage, time_ms now_ms);
/* It was heard within STORAGE_HEARD_MS. */
bool replicas_is_heard(const struct replicas *r, struct slice storage, time_ms now_ms);

/* Since it was heard; -1 = never. */
time_ms replicas_silent_ms(const struct replicas *r, struct slice storage, time_ms now_ms);

size_t replicas_count(const struct replicas *r);

/* Another number after everything was forgotten: then storages report all again. */
uint64_t replicas_generation(const struct replicas *r);

/* Counts up whenever a storage that held all of a repository says that it does not any more,
 * though nothing was decided: whoever keeps a list of who is in sync reads it anew. */
uint64_t replicas_withdrawn(const struct replicas *r);

#endif
