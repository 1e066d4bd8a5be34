/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/refdb/naive_model.h"

#include <stdio.h>
#include <string.h>

const char *const naive_ref_names[NAIVE_REFS] = {
    "refs/heads/a",        "refs/heads/a/b",  "refs/heads/a/b/c",     "refs/heads/a-b",
    "refs/heads/a.b",      "refs/heads/a0",   "refs/heads/b",         "refs/heads/b/x",
    "refs/heads/b/y",      "refs/heads/main", "refs/heads",           "refs/tags/v1",
    "refs/tags/v1.0",      "refs/tags/v1/rc", "refs/notes/c",         "refs/changes/01/1/1",
    "refs/changes/01/1/2", "refs/x",          "refs/heads/bad..name", "heads/bad",
};
const char *const naive_storage_names[NAIVE_STORAGES] = { "s1", "s10", "s2", "alpha", "Z" };
const char *const naive_actors[3] = { "", "alice", "bob the builder" };

#define IS_BAD_NAME(ref) ((ref) >= NAIVE_REFS - 2)

unsigned naive_oid_bytes(unsigned value)
{
    return value >= 100 ? 32 : 20;
}

static void copy_text(char *target, size_t size, const char *text)
{
    size_t length = strlen(text);

    length = length < size ? length : size - 1;
    memcpy(target, text, length);
    target[length] = '\0';
}

static struct naive_item *one(struct naive *m)
{
    m->result.count = 1;
    memset(m->result.items, 0, sizeof m->result.items);
    m->result.items[0].actor = "";
    return &m->result.items[0];
}

static void detail(struct naive_item *item, enum rk_status status, const char *text)
{
    item->status = status;
    copy_text(item->detail, sizeof item->detail, text);
}

struct naive_repository *naive_find(struct naive *m, const char *path)
{
    for (unsigned i = 0; i < m->repository_count; i++) {
        if (strcmp(m->repositories[i].path, path) == 0) {
            return &m->repositories[i];
        }
    }
    return NULL;
}

static void bury(struct naive *m, const char *path, bool is_added)
{
    for (unsigned i = 0; i < m->tombstone_count; i++) {
        if (strcmp(m->tombstones[i].path, path) == 0) {
            m->tombstones[i] = m->tombstones[--m->tombstone_count];
        }
    }
    if (is_added) {
        copy_text(m->tombstones[m->tombstone_count].path, NAIVE_PATH_MAX, path);
        m->tombstones[m->tombstone_count++].index = m->index;
    }
}

static void absent(struct naive *m, const char *path, struct naive_item *item)
{
    if ((m->flags & ENVELOPE_HAS_ID) != 0) {
        item->status = RK_REMOVED;
        for (unsigned i = 0; i < m->repository_count; i++) {
            if (m->repositories[i].id == m->demanded_id) {
                detail(item, RK_RENAMED, m->repositories[i].path);
            }
        }
        return;
    }
    item->status = RK_NOREPO;
    for (unsigned i = 0; i < m->tombstone_count; i++) {
        if (strcmp(m->tombstones[i].path, path) == 0) {
            item->status = RK_REMOVED;
            item->current_index = m->tombstones[i].index;
        }
    }
}

static struct naive_repository *demand(struct naive *m, const char *path, struct naive_item *item)
{
    struct naive_repository *r = naive_find(m, path);

    if (r == NULL || ((m->flags & ENVELOPE_HAS_ID) != 0 && r->id != m->demanded_id)) {
        absent(m, path, item);
        return NULL;
    }
    if (((m->flags & ENVELOPE_HAS_EPOCH) != 0 && r->epoch != m->demanded_epoch) ||
        ((m->flags & ENVELOPE_HAS_STORAGE) != 0 && r->primary != m->demanded_storage)) {
        detail(item, RK_FENCED, naive_storage_names[r->primary]);
        return NULL;
    }
    return r;
}

static bool may_write(const struct naive_repository *r, struct naive_item *item)
{
    if (r->state == REPOSITORY_RW) {
        return true;
    }
    detail(item, RK_FROZEN,
           r->reason[0] == '\0' && r->state == REPOSITORY_RO ? "read-only" : r->reason);
    return false;
}

