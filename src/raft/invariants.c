/* SPDX-License-Identifier: Apache-2.0 */
/* What always holds between events, as far as one node can see; and a hash of its state. */
#include "base/assert.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

static void check_log(const struct raft *r)
{
    INVARIANT(r->trail.base_index <= r->commit_index);
    INVARIANT(r->commit_index <= r->trail.last_index);
    INVARIANT(r->trail.base_index <= r->durable_index);
    INVARIANT(r->durable_index <= r->trail.last_index);
    INVARIANT(r->trail.base_index <= r->snapshot_last_index);
    INVARIANT(r->snapshot_last_index <= r->commit_index);
    INVARIANT(trail_last_term(&r->trail) <= r->hard_state.current_term);
    INVARIANT(r->verified_index <= r->trail.last_index);
    INVARIANT(r->committed_membership_index <= r->latest_membership_index);
    INVARIANT(r->latest_membership_index <= r->trail.last_index);
    INVARIANT(r->durable_generation <= r->hard_state_generation);
    INVARIANT(r->term_generation <= r->hard_state_generation);
    INVARIANT(r->truncate_generation <= r->hard_state_generation);
    INVARIANT(r->promise_generation <= r->hard_state_generation);
}

static void check_role(const struct raft *r)
{
    switch (r->role) {
    case RAFT_FOLLOWER:
        INVARIANT(r->leader != r->config.id);
        break;
    case RAFT_PRE_CANDIDATE:
        INVARIANT(r->leader == 0);
        break;
    case RAFT_CANDIDATE:
        INVARIANT(r->leader == 0);
        INVARIANT(r->hard_state.voted_for == r->config.id);
        break;
    case RAFT_LEADER:
        INVARIANT(r->leader == r->config.id);
        INVARIANT(r->hard_state.voted_for == r->config.id);
        INVARIANT(r->durable_generation >= r->term_generation);
        INVARIANT(trail_last_term(&r->trail) == r->hard_state.current_term || TOOTH(NO_NOOP));
        INVARIANT(r->term_start_index <= r->trail.last_index);
        INVARIANT(r->install.last_index == 0);
        INVARIANT(r->lost_last_index == 0);
        break;
    }
    INVARIANT(r->role == RAFT_LEADER || r->uncommitted_count == 0);
    INVARIANT(r->role == RAFT_LEADER || r->transfer.target == 0);
    INVARIANT(r->transfer.target != r->config.id);
    INVARIANT(r->leader != 0 || r->read_count == 0);
    INVARIANT(!r->is_waiting || r->trail.last_index == 0);
}

static void check_progress(const struct raft *r, const struct progress *p)
{
    INVARIANT(p->match_index < p->next_index);
    INVARIANT(p->next_index <= r->trail.last_index + 1);
    INVARIANT(p->commit_sent <= r->commit_index);
    INVARIANT(p->read_sequence <= r->read_sequence);
    INVARIANT(p->inflight_count <= p->count_max);
    INVARIANT(p->inflight_count == 0 || p->mode == RAFT_PROGRESS_REPLICATE);
    INVARIANT(p->mode != RAFT_PROGRESS_SNAPSHOT || p->match_index < p->snapshot_index ||
              p->wants_state);
}

void raft_check_invariants(const struct raft *r)
{
    if (r->halt != NULL) {
        return; /* stopped because something does not hold */
    }
    check_log(r);
    check_role(r);
    for (unsigned i = 0; i < r->member_count && r->role == RAFT_LEADER; i++) {
        if (r->members[i].id != r->config.id) {
            check_progress(r, &r->members[i].progress);
        }
    }
}

void raft_check_invariants_deep(const struct raft *r)
{
    uint64_t bytes = 0;

    raft_check_invariants(r);
    trail_check(&r->trail);
    for (size_t i = 0; i < r->uncommitted_count; i++) {
        bytes += r->uncommitted[(r->uncommitted_first + i) % r->uncommitted_capacity].bytes;
    }
    INVARIANT(bytes == r->uncommitted_bytes);
    for (unsigned i = 0; i < r->member_count; i++) {
        const struct progress *p = &r->members[i].progress;

        INVARIANT(r->members[i].id == r->latest_membership.members[i].id);
        bytes = 0;
        for (uint32_t k = 0; k < p->inflight_count; k++) {
            bytes += p->window[(p->inflight_first + k) % p->count_max].bytes;
        }
        INVARIANT(bytes == p->inflight_bytes);
    }
    for (size_t i = 1; i < r->read_count; i++) {
        INVARIANT(r->reads[i - 1].sequence <= r->reads[i].sequence);
        INVARIANT(r->reads[i - 1].since_ms <= r->reads[i].since_ms);
    }
}

/* ---- Hash: FNV-1a over the numbers that decide what comes next ---- */

static void mix(uint64_t *hash, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        *hash = (*hash ^ (value & 0xff)) * 0x100000001b3ULL;
        value >>= 8;
    }
}

static void mix_members(uint64_t *hash, const struct raft *r)
{
    for (unsigned i = 0; i < r->member_count; i++) {
        const struct progress *p = &r->members[i].progress;

        mix(hash, r->members[i].id);
        mix(hash, r->members[i].halves);
        mix(hash, (uint64_t)r->members[i].vote);
        mix(hash, (uint64_t)p->mode);
        mix(hash, p->match_index);
        mix(hash, p->next_index);
        mix(hash, p->inflight_count);
        mix(hash, p->read_sequence);
        mix(hash, (uint64_t)p->heard_ms);
        mix(hash, p->round_goal);
        mix(hash, (uint64_t)p->round_ms);
        mix(hash, (uint64_t)p->lease_until_ms);
    }
}

uint64_t raft_state_hash(const struct raft *r)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    const uint64_t values[] = {
        (uint64_t)r->role,
        r->leader,
        r->commit_index,
        r->hard_state.current_term,
        r->hard_state.voted_for,
        r->hard_state_generation,
        r->durable_generation,
        r->durable_index,
        r->lost_last_index,
        r->lost_last_term,
        r->trail.base_index,
        r->trail.base_term,
        r->trail.last_index,
        r->snapshot_last_index,
        r->verified_index,
        r->acked_index,
        r->read_sequence,
        r->read_count,
        r->uncommitted_bytes,
        (uint64_t)r->election_deadline_ms,
        r->rng.state,
        r->latest_membership_index,
        r->committed_membership_index,
        r->transfer.target,
        (uint64_t)r->transfer.deadline_ms,
        (uint64_t)r->hard_state.promised_ms,
        (uint64_t)r->promised_until_ms,
        r->lease.round_count,
        r->lease.is_void,
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        mix(&hash, values[i]);
    }
    for (size_t i = 0; i < r->trail.run_count; i++) {
        mix(&hash, r->trail.runs[i].first_index);
        mix(&hash, r->trail.runs[i].term);
    }
    mix_members(&hash, r);
    return hash;
}
