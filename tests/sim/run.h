/* SPDX-License-Identifier: Apache-2.0 */
/* One run: faults, then healing, then everything must come right; and sums over runs. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim/sim.h"

struct totals {
    uint64_t runs, faults[FAULT_COUNT];
    uint64_t updates_ok, updates_refused, reads_ok, reads_by_lease, replays, elections, restarts,
        steps;
    uint64_t simulated_ms, cpu_ms;
};

/* Runs a seed and adds what happened to `totals`.  Returns the hash of all that happened; a
 * check that fails ends the program. */
uint64_t run_seed(const struct sim_options *options, struct totals *totals);

#endif
