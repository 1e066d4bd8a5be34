/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing a state and dumping what was frozen.
 *
 * The walking thread reads only the view and the nodes reachable from it, which nobody changes
 * until the thaw or until it lets go of them: of a leaf when the walk has moved to the next, of
 * a repository's block behind its last ref.
 */
#include "refdb/dump.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "refdb/derive.h"
#include "refdb/repository.h"
#include "refdb/session.h"
#include "refdb/varint.h"

struct refdb_view {
    struct state_maps maps;
    struct state_position at;
    struct membership membership;
    struct name_maps storage_names, actors;
    name_id storage_id_end, actor_id_end; /* above all ids */
    uint64_t ref_count;
    struct digest digest;
    uint32_t generation; /* what was frozen is older */

    /* The walk. */
    enum dump_kind kind; /* of the next chunk */
    bool is_open;        /* `cursor` stands in the map of that kind */
    struct map_cursor cursor;
    const struct repository *repository; /* whose refs are being walked; NULL = none */
    struct map_cursor ref_cursor;
    uint64_t refs_left;
    uint32_t *storage_places, *actor_places; /* by id; 0 = not met yet */
    uint32_t actor_count;                    /* met so far */
};

struct refdb_view *refdb_freeze(struct refdb *db)
{
    struct refdb_view *view = heap_new(struct refdb_view);

    view->maps = db->maps;
    view->at = db->at;
    view->membership = db->membership;
    view->storage_names = db->storage_names.maps;
    view->storage_id_end = db->storage_names.slot_count;
    view->actors = db->actors.maps;
    view->actor_id_end = db->actors.slot_count;
    view->ref_count = db->ref_count;
    view->digest = state_digest(&db->at, &db->membership, &db->scratch);
    view->kind = DUMP_HEADER;
    node_pool_freeze(&db->pool);
    view->generation = db->pool.generation;
    return view;
}

void refdb_view_digest(struct refdb_view *view, uint8_t ret_digest[DIGEST_BYTES])
{
    struct derived_from from = { &view->maps, &view->storage_names, &view->actors,
                                 view->actor_id_end };
    struct state_position at = view->at;
    struct buffer scratch = BUFFER_INIT;

    PRE(view->kind == DUMP_HEADER);
    at.sum = derive_sum(&from);
    digest_store(state_digest(&at, &view->membership, &scratch), ret_digest);
    buffer_release(&scratch);
}

void refdb_thaw(struct refdb *db, struct refdb_view *view)
{
    node_pool_thaw(&db->pool);
    node_pool_sweep(&db->pool, SWEPT_AT_THAW);
    heap_free(view->storage_places);
    heap_free(view->actor_places);
    heap_free(view);
}

/* ---- One record each.  False when the map is at its end ---- */

static void put_header(struct refdb_view *v, struct buffer *out)
{
    buffer_put_u32(out, DUMP_MAGIC);
    buffer_put_u32(out, DUMP_VERSION);
    buffer_put_u64(out, v->at.applied_index);
    buffer_put_u64(out, v->at.applied_term);
    buffer_put_u64(out, v->at.cluster_ms);
    buffer_put_u64(out, v->at.membership_index);
    if (v->at.membership_index > 0) {
        membership_encode(out, &v->membership);
    }
    buffer_put_u64(out, v->maps.settings.count);
    buffer_put_u64(out, v->maps.storages.count);
    buffer_put_u64(out, v->maps.repositories.count);
    buffer_put_u64(out, v->ref_count);
    buffer_put_u64(out, TOOTH(SESSIONS_NOT_IN_SNAPSHOT) ? 0 : v->maps.sessions.count);
    buffer_put_u64(out, TOOTH(SESSIONS_NOT_IN_SNAPSHOT) ? 0 : v->maps.session_results.count);
    buffer_put_u64(out, v->maps.tombstones.count);
}

/* The place of each name in the order of names, by id. */
static uint32_t *places_of(const struct name_maps *maps, name_id id_end)
{
    uint32_t *places = heap_zalloc(((size_t)id_end + 1) * sizeof *places), place = 0;
    struct map_cursor cursor;
    struct slice text, id;

    map_seek(&maps->by_text, SLICE_NONE, &cursor);
    while (map_next(&cursor, &text, &id)) {
        places[get_be32(id.data)] = ++place;
    }
    return places;
}

