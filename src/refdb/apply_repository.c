/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about a repository as such: its life, its names, its storages.  [DESIGN 3] */
#include "model/refname.h"
#include "refdb/apply.h"
#include "refdb/storage.h"
#include "refdb/tombstone.h"

/* ---- What several commands need ---- */

static struct slice storage_text(const struct apply *a, name_id id)
{
    return name_table_text(&a->db->storage_names.maps, id);
}

static struct refdb_change *note(struct apply *a, enum refdb_change_kind kind, struct slice path)
{
    return result_change(&a->db->results, kind, path);
}

/* Texts of the state move when it changes; those of the entry stay. */
static struct slice kept(struct apply *a, struct slice text)
{
    return result_text(&a->db->results, text);
}

static struct repository *replace(struct apply *a, struct repository *r,
                                  struct repository_fields *fields)
{
    fields->last_index = a->index;
    return repository_replace(a->db, r, fields);
}

/* FROZEN refuses what RO refuses, and also renaming and removing. */
static bool check_not_frozen(struct apply *a, const struct repository *r, struct refdb_item *item)
{
    return r->state != REPOSITORY_FROZEN || apply_check_writable(a, r, item);
}

/* Adds `storage` where it belongs in the order of names. */
static void insert_replica(struct repository_fields *f, unsigned slot, name_id storage)
{
    memmove(&f->replicas[slot + 1], &f->replicas[slot],
            (f->replica_count - slot) * sizeof f->replicas[0]);
    f->replicas[slot] = storage;
    f->replica_count++;
}

/* ---- Coming into being ---- */

static bool take_room(struct apply *a, const struct repository_fields *f, uint64_t bytes,
                      struct refdb_item *item)
{
    uint64_t wanted[LIMIT_COUNT] = { 0 };
    struct room room;

    if (!apply_has_limits(a->db)) {
        return true;
    }
    room = apply_room(a->db, NULL, NULL);
    wanted[LIMIT_REPOSITORIES] = 1;
    wanted[LIMIT_BYTES] = repository_bytes(a->db, f) + bytes;
    return apply_take_room(a, &room, wanted, item);
}

static void create(struct apply *a, struct repository_fields *f)
{
    f->id = a->index;
    f->primary_epoch = a->index;
    f->last_index = a->index;
    tombstone_remove(a->db, f->path);
    repository_add(a->db, f);
    note(a, REFDB_CHANGE_CREATED, f->path)->new_text = kept(a, storage_text(a, f->primary));
}

static void register_new(struct apply *a, struct slice path, struct slice storage,
                         struct refdb_item *item)
{
    struct repository_fields f = { .path = path, .head = slice_of_text(HEAD_DEFAULT) };

    if (!take_room(a, &f, storage.size, item)) {
        return;
    }
    item->outcome = REFDB_CREATED;
    f.primary = storage_take(a->db, storage, a->index);
    insert_replica(&f, 0, f.primary);
    create(a, &f);
}

static bool storage_fits(struct apply *a, struct slice storage, struct refdb_item *item)
{
    if (!storage_name_is_valid(storage)) {
        item->status = RK_BADARG;
    } else if (a->db->maps.storages.count >= STORAGES_MAX &&
               name_table_find(&a->db->storage_names.maps, storage) == 0) {
        item->status = RK_TOOLARGE;
    }
    return item->status == RK_OK;
}

void apply_register_repo(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice path = c->u.register_repo.path, storage = c->u.register_repo.storage;
    struct repository *r = repository_find(&a->db->maps, path);
    struct repository_fields f;
    unsigned slot;

    if (!repository_path_is_valid(path)) {
        item->status = RK_BADARG;
        return;
    }
    if (r != NULL || apply_has_demands(a)) {
        r = apply_find_repository(a, path, item);
    }
    if (item->status != RK_OK || !storage_fits(a, storage, item)) {
        return;
    }
    if (r == NULL) {
        register_new(a, path, storage, item);
        return;
    }
    repository_get_fields(r, &f);
    if (repository_find_replica(&a->db->storage_names.maps, &f, storage, &slot)) {
        item->outcome = REFDB_ALREADY;
    } else if (f.replica_count == REPLICAS_MAX) {
        item->status = RK_TOOLARGE;
    } else {
        insert_replica(&f, slot, storage_take(a->db, storage, a->index));
        replace(a, r, &f);
        item->outcome = REFDB_ADDED;
        note(a, REFDB_CHANGE_REPLICA, path)->new_text = storage;
    }
}

