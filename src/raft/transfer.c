/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader hands its office over [thesis 3.10]: it takes no more proposals, waits until the
 * target has the whole log, and tells it to campaign at once.  After an election timeout it
 * gives up and goes on - or, when it must not lead any more, just ends.
 *
 * It must not when it was removed [thesis 4.2.2], and when its disk hangs: entries would be
 * committed by the others, and nothing it is asked could be answered.
 */
#include "base/assert.h"
#include "raft/raft_internal.h"

bool disk_is_stalled(const struct raft *r)
{
    return r->disk_age_ms > r->config.election_timeout_ms / 2;
}

/* Who is short of space itself hands over only to somebody who is not. */
static bool is_candidate(const struct raft *r, const struct raft_member *member)
{
    return (!r->is_disk_full || !member->progress.is_full) && member->id != r->config.id &&
           (member->halves & MEMBER_VOTER) != 0 && members_is_reachable(r, member);
}

/* The furthest voter that answers; NULL = none. */
static const struct raft_member *furthest(const struct raft *r)
{
    const struct raft_member *best = NULL;

    for (unsigned i = 0; i < r->member_count; i++) {
        const struct raft_member *m = &r->members[i];

        if (is_candidate(r, m) &&
            (best == NULL || m->progress.match_index > best->progress.match_index)) {
            best = m;
        }
    }
    return best;
}

static void begin(struct raft *r, const struct raft_member *member, bool is_leaving)
{
    r->transfer.target = member->id;
    r->transfer.deadline_ms = r->now_ms + r->config.election_timeout_ms;
    r->transfer.is_sent = false;
    r->transfer.is_leaving = is_leaving;
    raft_trace(r, "transfer to %" PRIu64 ", which has %" PRIu64 " of %" PRIu64, member->id,
               member->progress.match_index, r->trail.last_index);
}

static const char *start(struct raft *r, node_id target)
{
    const struct raft_member *member = target == 0 ? furthest(r) : members_find(r, target);

    if (r->role != RAFT_LEADER) {
        return "this node does not lead";
    }
    if (target == r->config.id) {
        return "it leads already";
    }
    if (r->transfer.target != 0) {
        return "leadership is being transferred already";
    }
    if (member == NULL) {
        return target == 0 ? "no other voter is reachable" : "there is no such member";
    }
    if ((member->halves & MEMBER_VOTER) == 0) {
        return "a learner cannot lead";
    }
    if (!is_candidate(r, member)) {
        return "the member is not reachable";
    }
    begin(r, member, false);
    return NULL;
}

void transfer_start(struct raft *r, node_id target)
{
    r->effects->refusal = start(r, target);
    if (r->effects->refusal != NULL) {
        raft_trace(r, "transfer to %" PRIu64 " -> refuse: %s", target, r->effects->refusal);
    }
}

void transfer_leave(struct raft *r, const char *why)
{
    const struct raft_member *member = furthest(r);

    PRE(r->role == RAFT_LEADER);
    raft_trace(r, "%s -> leave", why);
    if (member != NULL) {
        begin(r, member, true);
    } else {
        role_become_follower(r, 0);
    }
}

/* A leader that is its own quorum has nobody to hand over to. */
static bool is_alone(const struct raft *r)
{
    return membership_voter_count(&r->latest_membership) == 1 &&
           !membership_is_joint(&r->latest_membership);
}

/* The others could go on, but what a leader lacks space for it cannot answer. */
static void leave_space(struct raft *r)
{
    const struct raft_member *member = furthest(r);

    r->transfer.retry_ms = r->now_ms + 4 * r->config.election_timeout_ms;
    if (member != NULL) {
        raft_trace(r, "disk is full, a majority has space -> leave");
        begin(r, member, false);
    }
}

void transfer_turn(struct raft *r)
{
    const struct raft_member *member;

    if (disk_is_stalled(r) && !is_alone(r)) {
        if (r->transfer.target == 0) {
            transfer_leave(r, "disk is stalled");
        }
        r->transfer.is_leaving = true;
    }
    if (r->is_disk_full && r->transfer.target == 0 && r->now_ms >= r->transfer.retry_ms &&
        r->commit_index >= r->term_start_index && members_have_space(r)) {
        leave_space(r);
    }
    if (r->transfer.target == 0 || r->transfer.is_sent) {
        return;
    }
    member = members_find(r, r->transfer.target);
    if (member != NULL && member->progress.match_index == r->trail.last_index) {
        effects_send(r, member->id, MESSAGE_TIMEOUT_NOW);
        r->transfer.is_sent = true;
        r->lease.is_void = true; /* it may come late: not in this term any more */
        raft_trace(r, "transfer: %" PRIu64 " has it all -> timeout_now", member->id);
        if (!membership_is_voter(&r->latest_membership, r->config.id)) {
            role_become_follower(r, 0); /* removed: nobody will tell it who leads */
        }
    }
}

void transfer_expire(struct raft *r)
{
    if (r->transfer.target == 0 || r->now_ms < r->transfer.deadline_ms) {
        return;
    }
    raft_trace(r, "transfer to %" PRIu64 " took too long -> %s", r->transfer.target,
               r->transfer.is_leaving ? "follower" : "go on");
    if (r->transfer.is_leaving) {
        role_become_follower(r, 0);
    }
    r->transfer.target = 0;
}
