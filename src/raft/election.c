/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting, counting and losing elections [paper 5.2, thesis 4.2.3, 9.6].
 *
 * Timing decides only who tries and when.  Safety rests on votes: one durable vote per
 * term, given to logs that are not behind.
 */
#include "base/assert.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

void election_draw_timeout(struct raft *r)
{
    r->timeout_ms = r->config.election_timeout_ms +
                    (time_ms)rng_below(&r->rng, (uint64_t)r->config.election_timeout_ms);
    r->election_deadline_ms = r->now_ms + r->timeout_ms;
}

bool election_heard_leader(struct raft *r, node_id leader)
{
    if (r->role == RAFT_LEADER || (r->leader != 0 && r->leader != leader)) {
        raft_halt(r, "two leaders in one term");
        return false;
    }
    if (r->role != RAFT_FOLLOWER || r->leader != leader) {
        raft_trace(r, "follows %" PRIu64 " in term %" PRIu64, leader, r->hard_state.current_term);
        role_become_follower(r, leader);
    }
    r->lost_count = 0;
    r->leader_heard_ms = r->now_ms;
    lease_leader_heard(r);
    r->election_deadline_ms = r->now_ms + r->timeout_ms;
    return true;
}

bool election_is_leader_heard(const struct raft *r)
{
    if (TOOTH(REMOVED_DISRUPTS)) {
        return false;
    }
    if (r->role == RAFT_LEADER) {
        return true; /* CheckQuorum ends that when it is not so any more */
    }
    /* A promise outlives losing sight of the leader it was made to. */
    return lease_promise_left_ms(r) > 0 ||
           (r->leader != 0 && r->now_ms - r->leader_heard_ms < r->config.election_timeout_ms);
}

void election_soon(struct raft *r)
{
    r->election_deadline_ms = r->now_ms + lease_promise_left_ms(r) +
                              (time_ms)rng_below(&r->rng, HOST_CLOSED_JITTER_MS + 1);
}

/* Asks everyone, learners too: they may be voters of a membership we do not know yet. */
static void election_ask_all(struct raft *r)
{
    for (unsigned i = 0; i < r->member_count; i++) {
        r->members[i].vote = QUORUM_VOTE_PENDING;
        if (r->members[i].id != r->config.id) {
            send_request_vote(r, r->members[i].id);
        }
    }
    r->is_lost = false;
}

static void election_grant_self(struct raft *r)
{
    struct raft_member *self = members_find(r, r->config.id);

    if (self != NULL) {
        self->vote = QUORUM_VOTE_GRANTED;
    }
    election_count(r);
}

void election_start_pre_vote(struct raft *r)
{
    role_become_pre_candidate(r);
    election_draw_timeout(r);
    r->is_transfer = false;
    election_ask_all(r);
    election_grant_self(r); /* nothing to make durable: a pre-vote changes nothing */
}

void election_start(struct raft *r, bool is_transfer)
{
    role_become_candidate(r);
    raft_trace(r, "candidate, term %" PRIu64, r->hard_state.current_term);
    election_draw_timeout(r);
    r->is_transfer = is_transfer;
    election_ask_all(r);
    /* Our own vote counts when it is durable: election_persisted(). */
}

void election_persisted(struct raft *r)
{
    if (r->role == RAFT_CANDIDATE && r->durable_generation >= r->term_generation) {
        election_grant_self(r);
    }
}

/* Counts a member whose host closed its connection as one that will not answer. */
static enum quorum_outcome election_outcome(const struct raft *r, bool count_closed)
{
    struct quorum_voter voters[MEMBERS_MAX];

    for (unsigned i = 0; i < r->member_count; i++) {
        const struct raft_member *m = &r->members[i];
        bool is_absent = count_closed && m->is_closed && m->vote == QUORUM_VOTE_PENDING;

        voters[i] = (struct quorum_voter){
            .halves = m->halves,
            .vote = is_absent ? QUORUM_VOTE_REFUSED : m->vote,
        };
    }
    return quorum_outcome(voters, r->member_count);
}

/*
 * Everyone who can answer has refused: waiting out the timeout would be in vain.  Tries
 * again after a jitter that doubles, never later than the timeout.  Terms stay calm: the
 * new try begins with a pre-vote.
 */
static void election_lose(struct raft *r)
{
    unsigned doublings = r->lost_count < ELECTION_RETRY_DOUBLINGS_MAX
                             ? r->lost_count
                             : ELECTION_RETRY_DOUBLINGS_MAX;
    uint64_t jitter_ms = (uint64_t)HOST_CLOSED_JITTER_MS << doublings;
    time_ms again_ms = r->now_ms + 1 + (time_ms)rng_below(&r->rng, jitter_ms);

    r->is_lost = true;
    r->lost_count++;
    if (again_ms < r->election_deadline_ms) {
        r->election_deadline_ms = again_ms;
    }
    raft_trace(r, "%s lost term %" PRIu64, raft_role_name(r->role),
               r->hard_state.current_term + (r->role == RAFT_PRE_CANDIDATE));
}

void election_count(struct raft *r)
{
    PRE(r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE);
    if (election_outcome(r, false) == QUORUM_WON) {
        if (r->role == RAFT_PRE_CANDIDATE) {
            election_start(r, false);
        } else if (r->durable_generation >= r->term_generation) {
            role_become_leader(r); /* else these answer what we have not asked yet */
        }
    } else if (!r->is_lost && election_outcome(r, true) == QUORUM_LOST) {
        election_lose(r);
    }
}
