/* SPDX-License-Identifier: Apache-2.0 */
/*
 * InstallSnapshot, both ends [paper 7, thesis 5.3].
 *
 * The node moves and checks the bytes; the core says whether they are wanted and what the
 * log becomes.  A snapshot counts here only when the node has loaded it and reset its log:
 * until then the log stays as it was and takes no entries.
 */
#include "base/assert.h"
#include "raft/raft_internal.h"

/* The leader may continue after `last_index`, which is durable here. */
static void reply_installed(struct raft *r, raft_index last_index)
{
    struct raft_send *send;

    if (r->role == RAFT_FOLLOWER && r->leader != 0 && r->durable_index >= last_index) {
        send = effects_send(r, r->leader, MESSAGE_INSTALL_SNAPSHOT_REPLY);
        send->message.u.install_snapshot_reply.last_index = last_index;
        send->message.u.install_snapshot_reply.is_installed = true;
    }
}

static bool is_sane(const struct message *m)
{
    return m->u.install_snapshot.last_index > 0 &&
           m->u.install_snapshot.last_index <= RAFT_NUMBER_MAX &&
           m->u.install_snapshot.last_term > 0 && m->u.install_snapshot.last_term <= m->term;
}

/* What is applied already is only taken in place of a state that is not the others'. */
static bool is_wanted(const struct raft *r, raft_index last_index)
{
    return last_index > r->commit_index ||
           (r->is_distrusted && last_index > r->snapshot_last_index &&
            last_index >= r->trail.base_index && r->durable_index >= last_index);
}

/* PRE: of the current or an older term. */
void receive_install_snapshot(struct raft *r, const struct message *m)
{
    raft_index last_index = m->u.install_snapshot.last_index;

    if (m->term < r->hard_state.current_term) {
        raft_trace(r, "install_snapshot from %" PRIu64 ": term %" PRIu64 " is over -> refuse",
                   m->from, m->term);
        effects_send(r, m->from, MESSAGE_INSTALL_SNAPSHOT_REPLY);
        return;
    }
    if (!is_sane(m)) {
        raft_trace(r, "install_snapshot from %" PRIu64 ": malformed -> drop", m->from);
        return;
    }
    if (!election_heard_leader(r, m->from)) {
        return;
    }
    if (!is_wanted(r, last_index)) {
        raft_trace(r, "install_snapshot from %" PRIu64 ": " POSITION_FMT " is old -> ignore",
                   m->from, last_index, m->u.install_snapshot.last_term);
        reply_installed(r, last_index);
        return;
    }
    r->effects->is_chunk_accepted = r->install.last_index == 0;
}

void install_snapshot_received(struct raft *r, const struct raft_event *event)
{
    raft_index last_index = event->u.snapshot_received.last_index;
    raft_term last_term = event->u.snapshot_received.last_term;

    if (r->role == RAFT_LEADER || r->install.last_index != 0 || !is_wanted(r, last_index)) {
        raft_trace(r, "snapshot " POSITION_FMT " -> not needed", last_index, last_term);
        reply_installed(r, last_index);
        return;
    }
    if (event->u.snapshot_received.membership_index > last_index || last_term == 0 ||
        last_term > r->hard_state.current_term || last_index > RAFT_NUMBER_MAX) {
        raft_halt(r, "a received snapshot contradicts itself");
        return;
    }
    if (r->role != RAFT_FOLLOWER) {
        role_become_follower(r, 0);
    }
    r->install.last_index = last_index;
    r->install.last_term = last_term;
    r->install.keeps_suffix = trail_matches(&r->trail, last_index, last_term);
    r->install.membership = *event->u.snapshot_received.membership;
    r->install.membership_index = event->u.snapshot_received.membership_index;
    r->effects->has_install = true;
    r->effects->install_last_index = last_index;
    r->effects->install_last_term = last_term;
    r->effects->install_keeps_suffix = r->install.keeps_suffix;
    raft_trace(r, "snapshot " POSITION_FMT " -> install, %s", last_index, last_term,
               r->install.keeps_suffix ? "keep what follows" : "drop the log");
}

static void install_membership(struct raft *r)
{
    r->committed_membership = r->install.membership;
    r->committed_membership_index = r->install.membership_index;
    if (!r->install.keeps_suffix || r->latest_membership_index <= r->install.last_index) {
        r->latest_membership = r->committed_membership;
        r->latest_membership_index = r->committed_membership_index;
    }
    members_refresh(r);
}

void install_snapshot_installed(struct raft *r, const struct raft_event *event)
{
    raft_index last_index = event->u.snapshot_installed.last_index;

    if (r->install.last_index != last_index ||
        r->install.last_term != event->u.snapshot_installed.last_term) {
        raft_trace(r, "snapshot " POSITION_FMT " installed, not asked for -> ignore", last_index,
                   event->u.snapshot_installed.last_term);
        return;
    }
    PRE(r->role != RAFT_LEADER);
    if (r->install.keeps_suffix) {
        trail_trim(&r->trail, last_index + 1);
    } else {
        trail_reset(&r->trail, last_index, r->install.last_term);
        r->durable_index = last_index;
        r->verified_index = 0;
        r->truncate_generation = r->hard_state_generation;
    }
    if (r->durable_index < last_index) {
        r->durable_index = last_index;
    }
    r->snapshot_last_index = last_index;
    r->snapshot_last_term = r->install.last_term;
    install_membership(r);
    r->is_waiting = false;
    r->install.last_index = 0;
    log_commit(r, last_index);
    log_regained(r);
    if (r->acked_index < follower_match(r)) {
        r->acked_index = follower_match(r);
    }
    reply_installed(r, last_index);
}

/* PRE: of the current term. */
void receive_install_snapshot_reply(struct raft *r, const struct message *m)
{
    struct raft_member *member = members_find(r, m->from);
    raft_index last_index = m->u.install_snapshot_reply.last_index;

    if (r->role != RAFT_LEADER || member == NULL) {
        return;
    }
    member->progress.heard_ms = r->now_ms;
    if (m->u.install_snapshot_reply.is_installed && last_index <= r->commit_index) {
        raft_trace(r, "install_snapshot_reply from %" PRIu64 ": installed %" PRIu64, m->from,
                   last_index);
        if (last_index >= member->progress.snapshot_index) {
            member->progress.wants_state = false;
        }
        replication_acknowledged(r, member, last_index);
    }
}
