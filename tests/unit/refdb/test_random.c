/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random commands, each result and from time to time the whole state compared with the naive
 * model.  In between the state is dumped, replaced by what was loaded, and dumped while it
 * goes on changing.
 *
 *   RK_SEED=n RK_STEPS=m tests/unit/refdb/test_random     runs one sequence again
 *   RK_SEEDS=n tests/unit/refdb/test_random               runs so many: 60,000 commands each
 */
#include "unit/refdb/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/rng.h"
#include "unit/refdb/naive_model.h"

#define STEPS_DEFAULT 60000

/* More than a million commands; sanitizers take ten times as long over each. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS_DEFAULT 6
#else
#define SEEDS_DEFAULT 20
#endif

static const char *const paths[] = { "a/x",   "a/y",   "a/b/x", "b/x",     "b/a/x", "c",
                                     "a/b/c", "a/b/y", "a/c/x", "a/b/b/x", "b/b/x", "a-b/x" };
static const char *const prefixes[] = { "a/", "b/", "a/b/", "", "c/" };
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct run {
    struct rng rng;
    struct naive model;
    struct refdb *db;
    struct buffer command;
    struct envelope envelope;
    bool is_enveloped, is_batch;
    struct refdb_view *view; /* a dump that goes on */
    struct buffer before, during;
    uint64_t steps;
    uint64_t replays, seen[RK_STATUS_COUNT]; /* results there were, by status */
};

/* Of all runs. */
static struct {
    uint64_t commands, dumps_while_changing, loads, digests;
} totals;

static unsigned below(struct run *t, unsigned bound)
{
    return (unsigned)rng_below(&t->rng, bound);
}

/* Mostly a path that is there. */
static const char *some_path(struct run *t)
{
    if (t->model.repository_count > 0 && below(t, 4) > 0) {
        return t->model.repositories[below(t, t->model.repository_count)].path;
    }
    return paths[below(t, COUNT(paths))];
}

/* ---- The envelope ---- */

static void make_demands(struct run *t, const char *path)
{
    const struct naive_repository *r = naive_find(&t->model, path);
    struct naive *m = &t->model;

    if (below(t, 3) == 0) {
        t->envelope.flags |= ENVELOPE_HAS_ID;
        m->demanded_id = 1 + below(t, (unsigned)m->index);
        if (m->repository_count > 0 && below(t, 2) == 0) {
            m->demanded_id = m->repositories[below(t, m->repository_count)].id;
        }
        if (r != NULL && below(t, 2) == 0) {
            m->demanded_id = r->id;
        }
        t->envelope.repository_id = m->demanded_id;
    }
    if (below(t, 4) == 0) {
        t->envelope.flags |= ENVELOPE_HAS_EPOCH;
        m->demanded_epoch = r != NULL && below(t, 3) > 0 ? r->epoch : m->index;
        t->envelope.epoch = m->demanded_epoch;
    }
    if (below(t, 4) == 0) {
        t->envelope.flags |= ENVELOPE_HAS_STORAGE;
        m->demanded_storage = r != NULL && below(t, 3) > 0 ? r->primary : below(t, NAIVE_STORAGES);
        t->envelope.storage = TEXT(naive_storage_names[m->demanded_storage]);
    }
}

/* One that may have been used before. */
static void choose_session(struct run *t)
{
    const struct naive_session *s = &t->model.sessions[below(t, NAIVE_SESSIONS)];

    if (s->id == 0) {
        return;
    }
    t->envelope.flags |= ENVELOPE_HAS_SESSION;
    t->envelope.session = below(t, 50) == 0 ? t->model.index + 7 : s->id;
    t->envelope.sequence = s->floor + below(t, 12);
    if (s->floor > 0 && below(t, 10) == 0) {
        t->envelope.sequence = s->floor - 1;
    }
    t->envelope.lowest_unanswered = below(t, 3) == 0 ? s->floor + below(t, 8) : s->floor;
}

static void make_envelope(struct run *t, const char *path)
{
    struct naive *m = &t->model;
    unsigned actor = below(t, 3);

    t->envelope = (struct envelope){ .actor = TEXT(naive_actors[actor]) };
    m->flags = 0;
    m->actor = "";
    t->is_enveloped = t->is_batch || below(t, 2) == 0;
    if (!t->is_enveloped) {
        return;
    }
    m->actor = naive_actors[actor];
    if (below(t, 3) == 0) {
        make_demands(t, path);
    }
    if (below(t, 3) == 0) {
        choose_session(t);
    }
    if (below(t, 4) == 0) {
        m->now_ms += below(t, 1000) == 0 ? 24ULL * 3600 * 1000 : below(t, 5000);
        t->envelope.cluster_ms = (int64_t)m->now_ms;
    }
    m->flags = t->envelope.flags;
}

