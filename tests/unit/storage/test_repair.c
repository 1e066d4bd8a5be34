/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage that others can make good: what is missing is marked before anything is cut, and the
 * mark goes only when the log has come as far again.
 */
#include "storage_case.h"

#include <errno.h>
#include <string.h>

#include "base/heap.h"

#define LOG "raft-log.dat"
#define INDEX "raft-index.dat"
#define ASIDE "raft-log-%u.damaged"
#define ENTRY_BYTES 44 /* with a command of 20 */

/* Ten entries 1^1 .. 6^1 7^2 .. 10^2, of a member that has others. */
static void fill(struct store *t)
{
    t->voters = 3;
    OK(store_open(t));
    OK(store_append_sync(t, 1, 6, 20));
    OK(store_append_sync(t, 2, 4, 20));
}

static void fill_and_close(struct store *t)
{
    fill(t);
    store_close(t);
}

static bool has_aside(struct store *t, raft_index first)
{
    char name[64];

    (void)snprintf(name, sizeof name, ASIDE, (unsigned)first);
    return case_file_exists(t, name);
}

static void assert_missing(const struct store *t, raft_index first, raft_index last_index,
                           raft_term last_term)
{
    assert_int_equal(t->recovered.repair.first, first);
    assert_int_equal(t->recovered.repair.last_index, last_index);
    assert_int_equal(t->recovered.repair.last_term, last_term);
    assert_true(storage_is_repairing(t->s) == (last_index != 0));
}

static void any_flipped_bit_in_a_durable_entry_is_marked_and_refilled(void **state)
{
    struct store *t = *state;
    struct buffer good = BUFFER_INIT;

    fill_and_close(t);
    case_read_file(t, LOG, &good);
    assert_int_equal(good.size, 10 * ENTRY_BYTES);
    for (uint64_t i = 0; i < good.size; i++) {
        raft_index first = i / ENTRY_BYTES + 1;

        case_flip(t, LOG, i);
        OK(store_open(t));
        assert_int_equal(t->recovered.log_last_index, first - 1);
        assert_int_equal(case_count_entries(t, 1), first - 1);
        assert_missing(t, first, 10, 2);
        assert_non_null(strstr(t->recovered.damage.text, "offset"));
        assert_true(has_aside(t, first));
        store_close(t);
        OK(store_open(t)); /* it is remembered */
        assert_missing(t, first, 10, 2);
        OK(store_append_sync(t, 1, first < 7 ? 7 - first : 0, 20));
        OK(store_append_sync(t, 2, 9 - storage_last_index(t->s), 20));
        assert_true(storage_is_repairing(t->s) == (first != 11));
        OK(store_append_sync(t, 2, 10 - storage_last_index(t->s), 20));
        assert_false(storage_is_repairing(t->s));
        assert_false(has_aside(t, first));
        store_close(t);
        OK(store_open(t));
        assert_missing(t, 0, 0, 0);
        assert_int_equal(case_count_entries(t, 1), 10);
        store_close(t);
    }
    buffer_release(&good);
}

static void what_is_set_aside_are_the_very_bytes(void **state)
{
    struct store *t = *state;
    struct buffer log = BUFFER_INIT;
    struct buffer aside = BUFFER_INIT;

    fill_and_close(t);
    case_flip(t, LOG, 3 * ENTRY_BYTES + 30);
    case_read_file(t, LOG, &log);
    OK(store_open(t));
    case_read_file(t, "raft-log-4.damaged", &aside);
    assert_true(
        slice_equal(slice_of(log.data + 3 * ENTRY_BYTES, 7 * ENTRY_BYTES), buffer_slice(&aside)));
    buffer_release(&log);
    buffer_release(&aside);
}

/* The index was not synced, so its newest records are gone; the entries were acknowledged. */
static void good_entries_behind_the_last_witness_count(void **state)
{
    struct store *t = *state;

    fill(t);
    case_kill(t, FS_CRASH_PROCESS);
    case_truncate(t, INDEX, 8 * 20);
    case_flip(t, LOG, 3 * ENTRY_BYTES + 30);
    OK(store_open(t));
    assert_missing(t, 4, 10, 2);
}

static void the_term_of_a_damaged_last_entry_is_at_most_the_newest_known(void **state)
{
    struct store *t = *state;

    fill_and_close(t);
    case_flip(t, LOG, 9 * ENTRY_BYTES + 30);
    OK(store_open(t));
    assert_missing(t, 10, 10, 2);
}

static void a_later_term_settles_it(void **state)
{
    struct store *t = *state;

    fill_and_close(t);
    case_flip(t, LOG, 7 * ENTRY_BYTES + 30);
    OK(store_open(t));
    assert_missing(t, 8, 10, 2);
    OK(store_append_sync(t, 3, 1, 20));
    assert_false(storage_is_repairing(t->s));
}

/* The leader may take more of it back before it brings it again. */
static void a_truncation_keeps_the_mark(void **state)
{
    struct store *t = *state;

    fill_and_close(t);
    case_flip(t, LOG, 7 * ENTRY_BYTES + 30);
    OK(store_open(t));
    OK(storage_truncate(t->s, 5, &t->why));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 4);
    assert_missing(t, 8, 10, 2);
}

