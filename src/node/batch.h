/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoded entries that lie in one piece of memory, from proposal to disk, wire and apply.
 *
 * Immutable once sealed; shared by count between the loop, the log writer and the sockets.
 * Thread: batch_ref and batch_unref on any; everything else on the loop.
 */
#ifndef NODE_BATCH_H
#define NODE_BATCH_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "model/entry.h"
#include "storage/storage.h"

struct batch {
    atomic_uint references;
    raft_index first_index;
    raft_index last_index;
    struct buffer bytes;            /* the entries, one after the other */
    struct storage_record *records; /* one per entry */
    size_t *offsets;                /* of each entry in bytes */
    size_t count;
};

/*
 * Takes `bytes` (left empty), in which commands lie with ENTRY_HEADER_BYTES of room in
 * front of each, and seals them as entries first_index .. of `term`.
 *   offsets  of each room in bytes; copied
 */
struct batch *batch_seal(struct buffer *bytes, const size_t *offsets, size_t count, raft_term term,
                         raft_index first_index);

/* Copies `count` received entries, which lie one after the other in memory. */
struct batch *batch_copy(const struct entry *entries, size_t count);

struct batch *batch_ref(struct batch *b); /* returns b */
void batch_unref(void *batch);            /* accepts NULL; a release callback as it is */

/* The bytes of entries first .. last, which the batch holds. */
struct slice batch_range(const struct batch *b, raft_index first, raft_index last);

#endif
