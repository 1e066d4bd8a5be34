/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of an ordered map: sorted entries packed into one block, each key stored without
 * the bytes it shares with the key before it.
 *
 *   entry   varint shared, varint suffix size, varint value size, suffix, value
 *   shared  of the first entry: 0
 *
 * An inner node is the same thing with pointers to its children as values.  The key of a
 * child is a lower bound of the keys below it; that of the first child is empty, the node's own
 * bound is known to its parent alone.
 *
 * A search walks the entries from the first.  It never rebuilds a key: from the bytes an
 * entry shares with the one before, and those that one shares with the key looked for,
 * follows on which side the entry is.
 */
#ifndef REFDB_PACKED_NODE_H
#define REFDB_PACKED_NODE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "refdb/map_cursor.h"
#include "refdb/node_pool.h"

struct packed_node {
    uint32_t generation; /* the first, see node_pool.h */
    uint16_t count;
    uint16_t is_inner;
    uint32_t size; /* bytes in use */
    uint32_t capacity;
    uint8_t bytes[];
};

struct packed_entry {
    uint64_t shared, suffix_size, value_size;
    const uint8_t *suffix, *value;
    uint32_t next; /* offset of the entry after it */
};

/* Where a key is, or belongs. */
struct packed_place {
    uint32_t offset;   /* of the first entry >= key; node->size when there is none */
    uint32_t previous; /* of the entry before; PACKED_NONE */
    uint32_t matched;  /* bytes the key shares with the entry before */
    uint32_t ahead;    /* bytes it shares beyond those with the entry at `offset` */
    bool is_equal;
};

#define PACKED_NONE UINT32_MAX

/* PRE: offset < node->size. */
void packed_entry_at(const struct packed_node *node, uint32_t offset, struct packed_entry *ret_e);

void packed_find(const struct packed_node *node, struct slice key, struct packed_place *ret_place);

/* Of an inner node: the offset of the child that has `key` below it, if any has. */
uint32_t packed_child_for(const struct packed_node *node, struct slice key);

static inline struct packed_node *packed_child(const struct packed_node *node, uint32_t offset)
{
    struct packed_node *child;
    struct packed_entry e;

    packed_entry_at(node, offset, &e);
    memcpy(&child, e.value, sizeof child);
    return child;
}

/* ---- Changes.  PRE: the pool allows changing `node`.  They return it, as it may move ---- */

struct packed_node *packed_new(struct node_pool *pool, bool is_inner, uint32_t capacity);
struct packed_node *packed_copy(struct node_pool *pool, const struct packed_node *node);
void packed_discard(struct node_pool *pool, struct packed_node *node);

/* PRE: `place` was found for `key`, which is not there. */
struct packed_node *packed_insert(struct node_pool *pool, struct packed_node *node,
                                  const struct packed_place *place, struct slice key,
                                  struct slice value);
struct packed_node *packed_set_value(struct node_pool *pool, struct packed_node *node,
                                     uint32_t offset, struct slice value);
struct packed_node *packed_remove(struct node_pool *pool, struct packed_node *node,
                                  uint32_t offset);

void packed_set_child(struct packed_node *node, uint32_t offset, struct packed_node *child);

/* Appends; PRE: key > every key in it, of which the last is `last`. */
struct packed_node *packed_append(struct node_pool *pool, struct packed_node *node,
                                  struct slice last, struct slice key, struct slice value);

/*
 * Moves the entries from `slot` on into a new node.  `ret_separator` (MAP_KEY_BYTES_MAX) gets
 * the new node's bound: the shortest key that tells the halves apart; of an inner node the key
 * at `slot`, which is empty in the new node.
 * PRE: 0 < slot < count.
 */
struct packed_node *packed_split(struct node_pool *pool, struct packed_node **node, unsigned slot,
                                 uint8_t *ret_separator, size_t *ret_separator_size);

/* The key of the entry at `offset` into `ret_key` (MAP_KEY_BYTES_MAX); its size. */
size_t packed_key_at(const struct packed_node *node, uint32_t offset, uint8_t *ret_key);

/* The slot at which the bytes are halved, at least `margin` entries on each side. */
unsigned packed_middle(const struct packed_node *node, unsigned margin);

/* Appends all entries of `right`, and discards it.  `separator`: its bound, as its parent has
 * it.  PRE: they are all larger. */
struct packed_node *packed_merge(struct node_pool *pool, struct packed_node *left,
                                 struct packed_node *right, struct slice separator);

/* Gives back spare capacity. */
struct packed_node *packed_trim(struct node_pool *pool, struct packed_node *node);

#endif
