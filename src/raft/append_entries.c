/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AppendEntries, both ends [paper fig 2, 5.3; thesis 10.2.1].
 *
 * A follower acknowledges what is durable here and known to equal the leader's log.  What
 * a message appended is acknowledged when the disk has it, once per sync; anything else is
 * answered at once, also while the disk is busy.
 */
#include "base/assert.h"
#include "base/teeth.h"
#include "model/command.h"
#include "raft/raft_internal.h"

static const char contradiction[] = "the leader's log contradicts a committed entry";

static bool is_membership(const struct entry *e)
{
    return e->command.size > 0 && e->command.data[0] == COMMAND_MEMBERSHIP;
}

/* Contiguous, terms in order and not beyond the leader's, memberships readable. */
static const char *entries_fault(struct raft *r, const struct message *m)
{
    raft_term term = m->u.append_entries.prev_log_term;
    uint32_t count = m->u.append_entries.count;

    if (m->u.append_entries.prev_log_index > RAFT_NUMBER_MAX) {
        return "index out of range";
    }
    if (count > 0 && m->u.append_entries.entries == NULL) {
        return "entries are missing";
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *e = &m->u.append_entries.entries[i];

        if (e->index != m->u.append_entries.prev_log_index + 1 + i) {
            return "entries are not contiguous";
        }
        if (e->term == 0 || e->term < term || e->term > m->term) {
            return "terms are out of order";
        }
        if (is_membership(e) && command_membership(e->command, &r->scratch_membership) != RK_OK) {
            return "membership is unreadable";
        }
        term = e->term;
    }
    return NULL;
}

static struct raft_send *reply(struct raft *r, bool is_success)
{
    struct raft_send *send = effects_send(r, r->leader, MESSAGE_APPEND_ENTRIES_REPLY);

    send->message.u.append_entries_reply.is_success = is_success;
    send->message.u.append_entries_reply.is_full = r->is_disk_full;
    send->message.u.append_entries_reply.is_repairing = r->lost_last_index != 0;
    send->message.u.append_entries_reply.last_log_index = r->trail.last_index;
    send->message.u.append_entries_reply.read_sequence = r->echo_sequence;
    send->message.u.append_entries_reply.promised_ms = lease_promise_told_ms(r);
    r->replied_ms = r->now_ms;
    return send;
}

static void acknowledge(struct raft *r)
{
    struct raft_send *send = reply(r, true);

    r->acked_index = follower_match(r);
    send->message.u.append_entries_reply.match_index = r->acked_index;
}

void append_entries_persisted(struct raft *r)
{
    if (r->role == RAFT_FOLLOWER && r->leader != 0 && follower_match(r) > r->acked_index) {
        acknowledge(r);
    }
}

/* A leader of an older term learns of ours from any answer and steps down. */
void append_entries_refuse_stale(struct raft *r, const struct message *m)
{
    struct raft_send *send = effects_send(r, m->from, MESSAGE_APPEND_ENTRIES_REPLY);

    send->message.u.append_entries_reply.reject_index = m->u.append_entries.prev_log_index;
    send->message.u.append_entries_reply.last_log_index = r->trail.last_index;
    raft_trace(r, "append_entries from %" PRIu64 ": term %" PRIu64 " is over -> refuse", m->from,
               m->term);
}

/*
 * The entry before the new ones is not ours.  Names the newest place where the logs may
 * agree: an entry of a later term than prev_log_term cannot be in the leader's log there.
 */
static void refuse(struct raft *r, const struct message *m)
{
    raft_index prev_index = m->u.append_entries.prev_log_index;
    raft_term prev_term = m->u.append_entries.prev_log_term;
    struct raft_send *send = reply(r, false);
    raft_index conflict_index = trail_find_term_at_most(&r->trail, prev_index, prev_term);

    if (conflict_index < r->commit_index) {
        conflict_index = r->commit_index; /* what is committed agrees */
    }
    send->message.u.append_entries_reply.reject_index = prev_index;
    send->message.u.append_entries_reply.conflict_index = conflict_index;
    send->message.u.append_entries_reply.conflict_term = raft_term_at(r, conflict_index);
    raft_trace(r,
               "append_entries from %" PRIu64 ": log " POSITION_FMT " lacks " POSITION_FMT
               " -> refuse, try " POSITION_FMT,
               m->from, r->trail.last_index, trail_last_term(&r->trail), prev_index, prev_term,
               conflict_index, raft_term_at(r, conflict_index));
}

