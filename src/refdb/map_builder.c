/* SPDX-License-Identifier: Apache-2.0 */
/* A map from sorted keys: of each level only the last node is open; a full one goes up. */
#include "base/assert.h"
#include "refdb/ordered_map.h"

#define NODE_BYTES_FULL 480 /* closed from here on */
#define INNER_COUNT_MIN 4   /* but an inner node never with fewer children */

void map_builder_init(struct map_builder *builder)
{
    builder->depth = 0;
    builder->count = 0;
}

static void level_append(struct node_pool *pool, struct map_builder_level *level, bool is_inner,
                         struct slice key, struct slice value)
{
    if (level->node == NULL) {
        level->last_size = 0;
        level->node = packed_new(pool, is_inner, NODE_BYTES_FULL);
    }
    level->node = packed_append(pool, level->node, slice_of(level->last, level->last_size), key,
                                value);
    if (key.size > 0) {
        memcpy(level->last, key.data, key.size);
    }
    level->last_size = key.size;
}

static bool level_is_full(const struct map_builder_level *level)
{
    return level->node->size >= NODE_BYTES_FULL &&
           (!level->node->is_inner || level->node->count >= INNER_COUNT_MIN);
}

/* Hands the open node of `depth` to the level above. */
static void close_level(struct node_pool *pool, struct map_builder *builder, unsigned depth)
{
    struct map_builder_level *level = &builder->levels[depth];
    struct packed_node *node = packed_trim(pool, level->node);
    struct slice key = slice_of(level->key, level->key_size);

    INVARIANT(depth + 1 < MAP_DEPTH_MAX);
    if (builder->depth == depth + 1) {
        builder->levels[depth + 1].node = NULL;
        builder->levels[depth + 1].key_size = 0;
        builder->depth++;
    } else if (level_is_full(level + 1)) {
        close_level(pool, builder, depth + 1);
        memcpy(level[1].key, key.data, key.size);
        level[1].key_size = key.size;
    }
    if (level[1].node == NULL) { /* the first key of an inner node is empty */
        key = SLICE_NONE;
    }
    level_append(pool, level + 1, true, key, slice_of(&node, sizeof node));
    level->node = NULL;
}

bool map_builder_add(struct node_pool *pool, struct map_builder *builder, struct slice key,
                     struct slice value)
{
    struct map_builder_level *leaf = &builder->levels[0];

    if (builder->count == 0) {
        leaf->node = NULL;
        leaf->key_size = 0;
        builder->depth = 1;
    } else if (slice_compare(key, slice_of(leaf->last, leaf->last_size)) <= 0) {
        return false;
    } else if (level_is_full(leaf)) {
        size_t shared = 0;

        close_level(pool, builder, 0);
        while (shared < leaf->last_size && leaf->last[shared] == key.data[shared]) {
            shared++;
        }
        memcpy(leaf->key, key.data, shared + 1);
        leaf->key_size = shared + 1;
    }
    level_append(pool, leaf, false, key, value);
    builder->count++;
    return true;
}

void map_builder_finish(struct node_pool *pool, struct map_builder *builder,
                        struct ordered_map *ret_map)
{
    *ret_map = ORDERED_MAP_EMPTY;
    if (builder->count > 0) {
        for (unsigned depth = 0; depth + 1 < builder->depth; depth++) {
            close_level(pool, builder, depth);
        }
        ret_map->root = packed_trim(pool, builder->levels[builder->depth - 1].node);
        ret_map->count = builder->count;
    }
    map_builder_init(builder);
}
