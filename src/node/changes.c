/* SPDX-License-Identifier: Apache-2.0 */
#include "node/changes.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/address.h"
#include "node/node_internal.h"
#include "sys/clock.h"

enum change_state {
    CHANGE_QUEUED,
    CHANGE_FORWARDED,
    CHANGE_BEGUN,
};

struct change_waiter {
    struct change_waiter *next;
    struct member_change change;
    node_changed_fn done; /* NULL: asked for by a peer */
    void *context;
    node_id peer; /* that asked, and its token */
    uint64_t peer_token;
    time_ms started_ms;
    enum change_state state;
    uint64_t token;   /* forwarded */
    node_id leader;   /* forwarded: to whom */
    raft_index index; /* begun: of its entry */
    raft_term term;
    node_id target; /* begun: who shall lead */
    const char *why_queued;
};

/* What one look at a waiter found. */
struct change_outcome {
    bool is_over;
    enum rk_status status;
    raft_index index;
    const char *why; /* NULL = the text of the status */
};

static struct change_outcome over(enum rk_status status, const char *why)
{
    return (struct change_outcome){ true, status, 0, why };
}

static const struct change_outcome not_over;

/* ---- The membership that is asked for ---- */

static struct member *find_name(struct membership *m, const char *name)
{
    const struct member *found = membership_find_name(m, name);

    return found == NULL ? NULL : &m->members[found - m->members];
}

static node_id next_id(const struct node *n)
{
    struct raft_status status;

    raft_get_status(n->raft, &status);
    return MEMBER_ID_AT(status.log_last_index + 1);
}

static struct change_outcome put_member(struct membership *to, const struct member *member)
{
    for (unsigned i = 0; i < to->count; i++) {
        if (strcmp(to->members[i].peer_address, member->peer_address) == 0 &&
            (to->members[i].flags & MEMBER_LEAVING) == 0) {
            return over(RK_EXISTS, strcmp(to->members[i].name, member->name) == 0
                                       ? "it is a member already"
                                       : "another member has this peer address");
        }
    }
    switch (membership_add(to, member)) {
    case RK_OK:
        return not_over;
    case RK_TOOLARGE:
        return over(RK_TOOLARGE, "there are as many members as there may be");
    default:
        return over(RK_EXISTS, "there is a member of this name");
    }
}

static struct change_outcome put_added(const struct node *n, const struct member_change *change,
                                       struct membership *to)
{
    struct member added = { .id = next_id(n) };

    added.flags = change->kind == MEMBER_CHANGE_ADD ? MEMBER_PROMOTE : 0;
    memcpy(added.name, change->name, sizeof added.name);
    memcpy(added.peer_address, change->peer_address, sizeof added.peer_address);
    return put_member(to, &added);
}

/* The one that comes is a learner until it has caught up; the old one goes in the same step
 * that makes it a voter.  A learner is just exchanged. */
static struct change_outcome put_replacement(const struct node *n,
                                             const struct member_change *change,
                                             struct membership *to, struct member *old)
{
    struct member added = { .id = next_id(n), .flags = MEMBER_PROMOTE };

    memcpy(added.name, old->name, sizeof added.name);
    memcpy(added.peer_address,
           change->peer_address[0] == '\0' ? old->peer_address : change->peer_address,
           sizeof added.peer_address);
    if ((old->flags & MEMBER_VOTES) == 0) {
        added.flags = old->flags;
        (void)membership_remove(to, old->id);
        return put_member(to, &added);
    }
    old->flags |= MEMBER_LEAVING;
    return put_member(to, &added);
}

/* Who was to go in favour of the one removed stays. */
static void put_removal(struct membership *to, const struct member *removed)
{
    struct member gone = *removed;

    (void)membership_remove(to, gone.id);
    for (unsigned i = 0; i < to->count; i++) {
        if (strcmp(to->members[i].name, gone.name) == 0) {
            to->members[i].flags &= ~(unsigned)MEMBER_LEAVING;
        }
    }
}

static struct change_outcome put_change(const struct node *n, const struct member_change *change,
                                        struct membership *to)
{
    struct member *member = find_name(to, change->name);

    if (change->kind == MEMBER_CHANGE_ADD || change->kind == MEMBER_CHANGE_ADD_LEARNER) {
        return put_added(n, change, to);
    }
    if (member == NULL) {
        return over(RK_NOT_FOUND, "there is no member of this name");
    }
    switch (change->kind) {
    case MEMBER_CHANGE_PROMOTE:
        if ((member->flags & MEMBER_VOTER) != 0) {
            return over(RK_EXISTS, "it votes already");
        }
        member->flags = MEMBER_VOTER;
        break;
    case MEMBER_CHANGE_REMOVE:
        put_removal(to, member);
        break;
    case MEMBER_CHANGE_REPLACE:
        return put_replacement(n, change, to, member);
    default:
        memcpy(member->peer_address, change->peer_address, sizeof member->peer_address);
        break;
    }
    return not_over;
}

