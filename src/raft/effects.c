/* SPDX-License-Identifier: Apache-2.0 */
/* The list of effects of one step: arrays that only grow, so steady state allocates nothing. */
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "raft/raft_internal.h"

void raft_effects_init(struct raft_effects *effects)
{
    memset(effects, 0, sizeof *effects);
}

void raft_effects_release(struct raft_effects *effects)
{
    heap_free(effects->sends);
    heap_free(effects->reads);
    heap_free(effects->send_snapshots);
    memset(effects, 0, sizeof *effects);
}

void effects_begin(struct raft *r, struct raft_effects *effects)
{
    struct raft_effects fresh = {
        .hard_state_generation = r->hard_state_generation,
        .sends = effects->sends,
        .send_capacity = effects->send_capacity,
        .reads = effects->reads,
        .read_capacity = effects->read_capacity,
        .send_snapshots = effects->send_snapshots,
        .send_snapshot_capacity = effects->send_snapshot_capacity,
    };

    *effects = fresh;
    r->effects = effects;
}

void effects_end(struct raft *r)
{
    struct raft_effects *e = r->effects;

    e->hard_state = r->hard_state;
    e->commit_index = r->commit_index;
    if (r->halt != NULL) {
        /* Nothing that this step decided may have an effect. */
        e->halt = r->halt;
        e->has_hard_state = false;
        e->truncate_from = 0;
        e->append_kind = RAFT_APPEND_NONE;
        e->send_count = 0;
        e->send_snapshot_count = 0;
        e->has_install = false;
        e->is_chunk_accepted = false;
    }
    r->effects = NULL;
}

void effects_hard_state(struct raft *r)
{
    if (!r->effects->has_hard_state) {
        r->effects->has_hard_state = true;
        r->hard_state_generation++;
        r->effects->hard_state_generation = r->hard_state_generation;
    }
}

/* Room for one more element, by doubling. */
static void *array_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    return heap_grow(array, *capacity * size);
}

struct raft_send *effects_send(struct raft *r, node_id to, enum message_type type)
{
    struct raft_effects *e = r->effects;
    struct raft_send *send;

    PRE(to != r->config.id && to != 0);
    e->sends = array_grow(e->sends, e->send_count, &e->send_capacity, sizeof *e->sends);
    send = &e->sends[e->send_count++];
    memset(send, 0, sizeof *send);
    send->message.type = type;
    send->message.from = r->config.id;
    send->message.to = to;
    send->message.term = r->hard_state.current_term;
    if (r->term_generation > r->durable_generation) {
        send->need.hard_state_generation = r->term_generation;
    }
    return send;
}

void effects_read(struct raft *r, uint64_t token, enum rk_status status, raft_index read_index)
{
    struct raft_effects *e = r->effects;

    e->reads = array_grow(e->reads, e->read_count, &e->read_capacity, sizeof *e->reads);
    e->reads[e->read_count++] = (struct raft_read){ token, status, read_index };
}

void effects_send_snapshot(struct raft *r, node_id peer)
{
    struct raft_effects *e = r->effects;

    e->send_snapshots = array_grow(e->send_snapshots, e->send_snapshot_count,
                                   &e->send_snapshot_capacity, sizeof *e->send_snapshots);
    e->send_snapshots[e->send_snapshot_count++] = peer;
}
