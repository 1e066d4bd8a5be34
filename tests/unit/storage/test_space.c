/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that gets full: what is held in reserve, what goes on, and that it heals. */
#include "storage_case.h"

#include "base/limits.h"

#define LOG "raft-log.dat"
#define INDEX "raft-index.dat"
#define RESERVE "raft-reserve.dat"

static void set_space(struct store *t, uint64_t bytes)
{
    fs_memory_set_space(case_memory(t), bytes);
}

static void a_reserve_is_held_for_a_snapshot_and_a_compacted_log(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 1000, 1000));
    OK(store_snapshot(t, 900, 1, 4 * MIB));
    OK(storage_tick(t->s, 10000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    assert_true(case_file_bytes(t, RESERVE) >
                case_file_bytes(t, "raft-snapshot-900-1.dat") + 1000 * 1024);
    assert_true(case_file_bytes(t, LOG) >= 1000 * 1024 + LOG_AHEAD_BYTES_MIN);
}

static void without_room_for_the_reserve_it_is_short_until_there_is(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 20));
    set_space(t, 1 * MIB);
    OK(storage_tick(t->s, 10000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    assert_in_range(storage_deadline_ms(t->s), 10000, 11000); /* it looks again by itself */
    OK(store_append_sync(t, 1, 100, 20));                     /* what was promised goes on */
    set_space(t, 100 * MIB);
    OK(storage_tick(t->s, 12000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
}

static void with_little_allocated_behind_the_log_it_is_short(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(storage_tick(t->s, 10000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    set_space(t, 64 * KIB);
    OK(store_append_sync(t, 1, 13, 1 * MIB));
    OK(storage_tick(t->s, 12000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    OK(store_append_sync(t, 1, 2, 1 * MIB)); /* there is some left for what is under way */
    assert_int_equal(store_append(t, 1, 8, 1 * MIB), RK_NOSPACE);
}

/* Small entries use up the space for their records first. */
static void with_little_allocated_behind_the_index_it_is_short(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(storage_tick(t->s, 10000, &t->why));
    set_space(t, 64 * KIB);
    OK(store_append_sync(t, 1, 40000, 0));
    OK(storage_tick(t->s, 12000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    OK(store_append_sync(t, 1, 8000, 0));
    assert_int_equal(store_append(t, 1, 16000, 0), RK_NOSPACE);
    set_space(t, 100 * MIB);
    OK(storage_tick(t->s, 14000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
}

/* More than what is kept allocated for it: nobody else may take that for plenty. */
static void an_append_that_was_refused_makes_it_short(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 11, 1 * MIB));
    OK(storage_tick(t->s, 10000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    set_space(t, 0);
    assert_int_equal(store_append(t, 1, 6, 1 * MIB), RK_NOSPACE);
    assert_true(storage_is_short_of_space(t->s));
    OK(storage_tick(t->s, 12000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    set_space(t, 100 * MIB);
    OK(storage_tick(t->s, 14000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    OK(store_append_sync(t, 1, 6, 1 * MIB));
}

/* 15 MiB of log, of which a snapshot covers all but little, and no space at all. */
static void the_reserve_is_enough_to_compact_with(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 14, 1 * MIB));
    OK(store_append_sync(t, 1, 20, 1000));
    OK(store_snapshot(t, 14, 1, 1 * MIB));
    OK(storage_tick(t->s, 10000, &t->why));
    OK(storage_tick(t->s, 12000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    set_space(t, 0);
    assert_int_equal(storage_compact(t->s, 15, &t->why), RK_NOSPACE);
    assert_int_equal(storage_first_index(t->s), 1); /* nothing changed */
    storage_release_reserve(t->s, 12000);
    OK(store_snapshot(t, 30, 1, 1 * MIB));
    OK(storage_compact(t->s, 15, &t->why));
    assert_int_equal(case_count_entries(t, 15), 20);
    OK(storage_tick(t->s, 14000, &t->why));
    assert_true(storage_is_short_of_space(t->s)); /* the reserve is not taken back at once */
    set_space(t, 100 * MIB);
    OK(storage_tick(t->s, 12000 + RESERVE_RELEASED_MS + 1000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
}

/* Else there would be nothing left to cut the log with. */
static void what_was_released_is_not_taken_for_the_log(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 1 * MIB));
    OK(storage_tick(t->s, 10000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    set_space(t, 0);
    OK(store_append_sync(t, 1, 4, 1 * MIB));
    storage_release_reserve(t->s, 12000);
    OK(storage_tick(t->s, 12500, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    assert_int_equal(case_file_bytes(t, LOG), 16 * MIB);
    OK(store_snapshot(t, 14, 1, 1 * MIB));
    OK(storage_compact(t->s, 14, &t->why));
}

/* The index is gone, so that opening has to write one. */
static void a_restart_on_a_full_disk_works(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3000, 20));
    OK(storage_tick(t->s, 10000, &t->why));
    case_kill(t, FS_CRASH_PROCESS);
    case_unlink(t, INDEX);
    set_space(t, 0);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 3000);
    OK(store_set_term(t, 2, 1)); /* and it can vote */
    assert_int_equal(case_file_bytes(t, RESERVE), 0);
}

/* Others would take it in between. */
static void a_restart_on_a_full_disk_keeps_the_space_taken_ahead(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 20));
    set_space(t, 0);
    OK(storage_tick(t->s, 10000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    case_kill(t, FS_CRASH_PROCESS);
    for (unsigned i = 0; i < 3; i++) {
        OK(store_open(t));
        set_space(t, 0);
        OK(store_append_sync(t, 1, 1, 1 * MIB));
        OK(storage_tick(t->s, 20000, &t->why));
        store_close(t);
        set_space(t, 0);
    }
    set_space(t, 100 * MIB);
    OK(store_open(t));
    assert_int_equal(case_count_entries(t, 1), 13);
    assert_true(case_file_bytes(t, LOG) < 4 * MIB); /* and else it is given back */
}

/* ---- The first entry of a new leader ---- */

/* Others take all that is free, and entries all that they may. */
static void use_up(struct store *t)
{
    enum rk_status status = RK_OK;

    set_space(t, 0);
    while (status == RK_OK) {
        status = store_append_sync(t, 1, 1, 0);
    }
    assert_int_equal(status, RK_NOSPACE);
    set_space(t, 0);
}

static void entries_leave_space_for_the_first_one_of_a_new_term(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(storage_tick(t->s, 10000, &t->why));
    use_up(t);
    for (raft_term term = 2; term < 500; term++) {
        OK(store_append_sync(t, term, 1, 1));
        assert_int_equal(store_append(t, term, 1, 1), RK_NOSPACE);
    }
    case_kill(t, FS_CRASH_PROCESS);
    set_space(t, 0);
    OK(store_open(t));
    OK(store_append_sync(t, 500, 1, 1));
}

/* A second is too long to wait: in that time 16,384 records are used up. */
static void that_little_is_allocated_ahead_is_noticed_at_once(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(storage_tick(t->s, 10000, &t->why));
    set_space(t, 64 * KIB);
    OK(store_append_sync(t, 1, 40000, 0));
    OK(storage_tick(t->s, 10001, &t->why));
    assert_true(storage_is_short_of_space(t->s));
}

static void a_compaction_keeps_the_space_of_new_terms(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 1000, 100));
    OK(store_snapshot(t, 990, 1, 1000));
    OK(storage_tick(t->s, 10000, &t->why));
    set_space(t, 60 * KIB);
    assert_int_equal(storage_compact(t->s, 991, &t->why), RK_NOSPACE);
    assert_int_equal(storage_first_index(t->s), 1);
    set_space(t, 200 * KIB);
    OK(storage_compact(t->s, 991, &t->why));
    use_up(t);
    OK(store_append_sync(t, 2, 1, 1));
}

static void an_installation_keeps_the_space_of_new_terms(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 1000, 100));
    OK(store_snapshot(t, 2000, 1, 1000));
    OK(storage_tick(t->s, 10000, &t->why));
    set_space(t, 60 * KIB);
    assert_int_equal(storage_install(t->s, 2000, 1, false, &t->why), RK_NOSPACE);
    assert_int_equal(case_count_entries(t, 1), 1000);
    set_space(t, 200 * KIB);
    OK(storage_install(t->s, 2000, 1, false, &t->why));
    use_up(t);
    OK(store_append_sync(t, 2, 1, 1));
}

static void a_truncation_keeps_the_space_of_new_terms(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 1000, 100));
    OK(storage_tick(t->s, 10000, &t->why));
    set_space(t, 0);
    OK(storage_truncate(t->s, 500, &t->why));
    set_space(t, 0);
    OK(store_append_sync(t, 2, 1, 1));
}

static void what_is_torn_costs_no_space_taken_ahead(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 20));
    OK(storage_tick(t->s, 10000, &t->why));
    case_kill(t, FS_CRASH_PROCESS);
    case_flip(t, LOG, 10 * (ENTRY_HEADER_BYTES + 20) + 100 * KIB);
    set_space(t, 0);
    OK(store_open(t));
    assert_int_equal(t->recovered.torn_bytes, 100 * KIB + 1);
    assert_true(case_file_bytes(t, LOG) >= LOG_AHEAD_BYTES_MIN);
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.torn_bytes, 0);
    assert_int_equal(case_count_entries(t, 1), 10);
}

/* Others took what was behind the log while the node was down. */
static void the_reserve_makes_room_for_a_new_term(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 20));
    OK(storage_tick(t->s, 10000, &t->why));
    store_close(t);
    case_truncate(t, LOG, 10 * (ENTRY_HEADER_BYTES + 20));
    case_truncate(t, INDEX, 10 * 20);
    set_space(t, 0);
    OK(store_open(t));
    set_space(t, 0);
    OK(store_append_sync(t, 2, 1, 1));
    assert_in_range(case_file_bytes(t, RESERVE), 1 * MIB, 2 * MIB); /* the rest is held */
}

/* The log has grown meanwhile, and it would have to be larger. */
static void a_restart_on_a_full_disk_keeps_the_reserve(void **state)
{
    struct store *t = *state;
    uint64_t held;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 1000));
    OK(storage_tick(t->s, 10000, &t->why));
    held = case_file_bytes(t, RESERVE);
    OK(store_append_sync(t, 1, 5000, 1000));
    case_kill(t, FS_CRASH_PROCESS);
    set_space(t, 0);
    OK(store_open(t));
    set_space(t, 0); /* of what was ahead no more than 4 MiB are kept */
    OK(storage_tick(t->s, 20000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
    assert_int_equal(case_file_bytes(t, RESERVE), held);
}

static void where_nothing_can_be_allocated_free_space_decides(void **state)
{
    struct store *t = *state;

    fs_memory_set_can_allocate(case_memory(t), false);
    OK(store_open(t));
    set_space(t, 100 * MIB);
    OK(storage_tick(t->s, 10000, &t->why));
    assert_false(storage_is_short_of_space(t->s));
    set_space(t, 1 * MIB);
    OK(storage_tick(t->s, 12000, &t->why));
    assert_true(storage_is_short_of_space(t->s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_MEMORY(a_reserve_is_held_for_a_snapshot_and_a_compacted_log),
        CASE_MEMORY(without_room_for_the_reserve_it_is_short_until_there_is),
        CASE_MEMORY(with_little_allocated_behind_the_log_it_is_short),
        CASE_MEMORY(with_little_allocated_behind_the_index_it_is_short),
        CASE_MEMORY(an_append_that_was_refused_makes_it_short),
        CASE_MEMORY(the_reserve_is_enough_to_compact_with),
        CASE_MEMORY(what_was_released_is_not_taken_for_the_log),
        CASE_MEMORY(a_restart_on_a_full_disk_works),
        CASE_MEMORY(a_restart_on_a_full_disk_keeps_the_space_taken_ahead),
        CASE_MEMORY(entries_leave_space_for_the_first_one_of_a_new_term),
        CASE_MEMORY(that_little_is_allocated_ahead_is_noticed_at_once),
        CASE_MEMORY(a_compaction_keeps_the_space_of_new_terms),
        CASE_MEMORY(an_installation_keeps_the_space_of_new_terms),
        CASE_MEMORY(a_truncation_keeps_the_space_of_new_terms),
        CASE_MEMORY(what_is_torn_costs_no_space_taken_ahead),
        CASE_MEMORY(the_reserve_makes_room_for_a_new_term),
        CASE_MEMORY(a_restart_on_a_full_disk_keeps_the_reserve),
        CASE_MEMORY(where_nothing_can_be_allocated_free_space_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
