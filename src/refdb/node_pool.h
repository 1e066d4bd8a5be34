/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one state: who may change a node, and when an unreachable one is freed.
 *
 *                   not frozen                     frozen
 *   changing        in place                       in place if made since the freeze, else a copy
 *   discarding      freed at once                  freed at once if made since, else put in limbo
 *
 * So whatever was reachable at the freeze stays as it was until the thaw, and another thread
 * may read it.  After the thaw limbo is emptied a little at a time: a big snapshot must not
 * end in a pause.
 */
#ifndef REFDB_NODE_POOL_H
#define REFDB_NODE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node_pool {
    uint32_t generation; /* given to everything made now; one more at each freeze */
    bool is_frozen;
    uint64_t bytes; /* heap held, limbo included */
    struct limbo_item {
        void *object;
        size_t size;
    } * limbo;
    size_t limbo_count, limbo_capacity;
};

void node_pool_init(struct node_pool *pool);
/* PRE: not frozen.  What the maps still hold must have been discarded before. */
void node_pool_release(struct node_pool *pool);

static inline bool node_pool_must_copy(const struct node_pool *pool, uint32_t generation)
{
    return pool->is_frozen && generation != pool->generation;
}

void *node_pool_alloc(struct node_pool *pool, size_t size); /* uninitialised, never NULL */
/* PRE: made since the freeze, if frozen. */
void *node_pool_resize(struct node_pool *pool, void *object, size_t old_size, size_t size);
/* `generation`: that of the object. */
void node_pool_discard(struct node_pool *pool, void *object, size_t size, uint32_t generation);

void node_pool_freeze(struct node_pool *pool); /* PRE: not frozen */
void node_pool_thaw(struct node_pool *pool);   /* PRE: frozen */

/* Frees up to `count` objects from limbo.  Nothing while frozen. */
void node_pool_sweep(struct node_pool *pool, size_t count);

#endif
