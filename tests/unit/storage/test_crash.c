/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of script.c is stopped at each single call of the file table, or the call fails; then
 * it must open again with everything promised.
 */
#include "storage_case.h"

#include <errno.h>
#include <stdlib.h>

#include "script.h"
#include "sweep.h"

enum { DRAWN_DEATHS = 3 };

static uint64_t count_calls(bool can_allocate)
{
    uint64_t calls = 0;
    const char *wrong = sweep_count_calls(can_allocate, &calls);

    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
    return calls;
}

static void expect_clean(bool can_allocate, uint64_t stride)
{
    const struct sweep_plan plan = { PLANTED_NONE, can_allocate, stride, false, DRAWN_DEATHS };
    struct sweep_outcome o = { 0 };

    sweep_run(&plan, &o);
    printf("# %u calls, %u restarts, %u bad\n", (unsigned)o.calls, (unsigned)o.restarts,
           (unsigned)o.bad);
    if (o.bad > 0) {
        fail_msg("%u of %u; first: %s", (unsigned)o.bad, (unsigned)o.restarts, o.first_bad);
    }
}

static void every_stop_leaves_what_was_promised(void **state)
{
    (void)state;
    expect_clean(false, 1);
}

static void every_stop_with_space_allocated_ahead_does_too(void **state)
{
    (void)state;
    expect_clean(true, 3);
}

/* The sweep itself has teeth: planted bugs are found. */
static void expect_found(enum planted planted, const char *name)
{
    const struct sweep_plan plan = { planted, false, 7, false, DRAWN_DEATHS };
    struct sweep_outcome o = { 0 };

    sweep_run(&plan, &o);
    printf("# %s: %u of %u restarts bad; first: %s\n", name, (unsigned)o.bad, (unsigned)o.restarts,
           o.first_bad);
    assert_true(o.bad > 0);
}

static void a_skipped_datasync_is_found(void **state)
{
    (void)state;
    expect_found(PLANTED_NO_DATASYNC, "no datasync");
}

static void a_skipped_directory_sync_is_found(void **state)
{
    (void)state;
    expect_found(PLANTED_NO_SYNC_DIR, "no directory sync");
}

static void an_acknowledgement_before_the_sync_is_found(void **state)
{
    (void)state;
    expect_found(PLANTED_ACK_BEFORE_SYNC, "acknowledged before the sync");
}

/* ---- Failing calls ---- */

static bool changes_files(const char *call)
{
    return strcmp(call, "write") == 0 || strcmp(call, "datasync") == 0 ||
           strcmp(call, "truncate") == 0 || strcmp(call, "rename") == 0 ||
           strcmp(call, "sync_dir") == 0;
}

static bool is_snapshot_step(const char *step)
{
    return strncmp(step, "step_snapshot", 13) == 0 || strncmp(step, "step_install", 12) == 0;
}

/* What was refused stays refused until a restart. */
static void check_latch(struct script *x, uint64_t call)
{
    enum rk_status status;

    if (x->t.s == NULL || x->status != RK_IO || !changes_files(x->faulty.call) ||
        is_snapshot_step(x->step)) {
        return;
    }
    status = storage_sync(x->t.s, &x->t.why);
    if (status != RK_IO) {
        fail_msg("call %u (%s) failed in %s, and a later sync gives %s", (unsigned)call,
                 x->faulty.call, x->step, rk_status_word(status));
    }
    assert_int_equal(storage_tick(x->t.s, x->now_ms + 9000, &x->t.why), RK_IO);
    assert_int_equal(storage_truncate(x->t.s, storage_last_index(x->t.s) + 1, &x->t.why), RK_IO);
}

static void fail_once(uint64_t call, enum fs_fault_kind kind, int error, unsigned death)
{
    struct script *x = script_new(call % 2 == 0);
    const char *wrong;

    fs_faulty_arm(&x->faulty, (struct fs_fault){ .kind = kind, .at = call, .error = error });
    script_run(x);
    if (x->faulty.has_fired && x->step != NULL) {
        check_latch(x, call);
    }
    store_close(&x->t);
    assert_int_equal(fs_memory_open_handles(x->memory), 0);
    fs_memory_crash(x->memory, death == 0 ? FS_CRASH_PROCESS : FS_CRASH_LOSE, call);
    wrong = script_check(x);
    if (wrong != NULL) {
        fail_msg("call %u fails with %d in %s: %s: %s", (unsigned)call, error,
                 x->step != NULL ? x->step : "-", wrong, x->t.why.text);
    }
    script_free(x);
}

static void each_failing_call_is_noticed_and_promises_hold(void **state)
{
    uint64_t calls = count_calls(true);
    unsigned runs = 0;

    (void)state;
    for (uint64_t call = 1; call <= calls; call++) {
        for (unsigned death = 0; death < 2; death++) {
            fail_once(call, FS_FAULT_ERROR, EIO, death);
            fail_once(call, FS_FAULT_ERROR, ENOSPC, death);
            fail_once(call, FS_FAULT_ERROR_AFTER, EIO, death);
            runs += 3;
        }
    }
    printf("# %u runs with one failing call\n", runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stop_leaves_what_was_promised),
        cmocka_unit_test(every_stop_with_space_allocated_ahead_does_too),
        cmocka_unit_test(a_skipped_datasync_is_found),
        cmocka_unit_test(a_skipped_directory_sync_is_found),
        cmocka_unit_test(an_acknowledgement_before_the_sync_is_found),
        cmocka_unit_test(each_failing_call_is_noticed_and_promises_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
