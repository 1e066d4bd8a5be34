/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of the tree:
 *
 *   - an inner node's first key is empty: what bounds it from below stands in its parent
 *   - a node over NODE_BYTES_MAX is split, unless it has too few entries: keys may be as
 *     large as a node, and an inner node of one child would let the tree grow without gain
 *   - a node under a quarter is merged with a neighbour where the two fit well
 */
#include "refdb/ordered_map.h"

#include "base/assert.h"

#define NODE_BYTES_MAX 512 /* measured: 1024 saves 3 bytes a ref and costs a fifth in time */
#define NODE_BYTES_LOW (NODE_BYTES_MAX / 4)
#define NODE_BYTES_MERGED_MAX (NODE_BYTES_MAX * 3 / 4)
#define INNER_SPLIT_COUNT_MIN 8
#define INNER_MARGIN 2 /* children on each side of a split */

/* ---- Finding ---- */

bool map_find(const struct ordered_map *map, struct slice key, struct slice *ret_value)
{
    const struct packed_node *node = map->root;
    struct packed_place place;
    struct packed_entry e;

    if (node == NULL) {
        return false;
    }
    while (node->is_inner) {
        node = packed_child(node, packed_child_for(node, key));
    }
    packed_find(node, key, &place);
    if (!place.is_equal) {
        return false;
    }
    packed_entry_at(node, place.offset, &e);
    *ret_value = slice_of(e.value, e.value_size);
    return true;
}

/* ---- Changing ---- */

/* The way from the root to a leaf; every node on it may be changed. */
struct path {
    unsigned depth; /* of the leaf */
    struct {
        struct packed_node *node;
        uint32_t offset; /* of the child that the path goes on with */
    } at[MAP_DEPTH_MAX];
};

/* Puts a moved or copied node of the path where its parent finds it. */
static void path_replace(struct ordered_map *map, struct path *path, unsigned depth,
                         struct packed_node *node)
{
    if (path->at[depth].node == node) {
        return;
    }
    path->at[depth].node = node;
    if (depth == 0) {
        map->root = node;
    } else {
        packed_set_child(path->at[depth - 1].node, path->at[depth - 1].offset, node);
    }
}

static struct packed_node *changeable(struct node_pool *pool, struct packed_node *node)
{
    struct packed_node *copy;

    if (!node_pool_must_copy(pool, &node->generation)) {
        return node;
    }
    copy = packed_copy(pool, node);
    packed_discard(pool, node);
    return copy;
}

static void path_open(struct node_pool *pool, struct ordered_map *map, struct slice key,
                      struct path *path)
{
    struct packed_node *node = map->root;

    path->depth = 0;
    for (;;) {
        INVARIANT(path->depth < MAP_DEPTH_MAX);
        path->at[path->depth].node = node;
        path_replace(map, path, path->depth, changeable(pool, node));
        node = path->at[path->depth].node;
        if (!node->is_inner) {
            return;
        }
        path->at[path->depth].offset = packed_child_for(node, key);
        node = packed_child(node, path->at[path->depth].offset);
        path->depth++;
    }
}

static bool must_split(const struct packed_node *node)
{
    unsigned count_min = node->is_inner ? INNER_SPLIT_COUNT_MIN : 2;

    return node->size > NODE_BYTES_MAX && node->count >= count_min;
}

static struct packed_node *insert_child(struct node_pool *pool, struct packed_node *node,
                                        struct slice key, const struct packed_node *child)
{
    struct packed_place place;

    packed_find(node, key, &place);
    INVARIANT(!place.is_equal);
    return packed_insert(pool, node, &place, key, slice_of(&child, sizeof child));
}

/* Splits upwards from the leaf.  `is_last`: keys arrive in order, so leave the left half full. */
static void path_split(struct node_pool *pool, struct ordered_map *map, struct path *path,
                       bool is_last)
{
    uint8_t separator[MAP_KEY_BYTES_MAX];
    size_t separator_size;
    struct packed_entry e;

    for (unsigned depth = path->depth; must_split(path->at[depth].node); depth--) {
        struct packed_node *left = path->at[depth].node, *right, *parent;
        unsigned margin = left->is_inner ? INNER_MARGIN : 1;
        unsigned slot = is_last ? left->count - margin : packed_middle(left, margin);

        right = packed_split(pool, &left, slot, separator, &separator_size);
        path_replace(map, path, depth, left);
        if (depth == 0) {
            parent = packed_new(pool, true, 64);
            parent = insert_child(pool, parent, SLICE_NONE, left);
            map->root = insert_child(pool, parent, slice_of(separator, separator_size), right);
            return;
        }
        parent = path->at[depth - 1].node;
        packed_entry_at(parent, path->at[depth - 1].offset, &e);
        is_last = is_last && e.next == parent->size;
        parent = insert_child(pool, parent, slice_of(separator, separator_size), right);
        path_replace(map, path, depth - 1, parent);
    }
}

