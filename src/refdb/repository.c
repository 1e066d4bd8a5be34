/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/repository.h"

#include "base/assert.h"
#include "base/heap.h"
#include "refdb/storage.h"
#include "refdb/varint.h"

static const struct digest FIELDS_SEED = { 0x7265706f2d666965ULL, 0x6c64732d6f662d69ULL };
static const struct digest LAST_INDEX_SEED = { 0x7265706f2d6c6173ULL, 0x742d696e6465782dULL };

/* ---- The block ---- */

static const uint8_t *texts(const struct repository *r)
{
    return (const uint8_t *)(r->replicas + r->replica_count);
}

struct slice repository_path(const struct repository *r)
{
    return slice_of(texts(r), r->path_size);
}

struct slice repository_head(const struct repository *r)
{
    return slice_of(texts(r) + r->path_size, r->head_size);
}

struct slice repository_reason(const struct repository *r)
{
    return slice_of(texts(r) + r->path_size + r->head_size, r->reason_size);
}

static size_t block_size(unsigned replica_count, size_t text_size)
{
    return sizeof(struct repository) + replica_count * sizeof(name_id) + text_size;
}

size_t repository_size(const struct repository *r)
{
    return block_size(r->replica_count, (size_t)r->path_size + r->head_size + r->reason_size);
}

void repository_get_fields(const struct repository *r, struct repository_fields *ret_fields)
{
    *ret_fields = (struct repository_fields){
        .id = r->id,
        .primary_epoch = r->primary_epoch,
        .last_index = r->last_index,
        .format = (enum object_format)r->format,
        .state = (enum repository_state)r->state,
        .path = repository_path(r),
        .head = repository_head(r),
        .reason = repository_reason(r),
        .primary = r->primary,
        .replica_count = r->replica_count,
    };
    memcpy(ret_fields->replicas, r->replicas, r->replica_count * sizeof r->replicas[0]);
}

static uint8_t *put_text(uint8_t *p, struct slice text)
{
    if (text.size > 0) {
        memcpy(p, text.data, text.size);
    }
    return p + text.size;
}

static struct repository *build(struct refdb *db, const struct repository_fields *f)
{
    size_t text_size = f->path.size + f->head.size + f->reason.size;
    struct repository *r = node_pool_alloc(&db->pool, block_size(f->replica_count, text_size));
    uint8_t *p;

    PRE(f->replica_count > 0 && f->replica_count <= REPLICAS_MAX);
    PRE(f->path.size <= PATH_BYTES_MAX && f->head.size <= REFNAME_BYTES_MAX &&
        f->reason.size <= REASON_BYTES_MAX);
    *r = (struct repository){
        .generation = db->pool.generation,
        .format = (uint8_t)f->format,
        .state = (uint8_t)f->state,
        .replica_count = (uint8_t)f->replica_count,
        .path_size = (uint16_t)f->path.size,
        .head_size = (uint16_t)f->head.size,
        .reason_size = (uint16_t)f->reason.size,
        .primary = f->primary,
        .id = f->id,
        .primary_epoch = f->primary_epoch,
        .last_index = f->last_index,
    };
    memcpy(r->replicas, f->replicas, f->replica_count * sizeof f->replicas[0]);
    p = put_text((uint8_t *)(r->replicas + r->replica_count), f->path);
    p = put_text(p, f->head);
    put_text(p, f->reason);
    return r;
}

void repository_discard(struct refdb *db, struct repository *r)
{
    node_pool_discard(&db->pool, r, repository_size(r));
}

/* ---- Finding ---- */

static struct repository *pointer_in(const struct ordered_map *map, struct slice key)
{
    struct repository *r = NULL;
    struct slice value;

    if (map_find(map, key, &value)) {
        memcpy(&r, value.data, sizeof r);
    }
    return r;
}

struct repository *repository_find(const struct state_maps *maps, struct slice path)
{
    return pointer_in(&maps->repositories, path);
}

struct repository *repository_find_id(const struct refdb *db, uint64_t id)
{
    uint8_t key[8];

