/* SPDX-License-Identifier: Apache-2.0 */
#include "node/reads.h"

#include "base/assert.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sys/clock.h"

#define ASK_AGAIN_MS 10

static void list_release(struct read_list *l)
{
    heap_free(l->items);
    *l = (struct read_list){ 0 };
}

static void list_add(struct read_list *l, const struct waiting_read *read)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity == 0 ? 64 : 2 * l->capacity;
        l->items = heap_grow(l->items, l->capacity * sizeof l->items[0]);
    }
    l->items[l->count++] = *read;
}

/* Callbacks may read anew, so the list is taken out before it is answered. */
static void list_answer(struct read_list *l, enum rk_status status)
{
    struct read_list answering = *l;

    *l = (struct read_list){ 0 };
    for (size_t i = 0; i < answering.count; i++) {
        answering.items[i].done(answering.items[i].context, status);
    }
    if (l->items == NULL) {
        answering.count = 0;
        *l = answering; /* keep the memory */
    } else {
        list_release(&answering);
    }
}

static struct read_batch *batch_at(struct reads *r, size_t i)
{
    return &r->batches[(r->head + i) % r->capacity];
}

void node_reads_release(struct reads *r)
{
    list_release(&r->now);
    list_release(&r->waiting);
    list_release(&r->asking);
    for (size_t i = 0; i < r->capacity; i++) {
        list_release(&r->batches[i].reads);
    }
    heap_free(r->batches);
}

enum rk_status node_reads_add(struct node *n, enum node_consistency consistency,
                              raft_index min_index, node_readable_fn done, void *context)
{
    struct reads *r = &n->reads;
    struct waiting_read read = { done, context, min_index, clock_monotonic_ms() };

    if (r->asking.count + r->waiting.count >= READS_PENDING_MAX ||
        r->count >= READS_PENDING_MAX / 64) {
        return RK_OVERLOADED;
    }
    if (consistency == NODE_STALE ||
        (consistency == NODE_MIN_INDEX && min_index <= refdb_applied_index(n->refdb))) {
        list_add(&r->now, &read);
    } else if (consistency == NODE_MIN_INDEX) {
        list_add(&r->waiting, &read);
    } else {
        list_add(&r->asking, &read);
    }
    return RK_OK;
}

static void batches_grow(struct reads *r)
{
    size_t capacity = r->capacity == 0 ? 16 : 2 * r->capacity;
    struct read_batch *batches = heap_zalloc(capacity * sizeof batches[0]);

    /* The free slots go along: they own memory for reuse. */
    for (size_t i = 0; i < r->capacity; i++) {
        batches[i] = *batch_at(r, i);
    }
    heap_free(r->batches);
    r->batches = batches;
    r->capacity = capacity;
    r->head = 0;
}

void node_reads_turn(struct node *n)
{
    struct reads *r = &n->reads;
    struct raft_event event = driver_event(n, RAFT_READ);
    struct read_batch *b;
    struct read_list spare;

    if (r->asking.count == 0 || clock_monotonic_ms() < r->ask_again_ms ||
        raft_leader(n->raft) == 0) {
        return;
    }
    if (r->count == r->capacity) {
        batches_grow(r);
    }
    b = batch_at(r, r->count++);
    spare = b->reads;
    spare.count = 0;
    *b = (struct read_batch){ .token = ++r->next_token, .reads = r->asking };
    r->asking = spare;
    event.u.read.token = b->token;
    driver_step(n, &event);
}

/* Answered batches leave from the front, where the oldest is; the ring keeps their memory. */
static void drop_empty_batches(struct reads *r)
{
    while (r->count > 0 && batch_at(r, 0)->reads.count == 0) {
        r->head = (r->head + 1) % r->capacity;
        r->count--;
    }
}

void node_reads_answered(struct node *n, const struct raft_read *read)
{
    struct reads *r = &n->reads;

    for (size_t i = 0; i < r->count; i++) {
        struct read_batch *b = batch_at(r, i);

        if (b->token != read->token) {
            continue;
        }
        if (read->status == RK_OK) {
            b->is_confirmed = true;
            b->read_index = read->read_index;
            return;
        }
        for (size_t k = 0; k < b->reads.count; k++) {
            list_add(&r->asking, &b->reads.items[k]);
        }
        b->reads.count = 0;
        r->ask_again_ms = clock_monotonic_ms() + ASK_AGAIN_MS;
        drop_empty_batches(r);
        return;
    }
}

static void deliver_waiting(struct node *n, raft_index applied)
{
    struct reads *r = &n->reads;
    size_t kept = 0;

    for (size_t i = 0; i < r->waiting.count; i++) {
        if (r->waiting.items[i].min_index <= applied) {
            list_add(&r->now, &r->waiting.items[i]);
        } else {
            r->waiting.items[kept++] = r->waiting.items[i];
        }
    }
    r->waiting.count = kept;
}

void node_reads_deliver(struct node *n)
{
    struct reads *r = &n->reads;
    raft_index applied = refdb_applied_index(n->refdb);

    deliver_waiting(n, applied);
    list_answer(&r->now, RK_OK);
    for (size_t i = 0; i < r->count; i++) {
        struct read_batch *b = batch_at(r, i);

        if (b->is_confirmed && b->read_index <= applied) {
            list_answer(&b->reads, RK_OK);
        }
    }
    drop_empty_batches(r);
}

static void list_expire(struct read_list *l, time_ms before_ms, struct read_list *late)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].started_ms < before_ms) {
            list_add(late, &l->items[i]);
        } else {
            l->items[kept++] = l->items[i];
        }
    }
    l->count = kept;
}

void node_reads_expire(struct node *n)
{
    struct reads *r = &n->reads;
    time_ms patience_ms = node_is_out(n) || digests_is_quarantined(n) ? 0
                                                                      : n->options.read_timeout_ms;
    time_ms before_ms = clock_monotonic_ms() - patience_ms;
    struct read_list behind = { 0 };
    struct read_list unconfirmed = { 0 };

    list_expire(&r->waiting, before_ms, &behind);
    list_expire(&r->asking, before_ms, &unconfirmed);
    for (size_t i = 0; i < r->count; i++) {
        list_expire(&batch_at(r, i)->reads, before_ms, &unconfirmed);
    }
    drop_empty_batches(r);
    list_answer(&behind, RK_BEHIND);
    list_answer(&unconfirmed, node_is_out(n) ? RK_NOMEMBER : RK_NOLEADER);
    list_release(&behind);
    list_release(&unconfirmed);
}

void node_reads_abandon(struct node *n)
{
    struct reads *r = &n->reads;

    list_answer(&r->now, RK_STOPPED);
    list_answer(&r->waiting, RK_STOPPED);
    list_answer(&r->asking, RK_STOPPED);
    for (size_t i = 0; i < r->count; i++) {
        list_answer(&batch_at(r, i)->reads, RK_STOPPED);
    }
    r->count = 0;
}
