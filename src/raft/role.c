/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/role.h"

#include "base/assert.h"
#include "raft/raft_internal.h"

static const bool ways[4][4] = {
    [RAFT_FOLLOWER] = { [RAFT_FOLLOWER] = true,
                        [RAFT_PRE_CANDIDATE] = true,
                        [RAFT_CANDIDATE] = true },
    [RAFT_PRE_CANDIDATE] = { [RAFT_FOLLOWER] = true,
                             [RAFT_PRE_CANDIDATE] = true,
                             [RAFT_CANDIDATE] = true },
    [RAFT_CANDIDATE] = { [RAFT_FOLLOWER] = true,
                         [RAFT_PRE_CANDIDATE] = true,
                         [RAFT_CANDIDATE] = true,
                         [RAFT_LEADER] = true },
    [RAFT_LEADER] = { [RAFT_FOLLOWER] = true },
};

const char *raft_role_name(enum raft_role role)
{
    static const char *const names[] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRE_CANDIDATE] = "pre_candidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };

    PRE((unsigned)role <= RAFT_LEADER);
    return names[role];
}

bool role_may_change(enum raft_role from, enum raft_role to)
{
    PRE((unsigned)from <= RAFT_LEADER && (unsigned)to <= RAFT_LEADER);
    return ways[from][to];
}

static void role_change(struct raft *r, enum raft_role to)
{
    PRE(role_may_change(r->role, to));
    r->role = to;
}

void role_raise_term(struct raft *r, raft_term term)
{
    PRE(term > r->hard_state.current_term);
    r->hard_state.current_term = term;
    r->hard_state.voted_for = 0;
    effects_hard_state(r);
    r->term_generation = r->hard_state_generation;
    /* A term has one leader, so this outlives losing sight of it, and nothing more. */
    r->verified_index = 0;
    r->echo_sequence = 0;
}

void role_set_leader(struct raft *r, node_id leader)
{
    if (r->leader == leader) {
        return;
    }
    reads_fail(r);
    r->leader = leader;
    r->acked_index = 0;
    r->replied_ms = 0;
}

void role_become_follower(struct raft *r, node_id leader)
{
    bool was_follower = r->role == RAFT_FOLLOWER;

    PRE(leader != r->config.id);
    if (r->role == RAFT_LEADER) {
        proposals_clear(r);
        r->transfer.target = 0;
    }
    role_set_leader(r, leader);
    role_change(r, RAFT_FOLLOWER);
    if (!was_follower) {
        election_draw_timeout(r);
    }
}

void role_become_pre_candidate(struct raft *r)
{
    role_set_leader(r, 0);
    role_change(r, RAFT_PRE_CANDIDATE);
}

void role_become_candidate(struct raft *r)
{
    role_set_leader(r, 0);
    role_change(r, RAFT_CANDIDATE);
    role_raise_term(r, r->hard_state.current_term + 1);
    r->hard_state.voted_for = r->config.id;
}

void role_become_leader(struct raft *r)
{
    PRE(r->hard_state.voted_for == r->config.id);
    PRE(r->durable_generation >= r->term_generation);
    role_change(r, RAFT_LEADER);
    role_set_leader(r, r->config.id);
    replication_start(r);
}
