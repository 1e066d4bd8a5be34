/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/storage.h"

#include "base/assert.h"
#include "base/heap.h"

static const struct digest STORAGE_SEED = { 0x73746f726167652dULL, 0x7265636f72642d2dULL };

bool storage_record_decode(struct slice bytes, struct storage_record *ret_record)
{
    struct reader r = reader_of(bytes);
    struct storage_record record;
    uint8_t state;

    record.last_index = reader_u64(&r);
    state = reader_u8(&r);
    record.http_address = reader_string(&r, ADDRESS_BYTES_MAX);
    record.ssh_address = reader_string(&r, ADDRESS_BYTES_MAX);
    record.zone = reader_string(&r, ADDRESS_BYTES_MAX);
    if (!reader_done(&r) || state > STORAGE_DOWN) {
        return false;
    }
    record.state = (enum storage_state)state;
    *ret_record = record;
    return true;
}

bool storage_find(const struct state_maps *maps, struct slice name,
                  struct storage_record *ret_record)
{
    struct slice value;
    bool is_good;

    if (!map_find(&maps->storages, name, &value)) {
        return false;
    }
    is_good = storage_record_decode(value, ret_record);
    INVARIANT(is_good);
    return true;
}

struct digest storage_digest(struct slice name, struct slice record)
{
    return digest_bytes(digest_bytes(STORAGE_SEED, name), record);
}

/* A name's number is as good as its slot in primary_counts. */
static void grow_primary_counts(struct refdb *db, name_id id)
{
    size_t old = db->primary_count_capacity;

    if (id >= old) {
        size_t capacity = 2 * (size_t)id + 16;

        db->primary_counts = heap_grow(db->primary_counts, capacity * sizeof(uint64_t));
        memset(db->primary_counts + old, 0, (capacity - old) * sizeof(uint64_t));
        db->primary_count_capacity = capacity;
    }
}

void storage_put(struct refdb *db, struct slice name, const struct storage_record *record)
{
    struct buffer *bytes = &db->scratch;
    struct slice old;

    buffer_clear(bytes);
    buffer_put_u64(bytes, record->last_index);
    buffer_put_u8(bytes, (uint8_t)record->state);
    buffer_put_string(bytes, record->http_address);
    buffer_put_string(bytes, record->ssh_address);
    buffer_put_string(bytes, record->zone);
    if (map_find(&db->maps.storages, name, &old)) {
        digest_subtract(&db->at.sum, storage_digest(name, old));
    } else {
        grow_primary_counts(db, name_table_take(&db->pool, &db->storage_names, name));
    }
    digest_add(&db->at.sum, storage_digest(name, buffer_slice(bytes)));
    map_put(&db->pool, &db->maps.storages, name, buffer_slice(bytes));
}

void storage_remove(struct refdb *db, struct slice name)
{
    name_id id = name_table_find(&db->storage_names.maps, name);
    struct slice old;
    bool is_found = map_find(&db->maps.storages, name, &old);

    PRE(is_found && storage_replica_count(db, id) == 0);
    digest_subtract(&db->at.sum, storage_digest(name, old));
    map_remove(&db->pool, &db->maps.storages, name);
    name_table_drop(&db->pool, &db->storage_names, id);
}

name_id storage_take(struct refdb *db, struct slice name, raft_index index)
{
    name_id id = name_table_find(&db->storage_names.maps, name);

    if (id == 0) {
        struct storage_record record = { .last_index = index, .state = STORAGE_ACTIVE };

        storage_put(db, name, &record);
        id = name_table_find(&db->storage_names.maps, name);
    }
    return id;
}

uint64_t storage_replica_count(const struct refdb *db, name_id id)
{
    return db->storage_names.slots[id].use_count - 1; /* one use is its own record's */
}

uint64_t storage_primary_count(const struct refdb *db, name_id id)
{
    return db->primary_counts[id];
}

void storage_count_uses(struct refdb *db, const struct repository *r, bool is_in)
{
    for (unsigned i = 0; i < r->replica_count; i++) {
        if (is_in) {
            name_table_use(&db->storage_names, r->replicas[i]);
        } else {
            name_table_drop(&db->pool, &db->storage_names, r->replicas[i]);
        }
    }
    INVARIANT(r->primary < db->primary_count_capacity);
    db->primary_counts[r->primary] += is_in ? 1 : UINT64_MAX;
}
