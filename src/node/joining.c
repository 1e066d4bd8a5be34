/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that come and go while this node runs.
 *
 * An empty node waits to be dialled by the cluster that admitted it (`member add`, `member
 * replace`): the first HELLO that means it by name tells cluster and id.  A sender that this node
 * does not know, but who goes by a newer membership, is let in as a guest: it was admitted while
 * this node was away, and only it may be able to tell.  Whoever goes by an older membership and
 * is not in ours was removed.
 */
#include "base/assert.h"
#include "node/node_internal.h"

/* ---- Joining ---- */

/* A member's id is the index of the entry that admitted it, so of two the higher one is newer: a
 * removed member that does not know it yet may be the first to mean this node by name, with the id
 * of a directory that is lost.  While it is empty nothing rests on what it was told, not even when
 * a crash takes it back: the first term is saved with it, and no leader is answered before. */
static bool is_newer_identity(const struct node *n, const struct hello *hello)
{
    return memcmp(n->state.cluster_id, hello->cluster_id, CLUSTER_ID_BYTES) == 0 &&
           hello->target > n->state.id;
}

bool identity_may_join(const struct node *n, const struct hello *hello)
{
    bool is_other = hello->target != n->state.id || n->options.is_joining;

    return n->is_empty && !n->is_bootstrap_sent && hello->target != 0 &&
           identity_is_known(hello->cluster_id) &&
           (identity_is_known(n->state.cluster_id) ? is_newer_identity(n, hello) : is_other) &&
           (hello->target_incarnation == 0 || hello->target_incarnation == n->state.incarnation) &&
           strcmp(hello->target_name, n->options.name) == 0;
}

void identity_join(struct node *n, const struct hello *hello)
{
    n->state.id = hello->target;
    memcpy(n->state.cluster_id, hello->cluster_id, CLUSTER_ID_BYTES);
    recovery_join(n);
    writer_save_state(n->writer, &n->state, n->state_generation);
    transport_set_self(n->transport, n->state.id);
    members_refresh_transport(n);
    node_log(n, NODE_LOG_INFO, "admitted by %s as member %llu", hello->sender_name,
             (unsigned long long)n->state.id);
}

/* ---- Guests ---- */

enum rk_status identity_admit_guest(struct node *n, const struct hello *hello, struct errmsg *why)
{
    struct guest *g = NULL;

    if (raft_membership_index(n->raft) == 0 && hello->membership_index == 0) {
        return RK_OK; /* neither has a cluster yet: the transport says so */
    }
    if (hello->membership_index <= raft_membership_index(n->raft)) {
        errmsg_set(why, "%s, member %llu, is not or no longer a member of this cluster",
                   hello->sender_name, (unsigned long long)hello->sender);
        return RK_REMOVED;
    }
    for (unsigned i = 0; i < n->guest_count; i++) {
        if (n->guests[i].id == hello->sender) {
            g = &n->guests[i];
        }
    }
    if (g == NULL && n->guest_count == MEMBERS_MAX) {
        errmsg_set(why, "too many members are not known to this node yet");
        return RK_OVERLOADED;
    }
    if (g == NULL) {
        g = &n->guests[n->guest_count++];
    }
    *g = (struct guest){ .id = hello->sender,
                         .membership_index = hello->membership_index,
                         .incarnation = hello->incarnation };
    memcpy(g->name, hello->sender_name, sizeof g->name);
    members_refresh_transport(n);
    return RK_OK;
}

/* Who is still unknown when we know as much as they did is no member. */
static void drop_guests(struct node *n)
{
    const struct membership *m = raft_membership(n->raft);
    unsigned kept = 0;

    for (unsigned i = 0; i < n->guest_count; i++) {
        if (membership_find(m, n->guests[i].id) == NULL &&
            n->guests[i].membership_index > raft_membership_index(n->raft)) {
            n->guests[kept++] = n->guests[i];
        }
    }
    n->guest_count = kept;
}

/* ---- Whom to talk to ---- */

/* A committed membership of ours leaves us out. */
static bool is_left_out(const struct node *n)
{
    raft_index index = 0;
    const struct membership *committed = raft_committed_membership(n->raft, &index);

    return n->state.id != 0 && index >= MEMBER_ADDED_AT(n->state.id) &&
           membership_find(committed, n->state.id) == NULL &&
           membership_find(raft_membership(n->raft), n->state.id) == NULL;
}