void map_put(struct node_pool *pool, struct ordered_map *map, struct slice key, struct slice value)
{
    struct packed_place place;
    struct packed_node *leaf;
    struct path path;
    bool is_last;

    PRE(key.size <= MAP_KEY_BYTES_MAX);
    if (map->root == NULL) {
        map->root = packed_new(pool, false, (uint32_t)(key.size + value.size + 8));
    }
    path_open(pool, map, key, &path);
    leaf = path.at[path.depth].node;
    packed_find(leaf, key, &place);
    if (place.is_equal) {
        leaf = packed_set_value(pool, leaf, place.offset, value);
        is_last = false;
    } else {
        is_last = place.offset == leaf->size && leaf->count > 0;
        leaf = packed_insert(pool, leaf, &place, key, value);
        map->count++;
    }
    path_replace(map, &path, path.depth, leaf);
    path_split(pool, map, &path, is_last);
}

/* ---- Removing ---- */

/* Takes the child at `offset` out of `node`.  The first key stays, being empty; the next child
 * moves under it. */
static struct packed_node *remove_child(struct node_pool *pool, struct packed_node *node,
                                        uint32_t offset)
{
    struct packed_entry e;

    if (offset == 0 && node->count > 1) {
        packed_entry_at(node, 0, &e);
        packed_set_child(node, 0, packed_child(node, e.next));
        offset = e.next;
    }
    return packed_remove(pool, node, offset);
}

/* The entry before `offset`.  PRE: offset > 0. */
static uint32_t offset_before(const struct packed_node *node, uint32_t offset)
{
    struct packed_entry e;
    uint32_t before = 0;

    for (;;) {
        packed_entry_at(node, before, &e);
        if (e.next == offset) {
            return before;
        }
        before = e.next;
    }
}

/* Merges the node at `depth` with a neighbour when it is small; true when it did. */
static bool path_merge(struct node_pool *pool, struct ordered_map *map, struct path *path,
                       unsigned depth)
{
    struct packed_node *node = path->at[depth].node;
    struct packed_node *parent = path->at[depth - 1].node, *left, *right;
    uint32_t offset = path->at[depth - 1].offset, left_offset, right_offset;
    uint8_t separator[MAP_KEY_BYTES_MAX];
    struct packed_entry e;
    size_t size;

    if (node->size >= NODE_BYTES_LOW || parent->count < 2) {
        return false;
    }
    packed_entry_at(parent, offset, &e);
    left_offset = e.next < parent->size ? offset : offset_before(parent, offset);
    right_offset = e.next < parent->size ? e.next : offset;
    left = packed_child(parent, left_offset);
    right = packed_child(parent, right_offset);
    if (left->size + right->size > NODE_BYTES_MERGED_MAX) {
        return false;
    }
    size = packed_key_at(parent, right_offset, separator);
    left = packed_merge(pool, changeable(pool, left), right, slice_of(separator, size));
    packed_set_child(parent, left_offset, left);
    parent = packed_remove(pool, parent, right_offset);
    path_replace(map, path, depth - 1, parent);
    return true;
}

static void path_shrink(struct node_pool *pool, struct ordered_map *map, struct path *path)
{
    unsigned depth = path->depth;

    while (depth > 0) {
        struct packed_node *node = path->at[depth].node;

        if (node->count == 0) {
            packed_discard(pool, node);
            node = remove_child(pool, path->at[depth - 1].node, path->at[depth - 1].offset);
            path_replace(map, path, depth - 1, node);
        } else if (!path_merge(pool, map, path, depth)) {
            break;
        }
        depth--;
    }
    while (map->root->count <= 1) {
        struct packed_node *root = map->root;

        if (root->count == 1 && !root->is_inner) {
            return;
        }
        map->root = root->count == 0 ? NULL : packed_child(root, 0);
        packed_discard(pool, root);
        if (map->root == NULL) {
            return;
        }
    }
}

