/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of ref updates, one test per sentence of DESIGN 3. */
#include "unit/refdb/fixture.h"

#include <stdio.h>

#define REPO "g/a.git"
#define MAIN "refs/heads/main"

static int setup(void **state)
{
    int rc = fixture_setup(state);

    assert_int_equal(register_repo(*state, REPO, "s1"), RK_OK);
    return rc;
}

static void old_zeros_creates_only_an_absent_ref(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_OK);
    assert_int_equal(ref_number(f, REPO, MAIN), 1);
    assert_int_equal(ref_update(f, REPO, MAIN, 0, 2), RK_EXISTS);
    assert_int_equal(ref_number(f, REPO, MAIN), 1);
}

static void old_oid_must_equal_the_current_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, 2, 3), RK_CONFLICT);
    assert_int_equal(ref_update(f, REPO, MAIN, 1, 3), RK_OK);
    assert_int_equal(ref_number(f, REPO, MAIN), 3);
}

static void old_oid_of_an_absent_ref_is_noref(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, MAIN, 1, 2), RK_NOREF);
    assert_int_equal(ref_update(f, REPO, MAIN, 1, 0), RK_NOREF);
}

static void empty_old_is_not_checked(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, MAIN, -1, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, -1, 2), RK_OK);
    assert_int_equal(ref_number(f, REPO, MAIN), 2);
}

static void new_zeros_deletes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, 0, 0), RK_EXISTS);
    assert_int_equal(ref_update(f, REPO, MAIN, 2, 0), RK_CONFLICT);
    assert_int_equal(ref_update(f, REPO, MAIN, 1, 0), RK_OK);
    assert_int_equal(ref_number(f, REPO, MAIN), 0);
}

static void deleting_what_is_said_to_be_absent_is_ok(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, MAIN, 0, 0), RK_OK);
    assert_int_equal(f->result.change_count, 0);
    assert_int_equal(ref_update(f, REPO, MAIN, -1, 0), RK_NOREF);
}

static void same_value_has_no_effect(void **state)
{
    struct fixture *f = *state;
    raft_index before;

    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_OK);
    before = repository(f, REPO).last_index;
    assert_int_equal(ref_update(f, REPO, MAIN, 1, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, -1, 1), RK_OK);
    assert_int_equal(f->result.change_count, 0);
    assert_int_equal(repository(f, REPO).last_index, before);
    assert_int_equal(ref_update(f, REPO, MAIN, 2, 1), RK_CONFLICT);
    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_EXISTS);
    assert_int_equal(ref_update(f, REPO, "refs/heads/none", 1, 1), RK_NOREF);
}

static void a_conflict_tells_value_index_and_actor(void **state)
{
    struct fixture *f = *state;
    struct ref_update u = update_of(MAIN, 0, 7);
    struct oid seven = oid_number(7);
    raft_index at;

    f->envelope.actor = TEXT("alice");
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_OK);
    at = f->result.index;
    assert_int_equal(ref_update(f, REPO, MAIN, 3, 8), RK_CONFLICT);
    assert_true(oid_equal(&f->result.items[0].current, &seven));
    assert_int_equal(f->result.items[0].current_index, at);
    assert_slice(f->result.items[0].current_actor, "alice");
    assert_int_equal(ref_update(f, REPO, MAIN, 0, 8), RK_EXISTS);
    assert_slice(f->result.items[0].current_actor, "alice");
}

static void a_directory_and_a_file_do_not_share_a_name(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, "refs/heads/a/b", 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a/b/c", 0, 1), RK_NAMECONFLICT);
    assert_slice(f->result.items[0].detail, "refs/heads/a/b");
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", -1, 1), RK_NAMECONFLICT);
    assert_slice(f->result.items[0].detail, "refs/heads/a/b");
    assert_int_equal(ref_update(f, REPO, "refs/heads", -1, 1), RK_NAMECONFLICT);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a-b", 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a/bc", 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a/b", 1, 2), RK_OK);
}

static void bad_names_and_oids_are_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_update(f, REPO, "heads/main", 0, 1), RK_BADREF);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a..b", 0, 1), RK_BADREF);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a.lock", 0, 1), RK_BADREF);
    buffer_clear(&f->command);
    command_encode_ref_update(&f->command, TEXT(REPO), TEXT(MAIN), TEXT(""), TEXT("12"));
    assert_int_equal(fixture_apply(f), RK_BADOID);
    assert_int_equal(ref_update(f, "no/such.git", MAIN, 0, 1), RK_NOREPO);
}