/* Adds one of the storages a CreateRepo names; they have to be known. */
static bool add_known_storage(struct apply *a, struct repository_fields *f, struct slice storage,
                              struct refdb_item *item)
{
    const struct name_maps *names = &a->db->storage_names.maps;
    name_id id = name_table_find(names, storage);
    unsigned slot;

    if (id == 0) {
        apply_refuse_storage(a, item, storage);
    } else if (!repository_find_replica(names, f, storage, &slot)) {
        if (f->replica_count == REPLICAS_MAX) {
            item->status = RK_TOOLARGE;
        } else {
            insert_replica(f, slot, id);
        }
    }
    return item->status == RK_OK;
}

void apply_create_repo(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice rest = c->u.create_repo.replicas, storage;
    struct repository_fields f = { .path = c->u.create_repo.path,
                                   .format = c->u.create_repo.format,
                                   .head = c->u.create_repo.head };

    if (f.head.size == 0) {
        f.head = slice_of_text(HEAD_DEFAULT);
    }
    if (!repository_path_is_valid(f.path) || apply_has_demands(a)) {
        item->status = RK_BADARG;
    } else if (!refname_is_valid(f.head)) {
        item->status = RK_BADREF;
    } else if (repository_find(&a->db->maps, f.path) != NULL) {
        apply_refuse(a, item, RK_EXISTS, f.path);
    }
    if (item->status != RK_OK || !add_known_storage(a, &f, c->u.create_repo.primary, item)) {
        return;
    }
    f.primary = name_table_find(&a->db->storage_names.maps, c->u.create_repo.primary);
    while (command_next_string(&rest, &storage)) {
        if (!add_known_storage(a, &f, storage, item)) {
            return;
        }
    }
    if (take_room(a, &f, 0, item)) {
        create(a, &f);
        item->outcome = REFDB_CREATED;
    }
}

void apply_remove_repo(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice path = c->u.remove_repo.path;
    struct repository *r = apply_find_repository(a, path, item);
    struct tombstone t;

    if (r == NULL || !check_not_frozen(a, r, item)) {
        return;
    }
    note(a, REFDB_CHANGE_REMOVED, path)->old_text = kept(a, storage_text(a, r->primary));
    t = (struct tombstone){ r->id, a->index };
    repository_remove(a->db, r);
    tombstone_put(a->db, path, &t);
}

/* ---- Names ---- */

static void move_to(struct apply *a, struct repository *r, struct slice to)
{
    struct slice from = kept(a, repository_path(r));
    struct refdb_change *change = note(a, REFDB_CHANGE_RENAMED, to);
    struct repository_fields f;

    change->old_text = from;
    change->new_text = to;
    repository_get_fields(r, &f);
    f.path = to;
    tombstone_remove(a->db, to);
    replace(a, r, &f);
}

static void rename_one(struct apply *a, struct slice from, struct slice to, struct refdb_item *item)
{
    struct repository *r = apply_find_repository(a, from, item);

    if (r == NULL || !check_not_frozen(a, r, item)) {
        return;
    }
    if (!repository_path_is_valid(to)) {
        item->status = RK_BADARG;
    } else if (slice_equal(from, to)) {
        item->outcome = REFDB_ALREADY;
    } else if (repository_find(&a->db->maps, to) != NULL) {
        apply_refuse(a, item, RK_EXISTS, to);
    } else {
        move_to(a, r, to);
    }
}

/* "group/", or for the new prefix "" as well. */
static bool prefix_is_valid(struct slice prefix)
{
    return prefix.size > 0 && prefix.data[prefix.size - 1] == '/' &&
           repository_path_is_valid(slice_of(prefix.data, prefix.size - 1));
}

