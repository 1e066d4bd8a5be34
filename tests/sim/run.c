/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/run.h"

#include "node/node_internal.h"
#include "sim/teeth.h"

/* Where the phase of liveness must have come to its end: so long, and so many elections. */
#define SETTLE_US (30 * SECOND_US)
#define SETTLE_ELECTIONS 20

#define SPARES 2 /* machines that are no members yet */

/* What the end still lacks; NULL = nothing. */
static const char *unsettled(void)
{
    const struct machine *leader = machine_leader();

    if (!clients_are_idle()) {
        return "clients wait for answers";
    }
    if (leader == NULL) {
        return "nobody leads";
    }
    if (operator_unfinished() != NULL) {
        return operator_unfinished();
    }
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        const struct node *n = sim->machines[i].node;

        if (sim->machines[i].is_banned || !machine_is_member(&sim->machines[i])) {
            continue;
        }
        if (n == NULL) {
            return "a node is down";
        }
        if (refdb_applied_index(n->refdb) != raft_commit_index(leader->node->raft) ||
            raft_commit_index(leader->node->raft) != checks_committed()) {
            return "replicas differ in length";
        }
    }
    return NULL;
}

static void settle(void)
{
    int64_t until_us = sim->now_us + SETTLE_US +
                       2 * SETTLE_ELECTIONS * sim->swarm.election_timeout_ms * 1000;

    nemesis_heal();
    clients_stop_asking();
    while (unsettled() != NULL) {
        if (sim->now_us >= until_us) {
            sim_fail(
                "%s %.0f s after the last fault", unsettled(),
                (double)(SETTLE_US + 2 * SETTLE_ELECTIONS * sim->swarm.election_timeout_ms * 1000) /
                    SECOND_US);
        }
        sim_run_until(sim->now_us + SECOND_US / 10);
    }
    checks_settled();
}

static void tear_down(void)
{
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        machine_kill(&sim->machines[i], FS_CRASH_LOSE, true);
        machine_release(&sim->machines[i]);
    }
    net_release();
    threads_release();
    checks_release();
    clients_release();
}

static void add_up(struct totals *totals)
{
    totals->runs++;
    totals->updates_ok += sim->updates_ok;
    totals->updates_refused += sim->updates_refused;
    totals->reads_ok += sim->reads_ok;
    totals->reads_by_lease += sim->reads_by_lease;
    totals->replays += sim->replays;
    totals->elections += sim->elections;
    totals->restarts += sim->restarts;
    totals->steps += sim->steps;
    totals->simulated_ms += (uint64_t)sim->now_us / 1000;
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        totals->faults[i] += sim->faults[i];
    }
}

uint64_t run_seed(const struct sim_options *options, struct totals *totals)
{
    uint64_t hash;

    sim_new(options);
    swarm_draw(&sim->swarm, options->seed);
    if (options->is_aimed) {
        teeth_aim(&sim->swarm);
        swarm_settle(&sim->swarm);
    }
    sim->machine_count = sim->swarm.machine_count + (sim->swarm.has_churn ? SPARES : 0);
    net_init();
    checks_init();
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        machine_init(&sim->machines[i], i);
        sim->machines[i].is_joining = i > sim->swarm.machine_count;
    }
    versions_start();
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        machine_start(&sim->machines[i]);
    }
    clients_start();
    nemesis_start();
    operator_start();
    sim_run_until((options->seconds != 0 ? options->seconds : sim->swarm.seconds) * SECOND_US);
    if (options->steps_max == 0) {
        settle();
        clients_check_history();
    }
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        if (sim->machines[i].node != NULL) {
            sim_note(raft_state_hash(sim->machines[i].node->raft));
            machine_count_reads(&sim->machines[i]);
        }
    }
    hash = sim->hash;
    add_up(totals);
    tear_down();
    sim_free();
    return hash;
}
