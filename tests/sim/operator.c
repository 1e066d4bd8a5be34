/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator: adds members and removes them, replaces one whose directory is lost, moves the
 * leader.  Asks like anybody, at any node, one thing at a time, and is told what became of it.
 *
 * A cluster that never formed because the power failed during its first election, he starts anew.
 *
 * What a good operator does not do: wipe a second directory before the first one's place is
 * taken, and give the directory of a removed member to a new one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "node/node_internal.h"
#include "sim/sim.h"

struct question {
    enum fault fault; /* what it is when it was done */
    struct machine *at;
    const struct machine *target;
};

static struct machine *asked; /* whose answer is waited for; NULL = nobody's */
static unsigned asked_boot;
static struct machine *lost; /* whose directory is; NULL = nobody's */
static uint64_t lost_incarnation;

#define UNFORMED_LOOKS_MAX 10
static unsigned unformed_looks; /* in a row, of one a second */

/* ---- Who is what ---- */

struct machine *machine_of_member(const struct member *member)
{
    return &sim->machines[strtoul(member->name + 1, NULL, 10)];
}

/* Whose members are today's: one that others have outlived may not know it, and has old ones. */
static const struct machine *ruling_leader(void)
{
    const struct machine *leader = machine_leader();

    for (unsigned i = 1; leader != NULL && i <= sim->machine_count; i++) {
        const struct machine *m = &sim->machines[i];

        if (m->node != NULL &&
            raft_current_term(m->node->raft) > raft_current_term(leader->node->raft)) {
            return NULL;
        }
    }
    return leader;
}

/* As `leader` has it in force; NULL = nobody leads, or it is none. */
static const struct member *member_of(const struct machine *leader, const struct machine *m)
{
    return leader == NULL ? NULL
                          : membership_find_name(raft_membership(leader->node->raft), m->name);
}

static bool is_quiet(const struct raft *r)
{
    raft_index index = 0;

    (void)raft_committed_membership(r, &index);
    return index == raft_membership_index(r) && !membership_is_joint(raft_membership(r));
}

bool machine_is_member(const struct machine *m)
{
    return member_of(machine_leader(), m) != NULL;
}

const char *operator_unfinished(void)
{
    const struct machine *leader = machine_leader();

    if (lost != NULL) {
        return "a lost directory is not replaced";
    }
    return leader == NULL || is_quiet(leader->node->raft) ? NULL : "members are changing";
}

/* ---- Asking ---- */

static void on_answer(void *context, enum rk_status status, raft_index index, const char *why)
{
    struct question *q = context;

    sim_note((uint64_t)status * 1000 + index);
    if (!q->at->is_dying) {
        sim_trace("operator: %s of %s at %s: %s %s", fault_name(q->fault), q->target->name,
                  q->at->name, rk_status_word(status), why == NULL ? "" : why);
        if (status == RK_OK) {
            sim_fault(q->fault);
        }
    }
    if (asked == q->at) {
        asked = NULL;
    }
    heap_free(q);
}

static void ask(enum member_change_kind kind, const struct machine *target, enum fault fault)
{
    struct machine *leader = machine_leader();
    struct machine *at = leader != NULL && sim_chance(700)
                             ? leader
                             : &sim->machines[sim_between(1, sim->machine_count)];
    struct member_change change = { .kind = kind };
    struct question *q;

    if (at->node == NULL || at->paused_until_us > sim->now_us) {
        return;
    }
    snprintf(change.name, sizeof change.name, "%s", target->name);
    if (kind == MEMBER_CHANGE_ADD || kind == MEMBER_CHANGE_ADD_LEARNER ||
        kind == MEMBER_CHANGE_REPLACE) {
        snprintf(change.peer_address, sizeof change.peer_address, "%s", target->address);
    }
    q = heap_new(struct question);
    *q = (struct question){ fault, at, target };
    sim->current = at;
    asked = at;
    asked_boot = at->boot;
    if (node_change_members(at->node, &change, on_answer, q) != RK_OK) {
        asked = NULL;
        heap_free(q);
    }
    machine_turn(at);
    sim->current = NULL;
}

static bool is_waiting(void)
{
    return asked != NULL && asked->boot == asked_boot;
}

/* ---- What it does ---- */

static void start_empty(struct machine *m, bool is_joining)
{
    machine_kill(m, FS_CRASH_PROCESS, false);
    fs_memory_free(m->disk.memory);
    m->disk.memory = disk_memory();
    m->is_joining = is_joining;
    checks_forget(m);
    machine_restart_after(m, sim_between(1000, SECOND_US));
}