static void the_first_oid_fixes_the_format(void **state)
{
    struct fixture *f = *state;
    struct ref_update u = update_of(MAIN, 0, 1);

    assert_int_equal(repository(f, REPO).format, OBJECT_FORMAT_UNSET);
    u.new_oid = oid256_number(1);
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_OK);
    assert_int_equal(repository(f, REPO).format, OBJECT_FORMAT_SHA256);
    assert_int_equal(ref_update(f, REPO, "refs/heads/x", 0, 1), RK_BADOID);
    u = update_of(MAIN, 0, 0);
    u.old_value = OLD_OID;
    u.old_oid = oid256_number(1);
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/x", 0, 1), RK_BADOID);
}

static void an_atomic_batch_applies_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct ref_update good[2] = { update_of("refs/heads/a", 0, 1),
                                  update_of("refs/heads/b", 0, 2) };
    struct ref_update bad[3] = { update_of("refs/heads/c", 0, 1), update_of("refs/heads/a", 9, 2),
                                 update_of("refs/heads/d", 0, 1) };

    assert_int_equal(ref_batch(f, REPO, good, 2, true), RK_OK);
    assert_int_equal(f->result.item_count, 1);
    assert_int_equal(f->result.change_count, 2);
    assert_int_equal(ref_batch(f, REPO, bad, 3, true), RK_CONFLICT);
    assert_int_equal(f->result.item_count, 3);
    assert_int_equal(f->result.items[0].status, RK_ABORTED);
    assert_int_equal(f->result.items[1].status, RK_CONFLICT);
    assert_int_equal(f->result.items[2].status, RK_ABORTED);
    assert_int_equal(ref_number(f, REPO, "refs/heads/c"), 0);
    assert_int_equal(repository(f, REPO).ref_count, 2);
}

static void an_atomic_batch_is_checked_against_the_state_before_it(void **state)
{
    struct fixture *f = *state;
    struct ref_update move[2] = { update_of("refs/heads/a", 1, 0),
                                  update_of("refs/heads/a/b", 0, 2) };
    struct ref_update both[2] = { update_of("refs/heads/x", 0, 1),
                                  update_of("refs/heads/x/y", 0, 2) };

    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    assert_int_equal(ref_batch(f, REPO, move, 2, true), RK_NAMECONFLICT);
    assert_int_equal(ref_number(f, REPO, "refs/heads/a"), 1);
    assert_int_equal(ref_batch(f, REPO, both, 2, true), RK_NAMECONFLICT);
    assert_int_equal(repository(f, REPO).ref_count, 1);
}

static void in_an_independent_batch_deletions_apply_first(void **state)
{
    struct fixture *f = *state;
    struct ref_update move[3] = { update_of("refs/heads/a/b", 0, 2),
                                  update_of("refs/heads/x", 5, 6),
                                  update_of("refs/heads/a", 1, 0) };

    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    assert_int_equal(ref_batch(f, REPO, move, 3, false), RK_NOREF);
    assert_int_equal(f->result.item_count, 3);
    assert_int_equal(f->result.items[0].status, RK_OK);
    assert_int_equal(f->result.items[1].status, RK_NOREF);
    assert_int_equal(f->result.items[2].status, RK_OK);
    assert_int_equal(ref_number(f, REPO, "refs/heads/a/b"), 2);
}

static void a_ref_named_twice_in_a_batch_is_badref(void **state)
{
    struct fixture *f = *state;
    struct ref_update twice[2] = { update_of(MAIN, 0, 1), update_of(MAIN, 0, 2) };

    assert_int_equal(ref_batch(f, REPO, twice, 2, true), RK_BADREF);
    assert_int_equal(ref_number(f, REPO, MAIN), 0);
    assert_int_equal(ref_batch(f, REPO, twice, 2, false), RK_BADREF);
    assert_int_equal(f->result.items[0].status, RK_OK);
    assert_int_equal(f->result.items[1].status, RK_BADREF);
    assert_int_equal(ref_number(f, REPO, MAIN), 1);
}

