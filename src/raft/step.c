/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event at a time: the order contract, and the rules on terms that hold for every
 * message [paper 5.1].
 *
 *   1. the event's time becomes ours;
 *   2. a message of a later term raises ours first; one of an older term is answered only
 *      where its sender must learn of ours;
 *   3. one handler runs and only notes effects;
 *   4. a halt voids them;
 *   5. the invariants are checked.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

void raft_halt(struct raft *r, const char *why)
{
    if (r->halt == NULL) {
        r->halt = why;
        raft_trace(r, "halt: %s", why);
    }
}

void raft_trace(struct raft *r, const char *format, ...)
{
    char text[512];
    va_list arguments;

    if (r->config.trace == NULL) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->config.trace(r->config.context, text);
}

/*
 * Terms that are only asked about must not spread: a pre-vote, a pre-vote granted for a
 * term yet to come, and votes while a leader is heard [thesis 4.2.3].
 */
static bool is_term_binding(const struct raft *r, const struct message *m)
{
    if (m->type == MESSAGE_REQUEST_VOTE) {
        return !m->u.request_vote.is_pre_vote && !r->is_waiting &&
               (m->u.request_vote.is_transfer || !election_is_leader_heard(r));
    }
    return !(m->type == MESSAGE_REQUEST_VOTE_REPLY && m->u.request_vote_reply.is_pre_vote &&
             m->u.request_vote_reply.is_granted);
}

/* The sender still acts in a term that is over. */
static void receive_older(struct raft *r, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_REQUEST_VOTE:
        receive_request_vote(r, m);
        break;
    case MESSAGE_APPEND_ENTRIES:
        append_entries_refuse_stale(r, m);
        break;
    case MESSAGE_INSTALL_SNAPSHOT:
        receive_install_snapshot(r, m);
        break;
    case MESSAGE_READ_INDEX:
        receive_read_index(r, m);
        break;
    default:
        break; /* an answer to a question of an older term */
    }
}

static void receive_current(struct raft *r, const struct message *m)
{
    switch (m->type) {
#define RECEIVE(NAME, name)                                                                        \
    case MESSAGE_##NAME:                                                                           \
        receive_##name(r, m);                                                                      \
        break;
        MESSAGE_LIST(RECEIVE)
#undef RECEIVE
    case MESSAGE_TYPE_COUNT:
        break;
    }
}

static void receive(struct raft *r, const struct message *m)
{
    struct raft_member *sender = members_find(r, m->from);

    if (m->to != r->config.id || m->from == r->config.id || m->from == 0 || m->term == 0 ||
        m->term > RAFT_NUMBER_MAX || (unsigned)m->type >= MESSAGE_TYPE_COUNT) {
        raft_trace(r, "message from %" PRIu64 " to %" PRIu64 ", term %" PRIu64 " -> drop", m->from,
                   m->to, m->term);
        return;
    }
    if (sender != NULL) {
        sender->is_closed = false;
    }
    if (m->term > r->hard_state.current_term && is_term_binding(r, m)) {
        raft_trace(r, "%s from %" PRIu64 ": term %" PRIu64 " > %" PRIu64,
                   message_type_name(m->type), m->from, m->term, r->hard_state.current_term);
        role_become_follower(r, 0);
        role_raise_term(r, m->term);
    }
    if (m->term < r->hard_state.current_term) {
        receive_older(r, m);
    } else {
        receive_current(r, m);
    }
}

static void peer_closed(struct raft *r, node_id peer)
{
    struct raft_member *member = members_find(r, peer);

    if (member != NULL) {
        member->is_closed = true;
        if (r->role == RAFT_LEADER) {
            replication_peer_closed(r, member);
        }
    }
    if (r->role == RAFT_FOLLOWER && r->leader == peer) {
        /* Its host says the process is gone; safety rests on votes, not on this. */
        role_set_leader(r, 0);
        election_soon(r);
        raft_trace(r, "leader %" PRIu64 " was closed by its host", peer);
    } else if (member != NULL && (r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE)) {
        election_count(r);
    }
}

