/* SPDX-License-Identifier: Apache-2.0 */
/* Questions.  Nothing here changes the state. */
#include "refdb/repository.h"
#include "refdb/storage.h"
#include "refdb/tombstone.h"

/* ---- Repositories ---- */

static void fill_repository(const struct refdb *db, const struct repository *r,
                            struct refdb_repository *ret)
{
    const struct name_maps *names = &db->storage_names.maps;

    ret->id = r->id;
    ret->path = repository_path(r);
    ret->format = (enum object_format)r->format;
    ret->head = repository_head(r);
    ret->state = (enum repository_state)r->state;
    ret->reason = repository_reason(r);
    ret->primary = name_table_text(names, r->primary);
    ret->primary_epoch = r->primary_epoch;
    ret->replica_count = r->replica_count;
    for (unsigned i = 0; i < r->replica_count; i++) {
        ret->replicas[i] = name_table_text(names, r->replicas[i]);
    }
    ret->ref_count = r->refs.count;
    ret->ref_bytes = r->ref_bytes;
    ret->last_index = r->last_index;
    digest_store(r->refs_digest, ret->digest);
}

static enum rk_status absence(const struct refdb *db, struct slice path)
{
    struct tombstone t;

    return tombstone_find(&db->maps, path, &t) ? RK_REMOVED : RK_NOREPO;
}

enum rk_status refdb_find_repository(const struct refdb *db, struct slice path, uint64_t id,
                                     struct refdb_repository *ret_repository)
{
    const struct repository *r = repository_find(&db->maps, path);

    if (r != NULL && (id == 0 || r->id == id)) {
        fill_repository(db, r, ret_repository);
        return RK_OK;
    }
    if (id == 0) {
        return absence(db, path);
    }
    r = repository_find_id(db, id);
    if (r == NULL) {
        return RK_REMOVED;
    }
    fill_repository(db, r, ret_repository);
    return RK_RENAMED;
}

bool refdb_next_repository(const struct refdb *db, struct slice after, bool inclusive,
                           struct refdb_repository *ret_repository)
{
    const struct repository *r;
    struct map_cursor cursor;
    struct slice key, value;

    map_seek(&db->maps.repositories, after, &cursor);
    if (!map_next(&cursor, &key, &value)) {
        return false;
    }
    if (!inclusive && slice_equal(key, after) && !map_next(&cursor, &key, &value)) {
        return false;
    }
    memcpy(&r, value.data, sizeof r);
    fill_repository(db, r, ret_repository);
    return true;
}

/* ---- Refs ---- */

enum rk_status refdb_find_ref(const struct refdb *db, struct slice path, struct slice refname,
                              struct refdb_ref *ret_ref)
{
    const struct repository *r = repository_find(&db->maps, path);
    struct ref_value v;
    struct slice value;

    if (r == NULL) {
        return absence(db, path);
    }
    if (!map_find(&r->refs, refname, &value)) {
        return RK_NOREF;
    }
    ref_value_decode(value, (enum object_format)r->format, &v);
    ret_ref->name = refname;
    ret_ref->oid = v.oid;
    ret_ref->last_index = v.last_index;
    return RK_OK;
}

enum rk_status refdb_seek_refs(const struct refdb *db, struct slice path, struct slice from,
                               struct refdb_ref_cursor *ret_cursor)
{
    const struct repository *r = repository_find(&db->maps, path);

    if (r == NULL) {
        return absence(db, path);
    }
    map_seek(&r->refs, from, &ret_cursor->walk);
    ret_cursor->oid_bytes = object_format_oid_bytes((enum object_format)r->format);
    return RK_OK;
}

bool refdb_next_ref(struct refdb_ref_cursor *cursor, struct refdb_ref *ret_ref)
{
    enum object_format format = cursor->oid_bytes == 20 ? OBJECT_FORMAT_SHA1 : OBJECT_FORMAT_SHA256;
    struct slice name, value;
    struct ref_value v;

    if (!map_next(&cursor->walk, &name, &value)) {
        return false;
    }
    ref_value_decode(value, format, &v);
    ret_ref->name = name;
    ret_ref->oid = v.oid;
    ret_ref->last_index = v.last_index;
    return true;
}

/* ---- Storages ---- */

static void fill_storage(const struct refdb *db, struct slice name,
                         const struct storage_record *record, struct refdb_storage *ret)
{
    name_id id = name_table_find(&db->storage_names.maps, name);

    ret->name = name_table_text(&db->storage_names.maps, id);
    ret->http_address = record->http_address;
    ret->ssh_address = record->ssh_address;
    ret->zone = record->zone;
    ret->state = record->state;
    ret->primary_count = storage_primary_count(db, id);
    ret->replica_count = storage_replica_count(db, id);
    ret->last_index = record->last_index;
}

enum rk_status refdb_find_storage(const struct refdb *db, struct slice name,
                                  struct refdb_storage *ret_storage)
{
    struct storage_record record;

    if (!storage_find(&db->maps, name, &record)) {
        return RK_NOSTORAGE;
    }
    fill_storage(db, name, &record, ret_storage);
    return RK_OK;
}

bool refdb_next_storage(const struct refdb *db, struct slice after,
                        struct refdb_storage *ret_storage)
{
    struct storage_record record;
    struct map_cursor cursor;
    struct slice name, value;

    map_seek(&db->maps.storages, after, &cursor);
    if (!map_next(&cursor, &name, &value)) {
        return false;
    }
    if (slice_equal(name, after) && after.size > 0 && !map_next(&cursor, &name, &value)) {
        return false;
    }
    if (!storage_record_decode(value, &record)) {
        return false;
    }
    fill_storage(db, name, &record, ret_storage);
    return true;
}

/* ---- The whole ---- */

raft_index refdb_applied_index(const struct refdb *db)
{
    return db->at.applied_index;
}

raft_term refdb_applied_term(const struct refdb *db)
{
    return db->at.applied_term;
}

int64_t refdb_cluster_ms(const struct refdb *db)
{
    return (int64_t)db->at.cluster_ms;
}

void refdb_get_gauges(const struct refdb *db, struct refdb_gauges *ret_gauges)
{
    *ret_gauges = (struct refdb_gauges){
        .repositories = db->maps.repositories.count,
        .refs = db->ref_count,
        .storages = db->maps.storages.count,
        .sessions = db->maps.sessions.count,
        .tombstones = db->maps.tombstones.count,
        .ref_bytes = db->ref_bytes,
        .repository_bytes = db->repository_bytes,
        .session_bytes = db->session_bytes,
        .bytes = db->pool.bytes + db->index_pool.bytes,
    };
}

void refdb_get_limits(const struct refdb *db, uint64_t ret_limits[LIMIT_COUNT])
{
    memcpy(ret_limits, db->limits, sizeof db->limits);
}

struct slice refdb_filter(const struct refdb *db)
{
    return buffer_slice(&db->filter);
}

const struct membership *refdb_membership(const struct refdb *db, raft_index *ret_index)
{
    *ret_index = db->at.membership_index;
    return db->at.membership_index == 0 ? NULL : &db->membership;
}
