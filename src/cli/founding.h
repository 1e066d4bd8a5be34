/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Founding a cluster of one from a state: what `recover` and `snapshot restore` end with.
 *
 * It is another cluster than the one the state came from: a new cluster id, a new incarnation, a
 * new member id; the term is raised and indexes go on 2^32 further, so that nothing the old one
 * may have handed out - indexes, epochs, repository ids - is handed out again [DESIGN 5].
 */
#ifndef CLI_FOUNDING_H
#define CLI_FOUNDING_H

#include "base/errmsg.h"
#include "refdb/refdb.h"
#include "storage/snapshot.h"

#define FOUNDING_INDEX_STEP (UINT64_C(1) << 32)

struct founding {
    const char *to;           /* absolute path; made, or empty */
    const char *name;         /* of the member */
    const char *peer_address; /* where others will reach it */
    raft_index last_index;    /* of the state */
    raft_term term_seen;      /* the highest anybody had */
    /* filled in */
    struct snapshot_meta meta;
};

/* The state a snapshot file holds; the file keeps its name, raft-snapshot-<index>-<term>.dat.
 * Errors: BADARG (another name), as snapshot_reader_open. */
enum rk_status founding_load(const char *file, struct snapshot_meta *ret_meta,
                             struct refdb **ret_db, struct errmsg *why) MUST_USE;

/* Writes the data directory; `db` is advanced.  Errors: EXISTS (not empty), as storage_open. */
enum rk_status founding_write(struct founding *f, struct refdb *db, struct errmsg *why) MUST_USE;

#endif
