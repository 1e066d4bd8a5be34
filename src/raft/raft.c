/* SPDX-License-Identifier: Apache-2.0 */
/* Birth, death and questions of the core. */
#include "raft/raft.h"

#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "raft/raft_internal.h"

static void check_config(const struct raft_config *config)
{
    PRE(config->id != 0);
    PRE(config->fit != NULL);
    PRE(config->election_timeout_ms > 0);
    PRE(config->heartbeat_interval_ms > 0);
    PRE(config->heartbeat_interval_ms < config->election_timeout_ms);
    PRE(config->inflight_count_max > 0 && config->append_count_max > 0);
    PRE(config->clock_drift_percent < 100);
}

static void recover_log(struct raft *r, const struct raft_recovered *recovered)
{
    raft_index base_index = recovered->log_first_index - 1;
    raft_term base_term = 0;

    PRE(recovered->log_first_index > 0);
    PRE(recovered->log_first_index <= recovered->snapshot_last_index + 1);
    PRE(recovered->log_last_index >= recovered->snapshot_last_index);
    PRE(recovered->log_last_index >= base_index);
    PRE((recovered->run_count > 0) == (recovered->log_last_index > base_index));
    if (base_index == recovered->snapshot_last_index) {
        base_term = recovered->snapshot_last_term;
    }
    trail_init(&r->trail, base_index, base_term);
    for (size_t i = 0; i < recovered->run_count; i++) {
        raft_index first = recovered->runs[i].first_index;
        raft_index next = i + 1 < recovered->run_count ? recovered->runs[i + 1].first_index
                                                       : recovered->log_last_index + 1;

        PRE(first == r->trail.last_index + 1 && next > first);
        trail_append(&r->trail, recovered->runs[i].term, next - first);
    }
    r->durable_index = r->trail.last_index;
    r->snapshot_last_index = recovered->snapshot_last_index;
    r->snapshot_last_term = recovered->snapshot_last_term;
    r->commit_index = recovered->commit_index;
    PRE(r->commit_index >= r->snapshot_last_index && r->commit_index <= r->trail.last_index);
    PRE(trail_last_term(&r->trail) <= recovered->hard_state.current_term);
    r->lost_last_index = recovered->lost_last.first_index;
    r->lost_last_term = recovered->lost_last.term;
    log_regained(r);
}

static void recover_membership(struct raft *r, const struct raft_recovered *recovered)
{
    r->committed_membership = *recovered->committed_membership;
    r->committed_membership_index = recovered->committed_membership_index;
    r->latest_membership = r->committed_membership;
    r->latest_membership_index = r->committed_membership_index;
    if (recovered->latest_membership != NULL) {
        r->latest_membership = *recovered->latest_membership;
        r->latest_membership_index = recovered->latest_membership_index;
    }
    PRE(r->committed_membership_index <= r->latest_membership_index);
    PRE(r->latest_membership_index <= r->trail.last_index);
    members_refresh(r);
}

struct raft *raft_new(const struct raft_config *config, const struct raft_recovered *recovered,
                      time_ms now_ms, time_ms steady_ms)
{
    struct raft *r = heap_new(struct raft);

    check_config(config);
    r->config = *config;
    r->now_ms = now_ms;
    r->steady_ms = steady_ms;
    rng_init(&r->rng, config->seed);
    r->wire_token = rng_next(&r->rng);
    r->windows = heap_alloc(MEMBERS_MAX * (size_t)config->inflight_count_max * sizeof *r->windows);
    r->hard_state = recovered->hard_state;
    lease_init(r);
    recover_log(r, recovered);
    recover_membership(r, recovered);
    r->role = RAFT_FOLLOWER;
    r->is_waiting = r->trail.last_index == 0 && r->hard_state.current_term == 0 &&
                    r->lost_last_index == 0;
    election_draw_timeout(r);
    raft_check_invariants(r);
    return r;
}

void raft_free(struct raft *r)
{
    if (r == NULL) {
        return;
    }
    trail_release(&r->trail);
    heap_free(r->windows);
    heap_free(r->uncommitted);
    heap_free(r->reads);
    heap_free(r);
}

enum raft_role raft_role_of(const struct raft *r)
{
    return r->role;
}

node_id raft_leader(const struct raft *r)
{
    return r->leader;
}

raft_term raft_current_term(const struct raft *r)
{
    return r->hard_state.current_term;
}

raft_index raft_commit_index(const struct raft *r)
{
    return r->commit_index;
}

raft_term raft_term_at(const struct raft *r, raft_index index)
{
    raft_term term = trail_term_at(&r->trail, index);

    return term == 0 && index == r->snapshot_last_index ? r->snapshot_last_term : term;
}

const struct membership *raft_membership(const struct raft *r)
{
    return &r->latest_membership;
}

raft_index raft_membership_index(const struct raft *r)
{
    return r->latest_membership_index;
}

const struct membership *raft_committed_membership(const struct raft *r, raft_index *ret_index)
{
    *ret_index = r->committed_membership_index;
    return &r->committed_membership;
}

bool raft_is_repairing(const struct raft *r)
{
    return r->lost_last_index != 0;
}

node_id raft_transfer_target(const struct raft *r)
{
    return r->transfer.target;
}

bool raft_holds_proposals(const struct raft *r)
{
    return r->role == RAFT_LEADER &&
           (r->transfer.target != 0 ||
            (r->is_change_due && membership_find(&r->latest_membership, r->config.id) == NULL));
}

/* Who is alone has one for ever; a number that people can read is told. */
static time_ms lease_left_ms(const struct raft *r)
{
    time_ms left_ms = lease_is_held(r) ? raft_lease_until_ms(r) - r->steady_ms : 0;

    return left_ms < ELECTION_TIMEOUT_MS_MAX ? left_ms : ELECTION_TIMEOUT_MS_MAX;
}

void raft_get_status(const struct raft *r, struct raft_status *ret_status)
{
    *ret_status = (struct raft_status){
        .role = r->role,
        .current_term = r->hard_state.current_term,
        .leader = r->leader,
        .commit_index = r->commit_index,
        .log_first_index = r->trail.base_index + 1,
        .log_last_index = r->trail.last_index,
        .durable_index = r->durable_index,
        .last_term = trail_last_term(&r->trail),
        .can_read = r->role == RAFT_LEADER && r->commit_index >= r->term_start_index,
        .lease_ms = lease_left_ms(r),
        .reads_by_lease = r->reads_by_lease,
        .reads_by_round = r->reads_by_round,
    };
    for (unsigned i = 0; i < r->member_count && r->role == RAFT_LEADER; i++) {
        const struct progress *p = &r->members[i].progress;

        if (r->members[i].id != r->config.id) {
            ret_status->peers[ret_status->peer_count++] = (struct raft_peer_status){
                .id = r->members[i].id,
                .mode = p->mode,
                .match_index = p->match_index,
                .next_index = p->next_index,
                .heard_ms = p->heard_ms,
                .inflight_count = p->inflight_count,
                .is_caught_up = members_is_caught_up(r, &r->members[i]),
            };
        }
    }
}