/* Whether the model is to carry the command out. */
static bool enters(struct run *t)
{
    return (t->envelope.flags & ENVELOPE_HAS_SESSION) == 0 ||
           naive_enter_session(&t->model, t->envelope.session, t->envelope.sequence,
                               t->envelope.lowest_unanswered);
}

/* ---- Commands ---- */

static unsigned some_value(struct run *t)
{
    return below(t, 40) == 0 ? 100 + below(t, 3) : 1 + below(t, 4);
}

static struct naive_update some_update(struct run *t, const struct naive_repository *r)
{
    struct naive_update u = { .ref = below(t, below(t, 8) == 0 ? NAIVE_REFS : NAIVE_REFS - 2) };
    unsigned current = r == NULL ? 0 : r->refs[u.ref].value;

    u.old = below(t, 3) > 0 ? (int)current : (int)below(t, 2) - 1;
    if (below(t, 10) == 0) {
        u.old = (int)some_value(t);
    }
    u.new_value = below(t, 5) < 2 ? 0 : some_value(t);
    return u;
}

static struct oid oid_of(unsigned value)
{
    return value >= 100 ? oid256_number(value) : oid_number(value);
}

static void hex_of(int value, char text[OID_HEX_BYTES_MAX + 1])
{
    struct oid oid = oid_of((unsigned)value);

    text[0] = '\0';
    if (value >= 0) {
        oid_format(&oid, text);
    }
}

static void encode_seed_update(struct run *t, const char *path, const struct naive_update *u)
{
    char old_text[OID_HEX_BYTES_MAX + 1], new_text[OID_HEX_BYTES_MAX + 1];

    hex_of(u->old, old_text);
    hex_of((int)u->new_value, new_text);
    command_encode_ref_update(&t->command, TEXT(path), TEXT(naive_ref_names[u->ref]),
                              TEXT(old_text), TEXT(new_text));
}

static struct ref_update real_update(const struct naive_update *u)
{
    struct ref_update real = update_of(naive_ref_names[u->ref], u->old, u->new_value);

    if (u->old > 0) {
        real.old_oid = oid_of((unsigned)u->old);
    }
    if (u->new_value > 0) {
        real.new_oid = oid_of(u->new_value);
    }
    return real;
}

static void step_refs(struct run *t, const char *path)
{
    const struct naive_repository *r = naive_find(&t->model, path);
    struct naive_update updates[NAIVE_ITEMS];
    struct ref_update real[NAIVE_ITEMS];
    unsigned count = 1 + below(t, 2) * below(t, 6);
    bool is_atomic = below(t, 2) == 0;

    t->is_batch = count > 1 || below(t, 2) == 0;
    make_envelope(t, path);
    for (unsigned i = 0; i < count; i++) {
        updates[i] = some_update(t, r);
        real[i] = real_update(&updates[i]);
    }
    if (t->is_batch) {
        t->envelope.flags |= is_atomic ? ENVELOPE_ATOMIC : 0U;
        command_encode_ref_envelope(&t->command, &t->envelope, TEXT(path), real, count);
    } else {
        encode_seed_update(t, path, &updates[0]);
    }
    if (enters(t)) {
        naive_update_refs(&t->model, path, updates, count, is_atomic && t->is_batch);
    }
}

static void step_register(struct run *t, const char *path)
{
    unsigned storage = below(t, NAIVE_STORAGES);

    command_encode_register_repo(&t->command, TEXT(path), TEXT(naive_storage_names[storage]));
    if (enters(t)) {
        naive_register(&t->model, path, storage);
    }
}

static void step_create(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_CREATE_REPO };
    unsigned primary = below(t, NAIVE_STORAGES), replica = below(t, NAIVE_STORAGES);
    struct buffer replicas = BUFFER_INIT;

    buffer_put_string(&replicas, TEXT(naive_storage_names[replica]));
    c.u.create_repo.path = TEXT(path);
    c.u.create_repo.primary = TEXT(naive_storage_names[primary]);
    c.u.create_repo.format = (enum object_format)below(t, 3);
    c.u.create_repo.replica_count = 1;
    c.u.create_repo.replicas = buffer_slice(&replicas);
    command_encode_plain(&t->command, &c);
    buffer_release(&replicas);
    if (enters(t)) {
        naive_create(&t->model, path, primary, replica, c.u.create_repo.format);
    }
}

