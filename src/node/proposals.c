/* SPDX-License-Identifier: Apache-2.0 */
#include "node/proposals.h"

#include "base/assert.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sys/clock.h"

/* ---- Queues ---- */

static void queue_release(struct proposal_queue *q)
{
    buffer_release(&q->bytes);
    heap_free(q->offsets);
    heap_free(q->items);
    *q = (struct proposal_queue){ 0 };
}

static void queue_clear(struct proposal_queue *q)
{
    buffer_clear(&q->bytes);
    q->count = 0;
}

static void queue_add(struct proposal_queue *q, struct slice command, const struct proposal *item)
{
    static const uint8_t room[ENTRY_HEADER_BYTES];

    if (q->count == q->capacity) {
        q->capacity = q->capacity == 0 ? 64 : 2 * q->capacity;
        q->offsets = heap_grow(q->offsets, q->capacity * sizeof q->offsets[0]);
        q->items = heap_grow(q->items, q->capacity * sizeof q->items[0]);
    }
    q->offsets[q->count] = q->bytes.size;
    q->items[q->count] = *item;
    q->count++;
    buffer_put(&q->bytes, room, sizeof room);
    buffer_put_slice(&q->bytes, command);
}

static struct slice queue_command(const struct proposal_queue *q, size_t i)
{
    size_t start = q->offsets[i] + ENTRY_HEADER_BYTES;
    size_t end = i + 1 < q->count ? q->offsets[i + 1] : q->bytes.size;

    return slice_of(q->bytes.data + start, end - start);
}

/* Moves everything of `from` behind what `to` holds. */
static void queue_append(struct proposal_queue *to, struct proposal_queue *from)
{
    for (size_t i = 0; i < from->count; i++) {
        queue_add(to, queue_command(from, i), &from->items[i]);
    }
    queue_release(from);
}

/* Takes the first `count` commands out. */
static struct proposal_queue queue_take(struct proposal_queue *q, size_t count)
{
    struct proposal_queue taken = { 0 };
    struct proposal_queue rest = { 0 };

    PRE(count <= q->count);
    if (count == q->count) {
        taken = *q;
        *q = rest;
        return taken;
    }
    for (size_t i = 0; i < q->count; i++) {
        queue_add(i < count ? &taken : &rest, queue_command(q, i), &q->items[i]);
    }
    queue_release(q);
    *q = rest;
    return taken;
}

static void proposal_fail(struct node *n, const struct proposal *proposal, enum rk_status status)
{
    n->proposals.failed_total++;
    if (proposal->done != NULL) {
        proposal->done(proposal->context, status, 0, NULL);
    }
}

/* Callbacks may propose anew, so the failing queue is taken out first. */
static void queue_fail(struct node *n, struct proposal_queue *q, enum rk_status status)
{
    struct proposal_queue failing = *q;

    *q = (struct proposal_queue){ 0 };
    for (size_t i = 0; i < failing.count; i++) {
        proposal_fail(n, &failing.items[i], status);
    }
    queue_release(&failing);
}

void proposals_release(struct proposals *p)
{
    queue_release(&p->queue);
    queue_release(&p->remote);
    heap_free(p->runs);
    heap_free(p->pending);
    while (p->forwards != NULL) {
        struct forward *f = p->forwards;

        p->forwards = f->next;
        queue_release(&f->commands);
        heap_free(f);
    }
}

size_t proposals_waiting(const struct proposals *p)
{
    size_t count = p->queue.count + p->pending_count;

    for (const struct forward *f = p->forwards; f != NULL; f = f->next) {
        count += f->commands.count;
    }
    return count;
}

static bool is_full(const struct proposals *p, const struct proposal_queue *q, size_t bytes)
{
    return p->queue.count + p->pending_count >= PROPOSALS_PENDING_MAX ||
           q->bytes.size + bytes > UNCOMMITTED_BYTES_MAX;
}

enum rk_status proposals_add(struct proposals *p, struct slice command, node_proposed_fn done,
                             void *context)
{
    struct proposal item = { done, context, clock_monotonic_us() };

    if (is_full(p, &p->queue, command.size)) {
        return RK_OVERLOADED;
    }
    queue_add(&p->queue, command, &item);
    p->total++;
    return RK_OK;
}

/* The first thing that is wrong with any of them. */
static enum rk_status judge_forwarded(const struct node *n, struct slice commands)
{
    enum rk_status status = RK_OK;
    struct slice command;

    while (status == RK_OK && command_next_string(&commands, &command)) {
        status = node_judge_command(n, command);
    }
    return status;
}

