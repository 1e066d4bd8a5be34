/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of tests/unit/storage/script.c - appends, truncation, state, snapshots, compaction,
 * installation, restarts - stopped at every single call of the file table, and the process or the
 * machine dies.  RK_TORTURE=long draws more power cuts per place,
 * RK_TORTURE=first ends with the first bad restart.
 */
#include <stdio.h>

#include "../unit/storage/sweep.h"
#include "support/tap.h"

static void sweep(bool can_allocate, unsigned drawn_deaths)
{
    const struct sweep_plan plan = { PLANTED_NONE, can_allocate, 1, tap_is_first(), drawn_deaths };
    struct sweep_outcome o = { 0 };

    sweep_run(&plan, &o);
    if (o.bad > 0) {
        tap_note("%s", o.first_bad);
    }
    tap_result(o.bad == 0 && o.restarts >= 6000,
               "stopped at each of %u calls%s, before, after and torn: %u restarts, %u bad",
               (unsigned)o.calls, can_allocate ? " with space allocated ahead" : "",
               (unsigned)o.restarts, (unsigned)o.bad);
}

static void find_planted(enum planted planted, const char *name)
{
    const struct sweep_plan plan = { planted, true, 11, true, 3 };
    struct sweep_outcome o = { 0 };

    sweep_run(&plan, &o);
    tap_result(o.bad > 0, "has teeth: %s: %u of %u restarts bad", name, (unsigned)o.bad,
               (unsigned)o.restarts);
}

int main(void)
{
    unsigned drawn_deaths = tap_is_long() ? 20 : 3;

    sweep(true, drawn_deaths);
    if (tap_is_first()) {
        return tap_end();
    }
    sweep(false, drawn_deaths);
    find_planted(PLANTED_NO_DATASYNC, "no fdatasync");
    find_planted(PLANTED_NO_SYNC_DIR, "no directory sync");
    find_planted(PLANTED_ACK_BEFORE_SYNC, "acknowledged before the sync");
    return tap_end();
}