static void step_remove(struct run *t, const char *path)
{
    command_encode_remove_repo(&t->command, TEXT(path));
    if (enters(t)) {
        naive_remove(&t->model, path);
    }
}

static void step_rename(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_RENAME_REPO };
    const char *from = path, *to = paths[below(t, COUNT(paths))];
    bool is_prefix = below(t, 2) == 0;

    if (is_prefix) {
        from = prefixes[below(t, 3)];
        to = prefixes[below(t, COUNT(prefixes))];
    }
    for (unsigned i = 0; i < t->model.repository_count; i++) {
        if (strlen(t->model.repositories[i].path) > NAIVE_PATH_MAX / 2) {
            to = from;
        }
    }
    c.u.rename_repo.is_prefix = is_prefix;
    c.u.rename_repo.from = TEXT(from);
    c.u.rename_repo.to = TEXT(to);
    command_encode_plain(&t->command, &c);
    if (!enters(t)) {
        return;
    }
    if (is_prefix) {
        naive_rename_prefix(&t->model, from, to);
    } else {
        char old[NAIVE_PATH_MAX + 1]; /* `from` may lie in the model */

        snprintf(old, sizeof old, "%s", from);
        naive_rename(&t->model, old, to);
    }
}

static void step_set_primary(struct run *t, const char *path)
{
    const char *some[3] = { path, paths[below(t, COUNT(paths))], path };
    struct slice slices[3] = { TEXT(some[0]), TEXT(some[1]), TEXT(some[2]) };
    unsigned storage = below(t, NAIVE_STORAGES), count = below(t, 4);

    command_encode_set_primary(&t->command, TEXT(naive_storage_names[storage]), slices, count);
    if (enters(t)) {
        naive_set_primary(&t->model, storage, some, count);
    }
}

static void step_set_head(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_SET_HEAD };
    const char *head = naive_ref_names[below(t, 3)];

    c.u.set_head.path = TEXT(path);
    c.u.set_head.refname = TEXT(head);
    command_encode_plain(&t->command, &c);
    if (enters(t)) {
        naive_set_head(&t->model, path, head);
    }
}

static void step_set_state(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_SET_STATE };
    const char *reason = below(t, 2) == 0 ? "" : "a reason";

    c.u.set_state.path = TEXT(path);
    c.u.set_state.state = (enum repository_state)(below(t, 2) * below(t, 3));
    c.u.set_state.reason = TEXT(reason);
    command_encode_plain(&t->command, &c);
    if (enters(t)) {
        naive_set_state(&t->model, path, c.u.set_state.state, reason);
    }
}

static void step_remove_replica(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_REMOVE_REPLICA };
    unsigned storage = below(t, NAIVE_STORAGES);

    c.u.remove_replica.path = TEXT(path);
    c.u.remove_replica.storage = TEXT(naive_storage_names[storage]);
    command_encode_plain(&t->command, &c);
    if (enters(t)) {
        naive_remove_replica(&t->model, path, storage);
    }
}

static void step_storage(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_SET_STORAGE };
    unsigned storage = below(t, NAIVE_STORAGES);
    bool is_set = below(t, 2) == 0;

    (void)path;
    if (is_set) {
        c.u.set_storage.name = TEXT(naive_storage_names[storage]);
        c.u.set_storage.fields = SET_STORAGE_STATE;
        c.u.set_storage.state = (enum storage_state)below(t, 3);
    } else {
        c.tag = COMMAND_REMOVE_STORAGE;
        c.u.remove_storage.name = TEXT(naive_storage_names[storage]);
    }
    command_encode_plain(&t->command, &c);
    if (!enters(t)) {
        return;
    }
    if (is_set) {
        naive_set_storage(&t->model, storage, c.u.set_storage.state);
    } else {
        naive_remove_storage(&t->model, storage);
    }
}

static void step_open_session(struct run *t, const char *path)
{
    struct command c = { .tag = COMMAND_OPEN_SESSION };

    (void)path;
    command_encode_plain(&t->command, &c);
    if (enters(t)) {
        naive_open_session(&t->model);
    }
}

/* ---- Comparing ---- */

static void compare_item(const struct refdb_item *real, const struct naive_item *naive)
{
    struct oid current = { 0 };

    if (naive->current > 0) {
        current = oid_of(naive->current);
    }
    if (real->status != naive->status) {
        print_message("real %s, naive %s\n", rk_status_word(real->status),
                      rk_status_word(naive->status));
    }
    assert_int_equal(real->status, naive->status);
    assert_int_equal(real->outcome, naive->outcome);
    assert_int_equal(real->current_index, naive->current_index);
    assert_true(oid_equal(&real->current, &current));
    assert_slice(real->current_actor, naive->actor);
    assert_slice(real->detail, naive->detail);
}