/* The new path of one of the repositories; false refuses them all. */
static bool check_move(struct apply *a, const struct repository *r, struct slice from,
                       struct slice to, struct slice *ret_path, struct refdb_item *item)
{
    struct slice path = repository_path(r), target;
    uint8_t bytes[2 * PATH_BYTES_MAX + 1];

    if (!check_not_frozen(a, r, item)) {
        return false;
    }
    if (to.size > 0) {
        memcpy(bytes, to.data, to.size);
    }
    memcpy(bytes + to.size, path.data + from.size, path.size - from.size);
    target = slice_of(bytes, to.size + path.size - from.size);
    if (!repository_path_is_valid(target)) {
        item->status = RK_BADARG;
        return false;
    }
    if (!slice_has_prefix(target, from) && repository_find(&a->db->maps, target) != NULL) {
        apply_refuse(a, item, RK_EXISTS, target); /* below `from` all move away */
        return false;
    }
    *ret_path = kept(a, target);
    return true;
}

struct move {
    uint64_t id;
    struct slice to;
};

/* Fills `moves`; their number, 0 when refused. */
static size_t plan_moves(struct apply *a, struct slice from, struct slice to, struct buffer *moves,
                         struct refdb_item *item)
{
    struct map_cursor cursor;
    struct slice path, value;
    size_t count = 0;

    map_seek(&a->db->maps.repositories, from, &cursor);
    while (map_next(&cursor, &path, &value) && slice_has_prefix(path, from)) {
        struct repository *r;
        struct move move;

        memcpy(&r, value.data, sizeof r);
        if (count == BATCH_ITEMS_MAX) {
            item->status = RK_TOOLARGE;
            return 0;
        }
        if (!check_move(a, r, from, to, &move.to, item)) {
            return 0;
        }
        move.id = r->id;
        buffer_put(moves, &move, sizeof move);
        count++;
    }
    if (count == 0) {
        item->status = RK_NOREPO;
    }
    return count;
}

static void rename_prefix(struct apply *a, struct slice from, struct slice to,
                          struct refdb_item *item)
{
    struct buffer moves = BUFFER_INIT;
    struct move move;
    size_t count;

    if (apply_has_demands(a) || !prefix_is_valid(from) || (to.size > 0 && !prefix_is_valid(to))) {
        item->status = RK_BADARG;
        return;
    }
    if (slice_equal(from, to)) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    count = plan_moves(a, from, to, &moves, item);
    for (size_t i = 0; i < count; i++) { /* one may take the place of one that moves later */
        memcpy(&move, moves.data + i * sizeof move, sizeof move);
        move_to(a, repository_find_id(a->db, move.id), move.to);
    }
    buffer_release(&moves);
}

void apply_rename_repo(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);

    if (c->u.rename_repo.is_prefix) {
        rename_prefix(a, c->u.rename_repo.from, c->u.rename_repo.to, item);
    } else {
        rename_one(a, c->u.rename_repo.from, c->u.rename_repo.to, item);
    }
}

/* ---- Head and state ---- */

void apply_set_head(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice refname = c->u.set_head.refname;
    struct repository *r = apply_find_repository(a, c->u.set_head.path, item);
    struct refdb_change *change;
    struct repository_fields f;

    if (r == NULL || !apply_check_writable(a, r, item)) {
        return;
    }
    if (!refname_is_valid(refname)) {
        item->status = RK_BADREF;
        return;
    }
    if (slice_equal(repository_head(r), refname)) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    change = note(a, REFDB_CHANGE_HEAD, c->u.set_head.path);
    change->old_text = kept(a, repository_head(r));
    change->new_text = refname;
    repository_get_fields(r, &f);
    f.head = refname;
    replace(a, r, &f);
}

static const char *state_name(enum repository_state state)
{
    switch (state) {
    case REPOSITORY_RW:
        return "rw";
    case REPOSITORY_RO:
        return "ro";
    case REPOSITORY_FROZEN:
        break;
    }
    return "frozen";
}

