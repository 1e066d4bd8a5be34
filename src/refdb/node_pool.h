/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one state: who may change a node, and when an unreachable one is freed.
 *
 *                   not frozen                     frozen
 *   changing        in place                       in place if of this generation, else a copy
 *   discarding      freed at once                  freed at once if so, else put in limbo
 *
 * So whatever was reachable at the freeze stays as it was until the thaw, and another thread
 * may read it.  That thread may also let go of what it has read: it then counts as of this
 * generation, is changed in place again, and freed from limbo.  So a freeze does not cost more
 * memory the longer it lasts: only what was changed ahead of the reader is there twice.
 *
 * After the thaw limbo is emptied a little at a time: a big snapshot must not end in a pause.
 *
 * Every object starts with its generation, uint32_t.
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
    size_t limbo_at; /* where a sweep during a freeze goes on */
};

void node_pool_init(struct node_pool *pool);
/* PRE: not frozen.  What the maps still hold must have been discarded before. */
void node_pool_release(struct node_pool *pool);

/* `generation`: where the object has it. */
static inline bool node_pool_must_copy(const struct node_pool *pool, const uint32_t *generation)
{
    return pool->is_frozen && __atomic_load_n(generation, __ATOMIC_ACQUIRE) != pool->generation;
}

/* The reading thread will not look at the object again.  `frozen`: the pool's generation. */
static inline void node_pool_let_go(const uint32_t *generation, uint32_t frozen)
{
    /* What the owner lent for reading comes back to it by this one word. */
    __atomic_store_n((uint32_t *)(uintptr_t)generation, frozen, __ATOMIC_RELEASE);
}

void *node_pool_alloc(struct node_pool *pool, size_t size); /* uninitialised, never NULL */
/* PRE: of this generation, if frozen. */
void *node_pool_resize(struct node_pool *pool, void *object, size_t old_size, size_t size);
void node_pool_discard(struct node_pool *pool, void *object, size_t size);

void node_pool_freeze(struct node_pool *pool); /* PRE: not frozen */
void node_pool_thaw(struct node_pool *pool);   /* PRE: frozen */

/* Frees up to `count` objects from limbo.  While frozen it looks at as many and frees those
 * that were let go. */
void node_pool_sweep(struct node_pool *pool, size_t count);

#endif
