/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest entries in memory, and a door to the older ones on disk.
 *
 * Holds whole batches without a gap up to the last entry of the log, at most about
 * RECENT_BYTES_MAX bytes; older batches are dropped (never ones that are not durable: the
 * caller says how far that is).  Reading further back goes to storage.
 * Thread: the loop.
 */
#ifndef NODE_WINDOW_H
#define NODE_WINDOW_H

#include "base/errmsg.h"
#include "node/batch.h"

struct window {
    struct batch **batches; /* ring */
    size_t capacity, head, count;
    uint64_t bytes;
    struct storage *storage; /* borrowed */
    struct buffer cold;      /* the last run read from disk: entries cold_first .. cold_last */
    raft_index cold_first, cold_last;
};

void window_init(struct window *w, struct storage *storage);
void window_release(struct window *w);

/* Adds the next batch (taken by count: one more reference).  PRE: follows the last one. */
void window_add(struct window *w, struct batch *b);

/* Drops batches from the old end while over the bound and all their entries are <= durable. */
void window_trim(struct window *w, raft_index durable);

/* Forgets `from` and everything after. */
void window_truncate(struct window *w, raft_index from);
void window_clear(struct window *w);

/* The batch that holds `index`, or NULL: older than the window. */
struct batch *window_find(const struct window *w, raft_index index);

/*
 * Encoded entries from `first`, as many as lie together in memory or fit into bytes_max when
 * read from disk, at most up to `last` and at least one.  Valid until the next call.
 * Errors: COMPACTED, CORRUPT, IO.
 */
enum rk_status window_read(struct window *w, raft_index first, raft_index last, size_t bytes_max,
                           struct slice *ret_bytes, raft_index *ret_last,
                           struct errmsg *why) MUST_USE;

/* How far from `first` bytes_max reaches; see raft_config.fit. */
raft_index window_fit(struct window *w, raft_index first, raft_index last, uint64_t bytes_max,
                      uint64_t *ret_bytes);

#endif
