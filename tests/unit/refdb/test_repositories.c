/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of repositories, storages and tombstones, and the bounds random tests do not reach. */
#include "unit/refdb/fixture.h"

#include <stdio.h>

#include "base/limits.h"

#define REPO "g/a.git"

static void the_first_storage_is_primary_and_the_second_only_a_replica(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(register_repo(f, REPO, "s2"), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_CREATED);
    assert_int_equal(repository(f, REPO).id, f->result.index);
    assert_int_equal(repository(f, REPO).primary_epoch, f->result.index);
    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_ADDED);
    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_ALREADY);
    assert_slice(repository(f, REPO).primary, "s2");
    assert_slice(repository(f, REPO).replicas[0], "s1");
    assert_slice(repository(f, REPO).replicas[1], "s2");
}

static void set_primary_answers_for_each_path(void **state)
{
    struct fixture *f = *state;
    struct slice paths[4] = { TEXT("a"), TEXT("b"), TEXT("none"), TEXT("a") };

    assert_int_equal(register_repo(f, "a", "s1"), RK_OK);
    assert_int_equal(register_repo(f, "a", "s2"), RK_OK);
    assert_int_equal(register_repo(f, "b", "s1"), RK_OK);
    buffer_clear(&f->command);
    command_encode_set_primary(&f->command, TEXT("s2"), paths, 4);
    assert_int_equal(fixture_apply(f), RK_NOTREPLICA);
    assert_int_equal(f->result.item_count, 4);
    assert_int_equal(f->result.items[0].status, RK_OK);
    assert_int_equal(f->result.items[1].status, RK_NOTREPLICA);
    assert_int_equal(f->result.items[2].status, RK_NOREPO);
    assert_int_equal(f->result.items[3].outcome, REFDB_ALREADY);
    assert_int_equal(repository(f, "a").primary_epoch, f->result.index);
    assert_int_equal(set_primary(f, "s9", "a"), RK_NOSTORAGE);
}

static enum rk_status move_primary(struct fixture *f, const char *storage, const char *path,
                                   raft_index seen_index)
{
    struct command c = { .tag = COMMAND_MOVE_PRIMARY };
    struct buffer moves = BUFFER_INIT;

    command_put_move(&moves, TEXT(path), seen_index);
    c.u.move_primary.storage = TEXT(storage);
    c.u.move_primary.count = 1;
    c.u.move_primary.moves = buffer_slice(&moves);
    buffer_clear(&f->command);
    command_encode_plain(&f->command, &c);
    buffer_release(&moves);
    return fixture_apply(f);
}

static void a_primary_moves_only_to_where_all_was_seen(void **state)
{
    struct fixture *f = *state;
    raft_index last;

    assert_int_equal(register_repo(f, "a", "s1"), RK_OK);
    assert_int_equal(register_repo(f, "a", "s2"), RK_OK);
    last = repository(f, "a").last_index;
    assert_int_equal(move_primary(f, "s2", "a", last - 1), RK_STALE);
    assert_int_equal(f->result.items[0].current_index, last);
    assert_slice(repository(f, "a").primary, "s1");
    assert_int_equal(move_primary(f, "s3", "a", last), RK_NOSTORAGE);
    assert_int_equal(move_primary(f, "s2", "none", last), RK_NOREPO);
    assert_int_equal(move_primary(f, "s2", "a", last), RK_OK);
    assert_slice(repository(f, "a").primary, "s2");
    assert_int_equal(repository(f, "a").primary_epoch, f->result.index);
    assert_int_equal(move_primary(f, "s2", "a", 0), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_ALREADY);
    /* The move itself is a change: what was seen before it counts no more. */
    assert_int_equal(move_primary(f, "s1", "a", last), RK_STALE);
}