static void peer_opened(struct raft *r, node_id peer)
{
    struct raft_member *member = members_find(r, peer);

    if (member == NULL || peer == r->config.id) {
        return;
    }
    member->is_closed = false;
    if (r->role == RAFT_LEADER) {
        replication_peer_opened(r, member);
    } else if (r->role != RAFT_FOLLOWER && member->vote == QUORUM_VOTE_PENDING) {
        send_request_vote(r, peer); /* the first one may have been lost with the connection */
    }
}

static void bootstrap(struct raft *r, const struct membership *m)
{
    if (!r->is_waiting || r->trail.last_index > 0) {
        return;
    }
    r->is_waiting = false;
    if (m != NULL) {
        r->committed_membership = *m;
        r->latest_membership = *m;
        members_refresh(r);
    }
    election_soon(r);
    raft_trace(r, "bootstrap with %u members", r->member_count);
}

static void distrust(struct raft *r, bool is_distrusted)
{
    r->is_distrusted = is_distrusted;
    raft_trace(r, "state is %s", is_distrusted ? "not the others'" : "the others' again");
    if (is_distrusted && r->role == RAFT_LEADER && r->transfer.target == 0) {
        transfer_leave(r, "state is not the others'");
    } else if (is_distrusted && r->role != RAFT_LEADER && r->role != RAFT_FOLLOWER) {
        role_become_follower(r, 0);
    }
}

static void campaign(struct raft *r)
{
    if (r->role != RAFT_LEADER && members_can_campaign(r) && lease_promise_left_ms(r) == 0) {
        election_start(r, false);
    }
}

static void dispatch(struct raft *r, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_RECEIVE:
        receive(r, event->u.receive);
        break;
    case RAFT_TIMEOUT:
        timer_fired(r);
        break;
    case RAFT_TURN:
        replication_turn(r);
        break;
    case RAFT_SUBMIT:
        proposals_submit(r, event->u.submit.count, event->u.submit.bytes);
        break;
    case RAFT_READ:
        reads_begin(r, event->u.read.token);
        break;
    case RAFT_PERSISTED:
        log_persisted(r, event);
        break;
    case RAFT_PEER_CLOSED:
        peer_closed(r, event->u.peer_closed.peer);
        break;
    case RAFT_PEER_OPENED:
        peer_opened(r, event->u.peer_opened.peer);
        break;
    case RAFT_BOOTSTRAP:
        bootstrap(r, event->u.bootstrap.membership);
        break;
    case RAFT_CAMPAIGN:
        campaign(r);
        break;
    case RAFT_SNAPSHOT_RECEIVED:
        install_snapshot_received(r, event);
        break;
    case RAFT_SNAPSHOT_INSTALLED:
        install_snapshot_installed(r, event);
        break;
    case RAFT_SNAPSHOT_SENT:
        replication_snapshot_sent(r, event);
        break;
    case RAFT_COMPACTED:
        log_compacted(r, event);
        break;
    case RAFT_CHANGE_MEMBERSHIP:
        membership_change(r, event->u.change_membership.membership);
        break;
    case RAFT_DISTRUST:
        distrust(r, event->u.is_distrusted);
        break;
    case RAFT_SEND_STATE:
        replication_send_state(r, event);
        break;
    case RAFT_TRANSFER:
        transfer_start(r, event->u.transfer.target);
        break;
    }
}

void raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects)
{
    enum raft_role role = r->role;
    node_id leader = r->leader;
    raft_term term = r->hard_state.current_term;
    raft_index commit_index = r->commit_index;

    PRE(event->now_ms >= r->now_ms);
    PRE(event->disk_age_ms >= 0);
    PRE(event->steady_ms >= r->steady_ms || TOOTH(LEASE_ON_WALL_CLOCK));
    r->now_ms = event->now_ms;
    r->steady_ms = event->steady_ms;
    r->disk_age_ms = event->disk_age_ms;
    r->is_disk_full = event->is_disk_full;
    effects_begin(r, effects);
    if (r->halt != NULL) {
        effects->submit_status = RK_STOPPED;
        effects->refusal = r->halt;
    } else {
        dispatch(r, event);
    }
    effects->role_changed = role != r->role || leader != r->leader ||
                            term != r->hard_state.current_term;
    effects_end(r);
    POST(r->hard_state.current_term >= term);
    POST(r->commit_index >= commit_index);
    raft_check_invariants(r);
}
