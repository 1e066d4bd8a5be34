/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a state, and its digest. */
#include "refdb/state.h"

#include "base/assert.h"
#include "base/heap.h"
#include "refdb/repository.h"
#include "refdb/session.h"
#include "refdb/storage.h"
#include "refdb/tombstone.h"

static const struct digest POSITION_SEED = { 0x706f736974696f6eULL, 0x2d6f662d73746174ULL };

struct refdb *refdb_new(void)
{
    struct refdb *db = heap_new(struct refdb);

    node_pool_init(&db->pool);
    name_table_init(&db->storage_names);
    name_table_init(&db->actors);
    return db;
}

static void free_repositories(struct refdb *db)
{
    struct map_cursor cursor;
    struct slice path, value;

    map_seek(&db->maps.repositories, SLICE_NONE, &cursor);
    while (map_next(&cursor, &path, &value)) {
        struct repository *r;

        memcpy(&r, value.data, sizeof r);
        map_clear(&db->pool, &r->refs);
        repository_discard(db, r);
    }
}

void refdb_free(struct refdb *db)
{
    if (db == NULL) {
        return;
    }
    PRE(!db->pool.is_frozen);
    free_repositories(db);
    map_clear(&db->pool, &db->maps.repositories);
    map_clear(&db->pool, &db->maps.ids);
    map_clear(&db->pool, &db->maps.storages);
    map_clear(&db->pool, &db->maps.sessions);
    map_clear(&db->pool, &db->maps.session_order);
    map_clear(&db->pool, &db->maps.session_results);
    map_clear(&db->pool, &db->maps.tombstones);
    map_clear(&db->pool, &db->maps.tombstone_order);
    name_table_release(&db->pool, &db->storage_names);
    name_table_release(&db->pool, &db->actors);
    node_pool_release(&db->pool);
    result_release(&db->results);
    buffer_release(&db->scratch);
    heap_free(db->updates);
    heap_free(db->primary_counts);
    heap_free(db);
}

void refdb_advance(struct refdb *db, raft_index index, raft_term term)
{
    PRE(index >= db->at.applied_index && !db->pool.is_frozen);
    db->at.applied_index = index;
    db->at.applied_term = term;
}

/* ---- Digest ---- */

struct digest state_digest(const struct state_position *at, const struct membership *m,
                           struct buffer *scratch)
{
    struct digest d = digest_words(POSITION_SEED, at->applied_index, at->applied_term);

    d = digest_words(d, at->cluster_ms, at->membership_index);
    if (at->membership_index > 0) {
        buffer_clear(scratch);
        membership_encode(scratch, m);
        d = digest_bytes(d, buffer_slice(scratch));
    }
    digest_add(&d, at->sum);
    return d;
}

void refdb_digest(const struct refdb *db, uint8_t ret_digest[DIGEST_BYTES])
{
    struct buffer scratch = BUFFER_INIT;

    digest_store(state_digest(&db->at, &db->membership, &scratch), ret_digest);
    buffer_release(&scratch);
}

static struct digest sum_of_refs(const struct refdb *db, const struct repository *r)
{
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice name, value;
    struct ref_value v;

    map_seek(&r->refs, SLICE_NONE, &cursor);
    while (map_next(&cursor, &name, &value)) {
        ref_value_decode(value, (enum object_format)r->format, &v);
        digest_add(&sum, ref_content_digest(digest_ref(name, &v.oid), r->id, v.last_index,
                                            name_hash(name_table_text(&db->actors.maps, v.actor))));
    }
    return sum;
}

static struct digest sum_of_repositories(const struct refdb *db)
{
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice path, value;

    map_seek(&db->maps.repositories, SLICE_NONE, &cursor);
    while (map_next(&cursor, &path, &value)) {
        const struct repository *r;

        memcpy(&r, value.data, sizeof r);
        digest_add(&sum, repository_digest(db, r));
        digest_add(&sum, sum_of_refs(db, r));
    }
    return sum;
}

static struct digest sum_of_the_rest(const struct refdb *db)
{
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice key, value;
    struct tombstone t;

    map_seek(&db->maps.storages, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, storage_digest(key, value));
    }
    map_seek(&db->maps.sessions, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, session_digest(get_be64(key.data), value));
    }
    map_seek(&db->maps.session_results, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, session_result_digest(key, value));
    }
    map_seek(&db->maps.tombstones, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        t = (struct tombstone){ get_be64(value.data), get_be64(value.data + 8) };
        digest_add(&sum, tombstone_digest(key, &t));
    }
    return sum;
}

void refdb_digest_recompute(const struct refdb *db, uint8_t ret_digest[DIGEST_BYTES])
{
    struct state_position at = db->at;
    struct buffer scratch = BUFFER_INIT;

    at.sum = sum_of_repositories(db);
    digest_add(&at.sum, sum_of_the_rest(db));
    digest_store(state_digest(&at, &db->membership, &scratch), ret_digest);
    buffer_release(&scratch);
}