/* ---- Refs ---- */

static bool is_inside(const char *name, const char *directory)
{
    size_t size = strlen(directory);

    return strncmp(name, directory, size) == 0 && name[size] == '/';
}

/* The one in the way that a search by directories, then by what is inside, meets first. */
static int in_the_way(const bool present[NAIVE_REFS], unsigned ref)
{
    const char *name = naive_ref_names[ref];
    int found = -1;

    for (unsigned i = 0; i < NAIVE_REFS; i++) { /* the shortest directory */
        if (present[i] && is_inside(name, naive_ref_names[i]) &&
            (found < 0 || strlen(naive_ref_names[i]) < strlen(naive_ref_names[found]))) {
            found = (int)i;
        }
    }
    for (unsigned i = 0; i < NAIVE_REFS && found < 0; i++) {
        if (present[i] && is_inside(naive_ref_names[i], name)) {
            found = (int)i;
        }
    }
    for (unsigned i = 0; i < NAIVE_REFS; i++) { /* the first in byte order */
        if (found >= 0 && is_inside(naive_ref_names[found], name) && present[i] &&
            is_inside(naive_ref_names[i], name) &&
            strcmp(naive_ref_names[i], naive_ref_names[found]) < 0) {
            found = (int)i;
        }
    }
    return found;
}

static void tell_current(struct naive_item *item, enum rk_status status,
                         const struct naive_repository *r, unsigned ref)
{
    item->status = status;
    item->current = r->refs[ref].value;
    item->current_index = r->refs[ref].index;
    item->actor = r->refs[ref].actor;
}

static void check(const struct naive_repository *r, unsigned oid_bytes,
                  const struct naive_update *u, const bool *others, struct naive_item *item)
{
    unsigned current = r->refs[u->ref].value;
    bool present[NAIVE_REFS];
    int other;

    for (unsigned i = 0; i < NAIVE_REFS; i++) {
        present[i] = r->refs[i].value != 0;
    }
    if (IS_BAD_NAME(u->ref)) {
        item->status = RK_BADREF;
    } else if ((u->old > 0 && oid_bytes > 0 && naive_oid_bytes((unsigned)u->old) != oid_bytes) ||
               (u->new_value > 0 && oid_bytes > 0 && naive_oid_bytes(u->new_value) != oid_bytes) ||
               (u->old > 0 && u->new_value > 0 &&
                naive_oid_bytes((unsigned)u->old) != naive_oid_bytes(u->new_value))) {
        item->status = RK_BADOID;
    } else if (current != 0 && u->old == 0) {
        tell_current(item, RK_EXISTS, r, u->ref);
    } else if (current != 0 && u->old > 0 && (unsigned)u->old != current) {
        tell_current(item, RK_CONFLICT, r, u->ref);
    } else if (current == 0 && (u->old > 0 || (u->old < 0 && u->new_value == 0))) {
        item->status = RK_NOREF;
    } else if (current == 0 && u->new_value != 0) {
        other = in_the_way(present, u->ref);
        if (other < 0 && others != NULL) {
            other = in_the_way(others, u->ref);
        }
        if (other >= 0) {
            detail(item, RK_NAMECONFLICT, naive_ref_names[other]);
        }
    }
}

static void carry_out(struct naive *m, struct naive_repository *r, const struct naive_update *u)
{
    if (r->refs[u->ref].value == u->new_value) {
        return;
    }
    r->refs[u->ref].value = u->new_value;
    r->refs[u->ref].index = m->index;
    r->refs[u->ref].actor = m->actor;
    r->last_index = m->index;
    if (u->new_value > 0) {
        r->oid_bytes = naive_oid_bytes(u->new_value);
    }
}

static void independent(struct naive *m, struct naive_repository *r,
                        const struct naive_update *updates, unsigned count)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < count; i++) {
            struct naive_item *item = &m->result.items[i];

            if ((updates[i].new_value == 0) == (pass == 0) && item->status == RK_OK) {
                check(r, r->oid_bytes, &updates[i], NULL, item);
                if (item->status == RK_OK) {
                    carry_out(m, r, &updates[i]);
                }
            }
        }
    }
}

