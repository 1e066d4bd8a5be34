/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ref updates: compare-and-swap of one ref, batches, directory/file conflicts.  [DESIGN 3]
 *
 * One update, `current` being the value before; checks in this order:
 *
 *   name or oid is no good                    BADREF, BADOID
 *   the filter ignores the ref                OK, not stored; taken out if it was there before
 *   ref is there, old = absent                EXISTS
 *   ref is there, old = another oid           CONFLICT
 *   ref is not there, old = some oid          NOREF
 *   ref is not there, delete with old = any   NOREF
 *   ref is not there, delete, old = absent    OK, nothing to do
 *   new = current                             OK, no effect
 *   new ref, another one in the way           NAMECONFLICT
 *   new ref, a limit is reached               TOOLARGE
 *
 * A batch names no ref twice: the second time is BADREF.  Independent: deletions first, then
 * the rest, in the order given.  Atomic: each is checked against the state before the batch,
 * and a new ref must not clash with any name of the batch either, deleted or not, as in git;
 * what it deletes makes room for what it creates.
 */
#include "base/assert.h"
#include "base/heap.h"
#include "model/ref_filter.h"
#include "model/refname.h"
#include "refdb/apply.h"

/* ---- Directory/file conflicts ---- */

/* A name in the map that is a directory of `name`, or inside it.  `place` gets it. */
static bool find_name_conflict(const struct ordered_map *map, struct slice name,
                               struct map_cursor *place, struct slice *ret_other)
{
    uint8_t directory[MAP_KEY_BYTES_MAX + 1];
    struct slice value, inside;

    for (size_t i = sizeof "refs/" - 1; i < name.size; i++) {
        if (name.data[i] == '/' && map_find(map, slice_of(name.data, i), &value)) {
            *ret_other = slice_of(name.data, i);
            return true;
        }
    }
    memcpy(directory, name.data, name.size);
    directory[name.size] = '/';
    inside = slice_of(directory, name.size + 1);
    map_seek(map, inside, place);
    return map_next(place, ret_other, &value) && slice_has_prefix(*ret_other, inside);
}

/* ---- One update ---- */

struct ref_state {
    bool is_present;
    struct ref_value value;
};

static void look_up(const struct repository *r, struct slice refname, struct ref_state *ret_state)
{
    struct slice value;

    ret_state->is_present = map_find(&r->refs, refname, &value);
    if (ret_state->is_present) {
        ref_value_decode(value, (enum object_format)r->format, &ret_state->value);
    }
}

static void refuse_with_current(struct apply *a, const struct ref_state *current,
                                enum rk_status status, struct refdb_item *item)
{
    const struct ref_value *v = &current->value;

    item->status = status;
    item->current = v->oid;
    item->current_index = v->last_index;
    item->current_actor = result_text(&a->db->results,
                                      name_table_text(&a->db->actors.maps, v->actor));
}

static bool oid_fits(const struct oid *oid, uint8_t oid_bytes)
{
    return (oid->size == 20 || oid->size == 32) && (oid_bytes == 0 || oid->size == oid_bytes) &&
           !oid_is_null(oid);
}

/* `oid_bytes` of the repository, 0 while it is not known. */
static bool check_form(const struct ref_update *u, uint8_t oid_bytes, struct refdb_item *item)
{
    if (!refname_is_valid(u->refname)) {
        item->status = RK_BADREF;
    } else if ((u->old_value == OLD_OID && !oid_fits(&u->old_oid, oid_bytes)) ||
               (!u->is_delete && !oid_fits(&u->new_oid, oid_bytes)) ||
               (u->old_value == OLD_OID && !u->is_delete && u->old_oid.size != u->new_oid.size)) {
        item->status = RK_BADOID;
    }
    return item->status == RK_OK;
}

static bool check_old_value(struct apply *a, const struct ref_update *u,
                            const struct ref_state *current, struct refdb_item *item)
{
    if (current->is_present) {
        if (u->old_value == OLD_ABSENT) {
            refuse_with_current(a, current, RK_EXISTS, item);
        } else if (u->old_value == OLD_OID && !oid_equal(&u->old_oid, &current->value.oid)) {
            refuse_with_current(a, current, RK_CONFLICT, item);
        }
    } else if (u->old_value == OLD_OID || (u->is_delete && u->old_value == OLD_ANY)) {
        item->status = RK_NOREF;
    }
    return item->status == RK_OK;
}

