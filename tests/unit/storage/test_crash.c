/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of script.c is stopped at each single call of the file table - before it, after
 * it, in the middle of a write - and the machine dies in each way; then it must open again
 * with everything promised.
 */
#include "storage_case.h"

#include <errno.h>
#include <stdlib.h>

#include "script.h"

/* The drawn ways to die, per place. */
enum { MIXED_SEEDS = 3 };

static const struct {
    enum fs_fault_kind kind;
    unsigned quarters;
} stops[] = {
    { FS_FAULT_STOP_BEFORE, 0 }, { FS_FAULT_STOP_AFTER, 0 }, { FS_FAULT_STOP_TORN, 1 },
    { FS_FAULT_STOP_TORN, 2 },   { FS_FAULT_STOP_TORN, 3 },
};

enum planted {
    PLANTED_NONE,
    PLANTED_NO_DATASYNC,
    PLANTED_NO_SYNC_DIR,
    PLANTED_ACK_BEFORE_SYNC,
};

/* How to sweep. */
struct plan {
    enum planted planted;
    bool can_allocate;
    uint64_t stride; /* each how manyth call */
};

struct outcome {
    uint64_t restarts;
    uint64_t bad;
    char first_bad[256];
};

static struct script *script_with(const struct plan *plan)
{
    struct script *x = script_new(plan->can_allocate);

    x->faulty.skips_datasync = plan->planted == PLANTED_NO_DATASYNC;
    x->faulty.skips_sync_dir = plan->planted == PLANTED_NO_SYNC_DIR;
    x->acks_before_sync = plan->planted == PLANTED_ACK_BEFORE_SYNC;
    return x;
}

static void note_bad(struct outcome *o, struct script *x, const char *wrong, uint64_t call,
                     unsigned stop, unsigned death, const char *step, const char *name)
{
    if (o->bad++ == 0) {
        (void)snprintf(o->first_bad, sizeof o->first_bad,
                       "call %u (%s) in %s, stop %u, death %u: %s: %.90s", (unsigned)call, name,
                       step != NULL ? step : "-", stop, death, wrong, x->t.why.text);
    }
}

/* Stops again at a drawn call of the recovery, and dies again. */
static void die_in_recovery(struct script *x, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    fs_faulty_arm(&x->faulty, (struct fs_fault){ .kind = stops[rng_below(&rng, 5)].kind,
                                                 .at = 1 + rng_below(&rng, 30),
                                                 .quarters = 2 });
    (void)store_open(&x->t);
    store_close(&x->t);
    fs_memory_crash(x->memory, FS_CRASH_MIXED, seed + 1);
}

/* Deaths: 0 the process, 1 the machine, then drawn ones; the last of them twice. */
static bool stop_once(const struct plan *plan, uint64_t call, unsigned stop, unsigned death,
                      struct outcome *o)
{
    struct script *x = script_with(plan);
    enum fs_memory_crash kind = death == 0   ? FS_CRASH_PROCESS
                                : death == 1 ? FS_CRASH_LOSE
                                             : FS_CRASH_MIXED;
    const char *step;
    const char *name;
    const char *wrong;
    bool is_write;

    fs_faulty_arm(&x->faulty, (struct fs_fault){ .kind = stops[stop].kind,
                                                 .at = call,
                                                 .quarters = stops[stop].quarters });
    script_run(x);
    step = x->step;
    name = x->faulty.call;
    is_write = strcmp(name, "write") == 0;
    store_close(&x->t);
    fs_memory_crash(x->memory, kind, call * 1000 + stop * 100 + death);
    if (death == 1 + MIXED_SEEDS) {
        die_in_recovery(x, call * 77 + stop);
        o->restarts++;
    }
    wrong = script_check(x);
    o->restarts++;
    if (wrong != NULL) {
        note_bad(o, x, wrong, call, stop, death, step, name);
    }
    script_free(x);
    return is_write;
}

static uint64_t count_calls(bool can_allocate)
{
    struct script *x = script_new(can_allocate);
    uint64_t calls;
    const char *wrong;

    script_run(x);
    if (x->step != NULL) {
        fail_msg("%s: %s", x->step, x->t.why.text);
    }
    calls = x->faulty.calls;
    store_close(&x->t);
    assert_int_equal(fs_memory_open_handles(x->memory), 0);
    wrong = script_check(x);
    if (wrong != NULL) {
        fail_msg("%s: %s", wrong, x->t.why.text);
    }
    script_free(x);
    return calls;
}

static void sweep(const struct plan *plan, struct outcome *o)
{
    uint64_t calls = count_calls(plan->can_allocate);

    for (uint64_t call = 1; call <= calls; call += plan->stride) {
        bool is_write = true;

        for (unsigned stop = 0; stop < 5; stop++) {
            if (stop >= 2 && !is_write) {
                break; /* only a write can be torn */
            }
            for (unsigned death = 0; death <= 1 + MIXED_SEEDS; death++) {
                is_write = stop_once(plan, call, stop, death, o);
            }
        }
    }
}

static void expect_clean(bool can_allocate, uint64_t stride)
{
    const struct plan plan = { PLANTED_NONE, can_allocate, stride };
    struct outcome o = { 0 };

    sweep(&plan, &o);
    printf("# %u calls, %u restarts, %u bad\n", (unsigned)count_calls(can_allocate),
           (unsigned)o.restarts, (unsigned)o.bad);
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
    const struct plan plan = { planted, false, 7 };
    struct outcome o = { 0 };

    sweep(&plan, &o);
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
