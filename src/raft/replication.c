/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leader sends next, and to whom [paper 5.3, thesis 10.2].
 *
 * Everything leaves in replication_turn(), gathered once per loop turn.  Heartbeats and
 * read rounds go first and empty, so that they never queue behind bulk data.
 */
#include "base/assert.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

static raft_index index_min(raft_index a, raft_index b)
{
    return a < b ? a : b;
}

void replication_start(struct raft *r)
{
    raft_index first = r->trail.last_index + 1;

    for (unsigned i = 0; i < r->member_count; i++) {
        progress_reset(&r->members[i].progress, first, r->now_ms);
    }
    r->transfer.target = 0;
    r->leader_since_ms = r->now_ms;
    r->heartbeat_due_ms = r->now_ms;
    r->read_sequence = 0;
    r->is_round_due = false;
    r->is_doubt_due = false;
    r->lease.round_count = 0;
    r->lease.is_void = false;
    r->lost_count = 0;
    r->term_start_index = first;
    proposals_clear(r);
    raft_trace(r, "leader of term %" PRIu64 " from %" PRIu64, r->hard_state.current_term, first);
    if (TOOTH(NO_NOOP) && first > 1) {
        r->term_start_index = r->commit_index;
        return;
    }
    log_append_own(r, first == 1 ? RAFT_APPEND_BOOTSTRAP : RAFT_APPEND_NOOP, 1);
    if (first == 1) {
        members_adopt(r, &r->latest_membership, first);
    }
}

/* An AppendEntries of the entries after prev_index, up to last_index. */
static void send_append_entries(struct raft *r, struct raft_member *member, raft_index prev_index,
                                raft_index last_index)
{
    struct raft_send *send = effects_send(r, member->id, MESSAGE_APPEND_ENTRIES);
    raft_index commit_index = index_min(r->commit_index, last_index);

    send->message.u.append_entries.prev_log_index = prev_index;
    send->message.u.append_entries.prev_log_term = raft_term_at(r, prev_index);
    send->message.u.append_entries.leader_commit = commit_index;
    send->message.u.append_entries.read_sequence = r->read_sequence;
    send->message.u.append_entries.count = (uint32_t)(last_index - prev_index);
    if (commit_index > member->progress.commit_sent) {
        member->progress.commit_sent = commit_index;
    }
}

/* The last entry known to agree that the log still names; 0 = it was compacted meanwhile. */
static raft_index agreed_index(const struct raft *r, const struct progress *p)
{
    return raft_term_at(r, p->match_index) != 0 ? p->match_index : 0;
}

/* Empty, at a place known to agree: it succeeds whatever else is on its way. */
static void send_heartbeat(struct raft *r, struct raft_member *member)
{
    raft_index prev_index = agreed_index(r, &member->progress);

    send_append_entries(r, member, prev_index, prev_index);
}

/* True when the entry at next_index can be sent from the log. */
static bool is_held(const struct raft *r, raft_index next_index)
{
    raft_index prev_index = next_index - 1;

    return next_index > r->trail.base_index &&
           (prev_index == 0 || raft_term_at(r, prev_index) != 0);
}

/* The end of the longest message from `first` on; PRE: first <= last. */
static raft_index fit(const struct raft *r, raft_index first, uint64_t bytes_max,
                      uint64_t *ret_bytes)
{
    raft_index last = index_min(r->trail.last_index, first + r->config.append_count_max - 1);
    raft_index fitting = r->config.fit(r->config.context, first, last, bytes_max, ret_bytes);

    POST(fitting >= first && fitting <= last);
    return fitting;
}

static void send_probe(struct raft *r, struct raft_member *member)
{
    struct progress *p = &member->progress;
    raft_index last = p->next_index - 1;
    uint64_t bytes_max = PROBE_BYTES_MAX < r->config.append_bytes_max ? PROBE_BYTES_MAX
                                                                      : r->config.append_bytes_max;
    uint64_t bytes = 0;

    if (p->next_index <= r->trail.last_index) {
        last = fit(r, p->next_index, bytes_max, &bytes);
    }
    send_append_entries(r, member, p->next_index - 1, last);
    p->is_probe_sent = true;
}

