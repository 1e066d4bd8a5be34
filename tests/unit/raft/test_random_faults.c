/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole clusters under random faults, one per seed: first anything may happen, and nothing
 * may be lost; then everything is healed, and work must get done.
 *
 *   SEED=n    only this one
 *   SEEDS=n   this many, from 1 on
 *   STEPS=n   actions per seed
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/cluster.h"

static char replay[160];

/* An assertion of the core aborts; say how to see it again. */
static void on_abort(int signal)
{
    (void)!write(STDERR_FILENO, replay, strlen(replay));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)signal;
}

static void on_trace(void *context, time_ms now_ms, node_id node, const char *text)
{
    (void)context;
    fprintf(stderr, "[%6" PRId64 "] %" PRIu64 " > %s\n", now_ms, node, text);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static struct cluster *cluster_of_seed(uint64_t seed, struct rng *rng)
{
    struct cluster_options options = {
        .voter_count = 1 + (unsigned)rng_below(rng, 5),
        .learner_count = (unsigned)rng_below(rng, 4) == 0,
        .spare_count = (unsigned)rng_below(rng, 3),
        .seed = rng_next(rng),
        .election_timeout_ms = 100,
        .heartbeat_interval_ms = 10 + (time_ms)rng_below(rng, 20),
        .delay_min_ms = 1,
        .delay_max_ms = 1 + (time_ms)rng_below(rng, 15),
        .disk_min_ms = 0,
        .disk_max_ms = (time_ms)rng_below(rng, 20),
        .report_max_ms = (time_ms)rng_below(rng, 10),
        .drop_permille = rng_below(rng, 2) == 0 ? 0 : (unsigned)rng_below(rng, 100),
        .duplicate_permille = rng_below(rng, 2) == 0 ? 0 : (unsigned)rng_below(rng, 100),
        .late_turn_permille = (unsigned)rng_below(rng, 1000),
        .append_count_max = 1 + (uint32_t)rng_below(rng, 16),
        .lease_permille = seed % 3 == 0 ? 800 : 0,
        .uncommitted_bytes_max = 40000,
        .replay = replay,
    };

    if (options.voter_count == 1 && rng_below(rng, 4) != 0) {
        options.voter_count = 3;
    }
    if (options.voter_count + options.learner_count + options.spare_count > CLUSTER_NODES_MAX) {
        options.spare_count = 1;
    }
    if (getenv("TRACE") != NULL) {
        options.trace = on_trace;
    }
    (void)seed;
    return cluster_new(&options);
}

enum { CHANGE_KINDS = 5 }; /* add, promote, remove, replace, transfer */

struct run {
    struct cluster *c;
    struct rng rng;
    unsigned node_count;
    uint64_t *changes; /* begun, by kind */
};

static node_id any_node(struct run *run)
{
    return 1 + rng_below(&run->rng, run->node_count);
}

static void crash_or_start(struct run *run)
{
    node_id id = any_node(run);

    if (!cluster_is_up(run->c, id)) {
        cluster_start(run->c, id);
    } else if (rng_below(&run->rng, 3) == 0) {
        cluster_crash(run->c, id, rng_below(&run->rng, 2) == 0, rng_below(&run->rng, 2) == 0);
    }
}

static void cut_something(struct run *run)
{
    node_id a = any_node(run);
    node_id b = any_node(run);

    switch (rng_below(&run->rng, 4)) {
    case 0: /* one direction of one link */
        cluster_cut(run->c, a, b, true);
        break;
    case 1: /* one node alone */
        for (node_id id = 1; id <= run->node_count; id++) {
            cluster_cut(run->c, a, id, true);
            cluster_cut(run->c, id, a, true);
        }
        break;
    case 2: /* it can speak, and hears nothing */
        for (node_id id = 1; id <= run->node_count; id++) {
            cluster_cut(run->c, id, a, true);
        }
        break;
    default:
        cluster_heal(run->c, rng_below(&run->rng, 2) == 0);
        break;
    }
}

/* A change of the members that the leader may well refuse. */
static void change_members(struct run *run, node_id leader)
{
    node_id id = any_node(run);
    const char *why = "?";

    switch (rng_below(&run->rng, 6)) {
    case 0:
        why = cluster_add(run->c, leader, id, rng_below(&run->rng, 3) != 0);
        run->changes[0] += why == NULL;
        break;
    case 1:
        why = cluster_promote(run->c, leader, id);
        run->changes[1] += why == NULL;
        break;
    case 2:
        why = cluster_remove(run->c, leader, id);
        run->changes[2] += why == NULL;
        break;
    case 3:
        why = cluster_replace(run->c, leader, any_node(run), id);
        run->changes[3] += why == NULL;
        break;
    default:
        why = cluster_transfer(run->c, leader, rng_below(&run->rng, 2) == 0 ? 0 : id);
        run->changes[4] += why == NULL;
        break;
    }
    if (why == NULL && rng_below(&run->rng, 6) == 0) {
        cluster_run(run->c, cluster_now_ms(run->c) + (time_ms)rng_below(&run->rng, 60));
        if (cluster_is_up(run->c, leader)) { /* in the middle of it */
            cluster_crash(run->c, leader, rng_below(&run->rng, 2) == 0, true);
        }
    }
}

static void act(struct run *run)
{
    time_ms now_ms = cluster_now_ms(run->c);
    uint64_t dice = rng_below(&run->rng, 100);
    node_id id = any_node(run);
    node_id leader = cluster_leader(run->c);

    if (dice < 40) {
        (void)cluster_submit(run->c, leader != 0 && dice < 35 ? leader : id,
                             1 + (unsigned)rng_below(&run->rng, 12));
    } else if (dice < 63) {
        cluster_read(run->c, id);
    } else if (dice < 70) {
        change_members(run, leader != 0 ? leader : id);
    } else if (dice < 76) {
        crash_or_start(run);
    } else if (dice < 80) {
        if (!cluster_is_up(run->c, id)) {
            cluster_start(run->c, id);
        }
    } else if (dice < 84) {
        cut_something(run);
    } else if (dice < 88) {
        cluster_heal(run->c, rng_below(&run->rng, 2) == 0);
    } else if (dice < 91) {
        (void)cluster_compact(run->c, id, (unsigned)rng_below(&run->rng, 20));
    } else if (dice < 93) {
        cluster_stall_disk(run->c, id, now_ms + (time_ms)rng_below(&run->rng, 300));
    } else if (dice < 95) {
        cluster_pause(run->c, id, now_ms + (time_ms)rng_below(&run->rng, 300));
    } else if (dice < 96) {
        cluster_campaign(run->c, id);
    } else if (leader != 0) {
        /* Its connections break: it is replaced at once, and does not know it yet. */
        cluster_close(run->c, leader);
        for (id = 1; id <= run->node_count && dice < 98; id++) {
            cluster_cut(run->c, leader, id, true);
            cluster_cut(run->c, id, leader, true);
        }
    }
}

/* As the handshakes would: only when all members are there and all report empty. */
static void bootstrap_if_empty(struct run *run)
{
    for (node_id id = 1; id <= run->node_count; id++) {
        struct raft_status status;

        raft_get_status(cluster_raft(run->c, id), &status);
        if (status.log_last_index > 0) {
            return;
        }
    }
    for (node_id id = 1; id <= run->node_count; id++) {
        if (cluster_is_first(run->c, id)) {
            cluster_bootstrap(run->c, id);
        }
    }
}

/* Every member that this leader knows has applied the goal, and no change is half done. */
static bool has_all(const struct cluster *c, node_id leader, raft_index goal)
{
    const struct membership *m = raft_membership(cluster_raft(c, leader));

    for (unsigned i = 0; i < m->count; i++) {
        if (cluster_applied(c, m->members[i].id) < goal) {
            return false;
        }
    }
    return !membership_is_joint(m);
}

/* Everything works again: a leader is found, and what it takes reaches all. */
static void must_progress(struct run *run, uint64_t seed)
{
    time_ms until_ms = cluster_now_ms(run->c) + 20000;
    raft_index goal = 0;
    bool is_done = false;

    cluster_heal(run->c, rng_below(&run->rng, 2) == 0);
    cluster_faults(run->c, 0, 0);
    cluster_start_all(run->c);
    bootstrap_if_empty(run);
    for (node_id id = 1; id <= run->node_count; id++) {
        cluster_stall_disk(run->c, id, 0);
    }
    while (!is_done && cluster_now_ms(run->c) < until_ms) {
        node_id leader = cluster_leader(run->c);

        cluster_run(run->c, cluster_now_ms(run->c) + 50);
        if (goal == 0 && leader != 0 && cluster_submit(run->c, leader, 3) == RK_OK) {
            struct raft_status status;

            raft_get_status(cluster_raft(run->c, leader), &status);
            goal = status.log_last_index;
        }
        is_done = goal != 0;
        is_done = is_done && leader != 0 && has_all(run->c, leader, goal);
        if (goal != 0 && !is_done && rng_below(&run->rng, 20) == 0) {
            goal = 0; /* that leader may have been deposed with our entries */
        }
    }
    if (!is_done) {
        fprintf(stderr, "# seed %" PRIu64 ": no progress after healing\n# again: %s\n", seed,
                replay);
        abort();
    }
    cluster_check_logs(run->c);
}

static uint64_t run_seed(uint64_t seed, uint64_t steps, uint64_t totals[7],
                         uint64_t changes[CHANGE_KINDS])
{
    struct run run = { .changes = changes };
    uint64_t hash;

    (void)snprintf(replay, sizeof replay,
                   "SEED=%" PRIu64 " STEPS=%" PRIu64 " TRACE=1 tests/unit/raft/test_random_faults",
                   seed, steps);
    rng_init(&run.rng, seed);
    run.c = cluster_of_seed(seed, &run.rng);
    run.node_count = cluster_size(run.c);
    cluster_start_all(run.c);
    for (node_id id = 1; id <= run.node_count; id++) {
        if (cluster_is_first(run.c, id)) {
            cluster_bootstrap(run.c, id);
        }
    }
    for (uint64_t i = 0; i < steps; i++) {
        act(&run);
        cluster_run(run.c, cluster_now_ms(run.c) + (time_ms)rng_below(&run.rng, 30));
    }
    must_progress(&run, seed);
    totals[0] += cluster_committed(run.c);
    totals[1] += cluster_reads_ok(run.c);
    totals[2] += cluster_reads_failed(run.c);
    totals[3] += cluster_snapshots_installed(run.c);
    totals[4] += cluster_elections(run.c);
    totals[5] += cluster_messages(run.c);
    totals[6] += cluster_reads_by_lease(run.c);
    hash = cluster_state_hash(run.c);
    cluster_free(run.c);
    return hash;
}

static void nothing_is_lost_and_work_gets_done_after_any_faults(void **state)
{
    uint64_t one = number("SEED", 0);
    uint64_t seeds = number("SEEDS", 300);
    uint64_t steps = number("STEPS", 600);
    uint64_t totals[7] = { 0 };
    uint64_t changes[CHANGE_KINDS] = { 0 };

    (void)state;
    for (uint64_t seed = one != 0 ? one : 1; seed <= (one != 0 ? one : seeds); seed++) {
        (void)run_seed(seed, steps, totals, changes);
    }
    printf("# committed %" PRIu64 ", reads %" PRIu64 " (%" PRIu64 " refused, %" PRIu64
           " by lease), snapshots %" PRIu64 ", elections %" PRIu64 ", messages %" PRIu64 "\n",
           totals[0], totals[1], totals[2], totals[6], totals[3], totals[4], totals[5]);
    assert_true(totals[6] > 0 || one != 0 || seeds < 3);
    printf("# members added %" PRIu64 ", promoted %" PRIu64 ", removed %" PRIu64
           ", replaced %" PRIu64 ", transfers %" PRIu64 "\n",
           changes[0], changes[1], changes[2], changes[3], changes[4]);
    for (unsigned i = 0; i < CHANGE_KINDS && one == 0 && seeds >= 300; i++) {
        assert_true(changes[i] > 0);
    }
}

static void a_seed_gives_the_same_run_each_time(void **state)
{
    uint64_t totals[7] = { 0 };
    uint64_t changes[CHANGE_KINDS] = { 0 };

    (void)state;
    assert_int_equal(run_seed(7, 200, totals, changes), run_seed(7, 200, totals, changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_same_run_each_time),
        cmocka_unit_test(nothing_is_lost_and_work_gets_done_after_any_faults),
    };

    (void)signal(SIGABRT, on_abort);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
