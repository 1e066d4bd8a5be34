/* SPDX-License-Identifier: Apache-2.0 */
/* Time, chance, what happens next, and the record of what happened. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/heap.h"
#include "sim/sim.h"

#define TRACE_LINES 64
#define TRACE_BYTES 160

struct sim *sim;

static char trace_lines[TRACE_LINES][TRACE_BYTES];
static unsigned trace_next;

void sim_new(const struct sim_options *options)
{
    sim = heap_new(struct sim);
    sim->options = *options;
    rng_init(&sim->rng, options->seed);
    sim->hash = 0xcbf29ce484222325ULL;
    sim->now_us = SECOND_US;
    trace_next = 0;
}

void sim_free(void)
{
    heap_free(sim->queue);
    heap_free(sim);
    sim = NULL;
}

/* ---- The queue ---- */

static bool is_before(const struct sim_item *a, const struct sim_item *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void push(const struct sim_item *item)
{
    size_t i;

    if (sim->queue_count == sim->queue_capacity) {
        sim->queue_capacity = sim->queue_capacity == 0 ? 256 : 2 * sim->queue_capacity;
        sim->queue = heap_grow(sim->queue, sim->queue_capacity * sizeof sim->queue[0]);
    }
    for (i = sim->queue_count++; i > 0; i = (i - 1) / 2) {
        if (!is_before(item, &sim->queue[(i - 1) / 2])) {
            break;
        }
        sim->queue[i] = sim->queue[(i - 1) / 2];
    }
    sim->queue[i] = *item;
}

static struct sim_item pop(void)
{
    struct sim_item first = sim->queue[0];
    struct sim_item last = sim->queue[--sim->queue_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= sim->queue_count) {
            break;
        }
        if (child + 1 < sim->queue_count && is_before(&sim->queue[child + 1], &sim->queue[child])) {
            child++;
        }
        if (!is_before(&sim->queue[child], &last)) {
            break;
        }
        sim->queue[i] = sim->queue[child];
        i = child;
    }
    sim->queue[i] = last;
    return first;
}

void sim_after(enum sim_part part, struct machine *machine, int64_t delay_us, sim_fire_fn fire,
               void *context, uint64_t argument)
{
    struct sim_item item = {
        .at_us = sim->now_us + (delay_us < 0 ? 0 : delay_us),
        .order = sim->order++,
        .fire = fire,
        .context = context,
        .argument = argument,
        .machine = machine,
        .boot = machine == NULL ? 0 : machine->boot,
        .part = part,
    };

    PRE((part == SIM_WORLD) == (machine == NULL));
    push(&item);
}

/* Of a machine: not in its next life, and not while it is paused. */
static bool may_fire(struct sim_item *item)
{
    struct machine *m = item->machine;

    if (m == NULL) {
        return true;
    }
    if (m->boot != item->boot) {
        return false;
    }
    if (m->paused_until_us > sim->now_us) {
        item->at_us = m->paused_until_us;
        item->order = sim->order++;
        push(item);
        return false;
    }
    return true;
}

bool sim_step(void)
{
    struct sim_item item;

    if (sim->queue_count == 0) {
        return false;
    }
    item = pop();
    INVARIANT(item.at_us >= sim->now_us);
    sim->now_us = item.at_us;
    if (!may_fire(&item)) {
        return true;
    }
    sim->steps++;
    if (sim->options.steps_max != 0 && sim->steps > sim->options.steps_max) {
        return false;
    }
    sim->current = item.machine;
    sim_note((uint64_t)item.at_us * 8 + (item.machine == NULL ? 0 : item.machine->id));
    item.fire(item.context, item.argument);
    if (item.part == SIM_LOOP && item.machine->boot == item.boot) {
        machine_turn(item.machine);
    }
    sim->current = NULL;
    return true;
}

void sim_run_until(int64_t until_us)
{
    while (sim->queue_count > 0 && sim->queue[0].at_us <= until_us && sim_step()) {
    }
    if (sim->now_us < until_us && sim->options.steps_max == 0) {
        sim->now_us = until_us;
    }
}

/* ---- Chance and record ---- */

bool sim_chance(unsigned permille)
{
    return permille > 0 && rng_below(&sim->rng, 1000) < permille;
}

int64_t sim_between(int64_t min, int64_t max)
{
    return max <= min ? min : min + (int64_t)rng_below(&sim->rng, (uint64_t)(max - min + 1));
}

void sim_note(uint64_t value)
{
    sim->hash = (sim->hash ^ value) * 0x100000001b3ULL;
    sim->hash ^= sim->hash >> 29;
}

void sim_note_bytes(struct slice bytes)
{
    sim_note(crc_add(0, bytes) + ((uint64_t)bytes.size << 32));
}

void sim_fault(enum fault fault)
{
    sim->faults[fault]++;
}

void sim_trace(const char *format, ...)
{
    char *line = trace_lines[trace_next++ % TRACE_LINES];
    int used = snprintf(line, TRACE_BYTES, "%10.6f ", (double)sim->now_us / SECOND_US);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line + used, TRACE_BYTES - (size_t)used, format, arguments);
    va_end(arguments);
    if (sim->options.is_tracing) {
        printf("%s\n", line);
    }
}

void sim_fail(const char *format, ...)
{
    va_list arguments;
    unsigned count = trace_next < TRACE_LINES ? trace_next : TRACE_LINES;

    fflush(stdout);
    for (unsigned i = trace_next - count; i != trace_next && !sim->options.is_tracing; i++) {
        fprintf(stderr, "# %s\n", trace_lines[i % TRACE_LINES]);
    }
    fprintf(stderr, "# seed %" PRIu64 ", step %" PRIu64 ", %.3f s: ", sim->options.seed, sim->steps,
            (double)sim->now_us / SECOND_US);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n# again: make check-sim SEED=%" PRIu64 " TRACE=1\n", sim->options.seed);
    exit(1);
}
