/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_node.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"

struct node *fake_node_new(struct event_base *base)
{
    struct node *n = heap_new(struct node);

    n->base = base;
    n->refdb = refdb_new();
    n->events = events_new(EVENTS_BYTES_DEFAULT);
    n->replicas = replicas_new();
    n->now_ms = 1000;
    n->status.name = "n1";
    n->status.id = 1;
    n->status.raft.role = RAFT_LEADER;
    n->status.raft.current_term = 1;
    n->status.raft.leader = 1;
    n->status.is_ready = true;
    n->members.count = 1;
    n->members.members[0].id = 1;
    n->members.members[0].flags = MEMBER_VOTER | MEMBER_VOTER_OLD;
    memcpy(n->members.members[0].name, "n1", 3);
    return n;
}

static void end_reads(struct node *n, enum rk_status status)
{
    struct fake_read *reads = n->reads;
    size_t count = n->read_count;

    n->reads = NULL;
    n->read_count = n->read_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        reads[i].done(reads[i].context, status);
    }
    heap_free(reads);
}

void fake_node_end_write(struct node *n, size_t i, enum rk_status status)
{
    struct fake_proposal *p = &n->proposals[i];
    node_proposed_fn done = p->done;
    struct refdb_result result;
    struct entry entry;

    PRE(i < n->proposal_count);
    if (done == NULL) {
        return;
    }
    p->done = NULL;
    if (status == RK_OK) {
        command_stamp(p->command.data, p->command.size, 1700000000000, 1000);
        entry = (struct entry){ .term = 1, .index = ++n->last_index };
        entry.command = buffer_slice(&p->command);
        INVARIANT(refdb_apply(n->refdb, &entry, &result) == RK_OK);
        events_add(n->events, 1, &result);
        done(p->context, RK_OK, 1, &result);
    } else {
        done(p->context, status, 0, NULL);
    }
}

static void end_writes(struct node *n, enum rk_status status)
{
    struct fake_proposal *proposals = n->proposals;
    size_t count = n->proposal_count;

    for (size_t i = 0; i < count; i++) {
        fake_node_end_write(n, i, status);
    }
    PRE(n->proposals == proposals && n->proposal_count == count); /* nothing proposes here */
    for (size_t i = 0; i < count; i++) {
        buffer_release(&proposals[i].command);
    }
    n->proposal_count = 0;
}

void fake_node_free(struct node *n)
{
    end_writes(n, RK_STOPPED);
    end_reads(n, RK_STOPPED);
    heap_free(n->proposals);
    refdb_free(n->refdb);
    events_free(n->events);
    replicas_free(n->replicas);
    heap_free(n);
}

void fake_node_turn(struct node *n)
{
    event_base_loop(n->base, EVLOOP_NONBLOCK);
    if (!n->holds_writes) {
        end_writes(n, RK_OK);
    }
    if (!n->holds_reads) {
        end_reads(n, n->read_status);
    }
    if (n->flush != NULL) {
        n->flush(n->flush_context);
    }
}

/* ---- node.h ---- */

enum rk_status node_propose(struct node *n, struct slice command, node_proposed_fn done,
                            void *context)
{
    struct command decoded;
    struct fake_proposal *p;
    enum rk_status status = command_decode(command, &decoded);

    if (status == RK_OK) {
        status = n->propose_status;
    }
    if (status != RK_OK) {
        return status;
    }
    if (n->proposal_count == n->proposal_capacity) {
        n->proposal_capacity = n->proposal_capacity == 0 ? 64 : 2 * n->proposal_capacity;
        n->proposals = heap_grow(n->proposals, n->proposal_capacity * sizeof *n->proposals);
    }
    p = &n->proposals[n->proposal_count++];
    *p = (struct fake_proposal){ .command = BUFFER_INIT, .done = done, .context = context };
    buffer_put_slice(&p->command, command);
    n->proposed_total++;
    return RK_OK;
}

enum rk_status node_change_members(struct node *n, const struct member_change *change,
                                   node_changed_fn done, void *context)
{
    n->change = *change;
    if (n->change_status == RK_BADARG) {
        return RK_BADARG;
    }
    n->changed = done;
    n->changed_context = context;
    return RK_OK;
}

void fake_node_end_change(struct node *n, enum rk_status status, raft_index index, const char *why)
{
    node_changed_fn done = n->changed;

    PRE(done != NULL);
    n->changed = NULL;
    done(n->changed_context, status, index, why);
}

enum rk_status node_read(struct node *n, enum node_consistency consistency, raft_index min_index,
                         node_readable_fn done, void *context)
{
    if (n->read_count == n->read_capacity) {
        n->read_capacity = n->read_capacity == 0 ? 64 : 2 * n->read_capacity;
        n->reads = heap_grow(n->reads, n->read_capacity * sizeof *n->reads);
    }
    n->reads[n->read_count++] = (struct fake_read){ consistency, min_index, done, context };
    n->read_total++;
    return RK_OK;
}

const struct refdb *node_refdb(const struct node *n)
{
    return n->refdb;
}

const struct events *node_events(const struct node *n)
{
    return n->events;
}

struct replicas *node_replicas(const struct node *n)
{
    return n->replicas;
}

bool node_take_snapshot(struct node *n)
{
    (void)n;
    return true;
}

void node_on_flush(struct node *n, void (*flush)(void *context), void *context)
{
    n->flush = flush;
    n->flush_context = context;
}

void node_get_status(const struct node *n, struct node_status *ret_status)
{
    *ret_status = n->status;
    ret_status->applied_index = n->last_index;
    ret_status->raft.commit_index = n->last_index;
    ret_status->raft.log_last_index = n->last_index;
}

const struct membership *node_membership(const struct node *n)
{
    return &n->members;
}

int64_t node_now_ms(const struct node *n)
{
    return n->now_ms;
}
