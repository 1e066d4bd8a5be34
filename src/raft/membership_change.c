/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the members, always by way of a learner and a joint membership [thesis 4].
 *
 *                     other voters                 committed, by this or a later leader
 *   stable -> request -------------> joint (C_old,new) --------------------> stable (C_new)
 *     ^          | same voters                                                     |
 *     +----------+------------------------------------- committed -----------------+
 *
 * One at a time, and only after an entry of the leader's own term is committed: else two
 * leaders may each commit a change of their own (Ongaro, raft-dev, 2015).
 *
 * Who is to vote must be a learner that has caught up, so that a change never waits for one
 * that is far behind; and a change after which no majority could be reached is refused, as
 * nobody could undo it.
 */
#include <string.h>

#include "base/assert.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

static bool is_new_voter(const struct member *m)
{
    return m != NULL && (m->flags & MEMBER_VOTER) != 0;
}

const char *raft_change_delay(const struct raft *r)
{
    if (r->transfer.target != 0) {
        return "leadership is being transferred";
    }
    if (TOOTH(MEMBERSHIP_WITHOUT_COMMIT)) {
        return NULL;
    }
    if (r->commit_index < r->term_start_index) {
        return "the leader is new and has committed nothing yet; try again";
    }
    if (r->latest_membership_index > r->commit_index ||
        membership_is_joint(&r->latest_membership)) {
        return "another change of the members is under way; try again when it is done";
    }
    return NULL;
}

/* Why no change may begin now; NULL = one may. */
static const char *state_refusal(const struct raft *r)
{
    return r->role == RAFT_LEADER ? raft_change_delay(r) : "this node does not lead";
}

/* Why this member cannot be as `to` says; NULL = it can. */
static const char *member_refusal(struct raft *r, const struct member *to)
{
    const struct member *from = membership_find(&r->latest_membership, to->id);

    if (from != NULL && from->incarnation != 0 && from->incarnation != to->incarnation) {
        return "a member's data directory does not change; replace the member";
    }
    if (is_new_voter(from) && !is_new_voter(to)) {
        return "a voter does not become a learner; remove it and add it again";
    }
    if (!is_new_voter(to) || is_new_voter(from)) {
        return NULL;
    }
    if (from == NULL) {
        return "a new member begins as a learner";
    }
    if (to->incarnation == 0) {
        return "the learner has not shown its data directory yet; try again later";
    }
    if (!members_is_reachable(r, members_find(r, to->id))) {
        return "the learner is not reachable";
    }
    return members_is_caught_up(r, members_find(r, to->id))
               ? NULL
               : "the learner has not caught up with the log yet; try again later";
}

/* Why the cluster cannot become `to`; NULL = it can. */
static const char *target_refusal(struct raft *r, const struct membership *to)
{
    unsigned voters = 0;
    unsigned reachable = 0;

    if (!membership_is_valid(to)) {
        return "two of its members have one id or one name";
    }
    if (memcmp(to->cluster_id, r->latest_membership.cluster_id, CLUSTER_ID_BYTES) != 0) {
        return "it belongs to another cluster";
    }
    for (unsigned i = 0; i < to->count; i++) {
        const char *why = TOOTH(MEMBERSHIP_WITHOUT_COMMIT) ? NULL
                                                           : member_refusal(r, &to->members[i]);
        const struct raft_member *member = members_find(r, to->members[i].id);

        if (why != NULL) {
            return why;
        }
        if (is_new_voter(&to->members[i])) {
            voters++;
            reachable += member != NULL && members_is_reachable(r, member);
        }
    }
    if (voters == 0) {
        return "no voter would be left";
    }
    if (2 * reachable <= voters && !TOOTH(MEMBERSHIP_WITHOUT_COMMIT)) {
        return "too few of the voters are reachable: the cluster would lose its quorum";
    }
    return NULL;
}

static bool has_same_voters(const struct membership *a, const struct membership *b)
{
    for (unsigned i = 0; i < a->count; i++) {
        if (is_new_voter(&a->members[i]) != is_new_voter(membership_find(b, a->members[i].id))) {
            return false;
        }
    }
    return membership_voter_count(a) == membership_voter_count(b);
}

