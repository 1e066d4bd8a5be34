/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leader knows of one follower's log, and what is on its way there.
 * [paper 5.3, thesis 10.2.2]
 *
 *             match reaches next - 1                     needed entry is compacted
 *   PROBE ----------------------------> REPLICATE     PROBE, REPLICATE ----> SNAPSHOT
 *     ^   <----------------------------    ^                                    |
 *     |     rejected, reconnected, lost    +------ match reaches the snapshot --+
 *     +------------------------------------------- gave up, reconnected --------+
 *
 *   PROBE      where the logs agree is not known: one message, then wait for its answer
 *   REPLICATE  entries are sent ahead of their acknowledgement, within the window
 *   SNAPSHOT   the node streams a snapshot; no entries, heartbeats go on
 *
 *   0 <= match_index < next_index <= last index + 1
 *   inflight_count > 0  implies  mode == REPLICATE
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include <stdbool.h>

#include "model/types.h"
#include "raft/raft.h"

/* One unanswered AppendEntries. */
struct inflight {
    raft_index last_index;
    uint64_t bytes;
};

struct progress {
    enum raft_progress_mode mode;
    raft_index match_index; /* highest entry known durable there and equal to ours; 0 = none */
    raft_index next_index;  /* next entry to send */
    raft_index commit_sent; /* highest commit index the messages so far have told it */
    bool is_full;           /* its disk has no space for new entries, it said */
    bool is_probe_sent;     /* PROBE: unanswered; the next heartbeat repeats it */

    raft_index snapshot_index;  /* what is, or was last, being sent; 0 = none yet */
    time_ms snapshot_retry_ms;  /* SNAPSHOT: give up waiting then; INT64_MAX = stream is running */
    bool is_snapshot_failed;    /* SNAPSHOT: waiting to try again */
    bool wants_state;           /* its log is fine, its state is not: a snapshot all the same */
    unsigned snapshot_failures; /* since it last moved on; widens the back-off */

    time_ms heard_ms;       /* newest reply in this term; 0 = none */
    time_ms moved_ms;       /* when match_index or its tail last moved, or the window opened */
    raft_index tail_index;  /* its last log index as of its newest reply */
    uint64_t read_sequence; /* newest read round it confirmed in this term */

    /* Its log seemed shorter than doubt_index, which it had acknowledged: an answer to this round,
     * or a later one, that says so again proves it; 0 = no doubt. */
    uint64_t doubt_sequence;
    raft_index doubt_index;
    bool has_forgotten;     /* proven: it does not count, and is sent nothing but heartbeats */
    time_ms lease_until_ms; /* steady: it votes for nobody before; 0 = it promised nothing */

    /* Catching up, in rounds: each ends when it has what the leader had at its beginning
     * [thesis 4.2.1]. */
    raft_index round_goal;
    time_ms round_since_ms;
    time_ms round_ms;     /* how long the newest finished round took */
    unsigned round_count; /* finished in this term */

    struct inflight *window; /* ring of count_max, borrowed from the core */
    uint32_t count_max;
    uint32_t inflight_first;
    uint32_t inflight_count;
    uint64_t inflight_bytes;
};

/* A new leader's view: nothing known.  The window's memory is kept. */
void progress_reset(struct progress *p, raft_index next_index, time_ms now_ms);

void progress_become_probe(struct progress *p, raft_index next_index);
void progress_become_replicate(struct progress *p, time_ms now_ms);
void progress_become_snapshot(struct progress *p, raft_index snapshot_index);

/* Takes an acknowledged index; never moves back.  True when it moved. */
bool progress_acknowledge(struct progress *p, raft_index match_index, time_ms now_ms);

/* The only way back: it has lost what it had acknowledged, and may not have `last_index` equal
 * to ours either.  PRE: last_index < match_index. */
void progress_regress(struct progress *p, raft_index last_index);

/* Begins or ends a round, after an answer.  `last_index` is the leader's. */
void progress_round(struct progress *p, raft_index last_index, time_ms now_ms);

/* The newest round took less than `limit_ms`, and the one going on has not taken longer. */
bool progress_is_caught_up(const struct progress *p, time_ms limit_ms, time_ms now_ms);

/* Notes one AppendEntries on its way.  PRE: REPLICATE, count < count_max. */
void progress_sent(struct progress *p, raft_index last_index, uint64_t bytes, time_ms now_ms);

/* True when a message of `bytes` may leave: the window admits any one when empty. */
bool progress_admits(const struct progress *p, uint64_t bytes, uint64_t bytes_max);

#endif
