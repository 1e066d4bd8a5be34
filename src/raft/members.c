/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members in force and what each of them counts for.
 *
 * A membership takes effect when its entry is appended and is given back when the entry is
 * truncated [thesis 4.1].  At most one is uncommitted at a time, so two are enough: the
 * arrival of a second one proves the first committed.
 */
#include <string.h>

#include "base/assert.h"
#include "raft/raft_internal.h"

struct raft_member *members_find(struct raft *r, node_id id)
{
    for (unsigned i = 0; i < r->member_count; i++) {
        if (r->members[i].id == id) {
            return &r->members[i];
        }
    }
    return NULL;
}

/*
 * Who is left out by its newest membership goes on until that is committed: it may be the
 * only one that holds the entry and so the only one that can win [thesis 4.2.2].
 */
bool members_can_campaign(const struct raft *r)
{
    bool is_voter = membership_is_voter(&r->latest_membership, r->config.id) ||
                    (r->latest_membership_index > r->committed_membership_index &&
                     membership_is_voter(&r->committed_membership, r->config.id));

    return is_voter && !r->is_waiting && !r->is_distrusted && r->install.last_index == 0 &&
           r->lost_last_index == 0 && !disk_is_stalled(r);
}

bool members_have_space(const struct raft *r)
{
    struct quorum_voter voters[MEMBERS_MAX];

    for (unsigned i = 0; i < r->member_count; i++) {
        const struct raft_member *m = &r->members[i];
        bool is_full = m->id == r->config.id ? r->is_disk_full : m->progress.is_full;

        voters[i] = (struct quorum_voter){
            .halves = m->halves,
            .vote = is_full ? QUORUM_VOTE_REFUSED : QUORUM_VOTE_GRANTED,
        };
    }
    return quorum_outcome(voters, r->member_count) == QUORUM_WON;
}

bool members_is_reachable(const struct raft *r, const struct raft_member *member)
{
    time_ms heard_ms = member->progress.heard_ms;

    return member->id == r->config.id || (heard_ms != 0 && !member->is_closed &&
                                          r->now_ms - heard_ms < r->config.election_timeout_ms);
}

bool members_is_caught_up(const struct raft *r, const struct raft_member *member)
{
    return members_is_reachable(r, member) &&
           progress_is_caught_up(&member->progress, r->config.election_timeout_ms, r->now_ms);
}

/* A window not used by any of the first `count` members. */
static struct inflight *window_unused(const struct raft *r, unsigned count)
{
    for (unsigned slot = 0; slot < MEMBERS_MAX; slot++) {
        struct inflight *window = r->windows + (size_t)slot * r->config.inflight_count_max;
        bool is_used = false;

        for (unsigned i = 0; i < count; i++) {
            is_used = is_used || r->members[i].window == window;
        }
        if (!is_used) {
            return window;
        }
    }
    return NULL;
}

void members_refresh(struct raft *r)
{
    struct raft_member old[MEMBERS_MAX];
    unsigned old_count = r->member_count;
    const struct membership *m = &r->latest_membership;

    PRE(m->count <= MEMBERS_MAX);
    memcpy(old, r->members, sizeof old);
    memset(r->members, 0, sizeof r->members);
    r->member_count = m->count;
    r->is_change_due = membership_is_joint(m) || !membership_is_voter(m, r->config.id);
    for (unsigned i = 0; i < m->count; i++) { /* those that stay keep their windows */
        for (unsigned k = 0; k < old_count; k++) {
            if (old[k].id == m->members[i].id) {
                r->members[i] = old[k];
            }
        }
        r->members[i].id = m->members[i].id;
        r->members[i].halves = m->members[i].flags & (MEMBER_VOTER | MEMBER_VOTER_OLD);
        r->is_change_due |= (m->members[i].flags & MEMBER_PROMOTE) != 0;
    }
    for (unsigned i = 0; i < m->count; i++) {
        if (r->members[i].window == NULL) {
            r->members[i].window = window_unused(r, m->count);
            r->members[i].progress.window = r->members[i].window;
            r->members[i].progress.count_max = r->config.inflight_count_max;
            progress_reset(&r->members[i].progress, r->trail.last_index + 1, r->now_ms);
        }
    }
}

void members_adopt(struct raft *r, const struct membership *m, raft_index index)
{
    PRE(index > r->latest_membership_index);
    if (r->latest_membership_index > r->committed_membership_index) {
        r->committed_membership = r->latest_membership;
        r->committed_membership_index = r->latest_membership_index;
    }
    r->latest_membership = *m;
    r->latest_membership_index = index;
    members_refresh(r);
    raft_trace(r, "membership of %u in force from %" PRIu64, m->count, index);
}

void members_truncated(struct raft *r, raft_index from)
{
    if (r->latest_membership_index < from) {
        return;
    }
    if (r->committed_membership_index >= from) {
        raft_halt(r, "a membership known to be committed would be truncated");
        return;
    }
    r->latest_membership = r->committed_membership;
    r->latest_membership_index = r->committed_membership_index;
    members_refresh(r);
    raft_trace(r, "membership back to that of %" PRIu64, r->latest_membership_index);
}

void members_committed(struct raft *r)
{
    if (r->latest_membership_index > r->committed_membership_index &&
        r->latest_membership_index <= r->commit_index) {
        r->committed_membership = r->latest_membership;
        r->committed_membership_index = r->latest_membership_index;
    }
}

uint64_t members_quorum(const struct raft *r,
                        uint64_t (*value)(const struct raft *r, const struct raft_member *member))
{
    struct quorum_voter voters[MEMBERS_MAX];

    for (unsigned i = 0; i < r->member_count; i++) {
        voters[i] = (struct quorum_voter){ .halves = r->members[i].halves,
                                           .value = value(r, &r->members[i]) };
    }
    return quorum_value(voters, r->member_count);
}

uint64_t members_value_match(const struct raft *r, const struct raft_member *member)
{
    return member->id == r->config.id ? r->durable_index : member->progress.match_index;
}

uint64_t members_value_heard(const struct raft *r, const struct raft_member *member)
{
    time_ms heard_ms = member->progress.heard_ms;

    if (member->id == r->config.id) {
        return INT64_MAX;
    }
    return (uint64_t)(heard_ms > r->leader_since_ms ? heard_ms : r->leader_since_ms);
}

uint64_t members_value_read(const struct raft *r, const struct raft_member *member)
{
    return member->id == r->config.id ? UINT64_MAX : member->progress.read_sequence;
}
