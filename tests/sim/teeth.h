/* SPDX-License-Identifier: Apache-2.0 */
/* Bugs of history, one at a time, and whether the simulator finds them [base/teeth.h]. */
#ifndef SIM_TEETH_H
#define SIM_TEETH_H

#include "sim/sim.h"

#define JOBS_MAX 64

struct teeth_options {
    uint64_t first;   /* seed */
    double budget_s;  /* of real time, for each tooth */
    unsigned jobs;    /* processes */
    unsigned least;   /* so many must be found; 0 = all that are tried */
    const char *only; /* NULL = all */
};

/*
 * Runs seeds with each tooth until a check fails, and prints the table.  A seed that failed
 * must fail again in the same way, and hold without the tooth.  The exit status of the
 * program: 0 when each was found, 1 when not, 2 when this build has no teeth.
 */
int teeth_run(const struct teeth_options *options);

/* Draws the swarm towards what shows the tooth that bites. */
void teeth_aim(struct swarm *s);

double real_s(void);

#endif