static void an_id_never_means_another_repository(void **state)
{
    struct fixture *f = *state;
    struct refdb_repository r;
    uint64_t first;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    first = repository(f, REPO).id;
    assert_int_equal(rename_repo(f, REPO, "g/b.git", false), RK_OK);
    assert_int_equal(refdb_find_repository(f->db, TEXT(REPO), first, &r), RK_RENAMED);
    assert_slice(r.path, "g/b.git");
    assert_int_equal(refdb_find_repository(f->db, TEXT(REPO), 0, &r), RK_NOREPO);
    assert_int_equal(remove_repo(f, "g/b.git"), RK_OK);
    assert_int_equal(refdb_find_repository(f->db, TEXT("g/b.git"), 0, &r), RK_REMOVED);
    assert_int_equal(register_repo(f, "g/b.git", "s1"), RK_OK);
    assert_int_equal(refdb_find_repository(f->db, TEXT("g/b.git"), first, &r), RK_REMOVED);
    assert_true(repository(f, "g/b.git").id > first);
}

static void a_late_hook_hears_removed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/x", -1, 1), RK_REMOVED);
    assert_int_equal(f->result.items[0].current_index, f->result.index - 1);
    assert_int_equal(remove_repo(f, REPO), RK_REMOVED);
}

static void the_oldest_tombstone_goes_first(void **state)
{
    struct fixture *f = *state;
    struct refdb_gauges gauges;
    char path[32];

    for (unsigned i = 0; i <= TOMBSTONES_MAX; i++) {
        snprintf(path, sizeof path, "p%u", i);
        assert_int_equal(register_repo(f, path, "s1"), RK_OK);
        assert_int_equal(remove_repo(f, path), RK_OK);
    }
    refdb_get_gauges(f->db, &gauges);
    assert_int_equal(gauges.tombstones, TOMBSTONES_MAX);
    assert_int_equal(remove_repo(f, "p0"), RK_NOREPO);
    assert_int_equal(remove_repo(f, "p1"), RK_REMOVED);
}

static void a_prefix_is_renamed_as_a_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(register_repo(f, "old/a", "s1"), RK_OK);
    assert_int_equal(register_repo(f, "old/b/c", "s1"), RK_OK);
    assert_int_equal(register_repo(f, "older", "s1"), RK_OK);
    assert_int_equal(register_repo(f, "new/a", "s1"), RK_OK);
    assert_int_equal(rename_repo(f, "old/", "new/", true), RK_EXISTS);
    assert_slice(f->result.items[0].detail, "new/a");
    assert_int_equal(rename_repo(f, "old/", "old/b/", true), RK_OK);
    assert_int_equal(f->result.change_count, 2);
    assert_slice(repository(f, "old/b/a").path, "old/b/a");
    assert_slice(repository(f, "old/b/b/c").path, "old/b/b/c");
    assert_int_equal(rename_repo(f, "old/b/", "old/", true), RK_OK);
    assert_slice(repository(f, "old/b/c").path, "old/b/c");
    assert_int_equal(rename_repo(f, "none/", "x/", true), RK_NOREPO);
    assert_int_equal(rename_repo(f, "old", "x/", true), RK_BADARG);
    assert_int_equal(rename_repo(f, "old/", "", true), RK_OK);
    assert_slice(repository(f, "b/c").path, "b/c");
}

static void the_primary_is_not_removed_as_a_replica(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_REMOVE_REPLICA };

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(register_repo(f, REPO, "s2"), RK_OK);
    c.u.remove_replica.path = TEXT(REPO);
    c.u.remove_replica.storage = TEXT("s1");
    assert_int_equal(plain(f, &c), RK_CONFLICT);
    c.u.remove_replica.storage = TEXT("s2");
    assert_int_equal(plain(f, &c), RK_OK);
    assert_int_equal(plain(f, &c), RK_NOTREPLICA);
    assert_int_equal(repository(f, REPO).replica_count, 1);
}

static void a_storage_in_use_stays(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_REMOVE_STORAGE };
    struct refdb_storage storage;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(refdb_find_storage(f->db, TEXT("s1"), &storage), RK_OK);
    assert_int_equal(storage.primary_count, 1);
    assert_int_equal(storage.replica_count, 1);
    assert_int_equal(storage.state, STORAGE_ACTIVE);
    c.u.remove_storage.name = TEXT("s1");
    assert_int_equal(plain(f, &c), RK_CONFLICT);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    assert_int_equal(plain(f, &c), RK_OK);
    assert_int_equal(plain(f, &c), RK_NOSTORAGE);
}