static void compare_repository(const struct refdb *db, const struct refdb_repository *real,
                               const struct naive_repository *naive)
{
    struct refdb_ref_cursor cursor;
    struct refdb_ref ref, found;
    uint64_t count = 0;
    unsigned replicas = 0;

    assert_int_equal(real->id, naive->id);
    assert_int_equal(real->primary_epoch, naive->epoch);
    assert_int_equal(real->last_index, naive->last_index);
    assert_int_equal(object_format_oid_bytes(real->format), naive->oid_bytes);
    assert_int_equal(real->state, naive->state);
    assert_slice(real->reason, naive->reason);
    assert_slice(real->head, naive->head);
    assert_slice(real->primary, naive_storage_names[naive->primary]);
    for (unsigned i = 0; i < NAIVE_STORAGES; i++) {
        replicas += naive->has_replica[i];
    }
    assert_int_equal(real->replica_count, replicas);
    for (unsigned i = 0; i < NAIVE_REFS; i++) {
        enum rk_status status = refdb_find_ref(db, real->path, TEXT(naive_ref_names[i]), &found);
        struct oid oid = oid_of(naive->refs[i].value);

        assert_int_equal(status, naive->refs[i].value == 0 ? RK_NOREF : RK_OK);
        if (status == RK_OK) {
            assert_true(oid_equal(&found.oid, &oid));
            assert_int_equal(found.last_index, naive->refs[i].index);
            count++;
        }
    }
    assert_int_equal(real->ref_count, count);
    assert_int_equal(refdb_seek_refs(db, real->path, SLICE_NONE, &cursor), RK_OK);
    while (refdb_next_ref(&cursor, &ref)) {
        count--;
    }
    assert_int_equal(count, 0);
}

static void compare_state(struct run *t)
{
    struct refdb_repository real;
    struct slice after = SLICE_NONE;
    unsigned count = 0;
    uint8_t kept[16], anew[16];
    char path[NAIVE_PATH_MAX + 1];

    while (refdb_next_repository(t->db, after, false, &real)) {
        const struct naive_repository *naive;

        snprintf(path, sizeof path, "%.*s", (int)real.path.size, (const char *)real.path.data);
        naive = naive_find(&t->model, path);
        assert_non_null(naive);
        compare_repository(t->db, &real, naive);
        after = real.path;
        count++;
    }
    assert_int_equal(count, t->model.repository_count);
    refdb_digest(t->db, kept);
    refdb_digest_recompute(t->db, anew);
    assert_memory_equal(kept, anew, sizeof kept);
    totals.digests++;
}

/* ---- Snapshots ---- */

static void replace_by_loaded(struct run *t)
{
    struct buffer dump = dump_of(t->db), again;
    struct refdb *loaded = load_of(buffer_slice(&dump), 1 + below(t, 5000));

    assert_non_null(loaded);
    again = dump_of(loaded);
    assert_int_equal(dump.size, again.size);
    assert_memory_equal(dump.data, again.data, dump.size);
    buffer_release(&dump);
    buffer_release(&again);
    refdb_free(t->db);
    t->db = loaded;
    totals.loads++;
}

static void start_view(struct run *t)
{
    t->before = dump_of(t->db);
    t->view = refdb_freeze(t->db);
}

static void go_on_with_view(struct run *t)
{
    size_t size = t->during.size;

    refdb_dump_next(t->view, &t->during);
    if (t->during.size > size) {
        return;
    }
    assert_int_equal(t->before.size, t->during.size);
    assert_memory_equal(t->before.data, t->during.data, t->before.size);
    refdb_thaw(t->db, t->view);
    t->view = NULL;
    totals.dumps_while_changing++;
    buffer_release(&t->before);
    buffer_release(&t->during);
}

static void step_snapshots(struct run *t)
{
    if (t->view != NULL) {
        if (below(t, 30) == 0) {
            go_on_with_view(t);
        }
    } else if (below(t, 1000) == 0) {
        replace_by_loaded(t);
    } else if (below(t, 1000) == 0) {
        start_view(t);
    }
}

/* ---- The run ---- */

typedef void (*step_function)(struct run *, const char *);

