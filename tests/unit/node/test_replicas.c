/* SPDX-License-Identifier: Apache-2.0 */
/* What storages reported, against a plain table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/limits.h"
#include "base/rng.h"
#include "node/replicas.h"

#define REPOSITORIES 3000
#define STORAGES 5

static struct slice name_of(unsigned storage)
{
    static const char *const names[STORAGES] = { "s1", "s2", "s3", "a-long-name", "s" };

    return slice_of_text(names[storage]);
}

/* Each call reports another digest. */
static void report(struct replicas *r, uint64_t id, struct slice storage, raft_index index)
{
    static uint64_t count;
    uint8_t digest[16] = { 0 };

    put_be64(digest + 8, ++count);
    replicas_report(r, id, storage, digest, index);
}

static void what_was_said_last_is_remembered(void **state)
{
    static raft_index plain[REPOSITORIES][STORAGES];
    struct replicas *r = replicas_new();
    struct rng rng;

    (void)state;
    rng_init(&rng, 5);
    for (int i = 0; i < 100000; i++) {
        uint64_t id = 1 + rng_below(&rng, REPOSITORIES);
        unsigned storage = (unsigned)rng_below(&rng, STORAGES);

        plain[id - 1][storage] = rng_below(&rng, 1000);
        report(r, id, name_of(storage), plain[id - 1][storage]);
    }
    for (uint64_t id = 1; id <= REPOSITORIES; id++) {
        for (unsigned storage = 0; storage < STORAGES; storage++) {
            assert_int_equal(replicas_seen(r, id, name_of(storage)), plain[id - 1][storage]);
        }
    }
    assert_int_equal(replicas_seen(r, REPOSITORIES + 1, name_of(0)), 0);
    assert_int_equal(replicas_seen(r, 1, slice_of_text("nobody")), 0);
    replicas_free(r);
}

static void a_storage_that_is_silent_is_not_heard(void **state)
{
    struct replicas *r = replicas_new();

    (void)state;
    assert_false(replicas_is_heard(r, name_of(0), 1000));
    report(r, 1, name_of(0), 9);
    assert_false(replicas_is_heard(r, name_of(0), 1000));
    replicas_heard(r, name_of(0), 1000);
    assert_true(replicas_is_heard(r, name_of(0), 1000 + STORAGE_HEARD_MS));
    assert_false(replicas_is_heard(r, name_of(0), 1001 + STORAGE_HEARD_MS));
    assert_false(replicas_is_heard(r, name_of(1), 1000));
    assert_int_equal(replicas_silent_ms(r, name_of(0), 1500), 500);
    assert_int_equal(replicas_silent_ms(r, name_of(1), 1500), -1);
    replicas_free(r);
}

static void the_same_digest_again_is_as_far_behind_as_it_was(void **state)
{
    struct replicas *r = replicas_new();
    const uint8_t first[16] = { [15] = 1 }, second[16] = { [15] = 2 };

    (void)state;
    replicas_report(r, 1, name_of(0), first, 0);
    assert_int_equal(replicas_seen(r, 1, name_of(0)), 0);
    replicas_report(r, 1, name_of(0), first, 7);
    replicas_report(r, 1, name_of(0), first, 0); /* the cluster went on, the storage did not */
    assert_int_equal(replicas_seen(r, 1, name_of(0)), 7);
    replicas_report(r, 1, name_of(0), second, 0);
    assert_int_equal(replicas_seen(r, 1, name_of(0)), 0);
    replicas_free(r);
}

static void one_report_too_many_forgets_all(void **state)
{
    struct replicas *r = replicas_new();
    uint64_t generation = replicas_generation(r);

    (void)state;
    for (uint64_t id = 1; id <= REPLICA_REPORTS_MAX; id++) {
        report(r, id, name_of(0), id);
    }
    assert_int_equal(replicas_count(r), REPLICA_REPORTS_MAX);
    report(r, 1, name_of(0), 7); /* known: nothing is added */
    assert_int_equal(replicas_count(r), REPLICA_REPORTS_MAX);
    report(r, REPLICA_REPORTS_MAX + 1, name_of(0), 8);
    assert_int_equal(replicas_count(r), 1);
    assert_true(replicas_generation(r) != generation);
    assert_int_equal(replicas_seen(r, 1, name_of(0)), 0);
    assert_int_equal(replicas_seen(r, REPLICA_REPORTS_MAX + 1, name_of(0)), 8);
    replicas_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_last_is_remembered),
        cmocka_unit_test(a_storage_that_is_silent_is_not_heard),
        cmocka_unit_test(the_same_digest_again_is_as_far_behind_as_it_was),
        cmocka_unit_test(one_report_too_many_forgets_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
