/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a large repository: gone at once, freed a little at a time. */
#include "unit/refdb/fixture.h"

#include <stdio.h>

#define REPO "g/large.git"
#define REFS 20000U
#define BYTES_PER_ENTRY_MAX (DETACHED_LEAVES_PER_ENTRY * 1024U)

static void fill(struct fixture *f, const char *path)
{
    struct ref_update updates[REFS / 20];
    char names[REFS / 20][48], actor[32];

    assert_int_equal(register_repo(f, path, "s1"), RK_OK);
    for (unsigned at = 0; at < REFS; at += REFS / 20) {
        for (unsigned i = 0; i < REFS / 20; i++) {
            snprintf(names[i], sizeof names[i], "refs/changes/%02u/%u/1", (at + i) % 100, at + i);
            updates[i] = update_of(names[i], 0, at + i + 1);
        }
        snprintf(actor, sizeof actor, "actor of batch %u", at);
        f->envelope.actor = TEXT(actor);
        assert_int_equal(ref_batch(f, path, updates, REFS / 20, true), RK_OK);
    }
}

static uint64_t bytes_held(const struct fixture *f)
{
    struct refdb_gauges g;

    refdb_get_gauges(f->db, &g);
    return g.bytes;
}

static void noop(struct fixture *f)
{
    buffer_clear(&f->command);
    command_encode_noop(&f->command);
    assert_int_equal(fixture_apply(f), RK_OK);
}

static void expect_empty(struct fixture *f)
{
    struct refdb_repository r;
    struct refdb_gauges g;

    refdb_get_gauges(f->db, &g);
    assert_int_equal(g.repositories, 0);
    assert_int_equal(g.refs, 0);
    assert_int_equal(g.ref_bytes, 0);
    assert_int_equal(g.repository_bytes, 0);
    assert_int_equal(refdb_find_repository(f->db, TEXT(REPO), 0, &r), RK_REMOVED);
}

static void a_large_repository_is_gone_at_once_and_freed_in_pieces(void **state)
{
    struct fixture *f = *state;
    uint64_t before, last;
    unsigned entries = 0;

    noop(f);
    fill(f, REPO);
    before = bytes_held(f);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    expect_empty(f);
    assert_true(bytes_held(f) > before / 2); /* in no time: the memory is still there */
    for (last = bytes_held(f); last > before / 50; last = bytes_held(f)) {
        noop(f);
        entries++;
        assert_true(bytes_held(f) < last);
        assert_true(last - bytes_held(f) < BYTES_PER_ENTRY_MAX);
    }
    assert_in_range(entries, REFS / 400, REFS / 50);
}

static void an_idle_loop_can_free_it_too(void **state)
{
    struct fixture *f = *state;
    uint64_t empty = bytes_held(f), after;

    fill(f, REPO);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    while (refdb_sweep(f->db)) {
        continue;
    }
    after = bytes_held(f);
    assert_true(after < empty + 4096); /* the tombstone, the storage; no actors, no refs */
}

static void a_view_keeps_what_was_removed_behind_it(void **state)
{
    struct fixture *f = *state;
    struct buffer before, during = BUFFER_INIT;
    struct refdb_view *view;
    size_t size;

    fill(f, REPO);
    before = dump_of(f->db);
    view = refdb_freeze(f->db);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    for (unsigned i = 0; i < 100; i++) {
        noop(f);
    }
    do {
        size = during.size;
        refdb_dump_next(view, &during);
    } while (during.size > size);
    refdb_thaw(f->db, view);
    assert_int_equal(before.size, during.size);
    assert_memory_equal(before.data, during.data, before.size);
    while (refdb_sweep(f->db)) {
        continue;
    }
    assert_true(bytes_held(f) < 8192);
    buffer_release(&before);
    buffer_release(&during);
}