/* All the window admits.  True when anything was sent. */
static bool send_entries(struct raft *r, struct raft_member *member)
{
    struct progress *p = &member->progress;
    bool is_sent = false;

    while (p->next_index <= r->trail.last_index && p->inflight_count < p->count_max) {
        uint64_t room = r->config.inflight_bytes_max > p->inflight_bytes
                            ? r->config.inflight_bytes_max - p->inflight_bytes
                            : 0;
        uint64_t bytes_max = r->config.append_bytes_max;
        uint64_t bytes = 0;
        raft_index prev_index = p->next_index - 1;
        raft_index last;

        if (p->inflight_count > 0 && room == 0) {
            break;
        }
        if (p->inflight_count > 0 && room < bytes_max) {
            bytes_max = room;
        }
        last = fit(r, p->next_index, bytes_max, &bytes);
        if (!progress_admits(p, bytes, r->config.inflight_bytes_max)) {
            break;
        }
        send_append_entries(r, member, prev_index, last);
        progress_sent(p, last, bytes, r->now_ms);
        is_sent = true;
    }
    return is_sent;
}

/*
 * The one whose transfer was cut, so that it can go on where it was, as long as the log still
 * continues it; else the newest.  0 = none taken yet that helps.
 */
static raft_index choose_snapshot(const struct raft *r, const struct progress *p)
{
    if (p->wants_state) {
        return r->snapshot_last_index;
    }
    if (p->snapshot_failures > 0 && p->snapshot_index > p->match_index &&
        p->snapshot_index <= r->snapshot_last_index && raft_term_at(r, p->snapshot_index) != 0) {
        return p->snapshot_index;
    }
    return r->snapshot_last_index > p->match_index ? r->snapshot_last_index : 0;
}

/* What it needs is not in the log any more. */
static void begin_snapshot(struct raft *r, struct raft_member *member)
{
    raft_index index = choose_snapshot(r, &member->progress);

    if (index == 0) {
        return;
    }
    progress_become_snapshot(&member->progress, index);
    effects_send_snapshot(r, member->id);
    raft_trace(r, "%" PRIu64 " needs entries before " POSITION_FMT " -> send snapshot", member->id,
               index, raft_term_at(r, index));
}

bool raft_snapshot_for(const struct raft *r, node_id peer, raft_index *ret_last_index,
                       raft_term *ret_last_term)
{
    for (unsigned i = 0; i < r->member_count && r->role == RAFT_LEADER; i++) {
        const struct progress *p = &r->members[i].progress;

        if (r->members[i].id == peer && p->mode == RAFT_PROGRESS_SNAPSHOT) {
            *ret_last_index = p->snapshot_index;
            *ret_last_term = raft_term_at(r, p->snapshot_index);
            return true;
        }
    }
    return false;
}

raft_index raft_compaction_limit(const struct raft *r)
{
    raft_index limit = UINT64_MAX;

    for (unsigned i = 0; i < r->member_count && r->role == RAFT_LEADER; i++) {
        const struct progress *p = &r->members[i].progress;

        /* A failed transfer does not hold the log: nobody may ever ask for it again. */
        if (r->members[i].id != r->config.id && p->mode == RAFT_PROGRESS_SNAPSHOT &&
            !p->is_snapshot_failed && p->snapshot_index < limit) {
            limit = p->snapshot_index;
        }
    }
    return limit;
}

/* Whoever wanted only the state has the log, and asks again if need be. */
static void probe_behind_snapshot(struct progress *p)
{
    raft_index index = p->snapshot_index > p->match_index ? p->snapshot_index : p->match_index;

    p->wants_state = false;
    progress_become_probe(p, index + 1);
}

