/* SPDX-License-Identifier: Apache-2.0 */
/* The digest of a state once more, from all of its data instead of change by change. */
#include "refdb/derive.h"

#include "base/heap.h"
#include "refdb/repository.h"
#include "refdb/session.h"
#include "refdb/settings.h"
#include "refdb/storage.h"
#include "refdb/tombstone.h"

/* Hashes of actors by id: from the texts, each when it is first met. */
struct actors {
    const struct name_maps *maps;
    uint64_t *hashes; /* 0 = not met yet */
};

static uint64_t hash_of(struct actors *actors, name_id id)
{
    if (id != 0 && actors->hashes[id] == 0) {
        actors->hashes[id] = name_hash(name_table_text(actors->maps, id));
    }
    return id == 0 ? 0 : actors->hashes[id];
}

static struct digest sum_of_refs(const struct repository *r, struct actors *actors)
{
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice name, value;
    struct ref_value v;

    map_seek(&r->refs, SLICE_NONE, &cursor);
    while (map_next(&cursor, &name, &value)) {
        ref_value_decode(value, (enum object_format)r->format, &v);
        digest_add(&sum, ref_content_digest(digest_ref(name, &v.oid), r->id, v.last_index,
                                            hash_of(actors, v.actor)));
    }
    return sum;
}

static struct digest sum_of_repositories(const struct derived_from *from)
{
    struct actors actors = { from->actors,
                             heap_zalloc(((size_t)from->actor_id_end + 1) * sizeof(uint64_t)) };
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice path, value;

    map_seek(&from->maps->repositories, SLICE_NONE, &cursor);
    while (map_next(&cursor, &path, &value)) {
        const struct repository *r;

        memcpy(&r, value.data, sizeof r);
        digest_add(&sum, repository_digest(from->storage_names, r));
        digest_add(&sum, sum_of_refs(r, &actors));
    }
    heap_free(actors.hashes);
    return sum;
}

static struct digest sum_of_sessions(const struct state_maps *maps)
{
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice key, value;

    map_seek(&maps->sessions, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, session_digest(get_be64(key.data), value));
    }
    map_seek(&maps->session_results, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, session_result_digest(key, value));
    }
    return sum;
}

static struct digest sum_of_the_rest(const struct state_maps *maps)
{
    struct digest sum = DIGEST_ZERO;
    struct map_cursor cursor;
    struct slice key, value;
    struct tombstone t;

    map_seek(&maps->settings, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, settings_digest(key, value));
    }
    map_seek(&maps->storages, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        digest_add(&sum, storage_digest(key, value));
    }
    map_seek(&maps->tombstones, SLICE_NONE, &cursor);
    while (map_next(&cursor, &key, &value)) {
        t = (struct tombstone){ get_be64(value.data), get_be64(value.data + 8) };
        digest_add(&sum, tombstone_digest(key, &t));
    }
    return sum;
}

struct digest derive_sum(const struct derived_from *from)
{
    struct digest sum = sum_of_repositories(from);

    digest_add(&sum, sum_of_sessions(from->maps));
    digest_add(&sum, sum_of_the_rest(from->maps));
    return sum;
}

void refdb_digest_recompute(const struct refdb *db, uint8_t ret_digest[DIGEST_BYTES])
{
    struct derived_from from = { &db->maps, &db->storage_names.maps, &db->actors.maps,
                                 db->actors.slot_count };
    struct state_position at = db->at;
    struct buffer scratch = BUFFER_INIT;

    at.sum = derive_sum(&from);
    digest_store(state_digest(&at, &db->membership, &scratch), ret_digest);
    buffer_release(&scratch);
}