/* Both halves of each member of `m`: those of `old` vote in the old one. */
static void set_halves(struct membership *m, const struct membership *old)
{
    for (unsigned i = 0; i < m->count; i++) {
        struct member *member = &m->members[i];

        member->flags &= ~(unsigned)MEMBER_VOTER_OLD;
        if (is_new_voter(membership_find(old, member->id))) {
            member->flags |= MEMBER_VOTER_OLD;
        }
        if (is_new_voter(member)) {
            member->flags &= ~(unsigned)MEMBER_PROMOTE;
        }
    }
}

/* C_old,new: `to`, and the voters of `from` that are to go.  Errors: as membership_add. */
static enum rk_status make_joint(const struct membership *from, const struct membership *to,
                                 struct membership *ret_joint)
{
    enum rk_status status = RK_OK;

    *ret_joint = *to;
    set_halves(ret_joint, from);
    for (unsigned i = 0; i < from->count && status == RK_OK; i++) {
        struct member gone = from->members[i];

        if (is_new_voter(&gone) && membership_find(to, gone.id) == NULL) {
            gone.flags = MEMBER_VOTER_OLD | MEMBER_LEAVING;
            status = membership_add(ret_joint, &gone);
        }
    }
    return status;
}

static void append(struct raft *r, const struct membership *m)
{
    log_append_own(r, RAFT_APPEND_MEMBERSHIP, 1);
    members_adopt(r, m, r->trail.last_index);
}

/* Appends what leads to `to`.  Returns why not, or NULL. */
static const char *begin(struct raft *r, const struct membership *to)
{
    struct membership *next = &r->scratch_membership;
    const char *why = target_refusal(r, to);

    PRE(to != next);
    if (why != NULL) {
        return why;
    }
    if (has_same_voters(&r->latest_membership, to) || TOOTH(MEMBERSHIP_WITHOUT_COMMIT)) {
        *next = *to;
        set_halves(next, to);
    } else if (make_joint(&r->latest_membership, to, next) != RK_OK) {
        return "there would be too many members for the time of the change";
    }
    append(r, next);
    return NULL;
}

void membership_change(struct raft *r, const struct membership *to)
{
    const char *why = state_refusal(r);

    if (why == NULL) {
        why = begin(r, to);
    }
    if (why != NULL) {
        raft_trace(r, "change of members -> refuse: %s", why);
    }
    r->effects->refusal = why;
}

/* C_new, once C_old,new is committed; any leader does it. */
static void finish(struct raft *r)
{
    struct membership *next = &r->scratch_membership;

    *next = r->latest_membership;
    for (unsigned i = next->count; i-- > 0;) {
        if ((next->members[i].flags & MEMBER_VOTES) == MEMBER_VOTER_OLD) {
            (void)membership_remove(next, next->members[i].id);
        }
    }
    set_halves(next, next);
    append(r, next);
}

/* A learner that was to vote once it has caught up, in place of those that are leaving. */
static void promote(struct raft *r, unsigned slot)
{
    struct membership to = r->latest_membership;

    to.members[slot].flags = MEMBER_VOTER;
    for (unsigned i = to.count; i-- > 0;) {
        if ((to.members[i].flags & MEMBER_LEAVING) != 0) {
            (void)membership_remove(&to, to.members[i].id);
        }
    }
    (void)begin(r, &to); /* refused now, it is tried again next turn */
}

static void promote_one(struct raft *r)
{
    for (unsigned i = 0; i < r->member_count; i++) {
        const struct member *m = &r->latest_membership.members[i];

        if ((m->flags & MEMBER_PROMOTE) != 0 && (m->flags & MEMBER_LEAVING) == 0 &&
            m->incarnation != 0 && /* else it might be wiped and nobody would know */
            members_is_caught_up(r, &r->members[i])) {
            promote(r, i);
            return;
        }
    }
}

void membership_turn(struct raft *r)
{
    if (!r->is_change_due || r->latest_membership_index > r->commit_index ||
        r->commit_index < r->term_start_index || r->transfer.target != 0) {
        return;
    }
    if (membership_is_joint(&r->latest_membership)) {
        finish(r);
    } else if (!membership_is_voter(&r->latest_membership, r->config.id)) {
        transfer_leave(r, "removed");
    } else {
        promote_one(r);
    }
}
