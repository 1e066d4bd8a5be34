/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client sessions: a write sent twice under one (session, sequence) is applied once and
 * answered twice alike.  [thesis 6.3]
 *
 * A session's id is the index that opened it.  Its results are kept from `floor` on; the
 * client raises the floor with lowest_unanswered, and so do the bounds: SESSION_WINDOW_MAX
 * results, SESSION_BYTES_MAX bytes of them.  Below the floor the outcome can no longer be told:
 * EXPIRED, nothing is executed.  Sequences may arrive in any order.
 *
 * A session goes when it was idle for SESSION_IDLE_MS of replicated time, or, over
 * SESSIONS_MAX sessions or SESSIONS_BYTES_MAX bytes, as the one idle longest.
 */
#ifndef REFDB_SESSION_H
#define REFDB_SESSION_H

#include "refdb/state.h"

struct session {
    raft_index last_index; /* of the last entry under it */
    uint64_t last_ms;      /* replicated time of it */
    uint64_t floor;        /* lowest sequence that may still be asked for */
    uint64_t result_count;
    uint64_t result_bytes;
};

#define SESSION_RECORD_BYTES 40

bool session_find(const struct state_maps *maps, uint64_t id, struct session *ret_s);
void session_record_decode(const uint8_t record[SESSION_RECORD_BYTES], struct session *ret_s);

/* Adds one, at the price of the one idle longest when there are too many. */
void session_open(struct refdb *db, raft_index index);

/* Moves replicated time on and lets some that are due expire. */
void session_advance_clock(struct refdb *db, int64_t cluster_ms);

enum session_verdict {
    SESSION_EXECUTE,
    SESSION_REPLAY,  /* the result is in db->results */
    SESSION_EXPIRED, /* unknown session, or a sequence below its floor; nothing changed */
};

/* What to do with a write; also drops what the client no longer needs. */
enum session_verdict session_check(struct refdb *db, const struct envelope *e, raft_index index);

/* Keeps the result in db->results.  PRE: session_check() said SESSION_EXECUTE. */
void session_keep_result(struct refdb *db, const struct envelope *e, raft_index index);

struct digest session_digest(uint64_t id, struct slice record);
struct digest session_result_digest(struct slice key, struct slice bytes);

/* For the loader: adds one as it was. */
void session_put(struct refdb *db, uint64_t id, const struct session *s);

#endif
