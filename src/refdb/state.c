/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a state, and its digest. */
#include "refdb/state.h"

#include "base/assert.h"
#include "base/heap.h"
#include "refdb/repository.h"

static const struct digest POSITION_SEED = { 0x706f736974696f6eULL, 0x2d6f662d73746174ULL };

struct refdb *refdb_new(void)
{
    struct refdb *db = heap_new(struct refdb);

    node_pool_init(&db->pool);
    node_pool_init(&db->index_pool);
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
    while (db->detached != NULL) {
        struct detached *d = db->detached;

        db->detached = d->next;
        map_clear(&db->pool, &d->refs);
        heap_free(d);
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
    map_clear(&db->index_pool, &db->indexes.ids);
    map_clear(&db->pool, &db->maps.storages);
    map_clear(&db->pool, &db->maps.sessions);
    map_clear(&db->index_pool, &db->indexes.session_order);
    map_clear(&db->pool, &db->maps.session_results);
    map_clear(&db->pool, &db->maps.tombstones);
    map_clear(&db->index_pool, &db->indexes.tombstone_order);
    map_clear(&db->pool, &db->maps.settings);
    name_table_release(&db->pool, &db->storage_names);
    name_table_release(&db->pool, &db->actors);
    node_pool_release(&db->pool);
    node_pool_release(&db->index_pool);
    result_release(&db->results);
    buffer_release(&db->scratch);
    buffer_release(&db->filter);
    heap_free(db->updates);
    heap_free(db->primary_counts);
    heap_free(db);
}

bool refdb_sweep(struct refdb *db)
{
    if (db->pool.is_frozen) {
        node_pool_sweep(&db->pool, SWEPT_PER_ENTRY_FROZEN);
        return false;
    }
    if (db->pool.limbo_count > 0) {
        node_pool_sweep(&db->pool, SWEPT_PER_ENTRY);
    } else {
        repository_sweep(db);
    }
    return db->pool.limbo_count > 0 || db->detached != NULL;
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

void state_mark(struct refdb *db)
{
    struct state_mark *mark;

    if (db->at.applied_index % DIGEST_INTERVAL != 0) {
        return;
    }
    mark = &db->marks[db->at.applied_index / DIGEST_INTERVAL % DIGESTS_KEPT];
    mark->index = db->at.applied_index;
    digest_store(state_digest(&db->at, &db->membership, &db->scratch), mark->digest);
}

bool refdb_digest_at(const struct refdb *db, raft_index index, uint8_t ret_digest[DIGEST_BYTES])
{
    const struct state_mark *mark = &db->marks[index / DIGEST_INTERVAL % DIGESTS_KEPT];

    if (index == db->at.applied_index) {
        refdb_digest(db, ret_digest);
        return true;
    }
    if (index == 0 || mark->index != index) {
        return false;
    }
    memcpy(ret_digest, mark->digest, sizeof mark->digest);
    return true;
}
