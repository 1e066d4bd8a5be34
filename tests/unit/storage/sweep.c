/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "script.h"

static const struct {
    enum fs_fault_kind kind;
    unsigned quarters;
} stops[] = {
    { FS_FAULT_STOP_BEFORE, 0 }, { FS_FAULT_STOP_AFTER, 0 }, { FS_FAULT_STOP_TORN, 1 },
    { FS_FAULT_STOP_TORN, 2 },   { FS_FAULT_STOP_TORN, 3 },
};

static struct script *script_with(const struct sweep_plan *plan)
{
    struct script *x = script_new(plan->can_allocate);

    x->faulty.skips_datasync = plan->planted == PLANTED_NO_DATASYNC;
    x->faulty.skips_sync_dir = plan->planted == PLANTED_NO_SYNC_DIR;
    x->acks_before_sync = plan->planted == PLANTED_ACK_BEFORE_SYNC;
    return x;
}

static void note_bad(struct sweep_outcome *o, struct script *x, const char *wrong, uint64_t call,
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
static bool stop_once(const struct sweep_plan *plan, uint64_t call, unsigned stop, unsigned death,
                      struct sweep_outcome *o)
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
    if (death == 1 + plan->drawn_deaths) {
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

const char *sweep_count_calls(bool can_allocate, uint64_t *ret_calls)
{
    static char wrong[256];
    struct script *x = script_new(can_allocate);
    const char *what = NULL;

    script_run(x);
    *ret_calls = x->faulty.calls;
    if (x->step != NULL) {
        what = x->step;
    } else {
        store_close(&x->t);
        what = fs_memory_open_handles(x->memory) != 0 ? "a file stays open" : script_check(x);
    }
    if (what != NULL) {
        (void)snprintf(wrong, sizeof wrong, "%.90s: %.150s", what, x->t.why.text);
        what = wrong;
    }
    script_free(x);
    return what;
}

void sweep_run(const struct sweep_plan *plan, struct sweep_outcome *o)
{
    uint64_t calls = 0;
    const char *wrong = sweep_count_calls(plan->can_allocate, &calls);

    if (wrong != NULL) {
        o->bad++;
        (void)snprintf(o->first_bad, sizeof o->first_bad, "without any fault: %.200s", wrong);
        return;
    }
    o->calls = calls;
    for (uint64_t call = 1; call <= calls; call += plan->stride) {
        if (plan->is_first_enough && o->bad > 0) {
            break;
        }
        bool is_write = true;

        for (unsigned stop = 0; stop < 5; stop++) {
            if (stop >= 2 && !is_write) {
                break; /* only a write can be torn */
            }
            for (unsigned death = 0; death <= 1 + plan->drawn_deaths; death++) {
                is_write = stop_once(plan, call, stop, death, o);
            }
        }
    }
}
