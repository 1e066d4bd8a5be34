/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-string keys -> byte-string values, in byte order: a B+tree of packed nodes.
 *
 * A frozen map is a copy of this struct: with the pool frozen, nothing reachable from the
 * copy's root changes until the thaw, so another thread may search and walk the copy while
 * the original goes on changing.  An empty map has no node; it is small enough to embed.
 */
#ifndef REFDB_ORDERED_MAP_H
#define REFDB_ORDERED_MAP_H

#include "refdb/map_cursor.h"
#include "refdb/packed_node.h"

struct ordered_map {
    struct packed_node *root; /* NULL when empty */
    uint64_t count;
};

#define ORDERED_MAP_EMPTY ((struct ordered_map){ NULL, 0 })

/* False when absent.  The value is valid until the map or the pool changes; so everywhere. */
bool map_find(const struct ordered_map *map, struct slice key, struct slice *ret_value);

/* Inserts or replaces; both are copied.  PRE: key.size <= MAP_KEY_BYTES_MAX, neither lies in
 * the map itself. */
void map_put(struct node_pool *pool, struct ordered_map *map, struct slice key, struct slice value);

/* False when it was not there. */
bool map_remove(struct node_pool *pool, struct ordered_map *map, struct slice key);

void map_clear(struct node_pool *pool, struct ordered_map *map);

/* Frees the first leaf with its entries, to clear a large map piece by piece; nothing else may
 * be done with it from then on but to walk it.  PRE: not frozen, not empty. */
void map_drop_first_leaf(struct node_pool *pool, struct ordered_map *map);

/* ---- Walks ---- */

/* Starts before the first key >= `from`. */
void map_seek(const struct ordered_map *map, struct slice from, struct map_cursor *ret_cursor);

/* False at the end.  The key is valid until the next call on the cursor. */
bool map_next(struct map_cursor *cursor, struct slice *ret_key, struct slice *ret_value);

/* The first entry.  False when empty.  `ret_cursor` holds the key. */
static inline bool map_first(const struct ordered_map *map, struct map_cursor *ret_cursor,
                             struct slice *ret_key, struct slice *ret_value)
{
    map_seek(map, SLICE_NONE, ret_cursor);
    return map_next(ret_cursor, ret_key, ret_value);
}

/*
 * Makes a map from keys in ascending order, its nodes full.
 */
#define MAP_DEPTH_MAX 16

struct map_builder {
    unsigned depth;
    uint64_t count;
    struct map_builder_level { /* leaves first; the last node of the level, still open */
        struct packed_node *node;
        size_t key_size, last_size;
        uint8_t key[MAP_KEY_BYTES_MAX];  /* its lower bound */
        uint8_t last[MAP_KEY_BYTES_MAX]; /* its last key */
    } levels[MAP_DEPTH_MAX];
};

void map_builder_init(struct map_builder *builder);
/* False (nothing added) unless the key is larger than the last. */
bool map_builder_add(struct node_pool *pool, struct map_builder *builder, struct slice key,
                     struct slice value);
/* Gives the map; the builder is as after init. */
void map_builder_finish(struct node_pool *pool, struct map_builder *builder,
                        struct ordered_map *ret_map);

#endif
