/* SPDX-License-Identifier: Apache-2.0 */
/* One entry: decoding, envelope, session; the commands themselves are in apply_*.c. */
#include "refdb/apply.h"

#include "base/assert.h"
#include "base/heap.h"
#include "model/refname.h"
#include "refdb/session.h"
#include "refdb/tombstone.h"

/* ---- What several commands need ---- */

bool apply_has_demands(const struct apply *a)
{
    return a->envelope != NULL && (a->envelope->flags & (ENVELOPE_HAS_ID | ENVELOPE_HAS_EPOCH |
                                                         ENVELOPE_HAS_STORAGE)) != 0;
}

void apply_refuse_storage(struct apply *a, struct refdb_item *item, struct slice storage)
{
    apply_refuse(a, item, RK_NOSTORAGE, storage_name_is_valid(storage) ? storage : SLICE_NONE);
}

static void refuse_absent(struct apply *a, struct slice path, uint64_t id, struct refdb_item *item)
{
    const struct repository *elsewhere;
    struct tombstone t;

    if (id != 0) {
        elsewhere = repository_find_id(a->db, id);
        if (elsewhere != NULL) {
            apply_refuse(a, item, RK_RENAMED, repository_path(elsewhere));
        } else {
            item->status = RK_REMOVED; /* ids never repeat: it is gone for good */
        }
    } else if (tombstone_find(&a->db->maps, path, &t)) {
        item->status = RK_REMOVED;
        item->current_index = t.removed_index;
    } else {
        item->status = RK_NOREPO;
    }
}

struct repository *apply_find_repository(struct apply *a, struct slice path,
                                         struct refdb_item *item)
{
    struct repository *r = repository_find(&a->db->maps, path);
    const struct envelope *e = a->envelope;
    unsigned flags = e == NULL ? 0 : e->flags;
    uint64_t id = (flags & ENVELOPE_HAS_ID) != 0 ? e->repository_id : 0;
    struct slice primary;

    if (r == NULL || (id != 0 && r->id != id)) {
        refuse_absent(a, path, id, item);
        return NULL;
    }
    primary = name_table_text(&a->db->storage_names.maps, r->primary);
    if (((flags & ENVELOPE_HAS_EPOCH) != 0 && e->epoch != r->primary_epoch) ||
        ((flags & ENVELOPE_HAS_STORAGE) != 0 && !slice_equal(e->storage, primary))) {
        apply_refuse(a, item, RK_FENCED, primary);
        return NULL;
    }
    return r;
}

bool apply_check_writable(struct apply *a, const struct repository *r, struct refdb_item *item)
{
    struct slice reason = repository_reason(r);

    if (r->state == REPOSITORY_RW) {
        return true;
    }
    if (reason.size == 0 && r->state == REPOSITORY_RO) {
        reason = slice_of_text("read-only");
    }
    apply_refuse(a, item, RK_FROZEN, reason);
    return false;
}

/* ---- Commands ---- */

static void apply_ref_update(struct apply *a, const struct command *c)
{
    struct ref_update update;
    enum rk_status status = ref_update_from_text(c->u.ref_update.refname, c->u.ref_update.old_value,
                                                 c->u.ref_update.new_value, &update);
    const struct repository *r;
    struct refdb_item *item;

    if (status == RK_OK) {
        apply_ref_updates(a, c->u.ref_update.path, &update, 1, false);
        return;
    }
    item = apply_one_item(a);
    r = apply_find_repository(a, c->u.ref_update.path, item);
    if (r != NULL && apply_check_writable(a, r, item)) {
        item->status = status;
    }
}