/* ---- Begin ---- */

static struct change_outcome begin_transfer(struct node *n, struct change_waiter *w)
{
    struct raft_event event = driver_event(n, RAFT_TRANSFER);
    const struct member *target = membership_find_name(raft_membership(n->raft), w->change.name);

    if (w->change.name[0] != '\0' && target == NULL) {
        return over(RK_NOT_FOUND, "there is no member of this name");
    }
    event.u.transfer.target = w->change.name[0] == '\0' ? 0 : target->id;
    driver_step(n, &event);
    if (n->effects.refusal != NULL) {
        return over(RK_REFUSED, n->effects.refusal);
    }
    w->target = raft_transfer_target(n->raft);
    w->term = raft_current_term(n->raft);
    w->state = CHANGE_BEGUN;
    return not_over;
}

static struct change_outcome begin_membership(struct node *n, struct change_waiter *w)
{
    struct raft_event event = driver_event(n, RAFT_CHANGE_MEMBERSHIP);
    struct membership to = *raft_membership(n->raft);
    struct change_outcome outcome = put_change(n, &w->change, &to);

    if (outcome.is_over) {
        return outcome;
    }
    event.u.change_membership.membership = &to;
    driver_step(n, &event);
    if (n->effects.refusal != NULL) {
        return over(RK_REFUSED, n->effects.refusal);
    }
    w->index = raft_membership_index(n->raft);
    w->term = raft_current_term(n->raft);
    w->state = CHANGE_BEGUN;
    node_log(n, NODE_LOG_INFO, "change of the members begins with entry " INDEX_FMT, w->index);
    return not_over;
}

static struct change_outcome begin(struct node *n, struct change_waiter *w)
{
    w->why_queued = raft_change_delay(n->raft);
    if (w->why_queued != NULL) {
        return not_over;
    }
    return w->change.kind == MEMBER_CHANGE_LEADER ? begin_transfer(n, w) : begin_membership(n, w);
}

/* ---- Forward ---- */

static void forward(struct node *n, struct change_waiter *w, node_id leader)
{
    struct buffer *out = transport_output(n->transport, leader);
    size_t start;

    if (out == NULL) {
        return; /* not connected yet */
    }
    w->token = ++n->changes.next_token;
    w->leader = leader;
    w->state = CHANGE_FORWARDED;
    start = frame_begin(out, FRAME_CHANGE);
    change_encode(out, w->token, &w->change);
    frame_end(out, start);
}

/* ---- Outcomes ---- */

static struct change_outcome look_at_transfer(const struct node *n, const struct change_waiter *w)
{
    node_id leader = raft_leader(n->raft);

    if (raft_current_term(n->raft) > w->term && leader != 0) {
        return leader == w->target ? over(RK_OK, NULL)
                                   : over(RK_REFUSED, "another member was faster and leads now");
    }
    if (raft_role_of(n->raft) == RAFT_LEADER && raft_transfer_target(n->raft) == 0) {
        return over(RK_REFUSED, "it did not take over in time; this node goes on leading");
    }
    return not_over;
}

static struct change_outcome look_at_begun(const struct node *n, const struct change_waiter *w)
{
    raft_index index = 0;
    const struct membership *committed = raft_committed_membership(n->raft, &index);

    if (w->change.kind == MEMBER_CHANGE_LEADER) {
        return look_at_transfer(n, w);
    }
    if (index >= w->index && !membership_is_joint(committed)) {
        return (struct change_outcome){ true, RK_OK, index, NULL };
    }
    if (raft_role_of(n->raft) != RAFT_LEADER || raft_current_term(n->raft) != w->term) {
        return over(RK_UNKNOWN, "the leader changed meanwhile: look at the list of members");
    }
    return not_over;
}

/* A new leader is seen here before its predecessor's answer comes. */
static struct change_outcome look_at_forwarded(const struct node *n, const struct change_waiter *w)
{
    node_id leader = raft_leader(n->raft);
    const struct member *member = membership_find(raft_membership(n->raft), leader);

    if (w->change.kind != MEMBER_CHANGE_LEADER || member == NULL || leader == w->leader) {
        return not_over;
    }
    return w->change.name[0] == '\0' || strcmp(w->change.name, member->name) == 0
               ? over(RK_OK, NULL)
               : over(RK_REFUSED, "another member was faster and leads now");
}

static struct change_outcome look_at_queued(struct node *n, struct change_waiter *w)
{
    if (raft_role_of(n->raft) == RAFT_LEADER) {
        return begin(n, w);
    }
    if (w->peer != 0) {
        return over(RK_NOLEADER, NULL);
    }
    if (n->is_empty || node_is_removed(n)) {
        return over(RK_NOLEADER, "this node is no member of a cluster; ask another one");
    }
    if (raft_leader(n->raft) != 0) {
        forward(n, w, raft_leader(n->raft));
    }
    return not_over;
}