static void a_frozen_repository_refuses_with_its_reason(void **state)
{
    struct fixture *f = *state;
    struct ref_update u[2] = { update_of(MAIN, 0, 1), update_of("refs/heads/x", 0, 1) };

    assert_int_equal(set_state(f, REPO, REPOSITORY_FROZEN, "moving house"), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_FROZEN);
    assert_slice(f->result.items[0].detail, "moving house");
    assert_int_equal(ref_batch(f, REPO, u, 2, false), RK_FROZEN);
    assert_int_equal(f->result.item_count, 2);
    assert_int_equal(f->result.items[1].status, RK_FROZEN);
    assert_int_equal(set_state(f, REPO, REPOSITORY_RO, ""), RK_OK);
    assert_int_equal(ref_batch(f, REPO, u, 2, true), RK_FROZEN);
    assert_int_equal(f->result.item_count, 1);
    assert_slice(f->result.items[0].detail, "read-only");
    assert_int_equal(set_state(f, REPO, REPOSITORY_RW, ""), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_OK);
}

static void only_the_primary_in_its_epoch_decides(void **state)
{
    struct fixture *f = *state;
    struct ref_update u = update_of(MAIN, -1, 1);
    uint64_t epoch = repository(f, REPO).primary_epoch;

    assert_int_equal(register_repo(f, REPO, "s2"), RK_OK);
    assert_int_equal(set_primary(f, "s2", REPO), RK_OK);
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_EPOCH, .epoch = epoch };
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_FENCED);
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_STORAGE, .storage = TEXT("s1") };
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_FENCED);
    assert_slice(f->result.items[0].detail, "s2");
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_STORAGE | ENVELOPE_HAS_EPOCH,
                                     .storage = TEXT("s2"),
                                     .epoch = repository(f, REPO).primary_epoch };
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_OK);
}

static void changes_tell_what_was_before(void **state)
{
    struct fixture *f = *state;
    struct oid one = oid_number(1);

    assert_int_equal(ref_update(f, REPO, MAIN, 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, MAIN, -1, 2), RK_OK);
    assert_int_equal(f->result.change_count, 1);
    assert_int_equal(f->result.changes[0].kind, REFDB_CHANGE_REF);
    assert_slice(f->result.changes[0].path, REPO);
    assert_slice(f->result.changes[0].name, MAIN);
    assert_true(oid_equal(&f->result.changes[0].old_oid, &one));
    assert_int_equal(ref_update(f, REPO, MAIN, -1, 0), RK_OK);
    assert_int_equal(f->result.changes[0].new_oid.size, 0);
}

static void refs_are_listed_in_byte_order_from_any_place(void **state)
{
    struct fixture *f = *state;
    struct refdb_ref_cursor cursor;
    struct refdb_ref ref;
    unsigned count = 0;
    char name[64];

    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "refs/heads/n%03u", i * 7 % 500);
        assert_int_equal(ref_update(f, REPO, name, 0, i + 1), RK_OK);
    }
    assert_int_equal(refdb_seek_refs(f->db, TEXT(REPO), TEXT("refs/heads/n250"), &cursor), RK_OK);
    while (refdb_next_ref(&cursor, &ref)) {
        snprintf(name, sizeof name, "refs/heads/n%03u", 250 + count++);
        assert_slice(ref.name, name);
    }
    assert_int_equal(count, 250);
    assert_int_equal(refdb_seek_refs(f->db, TEXT("none"), TEXT(""), &cursor), RK_NOREPO);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(old_zeros_creates_only_an_absent_ref),
        RULE(old_oid_must_equal_the_current_one),
        RULE(old_oid_of_an_absent_ref_is_noref),
        RULE(empty_old_is_not_checked),
        RULE(new_zeros_deletes),
        RULE(deleting_what_is_said_to_be_absent_is_ok),
        RULE(same_value_has_no_effect),
        RULE(a_conflict_tells_value_index_and_actor),
        RULE(a_directory_and_a_file_do_not_share_a_name),
        RULE(bad_names_and_oids_are_refused),
        RULE(the_first_oid_fixes_the_format),
        RULE(an_atomic_batch_applies_all_or_nothing),
        RULE(an_atomic_batch_is_checked_against_the_state_before_it),
        RULE(in_an_independent_batch_deletions_apply_first),
        RULE(a_ref_named_twice_in_a_batch_is_badref),
        RULE(a_frozen_repository_refuses_with_its_reason),
        RULE(only_the_primary_in_its_epoch_decides),
        RULE(changes_tell_what_was_before),
        RULE(refs_are_listed_in_byte_order_from_any_place),
    };

    return cmocka_run_group_tests_name("refdb/ref_updates", tests, NULL, NULL);
}
