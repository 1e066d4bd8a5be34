/* SPDX-License-Identifier: Apache-2.0 */
/* Members that come and go, and leaders that hand over. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"
#include "support/cluster_internal.h"

const struct membership *sim_membership_at(const struct sim_node *n, const struct sim_log *log,
                                           raft_index index, raft_index *ret_index)
{
    static const struct membership none;
    struct cluster *c = n->cluster;
    struct membership *m = heap_new(struct membership);
    const struct membership *found;

    for (raft_index i = index; i >= log->first && i > 0; i--) {
        const struct sim_entry *e = sim_log_at(log, i);

        if (e != NULL && e->blob != NULL) {
            PRE(command_membership(buffer_slice(e->blob), m) == RK_OK);
            found = sim_keep_membership(c, m);
            heap_free(m);
            *ret_index = i;
            return found;
        }
    }
    heap_free(m);
    *ret_index = n->disk.snapshot.membership_index;
    if (n->disk.snapshot.last_index > 0) {
        return n->disk.snapshot.membership;
    }
    return cluster_is_first(c, n->id) ? &c->membership : &none;
}

/* What this node says when the other one greets it. */
static bool is_refused_by(const struct sim_node *n, const struct sim_node *other)
{
    const struct member *m = n->raft == NULL ? NULL
                                             : membership_find(raft_membership(n->raft), other->id);

    return m != NULL && m->incarnation != 0 && m->incarnation != other->incarnation;
}

bool sim_is_refused(const struct cluster *c, node_id a, node_id b)
{
    return is_refused_by(&c->nodes[a], &c->nodes[b]) || is_refused_by(&c->nodes[b], &c->nodes[a]);
}

static const char *refusal_of(struct cluster *c, node_id id, struct raft_event *step)
{
    struct sim_node *n = &c->nodes[id];
    const char *why;

    if (!n->is_up || n->paused_until_ms > c->now_ms) {
        return "this node is down";
    }
    step->now_ms = c->now_ms;
    sim_step_once(n, step);
    why = n->effects.refusal;
    sim_step_simple(c, id, RAFT_TURN);
    return why;
}

const char *cluster_change(struct cluster *c, node_id id, const struct membership *to)
{
    struct raft_event step = { .type = RAFT_CHANGE_MEMBERSHIP };

    step.u.change_membership.membership = to;
    return refusal_of(c, id, &step);
}

const char *cluster_transfer(struct cluster *c, node_id id, node_id target)
{
    struct raft_event step = { .type = RAFT_TRANSFER };

    step.u.transfer.target = target;
    return refusal_of(c, id, &step);
}

/* What `id` has in force, as a beginning; empty when it is down. */
static struct membership in_force(const struct cluster *c, node_id id)
{
    return c->nodes[id].is_up ? *raft_membership(c->nodes[id].raft)
                              : (struct membership){ .count = 0 };
}

/* False when its name is taken. */
static bool put_learner(const struct cluster *c, struct membership *m, node_id id, unsigned flags,
                        const char *name)
{
    struct member learner = { .id = id, .incarnation = c->nodes[id].incarnation, .flags = flags };

    (void)snprintf(learner.name, sizeof learner.name, "%s", name);
    return membership_add(m, &learner) == RK_OK;
}

static struct member *member_of(struct membership *m, node_id id)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->members[i].id == id) {
            return &m->members[i];
        }
    }
    return NULL;
}

const char *cluster_add(struct cluster *c, node_id id, node_id member, bool votes)
{
    struct membership to = in_force(c, id);
    char name[16];

    if (membership_find(&to, member) != NULL) {
        return "it is a member already";
    }
    (void)snprintf(name, sizeof name, "n%" PRIu64, member);
    if (!put_learner(c, &to, member, votes ? MEMBER_PROMOTE : 0, name)) {
        return "its name is taken";
    }
    return cluster_change(c, id, &to);
}

const char *cluster_promote(struct cluster *c, node_id id, node_id member)
{
    struct membership to = in_force(c, id);

    if (member_of(&to, member) == NULL) {
        return "there is no such member";
    }
    member_of(&to, member)->flags |= MEMBER_VOTER;
    return cluster_change(c, id, &to);
}

const char *cluster_remove(struct cluster *c, node_id id, node_id member)
{
    struct membership to = in_force(c, id);

    if (!membership_remove(&to, member)) {
        return "there is no such member";
    }
    return cluster_change(c, id, &to);
}

const char *cluster_replace(struct cluster *c, node_id id, node_id old, node_id member)
{
    struct membership to = in_force(c, id);

    if (member_of(&to, old) == NULL || membership_find(&to, member) != NULL) {
        return "there is no such member";
    }
    member_of(&to, old)->flags |= MEMBER_LEAVING;
    if (!put_learner(c, &to, member, MEMBER_PROMOTE, member_of(&to, old)->name)) {
        return "its name is taken";
    }
    return cluster_change(c, id, &to);
}

void cluster_wipe(struct cluster *c, node_id id)
{
    struct sim_node *n = &c->nodes[id];

    PRE(!n->is_up);
    n->incarnation += 1000;
    n->disk.hard_state = (struct raft_hard_state){ 0 };
    n->disk.snapshot = (struct sim_snapshot){ 0 };
    sim_log_reset(&n->disk.log, 1);
}