void replication_send_state(struct raft *r, const struct raft_event *event)
{
    struct raft_member *member = members_find(r, event->u.send_state.peer);

    if (r->role == RAFT_LEADER && member != NULL && member->id != r->config.id &&
        member->progress.mode != RAFT_PROGRESS_SNAPSHOT &&
        r->snapshot_last_index > event->u.send_state.above &&
        r->snapshot_last_index <= member->progress.match_index) {
        member->progress.wants_state = true;
        member->progress.snapshot_failures = 0;
    }
}

static bool send_by_mode(struct raft *r, struct raft_member *member)
{
    struct progress *p = &member->progress;

    if (p->has_forgotten) {
        return false;
    }
    if (p->mode == RAFT_PROGRESS_SNAPSHOT) {
        if (r->now_ms < p->snapshot_retry_ms) {
            return false;
        }
        probe_behind_snapshot(p); /* it may have arrived after all */
    }
    if (p->wants_state) {
        begin_snapshot(r, member);
        return false;
    }
    if (!is_held(r, p->next_index)) {
        begin_snapshot(r, member);
        return false;
    }
    if (p->mode == RAFT_PROGRESS_REPLICATE) {
        return send_entries(r, member);
    }
    if (p->is_probe_sent) {
        return false;
    }
    send_probe(r, member);
    return true;
}

static void turn_member(struct raft *r, struct raft_member *member, bool is_beat, bool is_round)
{
    struct progress *p = &member->progress;
    bool is_sent = is_beat || is_round;

    if (is_sent) {
        send_heartbeat(r, member);
    }
    if (is_beat && p->mode == RAFT_PROGRESS_PROBE && p->is_probe_sent &&
        is_held(r, p->next_index)) {
        /* The probe or its answer was lost; asked again without its load. */
        send_append_entries(r, member, p->next_index - 1, p->next_index - 1);
    }
    is_sent = send_by_mode(r, member) || is_sent;
    if (!is_sent && index_min(agreed_index(r, p), r->commit_index) > p->commit_sent) {
        send_heartbeat(r, member); /* only tells the commit index, so that it applies */
    }
}

void replication_turn(struct raft *r)
{
    bool is_beat = r->now_ms >= r->heartbeat_due_ms;
    bool is_round = r->is_round_due || (is_beat && (r->is_doubt_due || r->config.has_leases));

    if (r->role != RAFT_LEADER) {
        return;
    }
    transfer_turn(r);
    if (r->role != RAFT_LEADER) {
        return; /* it had to go */
    }
    if (is_round) {
        r->read_sequence++;
        r->is_round_due = false;
        r->is_doubt_due = false;
        lease_round_sent(r);
    }
    if (is_beat) {
        r->heartbeat_due_ms = r->now_ms + r->config.heartbeat_interval_ms;
    }
    for (unsigned i = 0; i < r->member_count; i++) {
        if (r->members[i].id != r->config.id) {
            turn_member(r, &r->members[i], is_beat, is_round);
        }
    }
    membership_turn(r); /* last: the node holds what it appends only after this step */
}

/* Nothing sent over the old connection can be relied on. */
static void start_over(struct raft *r, struct raft_member *member)
{
    struct progress *p = &member->progress;

    if (p->mode == RAFT_PROGRESS_SNAPSHOT) {
        if (p->snapshot_retry_ms != INT64_MAX) {
            probe_behind_snapshot(p);
        }
        return; /* a running stream reports its own end */
    }
    progress_become_probe(p, p->match_index > 0 ? p->match_index + 1 : p->next_index);
    (void)r;
}

void replication_peer_opened(struct raft *r, struct raft_member *member)
{
    start_over(r, member);
}

void replication_peer_closed(struct raft *r, struct raft_member *member)
{
    start_over(r, member);
}

/*
 * Messages can vanish without a sign when a transport drops them.  A follower whose log
 * stays short of what was sent, for a whole election timeout, is probed anew; so is one
 * that has it all and acknowledges nothing for much longer: it may have been restarted.
 */
static bool is_stalled(const struct raft *r, const struct progress *p)
{
    time_ms patience_ms = r->config.election_timeout_ms;

    if (p->tail_index + 1 >= p->next_index) {
        patience_ms *= 4; /* more likely its disk is slow */
    }
    return p->inflight_count > 0 && r->now_ms - p->moved_ms >= patience_ms;
}