static void choose_and_encode(struct run *t)
{
    static const step_function others[] = {
        step_register,    step_create,       step_remove,         step_rename,
        step_set_primary, step_set_head,     step_remove_replica, step_storage,
        step_set_state,   step_open_session, step_register,       step_set_state,
    };
    const char *path = some_path(t);
    char copy[NAIVE_PATH_MAX + 1];

    snprintf(copy, sizeof copy, "%s", path); /* the model moves its repositories about */
    buffer_clear(&t->command);
    t->is_batch = false;
    if (below(t, 3) > 0) {
        step_refs(t, copy);
        return;
    }
    make_envelope(t, copy);
    if (t->model.repository_count >= NAIVE_REPOS - 1) {
        step_remove(t, copy);
    } else {
        others[below(t, COUNT(others))](t, copy);
    }
}

static void step(struct run *t)
{
    struct buffer wrapped = BUFFER_INIT;
    struct refdb_result result;
    struct entry entry;

    t->model.index = refdb_applied_index(t->db) + 1;
    t->model.result = (struct naive_result){ 0 };
    choose_and_encode(t);
    if (t->is_enveloped && !t->is_batch) {
        command_encode_envelope(&wrapped, &t->envelope, buffer_slice(&t->command));
        entry = (struct entry){ 1, t->model.index, buffer_slice(&wrapped) };
    } else {
        entry = (struct entry){ 1, t->model.index, buffer_slice(&t->command) };
    }
    if ((t->envelope.flags & ENVELOPE_HAS_SESSION) != 0 && !t->model.result.is_replay &&
        (t->model.result.count != 1 || t->model.result.items[0].status != RK_EXPIRED)) {
        naive_leave_session(&t->model, t->envelope.session, t->envelope.sequence);
    }
    assert_int_equal(refdb_apply(t->db, &entry, &result), RK_OK);
    assert_int_equal(result.item_count, t->model.result.count);
    assert_int_equal(result.is_replay, t->model.result.is_replay);
    assert_int_equal(result.replay_index, t->model.result.replay_index);
    for (size_t i = 0; i < result.item_count; i++) {
        compare_item(&result.items[i], &t->model.result.items[i]);
        t->seen[result.items[i].status]++;
    }
    t->replays += result.is_replay;
    buffer_release(&wrapped);
}

/* A run that never meets a rule proves nothing about it. */
static void assert_all_was_seen(const struct run *t)
{
    static const enum rk_status expected[] = {
        RK_OK,      RK_CONFLICT, RK_EXISTS,  RK_NOREF,      RK_NAMECONFLICT, RK_BADREF,
        RK_BADOID,  RK_NOREPO,   RK_REMOVED, RK_RENAMED,    RK_FROZEN,       RK_FENCED,
        RK_EXPIRED, RK_BADARG,   RK_ABORTED, RK_NOTREPLICA, RK_NOSTORAGE,
    };

    for (size_t i = 0; i < COUNT(expected); i++) {
        if (t->seen[expected[i]] < 50) {
            fail_msg("%s was seen %llu times", rk_status_word(expected[i]),
                     (unsigned long long)t->seen[expected[i]]);
        }
    }
    assert_true(t->replays > 50);
}

static void run(uint64_t seed, uint64_t steps)
{
    struct run *t = heap_new(struct run);

    print_message("RK_SEED=%llu RK_STEPS=%llu tests/unit/refdb/test_random\n",
                  (unsigned long long)seed, (unsigned long long)steps);
    rng_init(&t->rng, seed);
    t->db = refdb_new();
    totals.commands += steps;
    for (t->steps = 0; t->steps < steps; t->steps++) {
        step(t);
        step_snapshots(t);
        if (below(t, 500) == 0) {
            compare_state(t);
        }
    }
    while (t->view != NULL) {
        go_on_with_view(t);
    }
    compare_state(t);
    if (steps >= STEPS_DEFAULT) {
        assert_all_was_seen(t);
    }
    refdb_free(t->db);
    buffer_release(&t->command);
    heap_free(t);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void random_commands_agree_with_the_naive_model(void **state)
{
    uint64_t seed = number_from("RK_SEED", 0), steps = number_from("RK_STEPS", STEPS_DEFAULT);

    (void)state;
    if (seed != 0) {
        run(seed, steps);
        return;
    }
    for (seed = 1; seed <= number_from("RK_SEEDS", SEEDS_DEFAULT); seed++) {
        run(seed, steps);
    }
    print_message("%llu commands, %llu dumps while changing, %llu states loaded, %llu digests "
                  "derived anew\n",
                  (unsigned long long)totals.commands,
                  (unsigned long long)totals.dumps_while_changing, (unsigned long long)totals.loads,
                  (unsigned long long)totals.digests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_commands_agree_with_the_naive_model),
    };

    return cmocka_run_group_tests_name("refdb/random", tests, NULL, NULL);
}
