/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of sys/clock.c, sys/entropy.c and the door to the file system. */
#include "sys/clock.h"

#include "base/assert.h"
#include "sim/sim.h"
#include "sys/entropy.h"

#define WALL_START_MS INT64_C(1800000000000)

int64_t clock_local_us(const struct machine *m)
{
    int64_t passed_us = sim->now_us - m->clock_since_us;

    return m->clock_base_us + passed_us + passed_us * m->clock_ppm / 1000000;
}

int64_t clock_span_us(const struct machine *m, int64_t local_us)
{
    return local_us - local_us * m->clock_ppm / 1000000;
}

void clock_set_drift(struct machine *m, int64_t ppm)
{
    m->clock_base_us = clock_local_us(m);
    m->clock_since_us = sim->now_us;
    m->clock_ppm = ppm;
}

int64_t clock_monotonic_us(void)
{
    INVARIANT(sim->current != NULL);
    return clock_local_us(sim->current) + clock_thread_ahead_us();
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_steady_ms(void)
{
    return clock_monotonic_ms(); /* its machine never sleeps */
}

int64_t clock_wall_ms(void)
{
    INVARIANT(sim->current != NULL);
    return WALL_START_MS + sim->now_us / 1000 + sim->current->wall_offset_ms;
}

void entropy_fill(void *data, size_t size)
{
    uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)rng_next(&sim->rng);
    }
}

uint64_t entropy_u64(void)
{
    return rng_next(&sim->rng) | 1;
}

struct fs *fs_posix(void)
{
    INVARIANT(sim->current != NULL);
    return &sim->current->disk.fs;
}