/* Adds entries[first..], one run at a time, putting memberships in force as they come. */
static void append_received(struct raft *r, const struct message *m, uint32_t first)
{
    const struct entry *entries = m->u.append_entries.entries;
    uint32_t count = m->u.append_entries.count;
    uint32_t i = first;

    r->effects->append_kind = RAFT_APPEND_RECEIVED;
    r->effects->append_first = entries[first].index;
    r->effects->append_last = entries[count - 1].index;
    while (i < count) {
        uint32_t run = i;

        while (i < count && entries[i].term == entries[run].term) {
            i++;
        }
        trail_append(&r->trail, entries[run].term, i - run);
    }
    for (i = first; i < count; i++) {
        if (is_membership(&entries[i]) &&
            command_membership(entries[i].command, &r->scratch_membership) == RK_OK) {
            members_adopt(r, &r->scratch_membership, entries[i].index);
        }
    }
    r->is_waiting = false;
    raft_trace(r, "append_entries from %" PRIu64 ": append " POSITION_FMT ".." POSITION_FMT,
               m->from, entries[first].index, entries[first].term, entries[count - 1].index,
               entries[count - 1].term);
}

/*
 * Appends what is new, truncating only where an entry really differs: a late or repeated
 * message must not shorten the log.  True when anything was appended.
 */
static bool take_entries(struct raft *r, const struct message *m)
{
    const struct entry *entries = m->u.append_entries.entries;
    uint32_t count = m->u.append_entries.count;
    raft_index prev_index = m->u.append_entries.prev_log_index;
    uint32_t i = 0;

    if (prev_index + count <= r->trail.last_index && prev_index + count <= r->commit_index) {
        return false; /* all of it is committed here */
    }
    if (prev_index < r->trail.base_index) {
        i = (uint32_t)(r->trail.base_index - prev_index); /* compacted, so committed */
        if (raft_term_at(r, r->trail.base_index) != 0 &&
            raft_term_at(r, r->trail.base_index) != entries[i - 1].term) {
            raft_halt(r, contradiction);
            return false;
        }
    }
    while (i < count && entries[i].index <= r->trail.last_index &&
           (trail_matches(&r->trail, entries[i].index, entries[i].term) || TOOTH(CONFLICT_KEPT))) {
        i++;
    }
    if (i == count) {
        if (TOOTH(SUFFIX_DROPPED) && prev_index + count < r->trail.last_index) {
            log_truncate(r, prev_index + count + 1);
        }
        return false;
    }
    if (entries[i].index <= r->trail.last_index) {
        raft_trace(r,
                   "append_entries from %" PRIu64 ": " POSITION_FMT " conflicts with " POSITION_FMT
                   " -> truncate",
                   m->from, entries[i].index, entries[i].term, entries[i].index,
                   raft_term_at(r, entries[i].index));
        log_truncate(r, entries[i].index);
        if (r->halt != NULL) {
            return false;
        }
    }
    append_received(r, m, i);
    return true;
}

static bool prev_matches(struct raft *r, const struct message *m)
{
    raft_index prev_index = m->u.append_entries.prev_log_index;
    raft_term prev_term = m->u.append_entries.prev_log_term;

    if (trail_matches(&r->trail, prev_index, prev_term)) {
        return true;
    }
    if (prev_index > r->commit_index) {
        return false;
    }
    if (raft_term_at(r, prev_index) == 0) {
        return true; /* compacted, so committed, so the same at any leader */
    }
    raft_halt(r, contradiction);
    return false;
}

/*
 * A message that only told the commit index needs no answer when one left just now: it
 * would tell the leader nothing.  [saves a third of the messages of a lone client]
 */
static bool is_answer_due(const struct raft *r, const struct message *m, raft_index old_commit,
                          uint64_t old_sequence)
{
    bool is_notice = m->u.append_entries.count == 0 && r->commit_index > old_commit &&
                     r->echo_sequence == old_sequence && follower_match(r) == r->acked_index;

    return !is_notice || r->now_ms - r->replied_ms >= r->config.heartbeat_interval_ms / 2;
}

/* PRE: of the current term. */
void receive_append_entries(struct raft *r, const struct message *m)
{
    raft_index last_new = m->u.append_entries.prev_log_index + m->u.append_entries.count;
    raft_index old_commit = r->commit_index;
    const char *fault = entries_fault(r, m);
    uint64_t old_sequence;
    bool is_appended;

    if (fault != NULL) {
        raft_trace(r, "append_entries from %" PRIu64 ": %s -> drop", m->from, fault);
        return;
    }
    if (!election_heard_leader(r, m->from)) {
        return;
    }
    old_sequence = r->echo_sequence;
    if (m->u.append_entries.read_sequence > r->echo_sequence) {
        r->echo_sequence = m->u.append_entries.read_sequence;
    }
    if (r->install.last_index != 0) {
        acknowledge(r); /* alive, but the log is about to be replaced */
        return;
    }
    if (!prev_matches(r, m)) {
        if (r->halt == NULL) {
            refuse(r, m);
        }
        return;
    }
    is_appended = take_entries(r, m);
    if (r->halt != NULL) {
        return;
    }
    if (last_new > r->verified_index) {
        r->verified_index = last_new;
    }
    log_commit(r, m->u.append_entries.leader_commit < last_new ? m->u.append_entries.leader_commit
                                                               : last_new);
    if (!is_appended && is_answer_due(r, m, old_commit, old_sequence)) {
        acknowledge(r);
    }
}

