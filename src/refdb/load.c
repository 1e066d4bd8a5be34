/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a state from a dump.  The bytes may come from a damaged disk or another node, so
 * nothing is believed: names, orders, references between records and counts are checked as
 * they arrive, and the digest at the end.
 */
#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "model/refname.h"
#include "refdb/dump.h"
#include "refdb/repository.h"
#include "refdb/session.h"
#include "refdb/settings.h"
#include "refdb/storage.h"
#include "refdb/tombstone.h"
#include "refdb/varint.h"

struct refdb_loader {
    struct refdb *db;
    enum rk_status status;
    struct buffer pending; /* the start of a chunk that is not complete */
    enum dump_kind kind;   /* of the last chunk; 0 before the first */
    uint64_t counts[DUMP_COUNTS];

    struct buffer storages, actors; /* name_id by place - 1; actors met so far */
    struct buffer last;             /* the last key, where keys must ascend */
    struct repository *repository;  /* the last one; its refs follow */
    uint64_t refs_left;
    struct map_builder refs;
    struct session session; /* whose results are arriving */
    uint64_t session_id, result_count, result_bytes, result_total;
};

struct refdb_loader *refdb_loader_new(void)
{
    struct refdb_loader *l = heap_new(struct refdb_loader);

    l->db = refdb_new();
    map_builder_init(&l->refs);
    return l;
}

/* ---- What several records need ---- */

static bool is_index(const struct refdb_loader *l, raft_index index)
{
    return index > 0 && index <= l->db->at.applied_index;
}

/* True when `key` is above the last one given; it is the last one then. */
static bool ascends(struct refdb_loader *l, struct slice key)
{
    if (l->last.size > 0 && slice_compare(key, buffer_slice(&l->last)) <= 0) {
        return false;
    }
    buffer_clear(&l->last);
    buffer_put_slice(&l->last, key);
    return true;
}

static name_id name_at(const struct buffer *places, uint64_t place)
{
    name_id id = 0;

    if (place > 0 && place <= places->size / sizeof id) {
        memcpy(&id, places->data + (place - 1) * sizeof id, sizeof id);
    }
    return id;
}

/* ---- Records.  False: bad ---- */

static bool load_header(struct refdb_loader *l, struct reader *r)
{
    struct state_position *at = &l->db->at;
    uint32_t version;

    if (reader_u32(r) != DUMP_MAGIC) {
        return false;
    }
    version = reader_u32(r);
    if (!r->failed && version > DUMP_VERSION) {
        l->status = RK_UNSUPPORTED;
        return false;
    }
    at->applied_index = reader_u64(r);
    at->applied_term = reader_u64(r);
    at->cluster_ms = reader_u64(r);
    at->membership_index = reader_u64(r);
    if (version == 0 || at->cluster_ms > INT64_MAX || at->membership_index > at->applied_index) {
        return false;
    }
    if (at->membership_index > 0 && membership_decode(r, &l->db->membership) != RK_OK) {
        at->membership_index = 0;
        return false;
    }
    for (unsigned i = 0; i < DUMP_COUNTS; i++) {
        l->counts[i] = reader_u64(r);
    }
    return reader_done(r);
}

static bool load_setting(struct refdb_loader *l, struct reader *r)
{
    struct slice name = reader_string(r, SETTING_NAME_BYTES_MAX);
    struct slice record = reader_string(r, DUMP_CHUNK_BYTES_MAX);

    return !r->failed && ascends(l, name) && settings_put(l->db, name, record);
}

static bool load_storage(struct refdb_loader *l, struct reader *r)
{
    struct slice name = reader_string(r, STORAGE_NAME_BYTES_MAX);
    struct slice bytes = reader_string(r, DUMP_CHUNK_BYTES_MAX);
    struct storage_record record;
    name_id id;

    if (r->failed || !storage_name_is_valid(name) || !ascends(l, name) ||
        !storage_record_decode(bytes, &record) || !is_index(l, record.last_index)) {
        return false;
    }
    storage_put(l->db, name, &record);
    id = name_table_find(&l->db->storage_names.maps, name);
    buffer_put(&l->storages, &id, sizeof id);
    return true;
}

/* The actor of a ref.  One that is named for the first time comes with its text; the loader's
 * own use of it ends with the loading. */
static bool load_actor(struct refdb_loader *l, struct reader *r, name_id *ret_id)
{
    uint64_t place = reader_varint(r), known = l->actors.size / sizeof(name_id), size;
    struct slice text;

    *ret_id = name_at(&l->actors, place);
    if (r->failed || place != known + 1) {
        return !r->failed && place <= known;
    }
    size = reader_varint(r);
    if (r->failed || size == 0 || size > ACTOR_BYTES_MAX) {
        return false;
    }
    text = reader_bytes(r, (size_t)size);
    if (r->failed || name_table_find(&l->db->actors.maps, text) != 0) {
        return false;
    }
    *ret_id = name_table_take(&l->db->pool, &l->db->actors, text);
    buffer_put(&l->actors, ret_id, sizeof *ret_id);
    return true;
}

