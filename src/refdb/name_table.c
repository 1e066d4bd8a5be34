/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/name_table.h"

#include "base/assert.h"
#include "base/heap.h"

static const struct digest NAME_SEED = { 0x6e616d652d6f662dULL, 0x736f6d652d6f6e65ULL };

uint64_t name_hash(struct slice text)
{
    return text.size == 0 ? 0 : digest_bytes(NAME_SEED, text).low;
}

void name_table_init(struct name_table *t)
{
    *t = (struct name_table){ .slot_count = 1 };
}

void name_table_release(struct node_pool *pool, struct name_table *t)
{
    map_clear(pool, &t->maps.by_text);
    map_clear(pool, &t->maps.by_id);
    heap_free(t->slots);
    heap_free(t->free_ids);
}

name_id name_table_find(const struct name_maps *maps, struct slice text)
{
    struct slice value;

    return map_find(&maps->by_text, text, &value) ? get_be32(value.data) : 0;
}

struct slice name_table_text(const struct name_maps *maps, name_id id)
{
    struct slice text = SLICE_NONE;
    uint8_t key[4];
    bool is_found;

    if (id != 0) {
        put_be32(key, id);
        is_found = map_find(&maps->by_id, slice_of(key, sizeof key), &text);
        INVARIANT(is_found);
    }
    return text;
}

static name_id new_id(struct name_table *t)
{
    if (t->free_count > 0) {
        return t->free_ids[--t->free_count];
    }
    if (t->slot_count >= t->slot_capacity) {
        t->slot_capacity = t->slot_capacity == 0 ? 16 : 2 * t->slot_capacity;
        t->slots = heap_grow(t->slots, t->slot_capacity * sizeof *t->slots);
    }
    return t->slot_count++;
}

name_id name_table_take(struct node_pool *pool, struct name_table *t, struct slice text)
{
    name_id id = name_table_find(&t->maps, text);
    uint8_t key[4];

    PRE(text.size > 0);
    if (id == 0) {
        id = new_id(t);
        put_be32(key, id);
        map_put(pool, &t->maps.by_text, text, slice_of(key, sizeof key));
        map_put(pool, &t->maps.by_id, slice_of(key, sizeof key), text);
        t->slots[id] = (struct name_slot){ 0, name_hash(text), (uint32_t)text.size };
    }
    t->slots[id].use_count++;
    return id;
}

void name_table_drop(struct node_pool *pool, struct name_table *t, name_id id)
{
    uint8_t text[MAP_KEY_BYTES_MAX], key[4];
    struct slice found;

    if (id == 0) {
        return;
    }
    INVARIANT(t->slots[id].use_count > 0);
    if (--t->slots[id].use_count > 0) {
        return;
    }
    found = name_table_text(&t->maps, id);
    memcpy(text, found.data, found.size);
    map_remove(pool, &t->maps.by_text, slice_of(text, found.size));
    put_be32(key, id);
    map_remove(pool, &t->maps.by_id, slice_of(key, sizeof key));
    if (t->free_count == t->free_capacity) {
        t->free_capacity = t->free_capacity == 0 ? 16 : 2 * t->free_capacity;
        t->free_ids = heap_grow(t->free_ids, t->free_capacity * sizeof *t->free_ids);
    }
    t->free_ids[t->free_count++] = id;
}