    return pointer_in(&db->indexes.ids, key_of_u64(id, key));
}

static void point_to(struct refdb *db, struct repository *r)
{
    uint8_t key[8];

    map_put(&db->pool, &db->maps.repositories, repository_path(r), slice_of(&r, sizeof r));
    map_put(&db->index_pool, &db->indexes.ids, key_of_u64(r->id, key), slice_of(&r, sizeof r));
}

bool repository_find_replica(const struct name_maps *names, const struct repository_fields *fields,
                             struct slice storage, unsigned *ret_slot)
{
    unsigned slot = 0;
    int order = 1;

    while (slot < fields->replica_count) {
        order = slice_compare(name_table_text(names, fields->replicas[slot]), storage);
        if (order >= 0) {
            break;
        }
        slot++;
    }
    *ret_slot = slot;
    return order == 0;
}

/* ---- Digest ---- */

static struct digest last_index_digest(const struct repository *r)
{
    return digest_words(LAST_INDEX_SEED, r->id, r->last_index);
}

struct digest repository_digest(const struct name_maps *names, const struct repository *r)
{
    struct digest d = digest_words(FIELDS_SEED, r->id, r->primary_epoch);

    d = digest_words(d, r->format, r->state);
    d = digest_bytes(d, repository_path(r));
    d = digest_bytes(d, repository_head(r));
    d = digest_bytes(d, repository_reason(r));
    d = digest_bytes(d, name_table_text(names, r->primary));
    for (unsigned i = 0; i < r->replica_count; i++) {
        d = digest_bytes(d, name_table_text(names, r->replicas[i]));
    }
    digest_add(&d, last_index_digest(r));
    return d;
}

/* ---- Bytes ---- */

uint64_t repository_bytes(const struct refdb *db, const struct repository_fields *fields)
{
    uint64_t bytes = fields->path.size + fields->head.size + fields->reason.size;

    for (unsigned i = 0; i < fields->replica_count; i++) {
        bytes += name_table_size(&db->storage_names, fields->replicas[i]);
    }
    return bytes;
}

/* What a block counts for goes to the state's sum and bytes, or is taken out. */
static void account(struct refdb *db, const struct repository *r, bool is_in)
{
    struct repository_fields fields;

    repository_get_fields(r, &fields);
    if (is_in) {
        db->repository_bytes += repository_bytes(db, &fields);
        digest_add(&db->at.sum, repository_digest(&db->storage_names.maps, r));
    } else {
        db->repository_bytes -= repository_bytes(db, &fields);
        digest_subtract(&db->at.sum, repository_digest(&db->storage_names.maps, r));
    }
    storage_count_uses(db, r, is_in);
}

/* ---- Changing ---- */

struct repository *repository_add(struct refdb *db, const struct repository_fields *fields)
{
    struct repository *r = build(db, fields);

    account(db, r, true);
    point_to(db, r);
    return r;
}

struct repository *repository_replace(struct refdb *db, struct repository *old,
                                      const struct repository_fields *fields)
{
    struct repository *r = build(db, fields);

    PRE(r->id == old->id);
    r->refs = old->refs;
    r->refs_digest = old->refs_digest;
    r->content_digest = old->content_digest;
    r->ref_bytes = old->ref_bytes;
    account(db, r, true);
    account(db, old, false);
    if (repository_find(&db->maps, repository_path(old)) == old) { /* not taken by another */
        map_remove(&db->pool, &db->maps.repositories, repository_path(old));
    }
    point_to(db, r);
    repository_discard(db, old);
    return r;
}

/* Each ref of the first leaf gives back its use of an actor. */
static void drop_actors_of_leaf(struct refdb *db, const struct ordered_map *refs,
                                enum object_format format)
{
    const struct packed_node *leaf;
    struct slice name, value;
    struct map_cursor cursor;
    struct ref_value v;
    bool is_there = map_first(refs, &cursor, &name, &value);