static void damage_while_under_repair_is_added(void **state)
{
    struct store *t = *state;

    fill_and_close(t);
    case_flip(t, LOG, 7 * ENTRY_BYTES + 30);
    OK(store_open(t));
    store_close(t);
    case_flip(t, LOG, 2 * ENTRY_BYTES + 30);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 2);
    assert_missing(t, 3, 10, 2);
}

static void a_missing_emptied_or_shorter_log_is_fetched_again(void **state)
{
    struct store *t = *state;

    for (unsigned kind = 0; kind < 3; kind++) {
        raft_index left = kind == 2 ? 5 : 0;

        fill_and_close(t);
        if (kind == 0) {
            case_unlink(t, LOG);
        } else {
            case_truncate(t, LOG, left * ENTRY_BYTES);
        }
        OK(store_open(t));
        assert_int_equal(t->recovered.log_last_index, left);
        assert_missing(t, left + 1, 10, 2);
        case_renew(t);
    }
}

static void alone_it_refuses_and_changes_nothing(void **state)
{
    struct store *t = *state;
    struct persistent_state *saved;
    struct member self = { .id = 1, .name = "n1", .flags = MEMBER_VOTER | MEMBER_VOTER_OLD };

    fill(t);
    saved = heap_copy(storage_get_state(t->s), sizeof *saved);
    assert_int_equal(membership_add(&saved->latest_membership, &self), RK_OK);
    saved->id = 1;
    OK(storage_save_state(t->s, saved, &t->why)); /* it knows better than the configuration */
    heap_free(saved);
    store_close(t);
    case_flip(t, LOG, 7 * ENTRY_BYTES + 30);
    assert_int_equal(store_open(t), RK_CORRUPT);
    assert_non_null(strstr(t->why.text, "offset 308"));
    assert_non_null(strstr(t->why.text, "refkeeper fsck"));
    assert_int_equal(case_file_bytes(t, LOG), 10 * ENTRY_BYTES);
    assert_false(has_aside(t, 8));
}

/* ---- Snapshots ---- */

static void what_a_snapshot_covers_costs_nothing(void **state)
{
    struct store *t = *state;

    for (unsigned voters = 1; voters <= 3; voters += 2) {
        fill(t);
        OK(store_snapshot(t, 8, 2, 1000));
        store_close(t);
        t->voters = voters;
        case_flip(t, LOG, 4 * ENTRY_BYTES + 30);
        OK(store_open(t));
        assert_true(t->recovered.is_damage_covered);
        assert_int_equal(t->recovered.log_first_index, 9);
        assert_int_equal(t->recovered.log_last_index, 10);
        assert_int_equal(case_count_entries(t, 9), 2);
        assert_missing(t, 0, 0, 0);
        OK(store_append_sync(t, 2, 5, 20));
        store_close(t);
        OK(store_open(t));
        assert_int_equal(t->recovered.log_last_index, 15);
        case_renew(t);
    }
}

static void damage_on_both_sides_of_a_snapshot_costs_what_is_behind(void **state)
{
    struct store *t = *state;

    fill(t);
    OK(store_snapshot(t, 5, 1, 1000));
    store_close(t);
    case_flip(t, LOG, 2 * ENTRY_BYTES + 30);
    case_flip(t, LOG, 8 * ENTRY_BYTES + 30);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 6);
    assert_int_equal(t->recovered.log_last_index, 8);
    assert_missing(t, 9, 10, 2);
}

static void a_log_without_a_snapshot_before_it_is_fetched_anew(void **state)
{
    struct store *t = *state;

    fill(t);
    OK(store_snapshot(t, 3, 1, 1000));
    OK(store_snapshot(t, 8, 2, 1000));
    OK(storage_compact(t->s, 7, &t->why));
    store_close(t);
    case_flip(t, "raft-snapshot-8-2.dat", 100);
    OK(store_open(t));
    assert_int_equal(t->recovered.snapshot_last_index, 3);
    assert_int_equal(t->recovered.log_first_index, 4);
    assert_int_equal(t->recovered.log_last_index, 3);
    assert_missing(t, 4, 10, 2);
    assert_true(has_aside(t, 7));
    OK(storage_install(t->s, 20, 3, false, &t->why));
    assert_false(storage_is_repairing(t->s));
}

/* ---- Reads that fail ---- */

static void a_read_that_fails_once_is_tried_again(void **state)
{
    struct store *t = *state;
    unsigned opened = 0;

    fill_and_close(t);
    for (uint64_t call = 1; call < 30; call++) {
        fs_faulty_arm(case_faulty(t),
                      (struct fs_fault){ .kind = FS_FAULT_ERROR, .at = call, .error = EIO });
        if (store_open(t) == RK_OK) {
            assert_int_equal(t->recovered.log_last_index, 10);
            assert_missing(t, 0, 0, 0);
            store_close(t);
            opened++;
        }
        fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
        OK(store_open(t));
        assert_int_equal(t->recovered.log_last_index, 10);
        assert_missing(t, 0, 0, 0);
        store_close(t);
    }
    assert_true(opened > 0);
}