/* Whether the ref is gone afterwards: deleted, or no longer tracked. */
static bool takes_out(const struct ref_update *u, const struct refdb_item *item)
{
    return u->is_delete || item->outcome == REFDB_UNTRACKED;
}

static bool has_effect(const struct ref_update *u, const struct ref_state *current, bool is_delete)
{
    if (is_delete || !current->is_present) {
        return !is_delete || current->is_present;
    }
    return !oid_equal(&u->new_oid, &current->value.oid);
}

static bool creates(const struct ref_update *u, const struct ref_state *current,
                    const struct refdb_item *item)
{
    return !current->is_present && !takes_out(u, item);
}

/* Takes the room that a new ref needs. */
static bool take_room(struct apply *a, const struct ref_update *u, struct room *room,
                      struct refdb_item *item)
{
    uint64_t wanted[LIMIT_COUNT] = { 0 };

    wanted[LIMIT_REFS] = 1;
    wanted[LIMIT_REPOSITORY_REFS] = 1;
    wanted[LIMIT_BYTES] = u->refname.size + u->new_oid.size + a->actor.size;
    return apply_take_room(a, room, wanted, item);
}

/* All checks of one update against the state as it is, but for limits; `current` gets what the
 * ref is at. */
static bool check_update(struct apply *a, const struct repository *r, const struct ref_update *u,
                         uint8_t oid_bytes, struct ref_state *current, struct refdb_item *item)
{
    struct map_cursor place;
    struct slice other;

    if (!check_form(u, oid_bytes, item)) {
        return false;
    }
    look_up(r, u->refname, current);
    if (a->db->filter.size > 0 && !ref_filter_tracks(buffer_slice(&a->db->filter), u->refname)) {
        item->outcome = REFDB_UNTRACKED;
        return true;
    }
    if (!check_old_value(a, u, current, item)) {
        return false;
    }
    if (!u->is_delete && !current->is_present &&
        find_name_conflict(&r->refs, u->refname, &place, &other)) {
        apply_refuse(a, item, RK_NAMECONFLICT, other);
        return false;
    }
    return true;
}

/* ---- Carrying out ---- */

static name_id actor_of(struct apply *a)
{
    struct name_table *actors = &a->db->actors;

    if (a->actor_id == 0 && a->actor.size > 0 && a->actor.size <= ACTOR_BYTES_MAX) {
        a->actor_id = name_table_take(&a->db->pool, actors, a->actor);
    }
    return a->actor_id;
}

static void count_in(struct refdb *db, struct repository *r, struct slice refname,
                     const struct ref_value *v)
{
    struct digest d = digest_ref(refname, &v->oid);
    struct digest content = ref_content_digest(d, r->id, v->last_index,
                                               name_table_hash(&db->actors, v->actor));

    digest_add(&r->refs_digest, d);
    digest_add(&r->content_digest, content);
    digest_add(&db->at.sum, content);
    r->ref_bytes += ref_bytes(db, refname, v);
    db->ref_bytes += ref_bytes(db, refname, v);
    name_table_use(&db->actors, v->actor);
}

static void count_out(struct refdb *db, struct repository *r, struct slice refname,
                      const struct ref_value *v)
{
    struct digest d = digest_ref(refname, &v->oid);
    struct digest content = ref_content_digest(d, r->id, v->last_index,
                                               name_table_hash(&db->actors, v->actor));

    digest_subtract(&r->refs_digest, d);
    digest_subtract(&r->content_digest, content);
    digest_subtract(&db->at.sum, content);
    r->ref_bytes -= ref_bytes(db, refname, v);
    db->ref_bytes -= ref_bytes(db, refname, v);
    name_table_drop(&db->pool, &db->actors, v->actor);
}

/* The first oid tells the format of a repository that was registered without one. */
static struct repository *learn_format(struct apply *a, struct repository *r, uint8_t oid_bytes)
{
    struct repository_fields fields;