static bool load_replicas(struct refdb_loader *l, struct reader *r, struct repository_fields *f)
{
    uint64_t primary = reader_varint(r), count = reader_varint(r), last = 0;

    if (r->failed || count == 0 || count > REPLICAS_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t place = reader_varint(r);

        if (place <= last || name_at(&l->storages, place) == 0) {
            return false;
        }
        f->replicas[f->replica_count++] = name_at(&l->storages, place);
        if (place == primary) {
            f->primary = name_at(&l->storages, place);
        }
        last = place;
    }
    return f->primary != 0;
}

static bool fields_are_good(const struct refdb_loader *l, const struct repository_fields *f,
                            uint64_t ref_count)
{
    return repository_path_is_valid(f->path) && refname_is_valid(f->head) &&
           f->format <= OBJECT_FORMAT_SHA256 && f->state <= REPOSITORY_FROZEN &&
           (ref_count == 0 || f->format != OBJECT_FORMAT_UNSET) && is_index(l, f->id) &&
           is_index(l, f->primary_epoch) && is_index(l, f->last_index) &&
           repository_find_id(l->db, f->id) == NULL;
}

static bool load_repository(struct refdb_loader *l, struct reader *r)
{
    struct repository_fields f = { .id = 0 };
    uint64_t ref_count;

    f.path = reader_string(r, PATH_BYTES_MAX);
    f.id = reader_u64(r);
    f.format = (enum object_format)reader_u8(r);
    f.state = (enum repository_state)reader_u8(r);
    f.head = reader_string(r, REFNAME_BYTES_MAX);
    f.reason = reader_string(r, REASON_BYTES_MAX);
    f.primary_epoch = reader_u64(r);
    f.last_index = reader_u64(r);
    ref_count = reader_u64(r);
    if (l->refs_left > 0 || !load_replicas(l, r, &f) || r->failed ||
        !fields_are_good(l, &f, ref_count) || !ascends(l, f.path)) {
        return false;
    }
    l->repository = repository_add(l->db, &f);
    l->refs_left = ref_count;
    return true;
}

/* One ref; `name` holds the one before it in the run and gets this one. */
static bool load_ref(struct refdb_loader *l, struct reader *r, uint8_t *name, size_t *name_size)
{
    struct repository *repo = l->repository;
    uint64_t shared = reader_varint(r), suffix_size = reader_varint(r);
    struct ref_value v = { .oid.size = object_format_oid_bytes((enum object_format)repo->format) };
    uint8_t bytes[REF_VALUE_BYTES_MAX];
    struct digest d, content;
    struct slice suffix, oid, full;

    if (r->failed || shared > *name_size || suffix_size > REFNAME_BYTES_MAX - shared) {
        return false;
    }
    suffix = reader_bytes(r, (size_t)suffix_size);
    oid = reader_bytes(r, v.oid.size);
    v.last_index = reader_varint(r);
    if (!load_actor(l, r, &v.actor) || !is_index(l, v.last_index)) {
        return false;
    }
    memcpy(name + shared, suffix.data, suffix.size);
    *name_size = (size_t)(shared + suffix_size);
    full = slice_of(name, *name_size);
    memcpy(v.oid.bytes, oid.data, oid.size);
    if (!refname_is_valid(full) || oid_is_null(&v.oid) ||
        !map_builder_add(&l->db->pool, &l->refs, full, ref_value_encode(&v, bytes))) {
        return false;
    }
    name_table_use(&l->db->actors, v.actor);
    d = digest_ref(full, &v.oid);
    content = ref_content_digest(d, repo->id, v.last_index,
                                 name_table_hash(&l->db->actors, v.actor));
    digest_add(&repo->refs_digest, d);
    digest_add(&repo->content_digest, content);
    repo->ref_bytes += ref_bytes(l->db, full, &v);
    return true;
}

/* The refs loaded so far become the repository's. */
static void close_refs(struct refdb_loader *l)
{
    struct repository *repo = l->repository;

    if (l->refs.count > 0) {
        map_builder_finish(&l->db->pool, &l->refs, &repo->refs);
        l->db->ref_count += repo->refs.count;
        l->db->ref_bytes += repo->ref_bytes;
        digest_add(&l->db->at.sum, repo->content_digest);
    }
}