static void atomic(struct naive *m, struct naive_repository *r, const struct naive_update *updates,
                   unsigned count)
{
    bool named[NAIVE_REFS] = { false }, is_good = true;
    unsigned oid_bytes = r->oid_bytes;

    for (unsigned i = 0; i < count; i++) {
        named[updates[i].ref] = true;
        if (oid_bytes == 0 && updates[i].new_value > 0) {
            oid_bytes = naive_oid_bytes(updates[i].new_value);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (m->result.items[i].status == RK_OK) {
            check(r, oid_bytes, &updates[i], named, &m->result.items[i]);
        }
        is_good = is_good && m->result.items[i].status == RK_OK;
    }
    for (unsigned i = 0; i < count; i++) {
        if (is_good) {
            carry_out(m, r, &updates[i]);
        } else if (m->result.items[i].status == RK_OK) {
            m->result.items[i].status = RK_ABORTED;
        }
    }
    if (is_good) {
        one(m);
    }
}

void naive_update_refs(struct naive *m, const char *path, const struct naive_update *updates,
                       unsigned count, bool is_atomic)
{
    struct naive_item refusal = *one(m);
    struct naive_repository *r = demand(m, path, &refusal);

    m->result.count = r == NULL && is_atomic ? 1 : count;
    if (r != NULL && !may_write(r, &refusal)) {
        m->result.count = is_atomic ? 1 : count;
    }
    for (unsigned i = 0; i < m->result.count; i++) {
        m->result.items[i] = refusal;
    }
    if (refusal.status != RK_OK) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (updates[k].ref == updates[i].ref) {
                m->result.items[i].status = RK_BADREF;
            }
        }
    }
    if (is_atomic && count > 1) {
        atomic(m, r, updates, count);
    } else {
        independent(m, r, updates, count);
    }
}

/* ---- Repositories ---- */

static struct naive_repository *add(struct naive *m, const char *path, unsigned primary)
{
    struct naive_repository *r = &m->repositories[m->repository_count++];

    memset(r, 0, sizeof *r);
    copy_text(r->path, sizeof r->path, path);
    r->id = r->epoch = r->last_index = m->index;
    r->head = "refs/heads/main";
    r->primary = primary;
    r->has_replica[primary] = true;
    bury(m, path, false);
    return r;
}

static bool has_demands(const struct naive *m)
{
    return (m->flags & (ENVELOPE_HAS_ID | ENVELOPE_HAS_EPOCH | ENVELOPE_HAS_STORAGE)) != 0;
}

void naive_register(struct naive *m, const char *path, unsigned storage)
{
    struct naive_item *item = one(m);
    struct naive_repository *r = naive_find(m, path);

    if (r == NULL && !has_demands(m)) {
        m->has_storage[storage] = true;
        add(m, path, storage);
        item->outcome = REFDB_CREATED;
        return;
    }
    r = demand(m, path, item);
    if (r == NULL) {
        return;
    }
    if (r->has_replica[storage]) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    m->has_storage[storage] = true;
    r->has_replica[storage] = true;
    r->last_index = m->index;
    item->outcome = REFDB_ADDED;
}

void naive_create(struct naive *m, const char *path, unsigned primary, unsigned replica,
                  enum object_format format)
{
    struct naive_item *item = one(m);
    struct naive_repository *r;

    if (has_demands(m)) {
        item->status = RK_BADARG;
    } else if (naive_find(m, path) != NULL) {
        detail(item, RK_EXISTS, path);
    } else if (!m->has_storage[primary]) {
        detail(item, RK_NOSTORAGE, naive_storage_names[primary]);
    } else if (!m->has_storage[replica]) {
        detail(item, RK_NOSTORAGE, naive_storage_names[replica]);
    } else {
        r = add(m, path, primary);
        r->has_replica[replica] = true;
        r->oid_bytes = object_format_oid_bytes(format);
        item->outcome = REFDB_CREATED;
    }
}

