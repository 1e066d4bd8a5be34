/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the log as the core sees it: appended, durable, committed, truncated,
 * compacted.  The trail says which terms, this file says how far.
 */
#include "base/assert.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

static raft_index index_min(raft_index a, raft_index b)
{
    return a < b ? a : b;
}

raft_index follower_match(const struct raft *r)
{
    raft_index equal = r->verified_index > r->commit_index ? r->verified_index : r->commit_index;

    return index_min(equal, r->durable_index);
}

void log_truncate(struct raft *r, raft_index from)
{
    if (from <= r->commit_index) {
        raft_halt(r, "a committed entry would be truncated");
        return;
    }
    trail_truncate(&r->trail, from);
    r->durable_index = index_min(r->durable_index, from - 1);
    r->verified_index = index_min(r->verified_index, from - 1);
    r->truncate_generation = r->hard_state_generation;
    r->effects->truncate_from = from;
    members_truncated(r, from);
}

void log_append_own(struct raft *r, enum raft_append_kind kind, uint32_t count)
{
    PRE(r->role == RAFT_LEADER);
    PRE(r->effects->append_kind == RAFT_APPEND_NONE);
    r->effects->append_kind = kind;
    r->effects->append_term = r->hard_state.current_term;
    r->effects->append_first = r->trail.last_index + 1;
    r->effects->append_last = r->trail.last_index + count;
    trail_append(&r->trail, r->hard_state.current_term, count);
}

void log_commit(struct raft *r, raft_index index)
{
    if (index <= r->commit_index) {
        return;
    }
    PRE(index <= r->trail.last_index);
    r->commit_index = index;
    raft_trace(r, "commit " POSITION_FMT, index, raft_term_at(r, index));
    members_committed(r);
    if (r->role == RAFT_LEADER) {
        proposals_committed(r);
        reads_release(r);
    }
}

/*
 * Only entries of our own term are committed by counting: an older one may be held by a
 * majority and still be replaced [paper 5.4.2, fig 8].
 */
void log_commit_counted(struct raft *r)
{
    raft_index held = members_quorum(r, members_value_match);

    PRE(r->role == RAFT_LEADER);
    if (held > r->commit_index &&
        (raft_term_at(r, held) == r->hard_state.current_term || TOOTH(OLD_TERM_COMMITTED))) {
        log_commit(r, held);
    }
}

/*
 * A completion counts while the log still holds that pair.  One pair may come, go and come
 * again under three leaders; each of them brought a term, so a completion that does not
 * cover the hard state of the newest truncation speaks of bytes that are gone.
 */
static void log_became_durable(struct raft *r, raft_term term, raft_index index)
{
    if (r->durable_generation < r->truncate_generation || !trail_matches(&r->trail, index, term)) {
        raft_trace(r, "persisted " POSITION_FMT ": not in the log any more", index, term);
        return;
    }
    if (index > r->durable_index) {
        r->durable_index = index;
    }
}

void log_regained(struct raft *r)
{
    raft_term term = raft_term_at(r, r->durable_index);

    if (r->lost_last_index != 0 &&
        (term > r->lost_last_term ||
         (term == r->lost_last_term && r->durable_index >= r->lost_last_index))) {
        raft_trace(r, "the log has come to " POSITION_FMT " again", r->durable_index, term);
        r->lost_last_index = 0;
        r->lost_last_term = 0;
    }
}

void log_persisted(struct raft *r, const struct raft_event *event)
{
    uint64_t generation = event->u.persisted.hard_state_generation;

    PRE(generation <= r->hard_state_generation);
    if (generation > r->durable_generation) {
        r->durable_generation = generation;
        election_persisted(r);
    }
    if (event->u.persisted.last_index != 0) {
        log_became_durable(r, event->u.persisted.last_term, event->u.persisted.last_index);
        log_regained(r);
    }
    if (r->role == RAFT_LEADER) {
        log_commit_counted(r);
    } else {
        append_entries_persisted(r);
    }
}

void log_compacted(struct raft *r, const struct raft_event *event)
{
    raft_index snapshot_index = event->u.compacted.snapshot_last_index;

    PRE(snapshot_index <= r->commit_index);
    PRE(snapshot_index >= r->snapshot_last_index);
    PRE(event->u.compacted.first_index <= snapshot_index + 1);
    PRE(event->u.compacted.first_index <= r->durable_index + 1);
    r->snapshot_last_index = snapshot_index;
    r->snapshot_last_term = event->u.compacted.snapshot_last_term;
    trail_trim(&r->trail, event->u.compacted.first_index);
}