static void add(struct machine *m)
{
    const struct machine *leader = ruling_leader();
    const struct member *member = member_of(leader, m);
    raft_index index;

    if (leader == NULL || lost != NULL) {
        return;
    }
    if (member != NULL) { /* a learner that was to stay one */
        if ((member->flags & (MEMBER_VOTES | MEMBER_PROMOTE)) == 0) {
            ask(MEMBER_CHANGE_PROMOTE, m, FAULT_MEMBER_ADD);
        }
        return;
    }
    if (membership_find_name(raft_committed_membership(leader->node->raft, &index), m->name) ==
            NULL &&
        is_quiet(leader->node->raft)) {
        if (m->node == NULL || !m->is_joining || identity_is_known(m->node->state.cluster_id)) {
            /* one that was admitted before keeps that id, also while it is empty; a founder may
             * have been removed before it knew whose */
            start_empty(m, true);
        }
        ask(sim_chance(700) ? MEMBER_CHANGE_ADD : MEMBER_CHANGE_ADD_LEARNER, m, FAULT_MEMBER_ADD);
    }
}

static bool all_run_but(const struct machine *m, const struct membership *members)
{
    for (unsigned i = 0; i < members->count; i++) {
        const struct machine *other = machine_of_member(&members->members[i]);

        if (other != m && other->node == NULL) {
            return false;
        }
    }
    return true;
}

static void lose(struct machine *m)
{
    const struct machine *leader = ruling_leader();
    const struct member *member = member_of(leader, m);

    if (lost != NULL || leader == NULL || member == NULL || m->node == NULL ||
        member->incarnation == 0 || (member->flags & MEMBER_VOTER) == 0 ||
        !is_quiet(leader->node->raft) ||
        membership_voter_count(raft_membership(leader->node->raft)) < 3 ||
        !all_run_but(m, raft_membership(leader->node->raft))) {
        return;
    }
    lost = m;
    lost_incarnation = member->incarnation;
    sim_trace("operator: the directory of %s is lost", m->name);
    start_empty(m, true);
}

/* Asks again until the new directory has the place of the old one. */
static void replace_lost(void)
{
    const struct machine *leader = ruling_leader();
    const struct member *member = lost == NULL ? NULL : member_of(leader, lost);

    if (lost == NULL || leader == NULL || is_waiting()) {
        return;
    }
    if (member != NULL && member->incarnation == lost_incarnation) {
        ask(MEMBER_CHANGE_REPLACE, lost, FAULT_MEMBER_REPLACE);
    } else if (is_quiet(leader->node->raft) &&
               (member == NULL || (member->flags & MEMBER_VOTER) != 0)) {
        sim_trace("operator: the directory of %s is replaced, says %s", lost->name, leader->name);
        lost = NULL;
    }
}

/* All run, nobody has an entry, and one has a term, which the others lost with their power. */
static bool has_never_formed(void)
{
    bool has_empty = false, has_term = false;

    for (unsigned i = 1; i <= sim->machine_count; i++) {
        const struct node *n = sim->machines[i].node;

        if (n == NULL || n->options.is_joining || n->durable_index != 0 ||
            identity_is_known(n->state.cluster_id)) {
            return false;
        }
        has_empty = has_empty || n->is_empty;
        has_term = has_term || !n->is_empty;
    }
    return has_empty && has_term;
}

/* They wait for each other: docs/MEMBERS.md has the remedy. */
static void found_anew(void)
{
    unformed_looks = sim->is_healing && has_never_formed() ? unformed_looks + 1 : 0;
    if (unformed_looks < UNFORMED_LOOKS_MAX) {
        return;
    }
    sim_trace("operator: the cluster has never formed: all begin anew");
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        start_empty(&sim->machines[i], false);
    }
}

static void on_look(void *context, uint64_t argument)
{
    (void)context;
    (void)argument;
    replace_lost();
    found_anew();
    sim_after(SIM_WORLD, NULL, SECOND_US, on_look, NULL, 0);
}

void operator_act(enum fault fault, struct machine *m)
{
    if (is_waiting()) {
        return;
    }
    switch (fault) {
    case FAULT_MEMBER_ADD:
        add(m);
        break;
    case FAULT_MEMBER_REMOVE:
        if (m != lost && machine_is_member(m)) {
            ask(MEMBER_CHANGE_REMOVE, m, fault);
        }
        break;
    case FAULT_MEMBER_REPLACE:
        lose(m);
        break;
    default:
        ask(MEMBER_CHANGE_LEADER, m, fault);
    }
}

void operator_start(void)
{
    asked = lost = NULL;
    unformed_looks = 0;
    sim_after(SIM_WORLD, NULL, SECOND_US, on_look, NULL, 0);
}