enum rk_status proposals_add_forwarded(struct node *n, node_id peer, uint64_t first_token,
                                       uint32_t count, struct slice commands)
{
    static const struct proposal nobody;
    struct proposals *p = &n->proposals;
    enum rk_status status = is_full(p, &p->remote, commands.size) ? RK_OVERLOADED
                                                                  : judge_forwarded(n, commands);
    struct slice command;

    if (status == RK_PROTOCOL) {
        return status;
    }
    if (p->run_count == p->run_capacity) {
        p->run_capacity = p->run_capacity == 0 ? 16 : 2 * p->run_capacity;
        p->runs = heap_grow(p->runs, p->run_capacity * sizeof p->runs[0]);
    }
    p->runs[p->run_count++] = (struct forwarded_run){ peer, first_token, count, status };
    while (status == RK_OK && command_next_string(&commands, &command)) {
        queue_add(&p->remote, command, &nobody);
    }
    return RK_OK;
}

/* ---- Pending, by index ---- */

static struct pending_proposal *pending_at(struct proposals *p, size_t i)
{
    return &p->pending[(p->pending_head + i) % p->pending_capacity];
}

static void pending_grow(struct proposals *p)
{
    size_t capacity = p->pending_capacity == 0 ? 256 : 2 * p->pending_capacity;
    struct pending_proposal *pending = heap_alloc(capacity * sizeof pending[0]);

    for (size_t i = 0; i < p->pending_count; i++) {
        pending[i] = *pending_at(p, i);
    }
    heap_free(p->pending);
    p->pending = pending;
    p->pending_capacity = capacity;
    p->pending_head = 0;
}

/*
 * A newer leader appended at this index: an entry of an older term that was to have it, or a
 * later one, is not in that leader's log, so it was not committed and never will be
 * [paper 5.4.3].
 */
static void pending_drop_overwritten(struct node *n, raft_index from)
{
    struct proposals *p = &n->proposals;

    while (p->pending_count > 0 && pending_at(p, p->pending_count - 1)->index >= from) {
        struct pending_proposal lost = *pending_at(p, p->pending_count - 1);

        p->pending_count--;
        proposal_fail(n, &lost.proposal, RK_NOLEADER);
    }
}

static void pending_add(struct node *n, const struct proposal_queue *q, raft_term term,
                        raft_index first_index)
{
    struct proposals *p = &n->proposals;

    pending_drop_overwritten(n, first_index);
    for (size_t i = 0; i < q->count; i++) {
        if (p->pending_count == p->pending_capacity) {
            pending_grow(p);
        }
        p->pending_count++;
        *pending_at(p, p->pending_count - 1) = (struct pending_proposal){ first_index + i, term,
                                                                          q->items[i] };
    }
}

static struct pending_proposal pending_take_first(struct proposals *p)
{
    struct pending_proposal first = *pending_at(p, 0);

    p->pending_head = (p->pending_head + 1) % p->pending_capacity;
    p->pending_count--;
    return first;
}

/* ---- Leader: submit ---- */

/* To all runs of this turn; those that were refused are told why. */
static void reply_forwarded(struct node *n, enum rk_status status, raft_term term,
                            raft_index first_index)
{
    struct proposals *p = &n->proposals;

    for (size_t i = 0; i < p->run_count; i++) {
        bool is_refused = p->runs[i].refused != RK_OK;
        struct forward_reply reply = {
            .first_token = p->runs[i].first_token,
            .count = p->runs[i].count,
            .status = is_refused ? p->runs[i].refused : status,
            .term = is_refused ? 0 : term,
            .first_index = is_refused ? 0 : first_index,
        };
        struct buffer *out = transport_output(n->transport, p->runs[i].peer);

        if (out != NULL) {
            size_t start = frame_begin(out, FRAME_FORWARD_REPLY);

            forward_reply_encode(out, &reply);
            frame_end(out, start);
        }
        first_index += is_refused ? 0 : p->runs[i].count;
    }
    p->run_count = 0;
}

static void stamp(struct node *n, struct proposal_queue *q)
{
    int64_t wall_ms = clock_wall_ms();
    int64_t cluster_ms = node_cluster_ms(n);

    for (size_t i = 0; i < q->count; i++) {
        struct slice command = queue_command(q, i);

        command_stamp(q->bytes.data + (command.data - q->bytes.data), command.size, wall_ms,
                      cluster_ms);
    }
}

struct batch *proposals_seal(struct node *n, raft_term term, raft_index first_index)
{
    struct proposals *p = &n->proposals;
    struct proposal_queue *q = n->submitting;
    struct batch *b;

