/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core remembers of the log: which term each index has, as runs.
 *
 * Knows nothing of payload.  A log of a million entries written by three leaders takes
 * three runs.
 *
 *   base_index <= last_index
 *   runs[0].first_index == base_index + 1 when there is any run
 *   runs are ordered, with strictly rising terms
 */
#ifndef RAFT_TRAIL_H
#define RAFT_TRAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/types.h"
#include "raft/raft.h"

struct trail {
    raft_index base_index; /* entry before the first one held; 0 = nothing was compacted */
    raft_term base_term;   /* its term; 0 = not known, or base_index is 0 */
    raft_index last_index; /* base_index when the log is empty */
    struct raft_run *runs;
    size_t run_count;
    size_t run_capacity;
};

void trail_init(struct trail *t, raft_index base_index, raft_term base_term);
void trail_release(struct trail *t);

/* Adds `count` entries of `term` at the end.  PRE: term >= the last entry's. */
void trail_append(struct trail *t, raft_term term, uint64_t count);

/* Drops `from` and everything after.  PRE: base_index < from. */
void trail_truncate(struct trail *t, raft_index from);

/* Drops what is before `first`, which becomes the first entry held.
 * PRE: first <= last_index + 1.  Harmless when already dropped. */
void trail_trim(struct trail *t, raft_index first);

/* Forgets all entries; the log begins after (index, term). */
void trail_reset(struct trail *t, raft_index index, raft_term term);

/* The term of an entry held or of the base; 0 = not known. */
raft_term trail_term_at(const struct trail *t, raft_index index);
raft_term trail_last_term(const struct trail *t);

/* True when the log surely holds, or begins right after, this pair.  (0, 0) always matches. */
bool trail_matches(const struct trail *t, raft_index index, raft_term term);

/*
 * The largest i <= index whose term is at most `term`: where a log that ends in `term` may
 * agree with this one [paper 5.3, accelerated backtracking].  One below the base when not
 * even the base qualifies, which no log can serve without a snapshot.
 */
raft_index trail_find_term_at_most(const struct trail *t, raft_index index, raft_term term);

/* Aborts when the runs contradict each other.  O(runs), for tests. */
void trail_check(const struct trail *t);

#endif
