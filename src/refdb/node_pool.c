/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/node_pool.h"

#include "base/assert.h"
#include "base/heap.h"

#define MALLOC_HEADER_BYTES 8 /* what the allocator adds, about */

void node_pool_init(struct node_pool *pool)
{
    *pool = (struct node_pool){ .generation = 1 };
}

void node_pool_release(struct node_pool *pool)
{
    PRE(!pool->is_frozen);
    node_pool_sweep(pool, pool->limbo_count);
    heap_free(pool->limbo);
    INVARIANT(pool->bytes == 0);
    *pool = (struct node_pool){ 0 };
}

void *node_pool_alloc(struct node_pool *pool, size_t size)
{
    pool->bytes += size + MALLOC_HEADER_BYTES;
    return heap_alloc(size);
}

void *node_pool_resize(struct node_pool *pool, void *object, size_t old_size, size_t size)
{
    pool->bytes += size;
    pool->bytes -= old_size;
    return heap_grow(object, size);
}

static void free_now(struct node_pool *pool, void *object, size_t size)
{
    pool->bytes -= size + MALLOC_HEADER_BYTES;
    heap_free(object);
}

void node_pool_discard(struct node_pool *pool, void *object, size_t size)
{
    if (!node_pool_must_copy(pool, object)) {
        free_now(pool, object, size);
        return;
    }
    if (pool->limbo_count == pool->limbo_capacity) {
        pool->limbo_capacity = pool->limbo_capacity == 0 ? 256 : 2 * pool->limbo_capacity;
        pool->limbo = heap_grow(pool->limbo, pool->limbo_capacity * sizeof *pool->limbo);
    }
    pool->limbo[pool->limbo_count++] = (struct limbo_item){ object, size };
}

void node_pool_freeze(struct node_pool *pool)
{
    PRE(!pool->is_frozen);
    pool->generation++;
    pool->is_frozen = true;
}

void node_pool_thaw(struct node_pool *pool)
{
    PRE(pool->is_frozen);
    pool->is_frozen = false;
}

static void sweep_frozen(struct node_pool *pool, size_t count)
{
    while (count > 0 && pool->limbo_count > 0) {
        struct limbo_item *item;

        if (pool->limbo_at >= pool->limbo_count) {
            pool->limbo_at = 0;
        }
        item = &pool->limbo[pool->limbo_at];
        if (node_pool_must_copy(pool, item->object)) {
            pool->limbo_at++;
        } else {
            free_now(pool, item->object, item->size);
            *item = pool->limbo[--pool->limbo_count];
        }
        count--;
    }
}

static void sweep_thawed(struct node_pool *pool, size_t count)
{
    while (count > 0 && pool->limbo_count > 0) {
        const struct limbo_item *item = &pool->limbo[--pool->limbo_count];

        free_now(pool, item->object, item->size);
        count--;
    }
    if (pool->limbo_count == 0 && pool->limbo_capacity > 0) {
        heap_free(pool->limbo);
        pool->limbo = NULL;
        pool->limbo_capacity = 0;
    }
}

void node_pool_sweep(struct node_pool *pool, size_t count)
{
    if (pool->is_frozen) {
        sweep_frozen(pool, count);
    } else {
        sweep_thawed(pool, count);
    }
}
