/* SPDX-License-Identifier: Apache-2.0 */
/* The log is cut while it goes on: what comes meanwhile is in the new one, whatever happens. */
#include "storage_case.h"

/* Entries 1 .. 5000 and a snapshot that covers 4000 of them. */
static void fill(struct store *t)
{
    OK(store_open(t));
    OK(store_append_sync(t, 1, 5000, 100));
    OK(store_snapshot(t, 4000, 1, 1000));
}

static bool stop_at_once(void *context)
{
    (void)context;
    return true;
}

static bool go_on(void *context)
{
    (void)context;
    return false;
}

static void entries_of_any_moment_are_in_the_new_log(void **state)
{
    struct store *t = *state;
    struct storage_compaction *c = NULL;
    struct buffer out = BUFFER_INIT;
    raft_index last;

    fill(t);
    OK(storage_compaction_begin(t->s, 3001, &c, &t->why));
    OK(store_append_sync(t, 1, 10, 100));
    OK(storage_compaction_copy(c, NULL, NULL, &t->why));
    OK(store_append_sync(t, 2, 10, 100));
    OK(store_append(t, 2, 10, 100)); /* not synced when it is finished */
    assert_int_equal(storage_first_index(t->s), 1);
    OK(storage_compaction_finish(c, &t->why));
    assert_int_equal(storage_first_index(t->s), 3001);
    OK(store_append_sync(t, 2, 10, 100));
    storage_compaction_shrink(c, stop_at_once, NULL);
    storage_compaction_shrink(c, go_on, NULL);
    storage_compaction_free(c);
    assert_int_equal(case_count_entries(t, 3001), 2040);
    OK(storage_read(t->s, 3001, 3001, 1000, &out, &last, &t->why));
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 3001);
    assert_int_equal(t->recovered.log_last_index, 5040);
    assert_int_equal(case_count_entries(t, 3001), 2040);
    assert_false(case_file_exists(t, "raft-log-compact.tmp"));
    buffer_release(&out);
}

static void a_log_cut_meanwhile_stays_as_it_is(void **state)
{
    struct store *t = *state;
    struct storage_compaction *c = NULL;

    fill(t);
    OK(storage_compaction_begin(t->s, 3001, &c, &t->why));
    OK(storage_compaction_copy(c, NULL, NULL, &t->why));
    OK(storage_truncate(t->s, 4901, &t->why));
    OK(store_append_sync(t, 2, 200, 100));
    assert_int_equal(storage_compaction_finish(c, &t->why), RK_NOT_FOUND);
    storage_compaction_free(c);
    assert_false(case_file_exists(t, "raft-log-compact.tmp"));
    assert_int_equal(storage_first_index(t->s), 1);
    OK(storage_compaction_begin(t->s, 3001, &c, &t->why));
    OK(storage_install(t->s, 6000, 2, false, &t->why)); /* the other way to replace it */
    assert_int_equal(storage_compaction_copy(c, NULL, NULL, &t->why), RK_NOT_FOUND);
    storage_compaction_free(c);
    assert_int_equal(storage_first_index(t->s), 6001);
}

static void one_that_is_stopped_leaves_nothing(void **state)
{
    struct store *t = *state;
    struct storage_compaction *c = NULL;

    fill(t);
    OK(storage_compaction_begin(t->s, 3001, &c, &t->why));
    assert_int_equal(storage_compaction_copy(c, stop_at_once, NULL, &t->why), RK_STOPPED);
    storage_compaction_free(c);
    assert_false(case_file_exists(t, "raft-log-compact.tmp"));
    assert_int_equal(storage_compaction_begin(t->s, 1, &c, &t->why), RK_NOT_FOUND);
    assert_int_equal(storage_compaction_begin(t->s, 5002, &c, &t->why), RK_NOT_FOUND);
}

static void damage_in_what_is_kept_stops_it(void **state)
{
    struct store *t = *state;
    struct storage_compaction *c = NULL;

    fill(t);
    case_flip(t, "raft-log.dat", 4500 * 124 + 60);
    OK(storage_compaction_begin(t->s, 3001, &c, &t->why));
    assert_int_equal(storage_compaction_copy(c, NULL, NULL, &t->why), RK_CORRUPT);
    storage_compaction_free(c);
    assert_int_equal(storage_first_index(t->s), 1);
}

/* Appends, copies, appends and finishes, until the armed call.  Acknowledged so far. */
static raft_index run(struct store *t, bool *ret_through)
{
    struct storage_compaction *c = NULL;
    raft_index acked = 5000;
    bool is_well = storage_compaction_begin(t->s, 3001, &c, &t->why) == RK_OK;

    is_well = is_well && store_append_sync(t, 1, 5, 100) == RK_OK;
    acked += is_well ? 5 : 0;
    is_well = is_well && storage_compaction_copy(c, NULL, NULL, &t->why) == RK_OK;
    is_well = is_well && store_append_sync(t, 2, 5, 100) == RK_OK;
    acked += is_well && acked == 5005 ? 5 : 0;
    is_well = is_well && storage_compaction_finish(c, &t->why) == RK_OK;
    is_well = is_well && store_append_sync(t, 2, 5, 100) == RK_OK;
    acked += is_well && acked == 5010 ? 5 : 0;
    storage_compaction_free(c);
    *ret_through = is_well;
    return acked;
}

static void a_crash_at_any_call_leaves_no_gap(void **state)
{
    static const enum fs_memory_crash crashes[] = { FS_CRASH_PROCESS, FS_CRASH_LOSE,
                                                    FS_CRASH_MIXED };
    static const enum fs_fault_kind faults[] = { FS_FAULT_STOP_BEFORE, FS_FAULT_STOP_AFTER,
                                                 FS_FAULT_STOP_TORN };
    struct store *t = *state;
    unsigned restarts = 0;

    for (size_t kind = 0; kind < 9; kind++) {
        bool is_through = false;

        for (uint64_t call = 1; !is_through; call++) {
            raft_index acked;

            fill(t);
            fs_faulty_arm(case_faulty(t),
                          (struct fs_fault){ .kind = faults[kind / 3], .at = call, .quarters = 2 });
            acked = run(t, &is_through);
            case_kill(t, crashes[kind % 3]);
            fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
            OK(store_open(t));
            assert_true(t->recovered.log_last_index >= acked);
            assert_true(t->recovered.log_first_index <= t->recovered.snapshot_last_index + 1);
            case_count_entries(t, t->recovered.log_first_index);
            restarts++;
            case_renew(t);
        }
    }
    assert_true(restarts > 200);
    print_message("# restarts during compactions: %u\n", restarts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_MEMORY(entries_of_any_moment_are_in_the_new_log),
        CASE_MEMORY(a_log_cut_meanwhile_stays_as_it_is),
        CASE_MEMORY(one_that_is_stopped_leaves_nothing),
        CASE_MEMORY(damage_in_what_is_kept_stops_it),
        CASE_MEMORY(a_crash_at_any_call_leaves_no_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
