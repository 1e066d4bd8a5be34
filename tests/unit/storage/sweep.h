/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stops the life of script.c at its calls of the file table - before, after, in the middle of a
 * write - lets the process or the machine die, opens again and compares with what was promised.
 */
#ifndef TESTS_STORAGE_SWEEP_H
#define TESTS_STORAGE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/* A bug put in, which the sweep must find. */
enum planted {
    PLANTED_NONE,
    PLANTED_NO_DATASYNC,
    PLANTED_NO_SYNC_DIR,
    PLANTED_ACK_BEFORE_SYNC,
};

struct sweep_plan {
    enum planted planted;
    bool can_allocate;
    uint64_t stride;       /* each how manyth call */
    bool is_first_enough;  /* ends with the first bad restart */
    unsigned drawn_deaths; /* power cuts that keep a drawn part, per place; beside the two others */
};

struct sweep_outcome {
    uint64_t calls;
    uint64_t restarts;
    uint64_t bad;
    char first_bad[256];
};

void sweep_run(const struct sweep_plan *plan, struct sweep_outcome *o);

/* Lives once without a fault.  NULL, or what went wrong all the same (static storage). */
const char *sweep_count_calls(bool can_allocate, uint64_t *ret_calls);

#endif