/*
 * A log that ends before what it acknowledged to this leader is that of an old message, or of a
 * directory put back from a copy.  Asked anew: whoever says so once it heard a question that
 * was asked after the acknowledgement has forgotten [DESIGN 4].  It counts again, from nothing,
 * when its log reaches as far without having been sent anything: the right directory is back.
 */
static bool has_forgotten(struct raft *r, struct progress *p, const struct message *m)
{
    raft_index last_index = m->u.append_entries_reply.last_log_index;
    bool is_asked = p->doubt_sequence != 0 &&
                    m->u.append_entries_reply.read_sequence >= p->doubt_sequence;

    if (p->has_forgotten) {
        return !is_asked || last_index < p->doubt_index;
    }
    if (last_index >= p->match_index || m->u.append_entries_reply.is_repairing) {
        p->doubt_sequence = 0;
        return false;
    }
    if (p->doubt_sequence == 0 || last_index >= p->doubt_index) {
        p->doubt_sequence = r->read_sequence + 1;
        p->doubt_index = p->match_index;
        r->is_doubt_due = true;
        return false;
    }
    return is_asked;
}

static void distrust(struct raft *r, struct raft_member *member, const struct message *m)
{
    struct progress *p = &member->progress;
    raft_index last_index = m->u.append_entries_reply.last_log_index;

    if (p->has_forgotten && m->u.append_entries_reply.read_sequence < p->doubt_sequence) {
        r->is_doubt_due = true; /* an old one, or of a new process: it is asked again */
        return;
    }
    raft_trace(r, "%" PRIu64 " ends at %" PRIu64 " but acknowledged %" PRIu64 " -> distrust",
               member->id, last_index, p->doubt_index);
    if (p->match_index > last_index) {
        progress_regress(p, last_index);
    }
    p->has_forgotten = true;
    p->doubt_sequence = r->read_sequence + 1;
    r->is_doubt_due = true;
    r->effects->forgetful = member->id;
}

static void trust(struct raft *r, struct raft_member *member)
{
    raft_trace(r, "%" PRIu64 " has again what it acknowledged", member->id);
    member->progress.has_forgotten = false;
    member->progress.doubt_sequence = 0;
}

/* PRE: of the current term. */
void receive_append_entries_reply(struct raft *r, const struct message *m)
{
    struct raft_member *member = members_find(r, m->from);
    raft_index match_index = m->u.append_entries_reply.match_index;

    if (r->role != RAFT_LEADER || member == NULL) {
        return;
    }
    if (m->u.append_entries_reply.read_sequence > r->read_sequence ||
        (m->u.append_entries_reply.is_success && match_index > r->trail.last_index)) {
        raft_trace(r, "append_entries_reply from %" PRIu64 ": beyond what was sent -> drop",
                   m->from);
        return;
    }
    if (has_forgotten(r, &member->progress, m)) {
        distrust(r, member, m);
        return;
    }
    if (member->progress.has_forgotten) {
        trust(r, member);
    }
    member->progress.heard_ms = r->now_ms;
    member->progress.is_full = m->u.append_entries_reply.is_full;
    if (m->u.append_entries_reply.read_sequence > member->progress.read_sequence) {
        member->progress.read_sequence = m->u.append_entries_reply.read_sequence;
    }
    lease_echoed(r, member, m->u.append_entries_reply.read_sequence,
                 m->u.append_entries_reply.promised_ms);
    if (m->u.append_entries_reply.last_log_index > member->progress.tail_index) {
        member->progress.moved_ms = r->now_ms;
    }
    member->progress.tail_index = m->u.append_entries_reply.last_log_index;
    if (m->u.append_entries_reply.is_repairing) {
        replication_regressed(r, member, m->u.append_entries_reply.last_log_index);
    }
    if (m->u.append_entries_reply.is_success) {
        replication_acknowledged(r, member, match_index);
    } else {
        replication_refused(r, member, m);
    }
    reads_release(r);
}
