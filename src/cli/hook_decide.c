/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster decides: one request for an atomic push, else one per up to 10,000 refs. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/hook.h"

/* The refs of one request, and where each came from. */
struct chunk {
    struct rk_ref_change *changes;
    size_t *places;
    size_t count;
    size_t bytes;
};

/* What the pusher reads. */
static void refuse_with(struct hook_push *push, struct hook_ref *ref, const struct rk_error *e)
{
    switch (e->status) {
    case RK_UNKNOWN:
        push->is_uncertain = true;
        hook_refuse(ref,
                    "refkeeper: outcome UNKNOWN: the cluster did not answer in time and may have "
                    "accepted it; fetch and look before pushing again");
        break;
    case RK_FENCED:
        hook_refuse(ref, "refkeeper: storage %s is not the primary of %s any more; push again",
                    push->place.storage, push->place.path);
        break;
    case RK_CONFLICT:
    case RK_EXISTS:
        hook_refuse(ref, "refkeeper: %s; fetch first", e->message);
        break;
    default:
        hook_refuse(ref, "refkeeper: %s%s", e->message, hook_try_again(e));
        break;
    }
}

static void apply_results(struct hook_push *push, const struct chunk *chunk,
                          const struct rk_ref_results *results, const struct rk_error *whole)
{
    for (size_t i = 0; i < chunk->count; i++) {
        struct hook_ref *ref = &push->refs[chunk->places[i]];
        struct rk_error error;

        if (results == NULL) {
            refuse_with(push, ref, whole);
        } else if (rk_ref_results_get(results, i, &error) == RK_OK) {
            ref->state = HOOK_DECIDED;
        } else if (error.status != RK_ABORTED) {
            refuse_with(push, ref, &error);
        }
    }
}

static void send(struct hook_push *push, struct chunk *chunk)
{
    struct rk_ref_results *results = NULL;
    struct rk_error error;
    enum rk_status status;

    if (chunk->count == 0) {
        return;
    }
    status = rk_ref_txn(push->place.client, push->place.path, push->is_atomic, chunk->changes,
                        chunk->count, &push->write, &results, &error);
    apply_results(push, chunk, results, &error);
    if (push->is_atomic && status != RK_OK) {
        /* Those that would have worked were not done either. */
        for (size_t i = 0; i < push->count; i++) {
            if (push->refs[i].state == HOOK_DECIDED) {
                push->refs[i].state = HOOK_ASKED;
            }
        }
        hook_spread_refusal(push);
    }
    if (results != NULL) {
        push->index = rk_ref_results_index(results);
    }
    rk_ref_results_free(results);
    chunk->count = 0;
    chunk->bytes = 0;
}

/* Deletions go first, as git does it, so that a name may become a folder in one push. */
static void gather(struct hook_push *push, struct chunk *chunk, bool takes_deletions)
{
    for (size_t i = 0; i < push->count; i++) {
        const struct hook_ref *ref = &push->refs[i];

        if (ref->state != HOOK_ASKED || ref->is_delete != takes_deletions) {
            continue;
        }
        if (!push->is_atomic &&
            (chunk->count == HOOK_CHUNK_REFS || chunk->bytes > HOOK_CHUNK_BYTES)) {
            send(push, chunk);
        }
        chunk->changes[chunk->count] = hook_change(ref, false);
        chunk->places[chunk->count++] = i;
        chunk->bytes += strlen(ref->name) + 2 * sizeof ref->old_oid;
    }
}

void hook_decide(struct hook_push *push)
{
    struct chunk chunk = {
        .changes = heap_alloc(push->count * sizeof *chunk.changes),
        .places = heap_alloc(push->count * sizeof *chunk.places),
    };

    gather(push, &chunk, true);
    gather(push, &chunk, false);
    send(push, &chunk);
    heap_free(chunk.changes);
    heap_free(chunk.places);
}
