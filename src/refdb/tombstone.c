/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/tombstone.h"

#include "base/assert.h"

static const struct digest TOMBSTONE_SEED = { 0x746f6d6273746f6eULL, 0x652d6f662d706174ULL };

struct digest tombstone_digest(struct slice path, const struct tombstone *t)
{
    return digest_bytes(digest_words(TOMBSTONE_SEED, t->id, t->removed_index), path);
}

bool tombstone_find(const struct state_maps *maps, struct slice path, struct tombstone *ret_t)
{
    struct slice value;

    if (!map_find(&maps->tombstones, path, &value)) {
        return false;
    }
    ret_t->id = get_be64(value.data);
    ret_t->removed_index = get_be64(value.data + 8);
    return true;
}

static void evict_oldest(struct refdb *db)
{
    struct map_cursor cursor;
    struct slice key, value;
    uint8_t path[MAP_KEY_BYTES_MAX];

    if (map_first(&db->indexes.tombstone_order, &cursor, &key, &value)) {
        memcpy(path, value.data, value.size);
        tombstone_remove(db, slice_of(path, value.size));
    }
}

void tombstone_put(struct refdb *db, struct slice path, const struct tombstone *t)
{
    uint8_t value[16], key[8];

    tombstone_remove(db, path);
    while (db->maps.tombstones.count >= TOMBSTONES_MAX) {
        evict_oldest(db);
    }
    put_be64(value, t->id);
    put_be64(value + 8, t->removed_index);
    map_put(&db->pool, &db->maps.tombstones, path, slice_of(value, sizeof value));
    map_put(&db->index_pool, &db->indexes.tombstone_order, key_of_u64(t->removed_index, key), path);
    INVARIANT(db->maps.tombstones.count == db->indexes.tombstone_order.count);
    digest_add(&db->at.sum, tombstone_digest(path, t));
}

void tombstone_remove(struct refdb *db, struct slice path)
{
    struct tombstone t;
    uint8_t key[8];

    if (!tombstone_find(&db->maps, path, &t)) {
        return;
    }
    digest_subtract(&db->at.sum, tombstone_digest(path, &t));
    map_remove(&db->pool, &db->maps.tombstones, path);
    map_remove(&db->index_pool, &db->indexes.tombstone_order, key_of_u64(t.removed_index, key));
}
