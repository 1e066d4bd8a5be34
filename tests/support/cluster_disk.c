/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual disk: a queue of writes, synced in batches, in order; and logs in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "support/cluster_internal.h"

void sim_log_release(struct sim_log *l)
{
    heap_free(l->entries);
    *l = (struct sim_log){ 0 };
}

raft_index sim_log_last(const struct sim_log *l)
{
    return l->first + l->count - 1;
}

const struct sim_entry *sim_log_at(const struct sim_log *l, raft_index index)
{
    if (index < l->first || index >= l->first + l->count) {
        return NULL;
    }
    return &l->entries[index - l->first];
}

void sim_log_append(struct sim_log *l, const struct sim_entry *e)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity == 0 ? 64 : 2 * l->capacity;
        l->entries = heap_grow(l->entries, l->capacity * sizeof *l->entries);
    }
    l->entries[l->count++] = *e;
}

void sim_log_truncate(struct sim_log *l, raft_index from)
{
    PRE(from >= l->first);
    if (from < l->first + l->count) {
        l->count = from - l->first;
    }
}

void sim_log_trim(struct sim_log *l, raft_index first)
{
    size_t drop;

    if (first <= l->first) {
        return;
    }
    drop = first - l->first < l->count ? first - l->first : l->count;
    if (drop > 0) {
        memmove(l->entries, l->entries + drop, (l->count - drop) * sizeof *l->entries);
    }
    l->count -= drop;
    l->first = first;
}

void sim_log_reset(struct sim_log *l, raft_index first)
{
    l->count = 0;
    l->first = first;
}

void sim_log_copy(struct sim_log *to, const struct sim_log *from)
{
    sim_log_reset(to, from->first);
    for (size_t i = 0; i < from->count; i++) {
        sim_log_append(to, &from->entries[i]);
    }
}

raft_term sim_disk_term_at(const struct sim_disk *d, raft_index index)
{
    const struct sim_entry *e = sim_log_at(&d->log, index);

    if (e != NULL) {
        return e->term;
    }
    return index == d->snapshot.last_index ? d->snapshot.last_term : 0;
}

static void disk_apply(struct sim_disk *d, const struct disk_op *op)
{
    switch (op->type) {
    case DISK_HARD_STATE:
        d->hard_state = op->hard_state;
        d->generation = op->generation;
        break;
    case DISK_TRUNCATE:
        sim_log_truncate(&d->log, op->index);
        break;
    case DISK_APPEND:
        PRE(op->index == sim_log_last(&d->log) + 1);
        sim_log_append(&d->log, &op->entry);
        break;
    case DISK_TRIM:
        sim_log_trim(&d->log, op->index);
        break;
    case DISK_INSTALL:
        d->snapshot = op->snapshot;
        if (op->keeps_suffix) {
            sim_log_trim(&d->log, op->index + 1);
        } else {
            sim_log_reset(&d->log, op->index + 1);
        }
        break;
    }
}

static void disk_drop(struct sim_disk *d, size_t count)
{
    d->op_count -= count;
    memmove(d->ops, d->ops + count, d->op_count * sizeof *d->ops);
}

void sim_disk_queue(struct sim_node *n, const struct disk_op *op)
{
    struct sim_disk *d = &n->disk;

    if (d->op_count == d->op_capacity) {
        d->op_capacity = d->op_capacity == 0 ? 64 : 2 * d->op_capacity;
        d->ops = heap_grow(d->ops, d->op_capacity * sizeof *d->ops);
    }
    d->ops[d->op_count] = *op;
    d->ops[d->op_count++].queued_ms = n->cluster->now_ms;
}

void sim_disk_start(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    struct sim_disk *d = &n->disk;
    time_ms at_ms = c->now_ms;

    if (d->in_flight > 0 || d->op_count == 0) {
        return;
    }
    d->in_flight = d->op_count;
    if (d->stalled_until_ms > at_ms) {
        at_ms = d->stalled_until_ms;
    }
    at_ms += sim_between(c, c->options.disk_min_ms, c->options.disk_max_ms);
    sim_push(c, (struct sim_event){
                    .at_ms = at_ms, .type = SIM_DISK_DONE, .node = n->id, .boot = n->boot });
}

/* The batch is on disk; the node hears of it a little later, in order. */
void sim_disk_done(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    struct sim_disk *d = &n->disk;
    time_ms report_ms = c->now_ms + sim_between(c, 0, c->options.report_max_ms);
    raft_index last;

    if (report_ms < d->report_ms) {
        report_ms = d->report_ms;
    }
    d->report_ms = report_ms;
    for (size_t i = 0; i < d->in_flight; i++) {
        disk_apply(d, &d->ops[i]);
        if (d->ops[i].type == DISK_INSTALL) {
            sim_push(c, (struct sim_event){ .at_ms = report_ms,
                                            .type = SIM_INSTALLED,
                                            .node = n->id,
                                            .boot = n->boot,
                                            .flag = d->ops[i].keeps_suffix,
                                            .snapshot = d->ops[i].snapshot });
        }
    }
    disk_drop(d, d->in_flight);
    d->in_flight = 0;
    last = sim_log_last(&d->log);
    sim_push(c, (struct sim_event){ .at_ms = report_ms,
                                    .type = SIM_REPORT,
                                    .node = n->id,
                                    .boot = n->boot,
                                    .generation = d->generation,
                                    .term = sim_disk_term_at(d, last),
                                    .index = sim_disk_term_at(d, last) == 0 ? 0 : last });
    sim_disk_start(n);
}

/* A part of what was not synced may be on disk all the same, always a first part. */
void sim_disk_crash(struct sim_node *n, bool may_keep)
{
    struct sim_disk *d = &n->disk;
    size_t keep = 0;

    if (may_keep && d->op_count > 0) {
        keep = rng_below(&n->cluster->rng, d->op_count + 1);
    }
    for (size_t i = 0; i < keep; i++) {
        disk_apply(d, &d->ops[i]);
    }
    d->op_count = 0;
    d->in_flight = 0;
    d->generation = 0;
    d->report_ms = 0;
}