void replication_acknowledged(struct raft *r, struct raft_member *member, raft_index match_index)
{
    struct progress *p = &member->progress;
    bool is_advanced = progress_acknowledge(p, match_index, r->now_ms);

    progress_round(p, r->trail.last_index, r->now_ms);
    switch (p->mode) {
    case RAFT_PROGRESS_PROBE:
        if (p->match_index + 1 >= p->next_index) {
            progress_become_replicate(p, r->now_ms);
        }
        break;
    case RAFT_PROGRESS_REPLICATE:
        if (is_stalled(r, p)) {
            raft_trace(r, "%" PRIu64 " stays at %" PRIu64 " -> probe", member->id, p->tail_index);
            progress_become_probe(p, p->match_index + 1);
        }
        break;
    case RAFT_PROGRESS_SNAPSHOT:
        if (p->match_index >= p->snapshot_index && !p->wants_state) {
            progress_become_replicate(p, r->now_ms);
        }
        break;
    }
    if (is_advanced) {
        log_commit_counted(r);
    }
}

void replication_regressed(struct raft *r, struct raft_member *member, raft_index last_index)
{
    if (member->progress.match_index > last_index) {
        raft_trace(r, "%" PRIu64 " has lost what follows %" PRIu64 " of %" PRIu64, member->id,
                   last_index, member->progress.match_index);
        progress_regress(&member->progress, last_index);
    }
}

void replication_refused(struct raft *r, struct raft_member *member, const struct message *m)
{
    struct progress *p = &member->progress;
    raft_index reject_index = m->u.append_entries_reply.reject_index;
    raft_index next_index = m->u.append_entries_reply.conflict_index;
    bool is_stale = p->mode == RAFT_PROGRESS_SNAPSHOT || reject_index <= p->match_index ||
                    reject_index >= p->next_index ||
                    (p->mode == RAFT_PROGRESS_PROBE && reject_index + 1 != p->next_index);

    if (is_stale) {
        return;
    }
    /* Its newest possible agreement; ours is at or below it, where our term is no later. */
    next_index =
        trail_find_term_at_most(&r->trail, next_index, m->u.append_entries_reply.conflict_term) + 1;
    next_index = index_min(next_index, reject_index);
    if (next_index <= p->match_index) {
        next_index = p->match_index + 1;
    }
    raft_trace(r,
               "append_entries_reply from %" PRIu64 ": lacks %" PRIu64 ", try " POSITION_FMT
               " -> next %" PRIu64,
               m->from, reject_index, m->u.append_entries_reply.conflict_index,
               m->u.append_entries_reply.conflict_term, next_index);
    progress_become_probe(p, next_index);
}

void replication_snapshot_sent(struct raft *r, const struct raft_event *event)
{
    struct raft_member *member = members_find(r, event->u.snapshot_sent.peer);
    time_ms timeout_ms = r->config.election_timeout_ms;
    struct progress *p;

    if (r->role != RAFT_LEADER || member == NULL ||
        member->progress.mode != RAFT_PROGRESS_SNAPSHOT ||
        member->progress.snapshot_index != event->u.snapshot_sent.last_index) {
        return;
    }
    p = &member->progress;
    p->is_snapshot_failed = !event->u.snapshot_sent.is_ok;
    if (event->u.snapshot_sent.is_gone) {
        p->snapshot_index = r->snapshot_last_index; /* the cut one cannot go on */
    }
    if (event->u.snapshot_sent.is_ok) {
        p->snapshot_retry_ms = r->now_ms + 10 * timeout_ms; /* loading takes its time */
        return;
    }
    p->snapshot_retry_ms = r->now_ms +
                           (timeout_ms << (p->snapshot_failures < 5 ? p->snapshot_failures : 5));
    p->snapshot_failures++;
    raft_trace(r, "snapshot to %" PRIu64 " failed -> again in %" PRId64 " ms", member->id,
               p->snapshot_retry_ms - r->now_ms);
}