static bool load_refs(struct refdb_loader *l, struct reader *r)
{
    uint32_t count = reader_u32(r);
    uint8_t name[REFNAME_BYTES_MAX];
    size_t name_size = 0;

    if (r->failed || count == 0 || count > l->refs_left) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!load_ref(l, r, name, &name_size)) {
            return false;
        }
    }
    l->refs_left -= count;
    if (l->refs_left == 0) {
        close_refs(l);
    }
    return true;
}

static bool load_repository_record(struct refdb_loader *l, struct reader *r)
{
    switch (reader_u8(r)) {
    case DUMP_REPOSITORY:
        return load_repository(l, r);
    case DUMP_REFS:
        return load_refs(l, r);
    default:
        return false;
    }
}

static bool load_session(struct refdb_loader *l, struct reader *r)
{
    struct slice id_bytes = reader_bytes(r, 8), record = reader_bytes(r, SESSION_RECORD_BYTES);
    struct session s;
    uint64_t id;

    if (r->failed) {
        return false;
    }
    id = get_be64(id_bytes.data);
    session_record_decode(record.data, &s);
    if (!is_index(l, id) || !is_index(l, s.last_index) || s.last_ms > l->db->at.cluster_ms ||
        s.result_count > SESSION_WINDOW_MAX || s.result_bytes > SESSIONS_BYTES_MAX ||
        (s.result_count == 0) != (s.result_bytes == 0) || !ascends(l, id_bytes) ||
        l->db->maps.sessions.count >= SESSIONS_MAX) {
        return false;
    }
    l->result_total += s.result_count;
    session_put(l->db, id, &s);
    return true;
}

/* The results of a session are all there. */
static bool close_results(struct refdb_loader *l)
{
    return l->session_id == 0 || (l->result_count == l->session.result_count &&
                                  l->result_bytes == l->session.result_bytes);
}

static bool load_result(struct refdb_loader *l, struct reader *r)
{
    struct slice key = reader_bytes(r, 16), bytes = reader_string(r, DUMP_CHUNK_BYTES_MAX);
    uint64_t id, sequence;

    if (r->failed || !ascends(l, key) || !result_decode(bytes, NULL)) {
        return false;
    }
    id = get_be64(key.data);
    sequence = get_be64(key.data + 8);
    if (id != l->session_id) {
        if (!close_results(l) || !session_find(&l->db->maps, id, &l->session)) {
            return false;
        }
        l->session_id = id;
        l->result_count = 0;
        l->result_bytes = 0;
    }
    if (sequence < l->session.floor || sequence == UINT64_MAX) {
        return false;
    }
    l->result_count++;
    l->result_bytes += bytes.size;
    l->db->session_bytes += bytes.size;
    digest_add(&l->db->at.sum, session_result_digest(key, bytes));
    map_put(&l->db->pool, &l->db->maps.session_results, key, bytes);
    return true;
}

static bool load_tombstone(struct refdb_loader *l, struct reader *r)
{
    struct slice path = reader_string(r, PATH_BYTES_MAX), value;
    struct tombstone t;
    uint8_t key[8];

    t.id = reader_u64(r);
    t.removed_index = reader_u64(r);
    if (r->failed || !repository_path_is_valid(path) || !ascends(l, path) || !is_index(l, t.id) ||
        !is_index(l, t.removed_index) || repository_find(&l->db->maps, path) != NULL ||
        map_find(&l->db->indexes.tombstone_order, key_of_u64(t.removed_index, key), &value) ||
        l->db->maps.tombstones.count >= TOMBSTONES_MAX) {
        return false;
    }
    tombstone_put(l->db, path, &t);
    return true;
}

/* ---- Chunks ---- */

static bool load_end(struct refdb_loader *l, struct reader *r)
{
    struct slice bytes = reader_bytes(r, DIGEST_BYTES);
    const struct state_maps *maps = &l->db->maps;
    const uint64_t found[DUMP_COUNTS] = {
        maps->settings.count,   maps->storages.count, maps->repositories.count,
        l->db->ref_count,       maps->sessions.count, maps->session_results.count,
        maps->tombstones.count,
    };

    return !r->failed && l->refs_left == 0 && close_results(l) &&
           l->result_total == maps->session_results.count &&
           memcmp(found, l->counts, sizeof found) == 0 &&
           digest_equal(digest_fetch(bytes.data),
                        state_digest(&l->db->at, &l->db->membership, &l->db->scratch));
}

static bool load_record(struct refdb_loader *l, struct reader *r)
{
    switch (l->kind) {
    case DUMP_HEADER:
        return load_header(l, r);
    case DUMP_SETTINGS:
        return load_setting(l, r);
    case DUMP_STORAGES:
        return load_storage(l, r);
    case DUMP_REPOSITORIES:
        return load_repository_record(l, r);
    case DUMP_SESSIONS:
        return load_session(l, r);
    case DUMP_RESULTS:
        return load_result(l, r);
    case DUMP_TOMBSTONES:
        return load_tombstone(l, r);
    case DUMP_END:
        return load_end(l, r);
    case DUMP_DONE:
        break;
    }
    return false;
}