/* Everything but envelopes and memberships. */
static void apply_plain(struct apply *a, const struct command *c)
{
    switch (c->tag) {
    case COMMAND_REF_UPDATE:
        apply_ref_update(a, c);
        break;
    case COMMAND_REGISTER_REPO:
        apply_register_repo(a, c);
        break;
    case COMMAND_REMOVE_REPO:
        apply_remove_repo(a, c);
        break;
    case COMMAND_SET_PRIMARY:
        apply_set_primary(a, c);
        break;
    case COMMAND_CREATE_REPO:
        apply_create_repo(a, c);
        break;
    case COMMAND_RENAME_REPO:
        apply_rename_repo(a, c);
        break;
    case COMMAND_SET_HEAD:
        apply_set_head(a, c);
        break;
    case COMMAND_SET_STATE:
        apply_set_state(a, c);
        break;
    case COMMAND_REMOVE_REPLICA:
        apply_remove_replica(a, c);
        break;
    case COMMAND_SET_STORAGE:
        apply_set_storage(a, c);
        break;
    case COMMAND_REMOVE_STORAGE:
        apply_remove_storage(a, c);
        break;
    case COMMAND_SET_LIMITS:
        apply_set_limits(a, c);
        break;
    case COMMAND_MOVE_PRIMARY:
        apply_move_primary(a, c);
        break;
    case COMMAND_SET_FILTER:
        apply_set_filter(a, c);
        break;
    case COMMAND_OPEN_SESSION:
        (void)apply_one_item(a);
        session_open(a->db, a->index);
        break;
    case COMMAND_NOOP:
    case COMMAND_MEMBERSHIP:
    case COMMAND_ENVELOPE:
        (void)apply_one_item(a);
        break;
    }
}

static void apply_batch(struct apply *a, const struct command *c)
{
    struct refdb *db = a->db;
    struct slice rest = c->u.envelope.items;
    size_t count = 0;

    if (c->u.envelope.count > db->update_capacity) {
        db->update_capacity = c->u.envelope.count;
        db->updates = heap_grow(db->updates, db->update_capacity * sizeof *db->updates);
    }
    while (count < c->u.envelope.count && command_next_update(&rest, &db->updates[count])) {
        count++;
    }
    apply_ref_updates(a, c->u.envelope.path, db->updates, count,
                      (c->u.envelope.envelope.flags & ENVELOPE_ATOMIC) != 0);
}

static bool is_batch(const struct command *c)
{
    return c->u.envelope.path.size > 0;
}

static void apply_content(struct apply *a, const struct command *c)
{
    struct command inner;

    if (is_batch(c)) {
        apply_batch(a, c);
    } else {
        command_inner(c, &inner);
        apply_plain(a, &inner);
    }
    name_table_drop(&a->db->pool, &a->db->actors, a->actor_id);
}

static void apply_envelope(struct apply *a, const struct command *c)
{
    const struct envelope *e = &c->u.envelope.envelope;

    a->envelope = e;
    a->actor = e->actor;
    session_advance_clock(a->db, e->cluster_ms);
    if ((e->flags & ENVELOPE_HAS_SESSION) == 0) {
        apply_content(a, c);
        return;
    }
    switch (session_check(a->db, e, a->index)) {
    case SESSION_EXECUTE:
        apply_content(a, c);
        session_keep_result(a->db, e, a->index);
        break;
    case SESSION_REPLAY:
        break;
    case SESSION_EXPIRED:
        apply_one_item(a)->status = RK_EXPIRED;
        break;
    }
}

static void apply_membership(struct refdb *db, const struct entry *entry)
{
    struct membership m;

    if (command_membership(entry->command, &m) == RK_OK) { /* decoded once already */
        db->membership = m;
        db->at.membership_index = entry->index;
    }
}

enum rk_status refdb_apply(struct refdb *db, const struct entry *entry,
                           struct refdb_result *ret_result)
{
    struct apply a = { .db = db, .index = entry->index };
    struct command command;
    enum rk_status status = command_decode(entry->command, &command);

    PRE(entry->index == db->at.applied_index + 1);
    if (status != RK_OK) {
        return status;
    }
    refdb_sweep(db);
    result_clear(&db->results, entry->index);
    db->at.applied_index = entry->index;
    db->at.applied_term = entry->term;
    if (command.tag == COMMAND_ENVELOPE) {
        apply_envelope(&a, &command);
    } else {
        apply_plain(&a, &command);
    }
    if (command.tag == COMMAND_MEMBERSHIP) {
        apply_membership(db, entry);
    }
    state_mark(db);
    result_finish(&db->results, ret_result);
    ret_result->actor = a.actor;
    ret_result->wall_ms = a.envelope == NULL ? 0 : a.envelope->wall_ms;
    return RK_OK;
}
