/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting the front of the log: copied on the worker, finished by the writer, and the old files
 * closed on the worker again, as freeing their space takes a while.
 */
#include <inttypes.h>

#include "base/heap.h"
#include "base/limits.h"
#include "node/node_internal.h"
#include "node/worker.h"
#include "sys/clock.h"

#define COMPACTION_REST_US_MAX 50000

struct compacting {
    struct node *node;
    raft_index first_index;
    const struct worker *worker;
    int64_t resumed_us; /* when the piece in hand was begun */
    struct storage_compaction *compaction;
    enum rk_status status;
    struct errmsg why;
};

/* Never beyond the older of the two snapshots kept, and with a tail for slow followers.  Short
 * of space the newest one has to do. */
raft_index compaction_index(const struct node *n)
{
    const struct snapshots *s = &n->snapshots;
    raft_index limit = raft_compaction_limit(n->raft);
    raft_index tail = s->last_index > n->options.trailing_entries
                          ? s->last_index - n->options.trailing_entries
                          : 0;

    if (!storage_is_short_of_space(n->storage)) {
        tail = tail < s->older_index ? tail : s->older_index;
    }
    return (tail < limit ? tail : limit) + 1;
}

/* Between two pieces: the disk is left to the log for as long as the last one took. */
static bool rest(void *context)
{
    struct compacting *c = context;
    int64_t took_us = clock_monotonic_us() - c->resumed_us;

    worker_rest(c->worker, took_us < COMPACTION_REST_US_MAX ? took_us : COMPACTION_REST_US_MAX);
    c->resumed_us = clock_monotonic_us();
    return worker_should_stop(c->worker);
}

static void copying_run(void *job, const struct worker *w)
{
    struct compacting *c = job;

    c->status = storage_compaction_begin(c->node->storage, c->first_index, &c->compaction, &c->why);
    if (c->status == RK_OK) {
        c->worker = w;
        c->resumed_us = clock_monotonic_us();
        c->status = storage_compaction_copy(c->compaction, rest, c, &c->why);
    }
}

static void note_refused(struct node *n, const struct errmsg *why)
{
    node_log(n, NODE_LOG_WARN, "the log was not cut: %s", why->text);
}

static void copying_done(void *job)
{
    struct compacting *c = job;
    struct node *n = c->node;

    n->snapshots.compaction = c->compaction;
    n->snapshots.is_compacting = false;
    if (c->status == RK_OK && !n->is_stopped) {
        n->snapshots.is_compacting = true;
        writer_compact(n->writer, c->compaction);
        n->has_more = true;
    } else {
        if (c->status == RK_NOSPACE || c->status == RK_NOT_FOUND) {
            note_refused(n, &c->why);
        } else if (c->status != RK_OK && c->status != RK_STOPPED) {
            node_halt_on_disk(n, c->status, "copy the log to cut it", &c->why);
        }
        compaction_release(n);
    }
    heap_free(c);
}

void compaction_start(struct node *n)
{
    struct compacting *c;

    if (n->snapshots.is_compacting || n->snapshots.is_installing ||
        compaction_index(n) <= n->log_first_index) {
        return;
    }
    c = heap_new(struct compacting);
    c->node = n;
    c->first_index = compaction_index(n);
    n->snapshots.is_compacting = true;
    n->snapshots.compaction_ms = clock_monotonic_ms();
    if (storage_is_short_of_space(n->storage)) {
        writer_release_reserve(n->writer); /* should it come too late, the next attempt has it */
    }
    worker_submit(n->worker, copying_run, copying_done, c);
}

/* Space is short: what a snapshot has already can go, though none is taken now. */
void compaction_turn(struct node *n)
{
    if (storage_is_short_of_space(n->storage) && !n->snapshots.is_taking &&
        clock_monotonic_ms() - n->snapshots.compaction_ms >= SHORT_SNAPSHOT_INTERVAL_MS) {
        compaction_start(n);
    }
}

struct closing {
    struct storage_compaction *compaction;
    const struct worker *worker;
};

#define SHRINK_REST_US 10000

static bool rest_shrinking(void *context)
{
    const struct closing *c = context;

    worker_rest(c->worker, SHRINK_REST_US);
    return worker_should_stop(c->worker);
}

static void closing_run(void *job, const struct worker *w)
{
    struct closing *c = job;

    c->worker = w;
    storage_compaction_shrink(c->compaction, rest_shrinking, c);
    storage_compaction_free(c->compaction);
    c->compaction = NULL;
}

static void closing_done(void *job)
{
    struct closing *c = job;

    storage_compaction_free(c->compaction); /* of a node that closed before it was run */
    heap_free(c);
}

void compaction_finished(struct node *n, const struct writer_report *report)
{
    n->snapshots.is_compacting = false;
    if (report->compaction_why.text[0] != '\0') {
        note_refused(n, &report->compaction_why);
    }
    if (n->snapshots.compaction != NULL) {
        struct closing *c = heap_new(struct closing);

        c->compaction = n->snapshots.compaction;
        n->snapshots.compaction = NULL;
        worker_submit(n->worker, closing_run, closing_done, c);
    }
}

void compaction_release(struct node *n)
{
    storage_compaction_free(n->snapshots.compaction);
    n->snapshots.compaction = NULL;
}
