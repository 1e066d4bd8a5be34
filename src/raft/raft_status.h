/* SPDX-License-Identifier: Apache-2.0 */
/* What the core says of itself: values, copied. */
#ifndef RAFT_RAFT_STATUS_H
#define RAFT_RAFT_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"
#include "model/types.h"

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

const char *raft_role_name(enum raft_role role);

enum raft_progress_mode {
    RAFT_PROGRESS_PROBE,
    RAFT_PROGRESS_REPLICATE,
    RAFT_PROGRESS_SNAPSHOT,
};

struct raft_peer_status {
    node_id id;
    enum raft_progress_mode mode;
    raft_index match_index;
    raft_index next_index;
    time_ms heard_ms; /* when it last replied; 0 = not in this term */
    uint32_t inflight_count;
    bool is_caught_up; /* may be promoted [thesis 4.2.1] */
};

struct raft_status {
    enum raft_role role;
    raft_term current_term;
    node_id leader; /* 0 = unknown */
    raft_index commit_index;
    raft_index log_first_index;
    raft_index log_last_index;
    raft_index durable_index; /* own log */
    raft_term last_term;
    bool can_read;    /* leader with an own-term commit */
    time_ms lease_ms; /* what is left of its lease as of the newest event; 0 = none */
    uint64_t reads_by_lease, reads_by_round; /* confirmed by this leader, also for others */
    size_t peer_count;                       /* leader only */
    struct raft_peer_status peers[MEMBERS_MAX];
};

#endif