    if (r->format != OBJECT_FORMAT_UNSET) {
        return r;
    }
    repository_get_fields(r, &fields);
    fields.format = oid_bytes == 20 ? OBJECT_FORMAT_SHA1 : OBJECT_FORMAT_SHA256;
    return repository_replace(a->db, r, &fields);
}

static void note_change(struct apply *a, const struct ref_update *u, const struct ref_state *before,
                        bool is_delete)
{
    struct refdb_change *change = result_change(&a->db->results, REFDB_CHANGE_REF, a->path);

    change->name = u->refname;
    if (before->is_present) {
        change->old_oid = before->value.oid;
    }
    if (!is_delete) {
        change->new_oid = u->new_oid;
    }
}

/* PRE: checked, and `current` is what the ref is at.  Returns the repository, as it may move. */
static struct repository *carry_out(struct apply *a, struct repository *r,
                                    const struct ref_update *u, const struct ref_state *current,
                                    const struct refdb_item *item)
{
    bool is_delete = takes_out(u, item);
    struct refdb *db = a->db;
    struct ref_value v = { .oid = u->new_oid, .last_index = a->index };
    uint8_t bytes[REF_VALUE_BYTES_MAX];

    if (!has_effect(u, current, is_delete)) {
        return r;
    }
    if (!is_delete) {
        r = learn_format(a, r, u->new_oid.size);
    }
    r = repository_changeable(db, r);
    v.actor = is_delete ? 0 : actor_of(a);
    db->ref_count -= r->refs.count;
    if (current->is_present) {
        count_out(db, r, u->refname, &current->value);
    }
    if (is_delete) {
        map_remove(&db->pool, &r->refs, u->refname);
    } else {
        count_in(db, r, u->refname, &v);
        map_put(&db->pool, &r->refs, u->refname, ref_value_encode(&v, bytes));
    }
    db->ref_count += r->refs.count;
    if (r->last_index != a->index) {
        repository_set_last_index(db, r, a->index);
    }
    note_change(a, u, current, is_delete);
    return r;
}

/* ---- Batches ---- */

/* Marks each ref named before as BADREF; `names` gets all names. */
static void find_duplicates(struct node_pool *pool, struct ordered_map *names,
                            const struct ref_update *updates, size_t count,
                            struct refdb_item *items)
{
    struct slice value;

    for (size_t i = 0; i < count; i++) {
        if (updates[i].refname.size > REFNAME_BYTES_MAX) {
            items[i].status = RK_BADREF;
        } else if (map_find(names, updates[i].refname, &value)) {
            items[i].status = RK_BADREF;
        } else {
            map_put(pool, names, updates[i].refname, SLICE_NONE);
        }
    }
}

static bool check_room(struct apply *a, const struct repository *r, const struct ref_update *u,
                       const struct ref_state *current, struct refdb_item *item)
{
    struct room room;

    if (!apply_has_limits(a->db) || !creates(u, current, item)) {
        return true;
    }
    room = apply_room(a->db, r, NULL);
    return take_room(a, u, &room, item);
}

static void apply_independent(struct apply *a, struct repository *r,
                              const struct ref_update *updates, size_t count,
                              struct refdb_item *items)
{
    struct ref_state current;

    for (int is_delete = 1; is_delete >= 0; is_delete--) {
        for (size_t i = 0; i < count; i++) {
            uint8_t oid_bytes = object_format_oid_bytes((enum object_format)r->format);

            if (updates[i].is_delete == (is_delete == 1) && items[i].status == RK_OK &&
                check_update(a, r, &updates[i], oid_bytes, &current, &items[i]) &&
                check_room(a, r, &updates[i], &current, &items[i])) {
                r = carry_out(a, r, &updates[i], &current, &items[i]);
            }
        }
    }
}

/* While the format is not known, the first new value decides which one the batch must have. */
static uint8_t batch_oid_bytes(const struct repository *r, const struct ref_update *updates,
                               size_t count)
{
    uint8_t oid_bytes = object_format_oid_bytes((enum object_format)r->format);

    for (size_t i = 0; i < count && oid_bytes == 0; i++) {
        if (!updates[i].is_delete) {
            oid_bytes = updates[i].new_oid.size;
        }
    }
    return oid_bytes;
}

