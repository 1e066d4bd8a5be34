/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TimeoutNow: the leader hands its office over [thesis 3.10].
 *
 * The receiver skips the pre-vote, and its requests carry the transfer flag, so that the
 * others do not refuse because they still hear the old leader.
 */
#include "raft/raft_internal.h"

void receive_timeout_now(struct raft *r, const struct message *m)
{
    if (r->role != RAFT_FOLLOWER || r->leader != m->from || !members_can_campaign(r)) {
        raft_trace(r, "timeout_now from %" PRIu64 " -> not possible", m->from);
        return;
    }
    raft_trace(r, "timeout_now from %" PRIu64 " -> campaign", m->from);
    election_start(r, true);
}