void apply_set_state(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    enum repository_state state = c->u.set_state.state;
    struct slice reason = state == REPOSITORY_RW ? SLICE_NONE : c->u.set_state.reason;
    struct repository *r = apply_find_repository(a, c->u.set_state.path, item);
    struct refdb_change *change;
    struct repository_fields f;

    if (r == NULL) {
        return;
    }
    if (r->state == state && slice_equal(repository_reason(r), reason)) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    change = note(a, REFDB_CHANGE_STATE, c->u.set_state.path);
    change->new_text = slice_of_text(state_name(state));
    change->name = reason;
    repository_get_fields(r, &f);
    f.state = state;
    f.reason = reason;
    replace(a, r, &f);
}

/* ---- Primary and replicas ---- */

/* False: the item says why the repository has no such replica. */
static bool find_replica(struct apply *a, const struct repository_fields *f, struct slice storage,
                         unsigned *slot, struct refdb_item *item)
{
    if (name_table_find(&a->db->storage_names.maps, storage) == 0) {
        apply_refuse_storage(a, item, storage);
        return false;
    }
    if (!repository_find_replica(&a->db->storage_names.maps, f, storage, slot)) {
        item->status = RK_NOTREPLICA;
        return false;
    }
    return true;
}

/* `seen_index`: of the repository's last change when the storage was seen to have it whole. */
static void set_primary(struct apply *a, struct slice path, struct slice storage,
                        raft_index seen_index, struct refdb_item *item)
{
    struct repository *r = apply_find_repository(a, path, item);
    struct refdb_change *change;
    struct repository_fields f;
    unsigned slot;

    if (r == NULL) {
        return;
    }
    repository_get_fields(r, &f);
    if (!find_replica(a, &f, storage, &slot, item)) {
        return;
    }
    if (f.replicas[slot] == f.primary) {
        item->outcome = REFDB_ALREADY;
    } else if (seen_index < f.last_index) {
        item->status = RK_STALE;
        item->current_index = f.last_index;
    } else {
        change = note(a, REFDB_CHANGE_PRIMARY, path);
        change->old_text = kept(a, storage_text(a, f.primary));
        change->new_text = storage;
        f.primary = f.replicas[slot];
        f.primary_epoch = a->index;
        replace(a, r, &f);
    }
}

void apply_set_primary(struct apply *a, const struct command *c)
{
    struct refdb_item *items = result_items(&a->db->results, c->u.set_primary.count);
    struct slice rest = c->u.set_primary.paths, path;

    for (uint32_t i = 0; i < c->u.set_primary.count && command_next_string(&rest, &path); i++) {
        set_primary(a, path, c->u.set_primary.storage, UINT64_MAX, &items[i]);
    }
}

void apply_move_primary(struct apply *a, const struct command *c)
{
    struct refdb_item *items = result_items(&a->db->results, c->u.move_primary.count);
    struct slice rest = c->u.move_primary.moves, path;
    raft_index seen_index;

    for (uint32_t i = 0;
         i < c->u.move_primary.count && command_next_move(&rest, &path, &seen_index); i++) {
        set_primary(a, path, c->u.move_primary.storage, seen_index, &items[i]);
    }
}

void apply_remove_replica(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice path = c->u.remove_replica.path, storage = c->u.remove_replica.storage;
    struct repository *r = apply_find_repository(a, path, item);
    struct repository_fields f;
    unsigned slot;

    if (r == NULL) {
        return;
    }
    repository_get_fields(r, &f);
    if (!find_replica(a, &f, storage, &slot, item)) {
        return;
    }
    if (f.replicas[slot] == f.primary) {
        apply_refuse(a, item, RK_CONFLICT, slice_of_text("it is the primary"));
    } else {
        f.replica_count--;
        memmove(&f.replicas[slot], &f.replicas[slot + 1],
                (f.replica_count - slot) * sizeof f.replicas[0]);
        replace(a, r, &f);
        note(a, REFDB_CHANGE_REPLICA, path)->old_text = storage;
    }
}
