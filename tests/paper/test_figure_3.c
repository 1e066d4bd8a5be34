/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties of Figure 3 of the Raft paper, one test each.
 *
 * The same clusters, under loss, cuts and crashes, are watched with other eyes each time: only
 * what a node says of itself is used, not what the cluster of tests/support checks by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/cluster.h"

#define NODES 5
#define SEEDS 25
#define STEPS 400
#define INDEX_MAX 8192
#define TERM_MAX 8192

static struct {
    struct cluster *c;
    struct rng rng;
    node_id leaders[TERM_MAX];               /* by term */
    raft_term led_term[NODES + 1];           /* leader of that term when last looked at */
    raft_term led_log[NODES + 1][INDEX_MAX]; /* its log then */
    raft_index led_last[NODES + 1];
    raft_term committed[INDEX_MAX];    /* term of the entry first said to be committed */
    raft_term committed_in[INDEX_MAX]; /* current term of whoever said so */
    uint64_t looked, led;              /* how much there was to see */
} world;

typedef void (*look_fn)(node_id id, const struct raft *r, const struct raft_status *s);

static void make_trouble(void)
{
    node_id a = 1 + rng_below(&world.rng, NODES), b = 1 + rng_below(&world.rng, NODES);
    node_id leader = cluster_leader(world.c);

    switch (rng_below(&world.rng, 12)) {
    case 0:
        if (cluster_is_up(world.c, a)) {
            cluster_crash(world.c, a, rng_below(&world.rng, 2) == 0, rng_below(&world.rng, 2) == 0);
        }
        break;
    case 1:
        cluster_start_all(world.c);
        break;
    case 2:
        cluster_cut(world.c, a, b, true);
        break;
    case 3:
        cluster_heal(world.c, true);
        break;
    case 4:
        if (cluster_is_up(world.c, a)) {
            cluster_campaign(world.c, a);
        }
        break;
    default:
        if (leader != 0) {
            (void)cluster_submit(world.c, leader, 1 + (unsigned)rng_below(&world.rng, 3));
        }
    }
}

static void look_at_all(look_fn look)
{
    for (node_id id = 1; id <= NODES; id++) {
        const struct raft *r = cluster_raft(world.c, id);
        struct raft_status s;

        if (r != NULL) {
            raft_get_status(r, &s);
            assert_true(s.log_last_index < INDEX_MAX && s.current_term < TERM_MAX);
            world.looked++;
            world.led += s.role == RAFT_LEADER;
            look(id, r, &s);
        } else {
            world.led_term[id] = 0;
        }
    }
}

static void watch_seed(uint64_t seed, look_fn look)
{
    struct cluster_options options = {
        .voter_count = NODES,
        .seed = seed,
        .election_timeout_ms = 100,
        .heartbeat_interval_ms = 20,
        .delay_min_ms = 1,
        .delay_max_ms = 8,
        .disk_min_ms = 1,
        .disk_max_ms = 5,
        .drop_permille = 20,
        .duplicate_permille = 20,
        .replay = "tests/paper/test_figure_3",
    };

    memset(&world, 0, sizeof world);
    rng_init(&world.rng, seed);
    world.c = cluster_new(&options);
    for (node_id id = 1; id <= NODES; id++) {
        cluster_put_entries(world.c, id, 1, 1);
    }
    cluster_start_all(world.c);
    for (unsigned i = 0; i < STEPS; i++) {
        make_trouble();
        for (unsigned k = 0; k < 4; k++) {
            cluster_run(world.c, cluster_now_ms(world.c) + 1 + (time_ms)rng_below(&world.rng, 8));
            look_at_all(look);
        }
    }
    cluster_free(world.c);
    assert_true(world.led > STEPS / 4); /* there was something to see */
}

static void watch(look_fn look)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        watch_seed(seed, look);
    }
}

/* ---- Election safety: at most one leader can be elected in a given term ---- */

static void look_at_leader(node_id id, const struct raft *r, const struct raft_status *s)
{
    (void)r;
    if (s->role == RAFT_LEADER) {
        assert_true(world.leaders[s->current_term] == 0 || world.leaders[s->current_term] == id);
        world.leaders[s->current_term] = id;
    }
}

static void election_safety(void **state)
{
    (void)state;
    watch(look_at_leader);
}

/* ---- Leader append-only: it never overwrites or deletes entries in its log ---- */

static void look_at_its_log(node_id id, const struct raft *r, const struct raft_status *s)
{
    if (s->role == RAFT_LEADER && world.led_term[id] == s->current_term) {
        assert_true(s->log_last_index >= world.led_last[id]);
        for (raft_index i = 1; i <= world.led_last[id]; i++) {
            assert_int_equal(raft_term_at(r, i), world.led_log[id][i]);
        }
    }
    world.led_term[id] = s->role == RAFT_LEADER ? s->current_term : 0;
    world.led_last[id] = s->log_last_index;
    for (raft_index i = 1; i <= s->log_last_index; i++) {
        world.led_log[id][i] = raft_term_at(r, i);
    }
}

static void leader_append_only(void **state)
{
    (void)state;
    watch(look_at_its_log);
}

/* ---- Log matching: the same index and term, then the same in all before ---- */

static void look_at_pairs(node_id id, const struct raft *r, const struct raft_status *s)
{
    for (node_id other = 1; other < id; other++) {
        const struct raft *q = cluster_raft(world.c, other);
        bool has_matched = false;

        for (raft_index i = s->log_last_index; i > 0 && q != NULL; i--) {
            bool is_same = raft_term_at(q, i) == raft_term_at(r, i);

            assert_true(is_same || !has_matched);
            has_matched |= is_same;
        }
    }
}

static void log_matching(void **state)
{
    (void)state;
    watch(look_at_pairs);
}

/* ---- Commits, as the first one to say so saw them ---- */

static void note_commits(const struct raft *r, const struct raft_status *s)
{
    for (raft_index i = s->commit_index; i > 0 && world.committed[i] == 0; i--) {
        world.committed[i] = raft_term_at(r, i);
        world.committed_in[i] = s->current_term;
    }
}

/* ---- Leader completeness: it is in the logs of the leaders of all later terms ---- */

static void look_at_completeness(node_id id, const struct raft *r, const struct raft_status *s)
{
    (void)id;
    note_commits(r, s);
    for (raft_index i = 1; s->role == RAFT_LEADER && i < INDEX_MAX && world.committed[i] != 0;
         i++) {
        if (world.committed_in[i] < s->current_term) {
            assert_int_equal(raft_term_at(r, i), world.committed[i]);
        }
    }
}

static void leader_completeness(void **state)
{
    (void)state;
    watch(look_at_completeness);
}

/* ---- State machine safety: no two servers apply different entries at one index ---- */

static void look_at_applied(node_id id, const struct raft *r, const struct raft_status *s)
{
    raft_index applied = cluster_applied(world.c, id);

    assert_true(applied <= s->commit_index);
    note_commits(r, s);
    for (raft_index i = 1; i <= applied; i++) {
        assert_int_equal(raft_term_at(r, i), world.committed[i]);
    }
}

static void state_machine_safety(void **state)
{
    (void)state;
    watch(look_at_applied);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(election_safety),      cmocka_unit_test(leader_append_only),
        cmocka_unit_test(log_matching),         cmocka_unit_test(leader_completeness),
        cmocka_unit_test(state_machine_safety),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