bool map_remove(struct node_pool *pool, struct ordered_map *map, struct slice key)
{
    struct packed_place place;
    struct packed_node *leaf;
    struct path path;
    struct slice value;

    if (!map_find(map, key, &value)) {
        return false; /* without copying the way to it */
    }
    path_open(pool, map, key, &path);
    leaf = path.at[path.depth].node;
    packed_find(leaf, key, &place);
    leaf = packed_remove(pool, leaf, place.offset);
    path_replace(map, &path, path.depth, leaf);
    map->count--;
    path_shrink(pool, map, &path);
    return true;
}

/* As deep as the tree, which MAP_DEPTH_MAX bounds. */
static void discard_below(struct node_pool *pool, struct packed_node *node)
{
    struct packed_entry e;

    for (uint32_t offset = 0; node->is_inner && offset < node->size; offset = e.next) {
        packed_entry_at(node, offset, &e);
        discard_below(pool, packed_child(node, offset));
    }
    packed_discard(pool, node);
}

void map_clear(struct node_pool *pool, struct ordered_map *map)
{
    if (map->root != NULL) {
        discard_below(pool, map->root);
    }
    *map = ORDERED_MAP_EMPTY;
}

void map_drop_first_leaf(struct node_pool *pool, struct ordered_map *map)
{
    struct packed_node *node = map->root;
    struct path path = { .depth = 0 };

    PRE(!pool->is_frozen && node != NULL);
    for (path.at[0].node = node; node->is_inner; path.at[++path.depth].node = node) {
        path.at[path.depth].offset = 0;
        node = packed_child(node, 0);
    }
    map->count -= node->count;
    packed_discard(pool, node);
    while (path.depth > 0) {
        path.depth--;
        node = remove_child(pool, path.at[path.depth].node, 0);
        path_replace(map, &path, path.depth, node);
        if (node->count > 0) {
            return;
        }
        packed_discard(pool, node);
    }
    map->root = NULL;
}

/* ---- Walking ---- */

/* The leaf for `key`, and the leaf after it, NULL when it is the last. */
static const struct packed_node *leaf_for(const struct packed_node *node, struct slice key,
                                          const struct packed_node **ret_after)
{
    const struct packed_node *after = NULL;
    struct packed_entry e;

    while (node->is_inner) {
        uint32_t offset = packed_child_for(node, key);

        packed_entry_at(node, offset, &e);
        if (e.next < node->size) {
            after = packed_child(node, e.next);
        } else if (after != NULL) {
            after = packed_child(after, 0);
        }
        node = packed_child(node, offset);
    }
    *ret_after = after;
    return node;
}

void map_seek(const struct ordered_map *map, struct slice from, struct map_cursor *ret_cursor)
{
    const struct packed_node *after;
    struct packed_place place;

    ret_cursor->root = map->root;
    ret_cursor->leaf = NULL;
    ret_cursor->key_size = 0;
    ret_cursor->offset = 0;
    if (map->root == NULL) {
        return;
    }
    ret_cursor->leaf = leaf_for(map->root, from, &after);
    packed_find(ret_cursor->leaf, from, &place);
    if (place.offset == ret_cursor->leaf->size) {
        ret_cursor->leaf = after;
        return;
    }
    /* What the entry shares with the one before, it also shares with `from`. */
    ret_cursor->offset = place.offset;
    if (place.matched > 0) {
        memcpy(ret_cursor->key, from.data, place.matched);
    }
}

bool map_next(struct map_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
    const struct packed_node *after;
    struct packed_entry e;

    if (cursor->leaf == NULL) {
        return false;
    }
    if (cursor->offset == cursor->leaf->size) {
        leaf_for(cursor->root, slice_of(cursor->key, cursor->key_size), &after);
        cursor->leaf = after;
        cursor->offset = 0;
        if (after == NULL) {
            return false;
        }
    }
    packed_entry_at(cursor->leaf, cursor->offset, &e);
    if (e.suffix_size > 0) {
        memcpy(cursor->key + e.shared, e.suffix, e.suffix_size);
    }
    cursor->key_size = e.shared + e.suffix_size;
    cursor->offset = e.next;
    *ret_key = slice_of(cursor->key, cursor->key_size);
    *ret_value = slice_of(e.value, e.value_size);
    return true;
}