/* Kinds come in order: the header first and alone, nothing after the end. */
static bool kind_follows(const struct refdb_loader *l, unsigned kind)
{
    if (l->kind == 0) {
        return kind == DUMP_HEADER;
    }
    return kind > DUMP_HEADER && kind <= DUMP_END && kind >= (unsigned)l->kind &&
           l->kind != DUMP_END;
}

static void load_chunk(struct refdb_loader *l, unsigned kind, struct slice payload)
{
    struct reader r = reader_of(payload);

    if (!kind_follows(l, kind) || payload.size == 0) {
        l->status = RK_CORRUPT;
        return;
    }
    if (kind != (unsigned)l->kind) {
        l->kind = (enum dump_kind)kind;
        buffer_clear(&l->last);
    }
    while (l->status == RK_OK && !reader_done(&r)) {
        if ((!load_record(l, &r) || r.failed) && l->status == RK_OK) {
            l->status = RK_CORRUPT;
        }
    }
}

/* The size of the chunk that starts `bytes`, 0 when its header is not complete. */
static size_t chunk_size(struct refdb_loader *l, struct slice bytes)
{
    uint32_t size;

    if (bytes.size < DUMP_CHUNK_HEADER_BYTES) {
        return 0;
    }
    size = get_be32(bytes.data);
    if (size > DUMP_CHUNK_BYTES_MAX) {
        l->status = RK_CORRUPT;
        return 0;
    }
    return DUMP_CHUNK_HEADER_BYTES + (size_t)size;
}

/* Loads the chunk that starts `bytes` and gives its size; 0 when it is not complete. */
static size_t load_first_chunk(struct refdb_loader *l, struct slice bytes)
{
    size_t size = chunk_size(l, bytes);

    if (size == 0 || bytes.size < size) {
        return 0;
    }
    load_chunk(l, bytes.data[4],
               slice_of(bytes.data + DUMP_CHUNK_HEADER_BYTES, size - DUMP_CHUNK_HEADER_BYTES));
    return size;
}

/* Moves bytes from *input until the pending chunk, or its header, is complete. */
static void fill_pending(struct refdb_loader *l, struct slice *input)
{
    size_t size = chunk_size(l, buffer_slice(&l->pending));
    size_t wanted = size == 0 ? DUMP_CHUNK_HEADER_BYTES : size, missing;

    if (l->status != RK_OK || l->pending.size >= wanted) {
        return;
    }
    missing = wanted - l->pending.size;
    missing = missing < input->size ? missing : input->size;
    buffer_put(&l->pending, input->data, missing);
    *input = slice_of(input->data + missing, input->size - missing);
}

enum rk_status refdb_loader_put(struct refdb_loader *l, struct slice bytes)
{
    while (l->status == RK_OK && bytes.size > 0) {
        size_t size = 0;

        if (l->pending.size == 0) {
            size = load_first_chunk(l, bytes);
            bytes = slice_of(bytes.data + size, bytes.size - size);
        }
        if (size == 0) {
            fill_pending(l, &bytes);
            buffer_consume(&l->pending, load_first_chunk(l, buffer_slice(&l->pending)));
        }
    }
    return l->status;
}

enum rk_status refdb_loader_finish(struct refdb_loader *l, struct refdb **ret_db)
{
    enum rk_status status = l->status;
    struct refdb *db = l->db;

    if (status == RK_OK && (l->kind != DUMP_END || l->pending.size > 0)) {
        status = RK_CORRUPT;
    }
    if (status == RK_OK) {
        for (size_t i = 0; i < l->actors.size / sizeof(name_id); i++) {
            name_table_drop(&db->pool, &db->actors, name_at(&l->actors, i + 1));
        }
        if (TOOTH(APPLIED_TWICE) && db->at.applied_index > 1) {
            db->at.applied_index--;
        }
        l->db = NULL;
        *ret_db = db;
    }
    refdb_loader_free(l);
    return status;
}

void refdb_loader_free(struct refdb_loader *l)
{
    struct ordered_map refs;

    if (l == NULL) {
        return;
    }
    if (l->db != NULL) {
        map_builder_finish(&l->db->pool, &l->refs, &refs);
        map_clear(&l->db->pool, &refs);
        refdb_free(l->db);
    }
    buffer_release(&l->pending);
    buffer_release(&l->storages);
    buffer_release(&l->actors);
    buffer_release(&l->last);
    heap_free(l);
}