    PRE(q != NULL && q->count > 0);
    b = batch_seal(&q->bytes, q->offsets, q->count, term, first_index);
    if (q == &p->remote) {
        reply_forwarded(n, RK_OK, term, first_index);
    } else {
        pending_add(n, q, term, first_index);
    }
    queue_clear(q);
    return b;
}

static void submit(struct node *n, struct proposal_queue *q)
{
    struct raft_event event = driver_event(n, RAFT_SUBMIT);

    if (q->count == 0) {
        return;
    }
    stamp(n, q);
    event.u.submit.count = (uint32_t)q->count;
    event.u.submit.bytes = q->bytes.size;
    n->submitting = q;
    driver_step(n, &event);
    n->submitting = NULL;
    if (q->count == 0 || n->effects.submit_status == RK_NOLEADER) {
        return; /* sealed; or leadership was lost in this very step: held or forwarded next turn */
    }
    if (q == &n->proposals.remote) {
        reply_forwarded(n, n->effects.submit_status, 0, 0);
        queue_clear(q);
    } else {
        queue_fail(n, q, n->effects.submit_status);
    }
}

/* ---- Follower: forward ---- */

#define FORWARD_BYTES_MAX (4 * MIB)

/* How many commands from the front of the queue one frame takes; at least one. */
static size_t forward_count(const struct proposal_queue *q)
{
    size_t count = 1;

    while (count < q->count && q->offsets[count] < FORWARD_BYTES_MAX) {
        count++;
    }
    return count;
}

static void send_forward(struct buffer *out, const struct forward *f)
{
    size_t start = frame_begin(out, FRAME_FORWARD);

    forward_begin(out, f->first_token, (uint32_t)f->commands.count);
    for (size_t i = 0; i < f->commands.count; i++) {
        buffer_put_string(out, queue_command(&f->commands, i));
    }
    frame_end(out, start);
}

static void forward_queue(struct node *n, node_id leader)
{
    struct proposals *p = &n->proposals;
    struct forward **end = &p->forwards;

    while (*end != NULL) {
        end = &(*end)->next;
    }
    while (p->queue.count > 0) {
        struct buffer *out = transport_output(n->transport, leader);
        struct forward *f;

        if (out == NULL) {
            return; /* held until it is connected or another leads */
        }
        f = heap_new(struct forward);
        f->leader = leader;
        f->first_token = p->next_token;
        f->commands = queue_take(&p->queue, forward_count(&p->queue));
        p->next_token += f->commands.count;
        p->forwards_total += f->commands.count;
        send_forward(out, f);
        *end = f;
        end = &f->next;
    }
}

/*
 * Forwards that came back go to the front of the queue, in order, but only once none is
 * unanswered: what was proposed first must not be overtaken.  True when none is left.
 */
static bool take_back_forwards(struct proposals *p)
{
    struct proposal_queue front = { 0 };

    for (const struct forward *f = p->forwards; f != NULL; f = f->next) {
        if (!f->is_returned) {
            return false;
        }
    }
    while (p->forwards != NULL) {
        struct forward *f = p->forwards;

        p->forwards = f->next;
        queue_append(&front, &f->commands);
        heap_free(f);
    }
    if (front.count > 0) {
        queue_append(&front, &p->queue);
        p->queue = front;
    }
    return true;
}

static bool has_returned(const struct proposals *p)
{
    return p->forwards != NULL && p->forwards->is_returned;
}

void proposals_turn(struct node *n)
{
    struct proposals *p = &n->proposals;
    bool may_go = true;

    if (p->queue.count == 0 && p->run_count == 0 && p->forwards == NULL) {
        return;
    }
    if (raft_role_of(n->raft) == RAFT_LEADER) {
        if (p->remote.count == 0) {
            reply_forwarded(n, RK_OK, 0, 0); /* all of them were refused, if there are any */
        }
        submit(n, &p->remote);
        if (take_back_forwards(p)) {
            submit(n, &p->queue);
        }
        return;
    }
    reply_forwarded(n, RK_NOLEADER, 0, 0);
    queue_clear(&p->remote);
    if (has_returned(p)) {
        may_go = take_back_forwards(p);
    }
    if (may_go && raft_leader(n->raft) != 0) {
        forward_queue(n, raft_leader(n->raft));
    }
}