/* map_next(), letting go of the leaf it leaves. */
static bool next(const struct refdb_view *v, struct map_cursor *cursor, struct slice *ret_key,
                 struct slice *ret_value)
{
    const struct packed_node *before = cursor->leaf;
    bool is_there = map_next(cursor, ret_key, ret_value);

    if (before != NULL && cursor->leaf != before) {
        node_pool_let_go(&before->generation, v->generation);
    }
    return is_there;
}

/* A setting or a storage. */
static bool put_named_record(struct refdb_view *v, struct buffer *out)
{
    struct slice name, record;

    if (!next(v, &v->cursor, &name, &record)) {
        return false;
    }
    buffer_put_string(out, name);
    buffer_put_string(out, record);
    return true;
}

static void put_repository_fields(struct refdb_view *v, const struct repository *r,
                                  struct buffer *out)
{
    buffer_put_u8(out, DUMP_REPOSITORY);
    buffer_put_string(out, repository_path(r));
    buffer_put_u64(out, r->id);
    buffer_put_u8(out, r->format);
    buffer_put_u8(out, r->state);
    buffer_put_string(out, repository_head(r));
    buffer_put_string(out, repository_reason(r));
    buffer_put_u64(out, r->primary_epoch);
    buffer_put_u64(out, r->last_index);
    buffer_put_u64(out, r->refs.count);
    buffer_put_varint(out, v->storage_places[r->primary]);
    buffer_put_varint(out, r->replica_count);
    for (unsigned i = 0; i < r->replica_count; i++) {
        buffer_put_varint(out, v->storage_places[r->replicas[i]]);
    }
}

static void put_ref(struct refdb_view *v, struct slice name, size_t shared, struct slice value,
                    struct buffer *out)
{
    uint8_t bytes[4 * VARINT_BYTES_MAX + MAP_KEY_BYTES_MAX + OID_BYTES_MAX], *p = bytes;
    struct ref_value ref;
    struct slice text;
    bool is_new;

    ref_value_decode(value, (enum object_format)v->repository->format, &ref);
    is_new = ref.actor != 0 && v->actor_places[ref.actor] == 0;
    if (is_new) {
        v->actor_places[ref.actor] = ++v->actor_count;
    }
    p = varint_put(p, shared);
    p = varint_put(p, name.size - shared);
    memcpy(p, name.data + shared, name.size - shared);
    p += name.size - shared;
    memcpy(p, ref.oid.bytes, ref.oid.size);
    p = varint_put(p + ref.oid.size, ref.last_index);
    p = varint_put(p, ref.actor == 0 ? 0 : v->actor_places[ref.actor]);
    buffer_put(out, bytes, (size_t)(p - bytes));
    if (is_new) {
        text = name_table_text(&v->actors, ref.actor);
        buffer_put_varint(out, text.size);
        buffer_put_slice(out, text);
    }
}

/* Behind its last ref. */
static void close_repository(struct refdb_view *v)
{
    node_pool_let_go(&v->repository->generation, v->generation);
    v->repository = NULL;
}

/* Refs of the open repository until it or the chunk is full. */
static void put_refs(struct refdb_view *v, struct buffer *out, size_t end)
{
    uint8_t last[MAP_KEY_BYTES_MAX];
    size_t last_size = 0, count_offset, shared;
    struct slice name, value;
    uint32_t count = 0;

    buffer_put_u8(out, DUMP_REFS);
    count_offset = out->size;
    buffer_put_u32(out, 0);
    /* One at least: the head of the run alone may have filled the chunk. */
    while ((count == 0 || out->size < end) && next(v, &v->ref_cursor, &name, &value)) {
        shared = 0;
        while (shared < last_size && shared < name.size && last[shared] == name.data[shared]) {
            shared++;
        }
        put_ref(v, name, shared, value, out);
        memcpy(last + shared, name.data + shared, name.size - shared);
        last_size = name.size;
        count++;
    }
    put_be32(out->data + count_offset, count);
    v->refs_left -= count;
    if (v->refs_left == 0) {
        next(v, &v->ref_cursor, &name, &value); /* lets go of the last leaf */
        close_repository(v);
    }
}