/* A bad sector: what lies before it is kept, what lies behind it set aside. */
static void what_cannot_be_read_is_damage(void **state)
{
    struct store *t = *state;
    struct buffer out = BUFFER_INIT;
    raft_index last;

    t->voters = 3;
    OK(store_open(t));
    OK(store_append_sync(t, 1, 400, 1000 - 24));
    case_faulty(t)->unreadable_from = 300000;
    case_faulty(t)->unreadable_to = 300001;
    OK(storage_read(t->s, 10, 300, 100000, &out, &last, &t->why));
    buffer_clear(&out);
    assert_int_equal(storage_read(t->s, 301, 310, 1000, &out, &last, &t->why), RK_CORRUPT);
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 299); /* the sector begins at 299008 */
    assert_missing(t, 300, 400, 1);
    case_faulty(t)->unreadable_to = 0;
    assert_int_equal(case_file_bytes(t, "raft-log-300.damaged"), 101 * 1000);
    OK(store_append_sync(t, 1, 101, 1000 - 24));
    assert_false(storage_is_repairing(t->s));
    buffer_release(&out);
}

/* ---- Crashes on the way ---- */

typedef void (*damage_fn)(struct store *t);

static void damage_log(struct store *t)
{
    case_flip(t, LOG, 7 * ENTRY_BYTES + 30);
}

static void damage_covered(struct store *t)
{
    case_flip(t, LOG, 2 * ENTRY_BYTES + 30);
}

static void damage_both(struct store *t)
{
    damage_log(t);
    damage_covered(t);
}

static void damage_snapshots(struct store *t)
{
    case_flip(t, "raft-snapshot-5-1.dat", 100);
}

static void prepare(struct store *t, damage_fn damage)
{
    fill(t);
    if (damage == damage_snapshots) {
        OK(store_snapshot(t, 5, 1, 1000));
        OK(storage_compact(t->s, 5, &t->why));
    } else if (damage != damage_log) {
        OK(store_snapshot(t, 5, 1, 1000));
    }
    store_close(t);
    damage(t);
}

/* What the log has not got is marked, or the log has it. */
static void assert_whole_or_marked(struct store *t)
{
    raft_index last = t->recovered.log_last_index;

    case_count_entries(t, t->recovered.log_first_index);
    if (last < 10) {
        assert_int_equal(t->recovered.repair.last_index, 10);
        assert_int_equal(t->recovered.repair.last_term, 2);
    }
    assert_true(t->recovered.log_first_index <= t->recovered.snapshot_last_index + 1);
}

static void a_crash_at_any_call_forgets_no_damage(void **state)
{
    static const damage_fn damages[] = { damage_log, damage_covered, damage_both,
                                         damage_snapshots };
    static const enum fs_memory_crash crashes[] = { FS_CRASH_PROCESS, FS_CRASH_LOSE,
                                                    FS_CRASH_MIXED };
    struct store *t = *state;
    unsigned restarts = 0;

    for (size_t d = 0; d < 4; d++) {
        for (size_t kind = 0; kind < 3; kind++) {
            bool is_through = false;

            for (uint64_t call = 1; !is_through; call++) {
                prepare(t, damages[d]);
                fs_faulty_arm(case_faulty(t),
                              (struct fs_fault){ .kind = FS_FAULT_STOP_AFTER, .at = call });
                is_through = store_open(t) == RK_OK;
                case_kill(t, crashes[kind]);
                fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
                OK(store_open(t));
                assert_whole_or_marked(t);
                restarts++;
                case_renew(t);
            }
        }
    }
    assert_true(restarts > 200);
    print_message("# restarts after damage: %u\n", restarts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_MEMORY(any_flipped_bit_in_a_durable_entry_is_marked_and_refilled),
        CASE_MEMORY(what_is_set_aside_are_the_very_bytes),
        CASE_MEMORY(good_entries_behind_the_last_witness_count),
        CASE_MEMORY(the_term_of_a_damaged_last_entry_is_at_most_the_newest_known),
        CASE_MEMORY(a_later_term_settles_it),
        CASE_MEMORY(a_truncation_keeps_the_mark),
        CASE_MEMORY(damage_while_under_repair_is_added),
        CASE_MEMORY(a_missing_emptied_or_shorter_log_is_fetched_again),
        CASE_MEMORY(alone_it_refuses_and_changes_nothing),
        CASE_MEMORY(what_a_snapshot_covers_costs_nothing),
        CASE_MEMORY(damage_on_both_sides_of_a_snapshot_costs_what_is_behind),
        CASE_MEMORY(a_log_without_a_snapshot_before_it_is_fetched_anew),
        CASE_MEMORY(a_read_that_fails_once_is_tried_again),
        CASE_MEMORY(what_cannot_be_read_is_damage),
        CASE_MEMORY(a_crash_at_any_call_forgets_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