/* Replies come in the order of the forwards; one that does not match is the peer's error. */
void proposals_forward_replied(struct node *n, node_id peer, const struct forward_reply *reply)
{
    struct forward **link = &n->proposals.forwards;
    struct forward *f;

    while (*link != NULL && (*link)->is_returned) {
        link = &(*link)->next;
    }
    f = *link;
    if (f == NULL || f->leader != peer || f->first_token != reply->first_token ||
        f->commands.count != reply->count) {
        return;
    }
    if (reply->status == RK_NOLEADER) {
        f->is_returned = true;
        return;
    }
    *link = f->next;
    if (reply->status != RK_OK) {
        queue_fail(n, &f->commands, reply->status);
    } else if (reply->first_index <= refdb_applied_index(n->refdb)) {
        queue_fail(n, &f->commands, RK_UNKNOWN);
    } else {
        pending_add(n, &f->commands, reply->term, reply->first_index);
    }
    queue_release(&f->commands);
    heap_free(f);
}

/* Forwards to that leader (or to any other) will not be answered, or not in their order. */
static void fail_forwards(struct node *n, node_id leader, bool is_same)
{
    struct proposals *p = &n->proposals;
    struct forward **link = &p->forwards;

    while (*link != NULL) {
        struct forward *f = *link;

        if ((f->leader == leader) != is_same || f->is_returned) {
            link = &f->next;
            continue;
        }
        *link = f->next;
        queue_fail(n, &f->commands, RK_UNKNOWN);
        heap_free(f);
        link = &p->forwards; /* callbacks may have changed the list */
    }
}

void proposals_peer_lost(struct node *n, node_id peer)
{
    fail_forwards(n, peer, true);
}

void proposals_led_by(struct node *n, node_id leader)
{
    fail_forwards(n, leader, false);
}

/* ---- Outcomes ---- */

void proposals_applied(struct node *n, raft_index index, raft_term term,
                       const struct refdb_result *result)
{
    struct proposals *p = &n->proposals;

    while (p->pending_count > 0 && pending_at(p, 0)->index <= index) {
        struct pending_proposal first = pending_take_first(p);

        if (first.index < index) {
            proposal_fail(n, &first.proposal, RK_UNKNOWN);
        } else if (first.term != term) {
            proposal_fail(n, &first.proposal, RK_NOLEADER);
        } else {
            node_count_commit(n, clock_monotonic_us() - first.proposal.started_us);
            if (first.proposal.done != NULL) {
                first.proposal.done(first.proposal.context, RK_OK, term, result);
            }
        }
    }
}

void proposals_skipped(struct node *n, raft_index index)
{
    struct proposals *p = &n->proposals;

    while (p->pending_count > 0 && pending_at(p, 0)->index <= index) {
        struct pending_proposal first = pending_take_first(p);

        proposal_fail(n, &first.proposal, RK_UNKNOWN);
    }
}

static void expire_forwards(struct node *n, int64_t before_us)
{
    for (struct forward *f = n->proposals.forwards; f != NULL; f = f->next) {
        for (size_t i = 0; i < f->commands.count; i++) {
            struct proposal late = f->commands.items[i];

            if (late.started_us >= before_us) {
                return;
            }
            f->commands.items[i].done = NULL;
            if (late.done != NULL) {
                proposal_fail(n, &late, RK_UNKNOWN);
            }
        }
    }
}

void proposals_expire(struct node *n)
{
    struct proposals *p = &n->proposals;
    int64_t before_us = clock_monotonic_us() - n->options.proposal_timeout_ms * 1000;
    size_t late_count = 0;

    for (size_t i = 0; i < p->pending_count; i++) {
        struct proposal late = pending_at(p, i)->proposal;

        if (late.started_us >= before_us) {
            break;
        }
        pending_at(p, i)->proposal.done = NULL;
        if (late.done != NULL) {
            proposal_fail(n, &late, RK_UNKNOWN);
        }
    }
    expire_forwards(n, before_us);
    while (late_count < p->queue.count && p->queue.items[late_count].started_us < before_us) {
        late_count++;
    }
    if (late_count > 0) {
        struct proposal_queue late = queue_take(&p->queue, late_count);

        queue_fail(n, &late, RK_NOLEADER);
    }
}

void proposals_refuse(struct node *n)
{
    queue_fail(n, &n->proposals.queue, RK_NOMEMBER);
    proposals_skipped(n, UINT64_MAX);
}

void proposals_abandon(struct node *n)
{
    struct proposals *p = &n->proposals;

    queue_fail(n, &p->queue, RK_STOPPED);
    while (p->forwards != NULL) {
        struct forward *f = p->forwards;

        p->forwards = f->next;
        queue_fail(n, &f->commands, f->is_returned ? RK_STOPPED : RK_UNKNOWN);
        heap_free(f);
    }
    proposals_skipped(n, UINT64_MAX);
}