static void creating_needs_known_storages(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_CREATE_REPO };

    c.u.create_repo.path = TEXT(REPO);
    c.u.create_repo.primary = TEXT("s1");
    c.u.create_repo.format = OBJECT_FORMAT_SHA1;
    assert_int_equal(plain(f, &c), RK_NOSTORAGE);
    assert_slice(f->result.items[0].detail, "s1");
    assert_int_equal(set_storage(f, "s1"), RK_OK);
    assert_int_equal(plain(f, &c), RK_OK);
    assert_slice(repository(f, REPO).head, "refs/heads/main");
    assert_int_equal(plain(f, &c), RK_EXISTS);
    c.u.create_repo.path = TEXT("x");
    c.u.create_repo.head = TEXT("main");
    assert_int_equal(plain(f, &c), RK_BADREF);
}

static void a_repository_has_at_most_so_many_replicas(void **state)
{
    struct fixture *f = *state;
    char name[16];

    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(register_repo(f, REPO, name), RK_OK);
    }
    assert_int_equal(register_repo(f, REPO, "one-more"), RK_TOOLARGE);
    assert_int_equal(register_repo(f, "a//b", "s1"), RK_BADARG);
    assert_int_equal(register_repo(f, "b", "bad name"), RK_BADARG);
}

static void a_frozen_repository_keeps_its_name_and_its_refs(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(set_state(f, REPO, REPOSITORY_FROZEN, "audit"), RK_OK);
    assert_int_equal(rename_repo(f, REPO, "x", false), RK_FROZEN);
    assert_int_equal(rename_repo(f, "g/", "h/", true), RK_FROZEN);
    assert_int_equal(remove_repo(f, REPO), RK_FROZEN);
    assert_int_equal(register_repo(f, REPO, "s2"), RK_OK);
    assert_int_equal(set_primary(f, "s2", REPO), RK_OK);
    assert_int_equal(set_state(f, REPO, REPOSITORY_RO, "audit"), RK_OK);
    assert_int_equal(rename_repo(f, REPO, "x", false), RK_OK);
}

static void what_cannot_be_held_against_a_demand_is_refused(void **state)
{
    struct fixture *f = *state;

    buffer_clear(&f->command);
    command_encode_register_repo(&f->command, TEXT(REPO), TEXT("s1"));
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_ID, .repository_id = 7 };
    assert_int_equal(fixture_apply_enveloped(f), RK_REMOVED);
    buffer_clear(&f->command);
    command_encode_register_repo(&f->command, TEXT(REPO), TEXT("s1"));
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_EPOCH, .epoch = 7 };
    assert_int_equal(fixture_apply_enveloped(f), RK_NOREPO);
}

static void an_entry_that_cannot_be_decoded_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct entry entry = { 1, 1, slice_of("\x63", 1) };

    assert_int_equal(refdb_apply(f->db, &entry, &f->result), RK_UNSUPPORTED);
    assert_int_equal(refdb_applied_index(f->db), 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(the_first_storage_is_primary_and_the_second_only_a_replica),
        RULE(set_primary_answers_for_each_path),
        RULE(a_primary_moves_only_to_where_all_was_seen),
        RULE(an_id_never_means_another_repository),
        RULE(a_late_hook_hears_removed),
        RULE(the_oldest_tombstone_goes_first),
        RULE(a_prefix_is_renamed_as_a_whole_or_not_at_all),
        RULE(the_primary_is_not_removed_as_a_replica),
        RULE(a_storage_in_use_stays),
        RULE(creating_needs_known_storages),
        RULE(a_repository_has_at_most_so_many_replicas),
        RULE(a_frozen_repository_keeps_its_name_and_its_refs),
        RULE(what_cannot_be_held_against_a_demand_is_refused),
        RULE(an_entry_that_cannot_be_decoded_changes_nothing),
    };

    return cmocka_run_group_tests_name("refdb/repositories", tests, NULL, NULL);
}