/* Without a leader in sight the asker had better ask another node. */
static time_ms patience_ms(const struct node *n, const struct change_waiter *w)
{
    time_ms election_ms = 3 * n->options.election_timeout_ms;
    bool has_leader = raft_leader(n->raft) != 0;

    return w->state != CHANGE_QUEUED || has_leader || n->options.proposal_timeout_ms < election_ms
               ? n->options.proposal_timeout_ms
               : election_ms;
}

static struct change_outcome look_at(struct node *n, struct change_waiter *w)
{
    struct change_outcome outcome = not_over;

    switch (w->state) {
    case CHANGE_QUEUED:
        outcome = look_at_queued(n, w);
        break;
    case CHANGE_BEGUN:
        outcome = look_at_begun(n, w);
        break;
    case CHANGE_FORWARDED:
        outcome = look_at_forwarded(n, w); /* else its answer comes, or the connection ends */
        break;
    }
    if (!outcome.is_over && clock_monotonic_ms() - w->started_ms >= patience_ms(n, w)) {
        outcome = w->state != CHANGE_QUEUED ? over(RK_UNKNOWN, NULL)
                  : w->why_queued != NULL   ? over(RK_REFUSED, w->why_queued)
                                            : over(RK_NOLEADER, NULL);
    }
    return outcome;
}

static void reply_to_peer(struct node *n, node_id peer, uint64_t token,
                          const struct change_outcome *outcome)
{
    struct buffer *out = transport_output(n->transport, peer);
    struct change_reply reply = { .token = token,
                                  .status = outcome->status,
                                  .index = outcome->index };
    size_t start;

    if (out == NULL) {
        return;
    }
    if (outcome->why != NULL) {
        snprintf(reply.why, sizeof reply.why, "%s", outcome->why);
    }
    start = frame_begin(out, FRAME_CHANGE_REPLY);
    change_reply_encode(out, &reply);
    frame_end(out, start);
}

/* Tells the one who asked; the waiter is off the list. */
static void deliver(struct node *n, struct change_waiter *w, const struct change_outcome *outcome)
{
    n->changes.count--;
    if (w->done != NULL) {
        w->done(w->context, outcome->status, outcome->index, outcome->why);
    } else {
        reply_to_peer(n, w->peer, w->peer_token, outcome);
    }
    heap_free(w);
}

/* Its waiters stay until they are looked at; what they come to then has nowhere to go. */
void changes_part_from(struct node *n, node_id peer)
{
    for (const struct change_waiter *w = n->changes.first; w != NULL; w = w->next) {
        struct change_outcome outcome = w->peer == peer && w->state == CHANGE_BEGUN
                                            ? look_at_begun(n, w)
                                            : not_over;

        if (outcome.is_over) {
            reply_to_peer(n, peer, w->peer_token, &outcome);
        }
    }
}

/* ---- What the leader changes by itself ---- */

static bool put_text(char *to, size_t size, const char *from)
{
    if (from == NULL || from[0] == '\0' || strcmp(to, from) == 0) {
        return false;
    }
    snprintf(to, size, "%s", from);
    return true;
}

static bool put_identity(const struct node *n, struct member *m)
{
    const struct peer_identity *p = identity_find(n, m->id);
    bool is_self = m->id == n->state.id;
    uint64_t incarnation = is_self ? n->state.incarnation : p == NULL ? 0 : p->incarnation;
    const char *client = is_self ? n->options.advertise_client : p == NULL ? "" : p->client_address;
    const char *http = is_self ? n->options.advertise_http : p == NULL ? "" : p->http_address;
    bool is_new = false;

    if (!is_self && (p == NULL || !transport_is_connected(n->transport, m->id))) {
        return false;
    }
    if (m->incarnation == 0 && incarnation != 0) {
        m->incarnation = incarnation;
        is_new = true;
    }
    is_new |= put_text(m->client_address, sizeof m->client_address, client);
    is_new |= put_text(m->http_address, sizeof m->http_address, http);
    return is_new;
}

static void identity_turn(struct node *n)
{
    struct raft_event event = driver_event(n, RAFT_CHANGE_MEMBERSHIP);
    struct membership to;
    bool is_new = false;

    if (!n->changes.is_identity_due || raft_role_of(n->raft) != RAFT_LEADER ||
        event.now_ms < n->changes.identity_at_ms || raft_change_delay(n->raft) != NULL) {
        return;
    }
    to = *raft_membership(n->raft);
    for (unsigned i = 0; i < to.count; i++) {
        is_new |= put_identity(n, &to.members[i]);
    }
    to.feature_level = identity_common_level(n);
    is_new |= to.feature_level != raft_membership(n->raft)->feature_level;
    if (is_new) {
        event.u.change_membership.membership = &to;
        driver_step(n, &event);
        if (n->effects.refusal != NULL) {
            n->changes.identity_at_ms = event.now_ms + n->options.heartbeat_interval_ms;
            return;
        }
    }
    n->changes.is_identity_due = false;
}

