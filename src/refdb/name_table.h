/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that repeat (storages, actors) as small numbers, counted by their uses.
 *
 * The numbers depend on history and may differ between nodes: they never appear in a
 * result, a digest or a dump.  A name goes when its last use goes.
 */
#ifndef REFDB_NAME_TABLE_H
#define REFDB_NAME_TABLE_H

#include "refdb/digest.h"
#include "refdb/ordered_map.h"

typedef uint32_t name_id; /* 0 = none, the empty name */

/* What a freeze has to keep. */
struct name_maps {
    struct ordered_map by_text; /* text -> id, 4 bytes big-endian */
    struct ordered_map by_id;   /* the other way */
};

struct name_table {
    struct name_maps maps;
    struct name_slot {
        uint64_t use_count;
        uint64_t hash; /* of the text */
        uint32_t size; /* of the text */
    } * slots;         /* by id */
    name_id slot_count, slot_capacity;
    name_id *free_ids;
    size_t free_count, free_capacity;
};

void name_table_init(struct name_table *t);
void name_table_release(struct node_pool *pool, struct name_table *t);

/* 0 when it has none. */
name_id name_table_find(const struct name_maps *maps, struct slice text);

/* The text, valid until the table changes; empty for 0. */
struct slice name_table_text(const struct name_maps *maps, name_id id);

/* Adds the name, or one use of it.  PRE: text is not empty. */
name_id name_table_take(struct node_pool *pool, struct name_table *t, struct slice text);

static inline void name_table_use(struct name_table *t, name_id id)
{
    if (id != 0) {
        t->slots[id].use_count++;
    }
}

/* Takes one use away.  Nothing for 0. */
void name_table_drop(struct node_pool *pool, struct name_table *t, name_id id);

static inline uint64_t name_table_hash(const struct name_table *t, name_id id)
{
    return id == 0 ? 0 : t->slots[id].hash;
}

static inline uint32_t name_table_size(const struct name_table *t, name_id id)
{
    return id == 0 ? 0 : t->slots[id].size;
}

uint64_t name_hash(struct slice text);

#endif