/* What is left over is no part of the state: a node that loads it has the same bytes and digest. */
static void the_dump_does_not_know_what_is_not_freed_yet(void **state)
{
    struct fixture *f = *state;
    uint8_t a[16], b[16];
    struct buffer dump, again;
    struct refdb *loaded;

    fill(f, REPO);
    fill(f, "g/other.git");
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    dump = dump_of(f->db);
    loaded = load_of(buffer_slice(&dump), dump.size);
    assert_non_null(loaded);
    again = dump_of(loaded);
    assert_int_equal(dump.size, again.size);
    assert_memory_equal(dump.data, again.data, dump.size);
    refdb_digest(f->db, a);
    refdb_digest(loaded, b);
    assert_memory_equal(a, b, sizeof a);
    refdb_free(loaded);
    buffer_release(&dump);
    buffer_release(&again);
}

/* fixture_teardown() fails on what is not freed. */
static void what_is_not_freed_yet_goes_with_the_state(void **state)
{
    struct fixture *f = *state;

    fill(f, REPO);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    fill(f, REPO);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    noop(f);
    assert_true(refdb_sweep(f->db));
}

/* ---- A freeze ---- */

static void update_all(struct fixture *f, int old, unsigned new_number)
{
    char name[48];

    for (unsigned i = 0; i < REFS; i++) {
        snprintf(name, sizeof name, "refs/changes/%02u/%u/1", i % 100, i);
        assert_int_equal(ref_update(f, REPO, name, old, new_number), RK_OK);
    }
}

static void what_the_walk_has_passed_is_changed_in_place(void **state)
{
    struct fixture *f = *state;
    struct buffer out = BUFFER_INIT;
    struct refdb_view *view;
    uint64_t before;
    size_t size;

    fill(f, REPO);
    before = bytes_held(f);
    view = refdb_freeze(f->db);
    do {
        size = out.size;
        refdb_dump_next(view, &out);
    } while (out.size > size);
    update_all(f, -1, 7);
    assert_true(bytes_held(f) < before + before / 10); /* inner nodes alone are there twice */
    refdb_thaw(f->db, view);
    buffer_release(&out);
}

static void what_was_copied_is_freed_when_the_walk_has_passed_it(void **state)
{
    struct fixture *f = *state;
    struct buffer out = BUFFER_INIT;
    struct refdb_view *view;
    uint64_t before;
    size_t size;

    fill(f, REPO);
    before = bytes_held(f);
    view = refdb_freeze(f->db);
    update_all(f, -1, 7);
    assert_true(bytes_held(f) > before + before / 2);
    do {
        size = out.size;
        refdb_dump_next(view, &out);
    } while (out.size > size);
    for (unsigned i = 0; i < REFS; i++) {
        (void)refdb_sweep(f->db);
    }
    assert_true(bytes_held(f) < before + before / 10);
    refdb_thaw(f->db, view);
    buffer_release(&out);
}

static void a_view_has_the_digest_of_the_freeze(void **state)
{
    struct fixture *f = *state;
    struct refdb_view *view;
    uint8_t kept[16], derived[16];

    fill(f, REPO);
    refdb_digest(f->db, kept);
    view = refdb_freeze(f->db);
    update_all(f, -1, 7);
    refdb_view_digest(view, derived);
    assert_memory_equal(kept, derived, sizeof kept);
    refdb_thaw(f->db, view);
    refdb_digest(f->db, kept);
    assert_memory_not_equal(kept, derived, sizeof kept);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_large_repository_is_gone_at_once_and_freed_in_pieces),
        TEST(an_idle_loop_can_free_it_too),
        TEST(a_view_keeps_what_was_removed_behind_it),
        TEST(the_dump_does_not_know_what_is_not_freed_yet),
        TEST(what_is_not_freed_yet_goes_with_the_state),
        TEST(what_the_walk_has_passed_is_changed_in_place),
        TEST(what_was_copied_is_freed_when_the_walk_has_passed_it),
        TEST(a_view_has_the_digest_of_the_freeze),
    };

    return cmocka_run_group_tests_name("refdb/removal", tests, NULL, NULL);
}
