/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time alone causes: elections, and a leader that hears no quorum stepping down
 * [thesis 6.2].  The core never reads a clock; each event brings the time.
 */
#include "base/teeth.h"
#include "raft/raft_internal.h"

time_ms timer_quorum_deadline_ms(const struct raft *r)
{
    uint64_t heard = members_quorum(r, members_value_heard);

    if (TOOTH(NO_CHECK_QUORUM) || heard >= (uint64_t)(INT64_MAX - r->config.election_timeout_ms)) {
        return INT64_MAX; /* alone */
    }
    return (time_ms)heard + r->config.election_timeout_ms;
}

time_ms raft_deadline_ms(const struct raft *r)
{
    time_ms deadline_ms = reads_deadline_ms(r);
    time_ms own_ms = r->election_deadline_ms;

    if (r->halt != NULL) {
        return INT64_MAX;
    }
    if (r->role == RAFT_LEADER) {
        time_ms quorum_ms = timer_quorum_deadline_ms(r);

        own_ms = r->heartbeat_due_ms < quorum_ms ? r->heartbeat_due_ms : quorum_ms;
        if (r->transfer.target != 0 && r->transfer.deadline_ms < own_ms) {
            own_ms = r->transfer.deadline_ms;
        }
    } else if (r->is_waiting && r->leader == 0) {
        own_ms = INT64_MAX;
    }
    return own_ms < deadline_ms ? own_ms : deadline_ms;
}

void timer_fired(struct raft *r)
{
    reads_expire(r);
    if (r->role == RAFT_LEADER) {
        if (r->now_ms >= timer_quorum_deadline_ms(r)) {
            raft_trace(r, "no quorum heard for %" PRId64 " ms -> follower",
                       r->config.election_timeout_ms);
            role_become_follower(r, 0);
            return;
        }
        transfer_expire(r);
        return; /* heartbeats leave at the end of the turn */
    }
    if (r->now_ms < r->election_deadline_ms) {
        return;
    }
    if (lease_promise_left_ms(r) > 0) {
        election_soon(r); /* started anew, its vote is still promised */
        return;
    }
    if (members_can_campaign(r)) {
        raft_trace(r, "timeout as %s -> pre_candidate for term %" PRIu64, raft_role_name(r->role),
                   r->hard_state.current_term + 1);
        if (TOOTH(REMOVED_DISRUPTS)) {
            election_start(r, false); /* as before there were pre-votes */
        } else {
            election_start_pre_vote(r);
        }
        return;
    }
    role_become_follower(r, 0);
    election_draw_timeout(r);
}
