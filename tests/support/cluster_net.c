/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual network: delay, loss, repetition, one-way cuts; no order is kept. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "support/cluster_internal.h"

void sim_envelope_free(struct sim_message *envelope)
{
    if (envelope != NULL) {
        heap_free(envelope->entries);
        heap_free(envelope);
    }
}

static struct sim_message *envelope_copy(const struct sim_message *from)
{
    struct sim_message *copy = heap_copy(from, sizeof *from);

    if (from->entries != NULL) {
        copy->entries = heap_copy(from->entries,
                                  from->message.u.append_entries.count * sizeof *from->entries);
    }
    return copy;
}

/* Takes the envelope. */
static void transmit(struct sim_node *n, struct sim_message *envelope)
{
    struct cluster *c = n->cluster;
    node_id to = envelope->message.to;
    unsigned copies = 1;

    sim_check_leaving(n, envelope);
    c->message_count++;
    if (to > c->node_count || c->is_cut[n->id][to] || sim_is_refused(c, n->id, to) ||
        sim_chance(c, c->options.drop_permille)) {
        sim_envelope_free(envelope);
        return;
    }
    copies += sim_chance(c, c->options.duplicate_permille);
    for (unsigned i = 0; i < copies; i++) {
        time_ms delay_ms = sim_between(c, c->options.delay_min_ms, c->options.delay_max_ms);

        if (i > 0) {
            delay_ms *= 1 + sim_between(c, 0, 20); /* long after the first */
        }
        sim_push(c, (struct sim_event){ .at_ms = c->now_ms + delay_ms,
                                        .type = SIM_DELIVER,
                                        .node = to,
                                        .envelope = i == 0 ? envelope : envelope_copy(envelope) });
    }
}

static void hold(struct sim_node *n, struct sim_message *envelope)
{
    if (n->held_count == n->held_capacity) {
        n->held_capacity = n->held_capacity == 0 ? 16 : 2 * n->held_capacity;
        n->held = heap_grow(n->held, n->held_capacity * sizeof(struct sim_message *));
    }
    n->held[n->held_count++] = envelope;
}

static void leave(struct sim_node *n, struct sim_message *envelope)
{
    if (envelope->need.hard_state_generation > n->disk.generation) {
        hold(n, envelope);
    } else {
        transmit(n, envelope);
    }
}

void sim_release_held(struct sim_node *n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->held_count; i++) {
        struct sim_message *envelope = n->held[i];

        if (envelope->need.hard_state_generation > n->disk.generation) {
            n->held[kept++] = envelope;
        } else {
            transmit(n, envelope);
        }
    }
    n->held_count = kept;
}

void sim_drop_held(struct sim_node *n)
{
    for (size_t i = 0; i < n->held_count; i++) {
        sim_envelope_free(n->held[i]);
    }
    n->held_count = 0;
}

/* Attaches the entries the message names, as they are now. */
static void attach_entries(struct sim_node *n, struct sim_message *envelope)
{
    uint32_t count = envelope->message.u.append_entries.count;
    raft_index prev_index = envelope->message.u.append_entries.prev_log_index;

    envelope->entries = heap_alloc(count * sizeof *envelope->entries);
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_entry *e = sim_log_at(&n->log, prev_index + 1 + i);

        if (e == NULL) {
            sim_fail(n->cluster, "%" PRIu64 " sends entry %" PRIu64 " that it does not hold", n->id,
                     prev_index + 1 + i);
        }
        envelope->entries[i] = *e;
    }
}

void sim_send(struct sim_node *n, const struct raft_send *send)
{
    struct sim_message *envelope = heap_new(struct sim_message);

    envelope->message = send->message;
    envelope->need = send->need;
    if (send->message.type == MESSAGE_APPEND_ENTRIES && send->message.u.append_entries.count > 0) {
        attach_entries(n, envelope);
    }
    leave(n, envelope);
}

/* The whole file as one message; the end of the stream is reported after it. */
void sim_send_snapshot(struct sim_node *n, node_id peer)
{
    struct cluster *c = n->cluster;
    struct sim_message *envelope = heap_new(struct sim_message);
    bool is_ok = !c->is_cut[n->id][peer] && c->nodes[peer].is_up;

    PRE(n->disk.snapshot.last_index > 0);
    envelope->message.type = MESSAGE_INSTALL_SNAPSHOT;
    envelope->message.from = n->id;
    envelope->message.to = peer;
    envelope->message.term = raft_current_term(n->raft);
    envelope->message.u.install_snapshot.last_index = n->disk.snapshot.last_index;
    envelope->message.u.install_snapshot.last_term = n->disk.snapshot.last_term;
    envelope->message.u.install_snapshot.is_last = true;
    envelope->snapshot = n->disk.snapshot;
    sim_push(c, (struct sim_event){ .at_ms = c->now_ms + 2 * c->options.delay_max_ms,
                                    .type = SIM_SNAPSHOT_SENT,
                                    .node = n->id,
                                    .boot = n->boot,
                                    .peer = peer,
                                    .flag = is_ok,
                                    .index = envelope->snapshot.last_index });
    leave(n, envelope);
}

/* The entries as the core wants them: payload is a no-op, or an encoded membership. */
static struct entry *core_entries(const struct sim_message *envelope)
{
    static const uint8_t noop[] = { 16 };
    uint32_t count = envelope->message.u.append_entries.count;
    struct entry *entries = heap_alloc(count * sizeof *entries);

    for (uint32_t i = 0; i < count; i++) {
        const struct sim_entry *e = &envelope->entries[i];

        entries[i].term = e->term;
        entries[i].index = envelope->message.u.append_entries.prev_log_index + 1 + i;
        entries[i].command = e->blob != NULL ? buffer_slice(e->blob) : slice_of(noop, sizeof noop);
    }
    return entries;
}

/* Takes the envelope. */
void sim_deliver(struct sim_node *n, struct sim_message *envelope)
{
    struct cluster *c = n->cluster;
    struct entry *entries = NULL;
    struct raft_event event = { .type = RAFT_RECEIVE, .now_ms = c->now_ms };

    if (envelope->entries != NULL) {
        entries = core_entries(envelope);
        envelope->message.u.append_entries.entries = entries;
    }
    c->received = envelope;
    event.u.receive = &envelope->message;
    sim_step(n, &event);
    c->received = NULL;
    if (envelope->message.type == MESSAGE_INSTALL_SNAPSHOT && n->effects.is_chunk_accepted) {
        sim_push(c, (struct sim_event){ .at_ms = c->now_ms + sim_between(c, c->options.disk_min_ms,
                                                                         c->options.disk_max_ms),
                                        .type = SIM_SNAPSHOT_RECEIVED,
                                        .node = n->id,
                                        .boot = n->boot,
                                        .snapshot = envelope->snapshot });
    }
    heap_free(entries);
    sim_envelope_free(envelope);
}