/* ---- The front ---- */

static struct change_waiter *add(struct node *n, const struct member_change *change)
{
    struct change_waiter *w = heap_new(struct change_waiter);
    struct change_waiter **end = &n->changes.first;

    while (*end != NULL) {
        end = &(*end)->next;
    }
    w->change = *change;
    w->started_ms = clock_monotonic_ms();
    *end = w;
    n->changes.count++;
    n->has_more = true;
    return w;
}

enum rk_status changes_add_forwarded(struct node *n, node_id peer, uint64_t token,
                                     const struct member_change *change)
{
    struct change_waiter *w;

    if (n->changes.count >= MEMBER_CHANGES_WAITING_MAX) {
        return RK_OVERLOADED;
    }
    w = add(n, change);
    w->peer = peer;
    w->peer_token = token;
    return RK_OK;
}

static bool needs_address(enum member_change_kind kind)
{
    return kind == MEMBER_CHANGE_ADD || kind == MEMBER_CHANGE_ADD_LEARNER ||
           kind == MEMBER_CHANGE_UPDATE;
}

/* Errors: BADARG. */
static enum rk_status check(const struct member_change *change)
{
    struct errmsg why = ERRMSG_INIT;
    struct address address;
    bool has_name = change->name[0] != '\0' || change->kind == MEMBER_CHANGE_LEADER;
    bool has_address = change->peer_address[0] != '\0';

    if (!has_name ||
        (change->name[0] != '\0' && !member_name_is_valid(slice_of_text(change->name))) ||
        (needs_address(change->kind) && !has_address) ||
        (has_address && address_parse(change->peer_address, &address, &why) != RK_OK) ||
        (has_address && address.host[0] == '\0')) {
        return RK_BADARG;
    }
    return RK_OK;
}

enum rk_status node_change_members(struct node *n, const struct member_change *change,
                                   node_changed_fn done, void *context)
{
    enum rk_status status = check(change);
    struct change_waiter *w;

    PRE(done != NULL);
    if (n->is_stopping) {
        return RK_STOPPED;
    }
    if (status != RK_OK) {
        return status;
    }
    if (n->changes.count >= MEMBER_CHANGES_WAITING_MAX) {
        return RK_OVERLOADED;
    }
    w = add(n, change);
    w->done = done;
    w->context = context;
    return RK_OK;
}

void changes_turn(struct node *n)
{
    struct change_waiter **link = &n->changes.first;

    identity_turn(n);
    while (*link != NULL) {
        struct change_waiter *w = *link;
        struct change_outcome outcome = look_at(n, w);

        if (outcome.is_over) {
            *link = w->next;
            deliver(n, w, &outcome);
        } else {
            link = &w->next;
        }
    }
}

bool changes_are_waiting(const struct node *n)
{
    return n->changes.count > 0;
}

void changes_replied(struct node *n, node_id peer, const struct change_reply *reply)
{
    struct change_waiter **link = &n->changes.first;
    struct change_outcome outcome = { true, reply->status, reply->index,
                                      reply->why[0] == '\0' ? NULL : reply->why };
    struct change_waiter *w;

    while (*link != NULL && ((*link)->state != CHANGE_FORWARDED || (*link)->leader != peer ||
                             (*link)->token != reply->token)) {
        link = &(*link)->next;
    }
    w = *link;
    if (w == NULL) {
        return; /* it was given up meanwhile */
    }
    if (reply->status == RK_NOLEADER) {
        w->state = CHANGE_QUEUED;
        return;
    }
    *link = w->next;
    deliver(n, w, &outcome);
}

static void end_all(struct node *n, node_id forwarded_to, enum rk_status queued)
{
    struct change_waiter **link = &n->changes.first;

    while (*link != NULL) {
        struct change_waiter *w = *link;
        struct change_outcome outcome = over(w->state == CHANGE_QUEUED ? queued : RK_UNKNOWN, NULL);

        if (forwarded_to != 0 && (w->state != CHANGE_FORWARDED || w->leader != forwarded_to)) {
            link = &w->next;
            continue;
        }
        *link = w->next;
        deliver(n, w, &outcome);
    }
}

void changes_peer_lost(struct node *n, node_id peer)
{
    end_all(n, peer, RK_NOLEADER);
}

void changes_abandon(struct node *n)
{
    end_all(n, 0, RK_STOPPED);
}
