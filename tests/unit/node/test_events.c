/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of events: what is covered, what goes when it is full, what a walk sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>

#include "base/heap.h"
#include "base/limits.h"
#include "base/rng.h"
#include "node/events.h"

static struct slice text(const char *t)
{
    return slice_of_text(t);
}

/* One ref change per name, all in one unit. */
static void add(struct events *e, const char *path, const char *const *refs, size_t count)
{
    struct refdb_change changes[8] = { 0 };
    struct refdb_result result = { .index = events_next(e),
                                   .actor = text("alice"),
                                   .wall_ms = 1700000000000,
                                   .changes = changes,
                                   .change_count = count };

    for (size_t i = 0; i < count; i++) {
        changes[i].kind = REFDB_CHANGE_REF;
        changes[i].path = text(path);
        changes[i].name = text(refs[i]);
        changes[i].new_oid.size = 20;
        memset(changes[i].new_oid.bytes, (int)i + 1, 20);
    }
    events_add(e, 7, &result);
}

static void add_one(struct events *e, const char *ref)
{
    add(e, "a.git", &ref, 1);
}

static void add_nothing(struct events *e)
{
    add(e, "a.git", NULL, 0);
}

static void a_unit_comes_back_as_it_was(void **state)
{
    static const char *const refs[] = { "refs/heads/a", "refs/heads/b" };
    struct events *e = events_new(1 * MIB);
    struct events_walk walk;
    struct event_unit unit;
    struct event_item item;

    (void)state;
    add(e, "a.git", refs, 2);
    events_seek(e, 1, &walk);
    assert_true(events_walk_next(&walk, &unit));
    assert_int_equal(unit.index, 1);
    assert_int_equal(unit.term, 7);
    assert_int_equal(unit.wall_ms, 1700000000000);
    assert_true(slice_equal(unit.actor, text("alice")));
    assert_int_equal(unit.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(event_unit_next(&unit, &item));
        assert_int_equal(item.kind, REFDB_CHANGE_REF);
        assert_true(slice_equal(item.path, text("a.git")));
        assert_true(slice_equal(item.name, text(refs[i])));
        assert_int_equal(item.old_oid.size, 0);
        assert_int_equal(item.new_oid.size, 20);
        assert_int_equal(item.new_oid.bytes[19], i + 1);
    }
    assert_false(event_unit_next(&unit, &item));
    assert_false(events_walk_next(&walk, &unit));
    events_free(e);
}

static void every_kind_keeps_its_texts(void **state)
{
    struct refdb_change changes[] = {
        { .kind = REFDB_CHANGE_RENAMED,
          .path = text("b.git"),
          .old_text = text("a.git"),
          .new_text = text("b.git") },
        { .kind = REFDB_CHANGE_STORAGE, .new_text = text("s1") },
        { .kind = REFDB_CHANGE_STATE,
          .path = text("b.git"),
          .name = text("moving"),
          .new_text = text("frozen") },
    };
    struct refdb_result result = { .index = 1, .changes = changes, .change_count = 3 };
    struct events *e = events_new(1 * MIB);
    struct events_walk walk;
    struct event_unit unit;
    struct event_item item;

    (void)state;
    events_add(e, 1, &result);
    events_seek(e, 1, &walk);
    assert_true(events_walk_next(&walk, &unit));
    for (size_t i = 0; i < 3; i++) {
        assert_true(event_unit_next(&unit, &item));
        assert_int_equal(item.kind, changes[i].kind);
        assert_true(slice_equal(item.path, changes[i].path));
        assert_true(slice_equal(item.name, changes[i].name));
        assert_true(slice_equal(item.old_text, changes[i].old_text));
        assert_true(slice_equal(item.new_text, changes[i].new_text));
        assert_int_equal(event_has_prefix(&item, text("a")), i == 0);
        assert_int_equal(event_has_prefix(&item, text("b")), i != 1);
        assert_true(event_has_prefix(&item, SLICE_NONE));
    }
    events_free(e);
}

static void an_index_without_changes_is_covered_without_a_unit(void **state)
{
    struct events *e = events_new(1 * MIB);
    struct events_walk walk;
    struct event_unit unit;

    (void)state;
    add_nothing(e);
    add_one(e, "refs/heads/a");
    add_nothing(e);
    assert_int_equal(events_oldest(e), 1);
    assert_int_equal(events_next(e), 4);
    events_seek(e, 1, &walk);
    assert_true(events_walk_next(&walk, &unit));
    assert_int_equal(unit.index, 2);
    events_seek(e, 3, &walk);
    assert_false(events_walk_next(&walk, &unit));
    events_free(e);
}

static void a_full_ring_drops_the_oldest_and_says_so(void **state)
{
    struct events *e = events_new(256 * KIB);
    uint64_t seed = 1;
    struct rng rng;
    raft_index last_seek = 0;

    (void)state;
    rng_init(&rng, seed);
    for (int i = 0; i < 50000; i++) {
        struct events_walk walk;
        struct event_unit unit;
        raft_index from;
        char ref[64];

        snprintf(ref, sizeof ref, "refs/heads/%d", i);
        if (rng_below(&rng, 3) == 0) {
            add_nothing(e);
        } else {
            add_one(e, ref);
        }
        assert_true(events_bytes(e) <= 256 * KIB);
        assert_true(events_oldest(e) <= events_next(e));
        if (rng_below(&rng, 50) != 0) {
            continue;
        }
        from = events_oldest(e) + rng_below(&rng, events_next(e) - events_oldest(e) + 1);
        events_seek(e, from, &walk);
        last_seek = from;
        for (raft_index before = from; events_walk_next(&walk, &unit); before = unit.index + 1) {
            assert_true(unit.index >= before && unit.index < events_next(e));
        }
    }
    assert_true(last_seek > 1 && events_oldest(e) > 1);
    events_free(e);
}

static void a_unit_larger_than_the_ring_ends_what_is_covered(void **state)
{
    char ref[900];
    const char *refs[8];
    struct events *e = events_new(4 * KIB);

    (void)state;
    memset(ref, 'r', sizeof ref - 1);
    ref[sizeof ref - 1] = '\0';
    for (int i = 0; i < 8; i++) {
        refs[i] = ref;
    }
    add_one(e, "refs/heads/a");
    add(e, "a.git", refs, 8);
    assert_int_equal(events_oldest(e), 3);
    assert_int_equal(events_next(e), 3);
    add_one(e, "refs/heads/a");
    assert_int_equal(events_oldest(e), 3);
    assert_int_equal(events_next(e), 4);
    events_free(e);
}

static void a_reset_forgets_and_is_seen(void **state)
{
    struct events *e = events_new(1 * MIB);
    uint64_t generation = events_generation(e);

    (void)state;
    add_one(e, "refs/heads/a");
    assert_int_equal(events_generation(e), generation);
    events_reset(e, 100);
    assert_int_not_equal(events_generation(e), generation);
    assert_int_equal(events_oldest(e), 101);
    assert_int_equal(events_next(e), 101);
    assert_int_equal(events_bytes(e), 0);
    add_one(e, "refs/heads/a");
    assert_int_equal(events_next(e), 102);
    events_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_comes_back_as_it_was),
        cmocka_unit_test(every_kind_keeps_its_texts),
        cmocka_unit_test(an_index_without_changes_is_covered_without_a_unit),
        cmocka_unit_test(a_full_ring_drops_the_oldest_and_says_so),
        cmocka_unit_test(a_unit_larger_than_the_ring_ends_what_is_covered),
        cmocka_unit_test(a_reset_forgets_and_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
