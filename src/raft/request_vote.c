/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RequestVote, and its rehearsal PreVote [paper fig 2, thesis 4.2.3, 9.6].
 *
 * A pre-vote asks "would you vote for me in this term?" and changes nothing at the voter:
 * not the term, not the vote, not the timer.  A granted one echoes the term asked for, a
 * refused one carries the voter's own, so that a candidate left behind catches up.
 */
#include "base/teeth.h"
#include "raft/raft_internal.h"

void send_request_vote(struct raft *r, node_id to)
{
    bool is_pre_vote = r->role == RAFT_PRE_CANDIDATE;
    struct raft_send *send = effects_send(r, to, MESSAGE_REQUEST_VOTE);

    send->message.term += is_pre_vote;
    send->message.u.request_vote.is_pre_vote = is_pre_vote;
    send->message.u.request_vote.is_transfer = r->is_transfer;
    send->message.u.request_vote.last_log_index = r->trail.last_index;
    send->message.u.request_vote.last_log_term = trail_last_term(&r->trail);
}

void request_vote_refuse(struct raft *r, const struct message *m)
{
    struct raft_send *send = effects_send(r, m->from, MESSAGE_REQUEST_VOTE_REPLY);

    send->message.u.request_vote_reply.is_pre_vote = m->u.request_vote.is_pre_vote;
    send->message.u.request_vote_reply.is_granted = false;
}

static bool is_not_behind(const struct message *m, raft_term term, raft_index index)
{
    if (m->u.request_vote.last_log_term != term) {
        return m->u.request_vote.last_log_term > term;
    }
    return m->u.request_vote.last_log_index >= index;
}

/* [paper 5.4.1]: later last term, or the same and at least as long.  What was lost to damage was
 * acknowledged, so it counts as if it were here. */
static bool is_up_to_date(const struct raft *r, const struct message *m)
{
    return is_not_behind(m, trail_last_term(&r->trail), r->trail.last_index) &&
           is_not_behind(m, r->lost_last_term, r->lost_last_index);
}

/* Why not; NULL = the vote is granted. */
static const char *refusal(const struct raft *r, const struct message *m)
{
    bool is_pre_vote = m->u.request_vote.is_pre_vote;

    if (r->is_waiting) {
        return "not bootstrapped";
    }
    if (disk_is_stalled(r)) {
        return "disk is stalled";
    }
    if (!m->u.request_vote.is_transfer && election_is_leader_heard(r)) {
        return "leader is heard";
    }
    if (m->term < r->hard_state.current_term + is_pre_vote) {
        return "term is not new";
    }
    if (!is_pre_vote && r->hard_state.voted_for != 0 && r->hard_state.voted_for != m->from) {
        return "vote is given";
    }
    if (!is_up_to_date(r, m)) {
        return "log is behind";
    }
    return NULL;
}

static void grant(struct raft *r, const struct message *m)
{
    bool is_pre_vote = m->u.request_vote.is_pre_vote;
    struct raft_send *send;

    if (!is_pre_vote) {
        if (r->hard_state.voted_for == 0) {
            r->hard_state.voted_for = m->from;
            effects_hard_state(r);
        }
        /* Whoever gives its vote away does not compete for it. */
        if (r->role != RAFT_FOLLOWER) {
            role_become_follower(r, 0);
        }
        r->election_deadline_ms = r->now_ms + r->timeout_ms;
    }
    send = effects_send(r, m->from, MESSAGE_REQUEST_VOTE_REPLY);
    send->message.term = m->term;
    send->message.u.request_vote_reply.is_pre_vote = is_pre_vote;
    send->message.u.request_vote_reply.is_granted = true;
    if (!is_pre_vote && r->hard_state_generation > r->durable_generation) {
        send->need.hard_state_generation = r->hard_state_generation;
    }
}

/* PRE: real votes are of the current term; pre-votes of no older one. */
void receive_request_vote(struct raft *r, const struct message *m)
{
    const char *kind = m->u.request_vote.is_pre_vote ? "pre_vote" : "request_vote";
    const char *why = refusal(r, m);

    if (why == NULL) {
        raft_trace(r,
                   "%s from %" PRIu64 ": term %" PRIu64 ", log " POSITION_FMT
                   " not behind " POSITION_FMT " -> grant",
                   kind, m->from, m->term, m->u.request_vote.last_log_index,
                   m->u.request_vote.last_log_term, r->trail.last_index,
                   trail_last_term(&r->trail));
        grant(r, m);
        return;
    }
    raft_trace(r,
               "%s from %" PRIu64 ": term %" PRIu64 ", log " POSITION_FMT ", ours " POSITION_FMT
               ": %s -> refuse",
               kind, m->from, m->term, m->u.request_vote.last_log_index,
               m->u.request_vote.last_log_term, r->trail.last_index, trail_last_term(&r->trail),
               why);
    request_vote_refuse(r, m);
}

/* A counter in the place of a mark per voter: what comes again counts for somebody else. */
static struct raft_member *bite_other_voter(struct raft *r, struct raft_member *member)
{
    for (unsigned i = 0; i < r->member_count; i++) {
        if (r->members[i].vote == QUORUM_VOTE_PENDING) {
            return &r->members[i];
        }
    }
    return member;
}

/* PRE: a granted pre-vote, or of the current term. */
void receive_request_vote_reply(struct raft *r, const struct message *m)
{
    bool is_pre_vote = m->u.request_vote_reply.is_pre_vote;
    bool is_granted = m->u.request_vote_reply.is_granted;
    raft_term asked = r->hard_state.current_term + is_pre_vote;
    struct raft_member *member = members_find(r, m->from);

    if (r->role != (is_pre_vote ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE) || member == NULL) {
        return; /* an answer to an older question */
    }
    if (is_granted && m->term != asked) {
        return;
    }
    if (TOOTH(VOTE_COUNTED_TWICE) && is_granted && member->vote == QUORUM_VOTE_GRANTED) {
        member = bite_other_voter(r, member);
    }
    if (member->vote != QUORUM_VOTE_GRANTED) { /* a late refusal takes nothing back */
        member->vote = is_granted ? QUORUM_VOTE_GRANTED : QUORUM_VOTE_REFUSED;
    }
    election_count(r);
}