/* A new ref may not clash with a name of its own batch. */
static void check_names_of_batch(struct apply *a, const struct repository *r,
                                 const struct ordered_map *names, const struct ref_update *updates,
                                 size_t count, struct refdb_item *items)
{
    struct map_cursor place;
    struct slice other, value;

    for (size_t i = 0; i < count; i++) {
        if (items[i].status == RK_OK && !takes_out(&updates[i], &items[i]) &&
            !map_find(&r->refs, updates[i].refname, &value) &&
            find_name_conflict(names, updates[i].refname, &place, &other)) {
            apply_refuse(a, &items[i], RK_NAMECONFLICT, other);
        }
    }
}

/* Holds a batch, all of it good so far, against the limits. */
static void check_room_of_batch(struct apply *a, const struct repository *r,
                                const struct ref_update *updates, size_t count,
                                struct refdb_item *items)
{
    uint64_t freed[LIMIT_COUNT] = { 0 };
    struct ref_state current;
    struct room room;

    for (size_t i = 0; i < count; i++) {
        look_up(r, updates[i].refname, &current);
        if (current.is_present && takes_out(&updates[i], &items[i])) {
            freed[LIMIT_REFS]++;
            freed[LIMIT_REPOSITORY_REFS]++;
            freed[LIMIT_BYTES] += ref_bytes(a->db, updates[i].refname, &current.value);
        }
    }
    room = apply_room(a->db, r, freed);
    for (size_t i = 0; i < count; i++) {
        look_up(r, updates[i].refname, &current);
        if (creates(&updates[i], &current, &items[i])) {
            (void)take_room(a, &updates[i], &room, &items[i]);
        }
    }
}

static bool all_are_good(const struct refdb_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].status != RK_OK) {
            return false;
        }
    }
    return true;
}

static void apply_atomic(struct apply *a, struct repository *r, const struct ordered_map *names,
                         const struct ref_update *updates, size_t count, struct refdb_item *items)
{
    uint8_t oid_bytes = batch_oid_bytes(r, updates, count);
    struct ref_state current;
    bool is_good;

    for (size_t i = 0; i < count; i++) {
        if (items[i].status == RK_OK) {
            (void)check_update(a, r, &updates[i], oid_bytes, &current, &items[i]);
        }
    }
    check_names_of_batch(a, r, names, updates, count, items);
    if (apply_has_limits(a->db) && all_are_good(items, count)) {
        check_room_of_batch(a, r, updates, count, items);
    }
    is_good = all_are_good(items, count);
    for (size_t i = 0; i < count; i++) {
        if (is_good) {
            look_up(r, updates[i].refname, &current);
            r = carry_out(a, r, &updates[i], &current, &items[i]);
        } else if (items[i].status == RK_OK) {
            items[i].status = RK_ABORTED;
        }
    }
    if (is_good) {
        a->db->results.count = 1; /* one thing happened */
        items[0].outcome = REFDB_DONE;
    }
}

void apply_ref_updates(struct apply *a, struct slice path, const struct ref_update *updates,
                       size_t count, bool is_atomic)
{
    struct result_builder *results = &a->db->results;
    struct refdb_item *items = result_items(results, count), refusal = { .status = RK_OK };
    struct repository *r = apply_find_repository(a, path, &refusal);
    struct ordered_map names = ORDERED_MAP_EMPTY;
    struct node_pool pool;

    a->path = path;
    if (r == NULL || !apply_check_writable(a, r, &refusal)) {
        results->count = is_atomic ? 1 : count;
        for (size_t i = 0; i < results->count; i++) {
            items[i] = refusal;
        }
        return;
    }
    if (count == 1) {
        apply_independent(a, r, updates, count, items);
        return;
    }
    node_pool_init(&pool);
    find_duplicates(&pool, &names, updates, count, items);
    if (is_atomic) {
        apply_atomic(a, r, &names, updates, count, items);
    } else {
        apply_independent(a, r, updates, count, items);
    }
    map_clear(&pool, &names);
    node_pool_release(&pool);
}