void naive_remove(struct naive *m, const char *path)
{
    struct naive_item *item = one(m);
    struct naive_repository *r = demand(m, path, item);

    if (r == NULL || (r->state == REPOSITORY_FROZEN && !may_write(r, item))) {
        return;
    }
    *r = m->repositories[--m->repository_count];
    bury(m, path, true);
}

static void move(struct naive *m, struct naive_repository *r, const char *to)
{
    copy_text(r->path, sizeof r->path, to);
    r->last_index = m->index;
    bury(m, to, false);
}

void naive_rename(struct naive *m, const char *from, const char *to)
{
    struct naive_item *item = one(m);
    struct naive_repository *r = demand(m, from, item);

    if (r == NULL || (r->state == REPOSITORY_FROZEN && !may_write(r, item))) {
        return;
    }
    if (strcmp(from, to) == 0) {
        item->outcome = REFDB_ALREADY;
    } else if (naive_find(m, to) != NULL) {
        detail(item, RK_EXISTS, to);
    } else {
        move(m, r, to);
    }
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What is wrong with the move of the first one, in order of paths, that cannot move. */
static bool check_moves(struct naive *m, const char *from, const char *to, struct naive_item *item)
{
    const struct naive_repository *first = NULL;
    struct naive_item first_item = *item;

    for (unsigned i = 0; i < m->repository_count; i++) {
        const struct naive_repository *r = &m->repositories[i];
        struct naive_item problem = *item;
        char target[2 * NAIVE_PATH_MAX];

        snprintf(target, sizeof target, "%s%s", to, r->path + strlen(from));
        if (!starts_with(r->path, from)) {
            continue;
        }
        if (r->state == REPOSITORY_FROZEN) {
            (void)may_write(r, &problem);
        } else if (!starts_with(target, from) && naive_find(m, target) != NULL) {
            detail(&problem, RK_EXISTS, target);
        }
        if (problem.status != RK_OK && (first == NULL || strcmp(r->path, first->path) < 0)) {
            first = r;
            first_item = problem;
        }
    }
    *item = first_item;
    return first == NULL;
}

void naive_rename_prefix(struct naive *m, const char *from, const char *to)
{
    struct naive_item *item = one(m);
    bool has_any = false;

    if (has_demands(m)) {
        item->status = RK_BADARG;
        return;
    }
    if (strcmp(from, to) == 0) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    if (!check_moves(m, from, to, item)) {
        return;
    }
    for (unsigned i = 0; i < m->repository_count; i++) {
        char target[2 * NAIVE_PATH_MAX];

        if (starts_with(m->repositories[i].path, from)) {
            snprintf(target, sizeof target, "%s%s", to, m->repositories[i].path + strlen(from));
            move(m, &m->repositories[i], target);
            has_any = true;
        }
    }
    if (!has_any) {
        item->status = RK_NOREPO;
    }
}

void naive_set_primary(struct naive *m, unsigned storage, const char *const *paths, unsigned count)
{
    struct naive_item blank = *one(m);

    m->result.count = count;
    for (unsigned i = 0; i < count; i++) {
        struct naive_item *item = &m->result.items[i];
        struct naive_repository *r;

        *item = blank;
        r = demand(m, paths[i], item);
        if (r == NULL) {
            continue;
        }
        if (!m->has_storage[storage]) {
            detail(item, RK_NOSTORAGE, naive_storage_names[storage]);
        } else if (!r->has_replica[storage]) {
            item->status = RK_NOTREPLICA;
        } else if (r->primary == storage) {
            item->outcome = REFDB_ALREADY;
        } else {
            r->primary = storage;
            r->epoch = r->last_index = m->index;
        }
    }
}

void naive_set_head(struct naive *m, const char *path, const char *head)
{
    struct naive_item *item = one(m);
    struct naive_repository *r = demand(m, path, item);

    if (r == NULL || !may_write(r, item)) {
        return;
    }
    if (strcmp(r->head, head) == 0) {
        item->outcome = REFDB_ALREADY;
    } else {
        r->head = head;
        r->last_index = m->index;
    }
}

void naive_set_state(struct naive *m, const char *path, enum repository_state state,
                     const char *reason)
{
    struct naive_item *item = one(m);
    struct naive_repository *r = demand(m, path, item);
    const char *wanted = state == REPOSITORY_RW ? "" : reason;

    if (r == NULL) {
        return;
    }
    if (r->state == state && strcmp(r->reason, wanted) == 0) {
        item->outcome = REFDB_ALREADY;
    } else {
        r->state = state;
        copy_text(r->reason, sizeof r->reason, wanted);
        r->last_index = m->index;
    }
}

void naive_remove_replica(struct naive *m, const char *path, unsigned storage)
{
    struct naive_item *item = one(m);
    struct naive_repository *r = demand(m, path, item);

    if (r == NULL) {
        return;
    }
    if (!m->has_storage[storage]) {
        detail(item, RK_NOSTORAGE, naive_storage_names[storage]);
    } else if (!r->has_replica[storage]) {
        item->status = RK_NOTREPLICA;
    } else if (r->primary == storage) {
        detail(item, RK_CONFLICT, "it is the primary");
    } else {
        r->has_replica[storage] = false;
        r->last_index = m->index;
    }
}

/* ---- Storages ---- */

void naive_set_storage(struct naive *m, unsigned storage, enum storage_state state)
{
    struct naive_item *item = one(m);

    if (has_demands(m)) {
        item->status = RK_BADARG;
    } else if (!m->has_storage[storage]) {
        item->outcome = REFDB_CREATED;
    } else if (m->storage_states[storage] == state) {
        item->outcome = REFDB_ALREADY;
    }
    if (item->status == RK_OK) {
        m->has_storage[storage] = true;
        m->storage_states[storage] = state;
    }
}

void naive_remove_storage(struct naive *m, unsigned storage)
{
    struct naive_item *item = one(m);
    bool is_used = false;

    for (unsigned i = 0; i < m->repository_count; i++) {
        is_used = is_used || m->repositories[i].has_replica[storage];
    }
    if (has_demands(m)) {
        item->status = RK_BADARG;
    } else if (!m->has_storage[storage]) {
        detail(item, RK_NOSTORAGE, naive_storage_names[storage]);
    } else if (is_used) {
        detail(item, RK_CONFLICT, "repositories use it");
    } else {
        m->has_storage[storage] = false;
        m->storage_states[storage] = STORAGE_ACTIVE;
    }
}

/* ---- Sessions ---- */

void naive_open_session(struct naive *m)
{
    struct naive_session *s = &m->sessions[m->session_count % NAIVE_SESSIONS];

    one(m);
    memset(s, 0, sizeof *s);
    s->id = m->index;
    s->last_ms = m->now_ms;
    m->session_count++;
}

static struct naive_session *session(struct naive *m, uint64_t id)
{
    for (unsigned i = 0; i < NAIVE_SESSIONS; i++) {
        if (id != 0 && m->sessions[i].id == id) {
            return &m->sessions[i];
        }
    }
    return NULL;
}

bool naive_enter_session(struct naive *m, uint64_t id, uint64_t sequence, uint64_t lowest)
{
    struct naive_session *s = session(m, id);

    if (s == NULL || m->now_ms - s->last_ms >= 24 * 3600 * 1000 || sequence < s->floor ||
        sequence < lowest) {
        one(m)->status = RK_EXPIRED;
        return false;
    }
    s->last_ms = m->now_ms;
    s->floor = lowest > s->floor ? lowest : s->floor;
    for (unsigned i = 0; i < s->count; i++) {
        if (s->results[i].sequence == sequence) {
            m->result = s->results[i].result;
            m->result.is_replay = true;
            m->result.replay_index = s->results[i].index;
            return false;
        }
    }
    return true;
}

void naive_leave_session(struct naive *m, uint64_t id, uint64_t sequence)
{
    struct naive_session *s = session(m, id);

    if (s == NULL) {
        return; /* it opened one that took its place */
    }
    for (unsigned i = 0; i < s->count;) { /* those below the floor need no place */
        if (s->results[i].sequence < s->floor) {
            s->results[i] = s->results[--s->count];
        } else {
            i++;
        }
    }
    s->results[s->count].sequence = sequence;
    s->results[s->count].result = m->result;
    s->results[s->count++].index = m->index;
}