/* Others know more: who is removed is not sent the entry that does it, but told. */
bool node_is_removed(const struct node *n)
{
    node_id leader = raft_leader(n->raft);

    return is_left_out(n) ||
           (n->is_removal_told && (leader == 0 || !transport_is_connected(n->transport, leader)));
}

bool node_is_out(const struct node *n)
{
    return node_is_removed(n) && raft_role_of(n->raft) != RAFT_LEADER;
}

/* Names may come twice: of a member and of the one that replaces it. */
static void put_guest(struct membership *to, node_id id, const char *name)
{
    struct member member = { .id = id, .flags = MEMBER_LEAVING };

    memcpy(member.name, name, sizeof member.name);
    (void)!membership_add(to, &member); /* it is there, or there is no room: not reached then */
}

/* A leader that was removed still has to hand its office over. */
static void keep_leader(const struct node *n, struct membership *to)
{
    const struct member *leader = membership_find(&n->reached, raft_leader(n->raft));

    if (leader != NULL) {
        put_guest(to, leader->id, leader->name);
    }
}

/* Calls `part` with each of `before` that is not among `after`. */
static void each_gone(struct node *n, const struct membership *before,
                      const struct membership *after, void (*part)(struct node *n, node_id peer))
{
    for (unsigned i = 0; i < before->count; i++) {
        if (membership_find(after, before->members[i].id) == NULL) {
            part(n, before->members[i].id);
        }
    }
}

void members_refresh_transport(struct node *n)
{
    struct membership to = *raft_membership(n->raft);
    struct membership reached;
    raft_index index = 0;
    const struct membership *committed = raft_committed_membership(n->raft, &index);

    drop_guests(n);
    for (unsigned i = 0; i < committed->count; i++) {
        struct member leaving = committed->members[i];

        leaving.flags |= MEMBER_LEAVING;
        (void)!membership_add(&to, &leaving); /* not taken back yet, and mostly there */
    }
    for (unsigned i = 0; i < n->guest_count; i++) {
        put_guest(&to, n->guests[i].id, n->guests[i].name);
    }
    keep_leader(n, &to);
    if (is_left_out(n) && raft_role_of(n->raft) != RAFT_LEADER) {
        to.count = 0;
    }
    reached = n->reached;
    n->reached = to;
    each_gone(n, &reached, &to, changes_part_from);
    transport_set_members(n->transport, &to);
    each_gone(n, &reached, &to, peer_gone);
    n->changes.is_identity_due = true;
}

static void note_removal(struct node *n)
{
    if (node_is_out(n)) {
        proposals_refuse(n);
    }
    if (!is_left_out(n) || n->is_removal_logged) {
        return;
    }
    n->is_removal_logged = true;
    node_log(n, NODE_LOG_WARN,
             "this node was removed from the cluster: it serves nothing any more; stop it and "
             "delete its data directory");
}

void members_note(struct node *n)
{
    raft_index committed = 0;

    if (n->effects.role_changed && raft_leader(n->raft) != 0 && n->is_removal_told) {
        n->is_removal_told = false; /* they were wrong, or it is a member again */
        n->is_removal_logged = is_left_out(n);
    }

    (void)raft_committed_membership(n->raft, &committed);
    if (raft_membership_index(n->raft) == n->noted_membership_index &&
        committed == n->noted_committed_index && !n->effects.role_changed) {
        return;
    }
    n->noted_membership_index = raft_membership_index(n->raft);
    n->noted_committed_index = committed;
    members_refresh_transport(n);
    note_removal(n);
}

void members_refused(void *context, node_id peer, enum rk_status status, const char *text)
{
    struct node *n = context;

    (void)peer;
    if (status == RK_CORRUPT) {
        node_halt(n, 65, "%s", text);
        return;
    }
    if (status != RK_REMOVED || raft_membership_index(n->raft) == 0) {
        return;
    }
    n->is_removal_told = true;
    if (node_is_out(n)) {
        proposals_refuse(n);
    }
    if (!n->is_removal_logged) {
        n->is_removal_logged = true;
        node_log(n, NODE_LOG_WARN,
                 "the others say that this node was removed from the cluster: if that is so, stop "
                 "it and delete its data directory; to bring it back use `refkeeper member add`");
    }
}