static bool put_repository(struct refdb_view *v, struct buffer *out, size_t end)
{
    struct slice path, value;

    if (v->repository != NULL) {
        put_refs(v, out, end);
        return true;
    }
    if (!next(v, &v->cursor, &path, &value)) {
        return false;
    }
    memcpy(&v->repository, value.data, sizeof v->repository);
    put_repository_fields(v, v->repository, out);
    v->refs_left = v->repository->refs.count;
    if (v->refs_left == 0) {
        close_repository(v);
    } else {
        map_seek(&v->repository->refs, SLICE_NONE, &v->ref_cursor);
    }
    return true;
}

static bool put_session(struct refdb_view *v, struct buffer *out)
{
    struct slice id, record;

    if (TOOTH(SESSIONS_NOT_IN_SNAPSHOT) || !next(v, &v->cursor, &id, &record)) {
        return false;
    }
    buffer_put_slice(out, id);
    buffer_put_slice(out, record);
    return true;
}

static bool put_result(struct refdb_view *v, struct buffer *out)
{
    struct slice key, result;

    if (TOOTH(SESSIONS_NOT_IN_SNAPSHOT) || !next(v, &v->cursor, &key, &result)) {
        return false;
    }
    buffer_put_slice(out, key);
    buffer_put_string(out, result);
    return true;
}

static bool put_tombstone(struct refdb_view *v, struct buffer *out)
{
    struct slice path, value;

    if (!next(v, &v->cursor, &path, &value)) {
        return false;
    }
    buffer_put_string(out, path);
    buffer_put_slice(out, value);
    return true;
}

/* ---- Chunks ---- */

/* Goes to the start of what the next chunk holds. */
static void open_kind(struct refdb_view *v)
{
    const struct ordered_map *map[DUMP_DONE] = {
        [DUMP_SETTINGS] = &v->maps.settings,         [DUMP_STORAGES] = &v->maps.storages,
        [DUMP_REPOSITORIES] = &v->maps.repositories, [DUMP_SESSIONS] = &v->maps.sessions,
        [DUMP_RESULTS] = &v->maps.session_results,   [DUMP_TOMBSTONES] = &v->maps.tombstones,
    };

    if (map[v->kind] != NULL) {
        map_seek(map[v->kind], SLICE_NONE, &v->cursor);
    }
    if (v->kind == DUMP_REPOSITORIES) {
        v->storage_places = places_of(&v->storage_names, v->storage_id_end);
        v->actor_places = heap_zalloc(((size_t)v->actor_id_end + 1) * sizeof(uint32_t));
    }
    v->is_open = true;
}

/* One record; false when there are no more of this kind. */
static bool put_record(struct refdb_view *v, struct buffer *out, size_t end)
{
    uint8_t digest[DIGEST_BYTES];

    switch (v->kind) {
    case DUMP_HEADER:
        put_header(v, out);
        return false;
    case DUMP_SETTINGS:
    case DUMP_STORAGES:
        return put_named_record(v, out);
    case DUMP_REPOSITORIES:
        return put_repository(v, out, end);
    case DUMP_SESSIONS:
        return put_session(v, out);
    case DUMP_RESULTS:
        return put_result(v, out);
    case DUMP_TOMBSTONES:
        return put_tombstone(v, out);
    case DUMP_END:
        digest_store(v->digest, digest);
        buffer_put(out, digest, sizeof digest);
        return false;
    case DUMP_DONE:
        break;
    }
    return false;
}

void refdb_dump_next(struct refdb_view *view, struct buffer *out)
{
    size_t start = out->size, content = start + DUMP_CHUNK_HEADER_BYTES;
    size_t end = start + DUMP_CHUNK_BYTES;

    while (view->kind != DUMP_DONE) {
        enum dump_kind kind = view->kind;
        bool has_more = true;

        buffer_put_u32(out, 0);
        buffer_put_u8(out, (uint8_t)kind);
        if (!view->is_open) {
            open_kind(view);
        }
        while (has_more && out->size < end) {
            has_more = put_record(view, out, end);
        }
        if (!has_more) {
            view->kind++;
            view->is_open = false;
        }
        if (out->size > content) {
            put_be32(out->data + start, (uint32_t)(out->size - content));
            return;
        }
        out->size = start; /* nothing of this kind */
    }
}
