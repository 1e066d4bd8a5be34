/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refs as sites have them, of each shape: they can all be there at once, survive a dump byte for
 * byte, and give the same digest in whatever order they came.
 */
#include "unit/refdb/fixture.h"

#include "support/ref_set.h"

#define REFS 24000
#define REFS_SMALL 8 /* of each repository of that shape */

static void create(struct fixture *f, const struct ref_set *set, uint64_t n)
{
    char path[REF_SET_TEXT_MAX], name[REF_SET_TEXT_MAX], actor[REF_SET_TEXT_MAX];
    struct ref_update update = { .old_value = OLD_ABSENT };

    f->envelope = (struct envelope){ .flags = ENVELOPE_ATOMIC };
    f->envelope.actor = ref_set_actor(set, n, actor);
    update.refname = ref_set_name(set, n, name);
    update.new_oid = ref_set_oid(set, n, 0);
    (void)ref_set_path(set, ref_set_repository_of(set, n), path);
    if (ref_batch(f, path, &update, 1, true) != RK_OK) {
        fail_msg("%s %s: %s", path, name, rk_status_word(f->result.status));
    }
}

static void create_repositories(struct fixture *f, const struct ref_set *set)
{
    char path[REF_SET_TEXT_MAX];

    for (uint64_t r = 0; r < ref_set_repository_count(set); r++) {
        (void)ref_set_path(set, r, path);
        assert_int_equal(register_repo(f, path, "s1"), RK_OK);
    }
}

/* Each is found with its value; the list of each repository is complete and in order. */
static void assert_all_are_there(const struct refdb *db, const struct ref_set *set)
{
    char path[REF_SET_TEXT_MAX], name[REF_SET_TEXT_MAX], last[REF_SET_TEXT_MAX] = "";
    struct refdb_ref_cursor cursor;
    struct refdb_ref ref;
    struct oid oid;

    for (uint64_t n = 0; n < set->ref_count; n++) {
        assert_int_equal(refdb_find_ref(db, ref_set_path(set, ref_set_repository_of(set, n), path),
                                        ref_set_name(set, n, name), &ref),
                         RK_OK);
        oid = ref_set_oid(set, n, 0);
        assert_true(oid_equal(&ref.oid, &oid));
    }
    for (uint64_t r = 0; r < ref_set_repository_count(set); r++) {
        uint64_t count = 0;
        size_t last_size = 0;

        assert_int_equal(refdb_seek_refs(db, ref_set_path(set, r, path), SLICE_NONE, &cursor),
                         RK_OK);
        while (refdb_next_ref(&cursor, &ref)) {
            assert_true(slice_compare(slice_of(last, last_size), ref.name) < 0);
            memcpy(last, ref.name.data, ref.name.size);
            last_size = ref.name.size;
            count++;
        }
        assert_int_equal(count, set->refs_per_repository);
    }
}

static void assert_a_dump_loads(struct refdb *db, const struct ref_set *set)
{
    struct buffer dump = dump_of(db), again;
    struct refdb *loaded = load_of(buffer_slice(&dump), 4096);

    assert_non_null(loaded);
    assert_all_are_there(loaded, set);
    again = dump_of(loaded);
    assert_int_equal(dump.size, again.size);
    assert_memory_equal(dump.data, again.data, dump.size);
    refdb_free(loaded);
    buffer_release(&dump);
    buffer_release(&again);
}

static void every_shape_is_held_listed_and_dumped(void **state)
{
    for (unsigned shape = 0; shape < REF_SHAPE_COUNT; shape++) {
        struct ref_set set = ref_set_of((enum ref_shape)shape, REFS, REFS_SMALL, 1 + shape);
        struct fixture *f;

        assert_int_equal(fixture_setup(state), 0);
        f = *state;
        create_repositories(f, &set);
        for (uint64_t i = 0; i < set.ref_count; i++) {
            create(f, &set, ref_set_scattered(&set, i));
        }
        assert_all_are_there(f->db, &set);
        assert_a_dump_loads(f->db, &set);
        assert_int_equal(fixture_teardown(state), 0);
    }
}

static void digests_do_not_depend_on_the_order_of_arrival(void **state)
{
    struct ref_set set = ref_set_of(REF_SHAPE_ANDROID, 3000, 1, 5);
    char path[REF_SET_TEXT_MAX];
    uint8_t digests[2][16];

    for (unsigned order = 0; order < 2; order++) {
        struct fixture *f;

        assert_int_equal(fixture_setup(state), 0);
        f = *state;
        create_repositories(f, &set);
        for (uint64_t i = 0; i < set.ref_count; i++) {
            create(f, &set, order == 0 ? i : ref_set_scattered(&set, i));
        }
        (void)ref_set_path(&set, 0, path);
        memcpy(digests[order], repository(f, path).digest, 16);
        assert_int_equal(fixture_teardown(state), 0);
    }
    assert_memory_equal(digests[0], digests[1], 16);
}

static void a_set_follows_from_its_seed(void **state)
{
    struct ref_set a = ref_set_of(REF_SHAPE_SMALL, 101, 10, 7), b = a;
    char one[REF_SET_TEXT_MAX], two[REF_SET_TEXT_MAX];
    struct oid x = ref_set_oid(&a, 42, 3), y = ref_set_oid(&b, 42, 3);
    bool seen[100] = { false };

    (void)state;
    assert_int_equal(a.ref_count, 100);
    assert_true(oid_equal(&x, &y));
    assert_true(slice_equal(ref_set_name(&a, 42, one), ref_set_name(&b, 42, two)));
    b.seed = 8;
    y = ref_set_oid(&b, 42, 3);
    assert_false(oid_equal(&x, &y));
    for (uint64_t i = 0; i < a.ref_count; i++) {
        assert_false(seen[ref_set_scattered(&a, i)]);
        seen[ref_set_scattered(&a, i)] = true;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_held_listed_and_dumped),
        cmocka_unit_test(digests_do_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(a_set_follows_from_its_seed),
    };

    return cmocka_run_group_tests_name("refdb/ref_set", tests, NULL, NULL);
}