    for (leaf = cursor.leaf; is_there && cursor.leaf == leaf;
         is_there = map_next(&cursor, &name, &value)) {
        ref_value_decode(value, format, &v);
        name_table_drop(&db->pool, &db->actors, v.actor);
    }
}

void repository_sweep(struct refdb *db)
{
    for (unsigned i = 0; i < DETACHED_LEAVES_PER_ENTRY && db->detached != NULL; i++) {
        struct detached *d = db->detached;

        drop_actors_of_leaf(db, &d->refs, d->format);
        map_drop_first_leaf(&db->pool, &d->refs);
        if (d->refs.root == NULL) {
            db->detached = d->next;
            heap_free(d);
        }
    }
}

static void drop_actors(struct refdb *db, const struct ordered_map *refs, enum object_format format)
{
    struct slice name, value;
    struct map_cursor cursor;
    struct ref_value v;

    map_seek(refs, SLICE_NONE, &cursor);
    while (map_next(&cursor, &name, &value)) {
        ref_value_decode(value, format, &v);
        name_table_drop(&db->pool, &db->actors, v.actor);
    }
}

/* Frees the refs of a repository that goes, or puts that off. */
static void discard_refs(struct refdb *db, struct ordered_map refs, enum object_format format)
{
    struct detached *d;

    if (refs.count < DETACHED_REFS_MIN) {
        drop_actors(db, &refs, format);
        map_clear(&db->pool, &refs);
        return;
    }
    d = heap_new(struct detached);
    *d = (struct detached){ db->detached, format, refs };
    db->detached = d;
}

void repository_remove(struct refdb *db, struct repository *r)
{
    uint8_t key[8];

    account(db, r, false);
    digest_subtract(&db->at.sum, r->content_digest);
    db->ref_count -= r->refs.count;
    db->ref_bytes -= r->ref_bytes;
    map_remove(&db->pool, &db->maps.repositories, repository_path(r));
    map_remove(&db->index_pool, &db->indexes.ids, key_of_u64(r->id, key));
    discard_refs(db, r->refs, (enum object_format)r->format);
    repository_discard(db, r);
}

struct repository *repository_changeable(struct refdb *db, struct repository *r)
{
    struct repository *copy;

    if (!node_pool_must_copy(&db->pool, &r->generation)) {
        return r;
    }
    copy = node_pool_alloc(&db->pool, repository_size(r));
    copy->generation = db->pool.generation;
    memcpy(&copy->format, &r->format, repository_size(r) - offsetof(struct repository, format));
    point_to(db, copy);
    repository_discard(db, r);
    return copy;
}

void repository_set_last_index(struct refdb *db, struct repository *r, raft_index index)
{
    digest_subtract(&db->at.sum, last_index_digest(r));
    r->last_index = index;
    digest_add(&db->at.sum, last_index_digest(r));
}

/* ---- Refs ---- */

struct slice ref_value_encode(const struct ref_value *v, uint8_t bytes[REF_VALUE_BYTES_MAX])
{
    uint8_t *p = bytes;

    memcpy(p, v->oid.bytes, v->oid.size);
    p = varint_put(p + v->oid.size, v->last_index);
    p = varint_put(p, v->actor);
    return slice_of(bytes, (size_t)(p - bytes));
}

void ref_value_decode(struct slice bytes, enum object_format format, struct ref_value *ret_v)
{
    uint8_t size = object_format_oid_bytes(format);
    const uint8_t *p = bytes.data;
    uint64_t actor;

    INVARIANT(size > 0 && bytes.size > size);
    ret_v->oid.size = size;
    memcpy(ret_v->oid.bytes, p, size);
    p = varint_get(p + size, &ret_v->last_index);
    varint_get(p, &actor);
    ret_v->actor = (name_id)actor;
}

struct digest ref_content_digest(struct digest ref_digest, uint64_t repository_id,
                                 raft_index last_index, uint64_t actor_hash)
{
    return digest_words(digest_words(ref_digest, repository_id, last_index), actor_hash, 0);
}
