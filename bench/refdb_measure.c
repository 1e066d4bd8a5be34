/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb_measure.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/heap.h"
#include "node/snapshots.h"
#include "refdb/digest.h"
#include "refdb/refdb.h"
#include "refdb/repository.h"
#include "storage/snapshot.h"
#include "support/tmpdir.h"
#include "sys/fs.h"

#define SAMPLES 1000000 /* updates, lookups: at most */
#define TURN 64         /* updates of one turn of the loop */
#define PAGE 1000

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

static double wall(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0, resident = 0;

    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%lu %lu", &pages, &resident) != 2) {
        resident = 0;
    }
    (void)fclose(file);
    return (double)resident * 4096;
}

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void apply(struct refdb *db, const struct buffer *command)
{
    struct entry entry = { 1, refdb_applied_index(db) + 1, buffer_slice(command) };
    struct refdb_result result;

    if (refdb_apply(db, &entry, &result) != RK_OK || result.status != RK_OK) {
        give_up("apply", rk_status_word(result.status));
    }
}

/* One update under an envelope with an actor, as a hook sends it: a compare-and-swap from the
 * value of the generation before, or with `any` without looking. */
static void encode_update(const struct ref_set *set, uint64_t n, uint64_t generation, bool any,
                          struct buffer *command)
{
    struct envelope envelope = { .flags = ENVELOPE_ATOMIC };
    struct ref_update update = { .old_value = generation == 0 ? OLD_ABSENT : OLD_OID };
    char name[REF_SET_TEXT_MAX], path[REF_SET_TEXT_MAX], actor[REF_SET_TEXT_MAX];

    envelope.actor = ref_set_actor(set, n, actor);
    update.refname = ref_set_name(set, n, name);
    update.new_oid = ref_set_oid(set, n, generation);
    if (any) {
        update.old_value = OLD_ANY;
    } else if (generation > 0) {
        update.old_oid = ref_set_oid(set, n, generation - 1);
    }
    buffer_clear(command);
    command_encode_ref_envelope(command, &envelope,
                                ref_set_path(set, ref_set_repository_of(set, n), path), &update, 1);
}

static void found(struct refdb *db, const struct ref_set *set)
{
    static const char *const storages[3] = { "storage-1", "storage-2", "storage-3" };
    struct membership m = { .count = 1,
                            .members = { { .id = 1, .flags = MEMBER_VOTER | MEMBER_VOTER_OLD } } };
    struct buffer command = BUFFER_INIT;
    char path[REF_SET_TEXT_MAX];

    (void)snprintf(m.members[0].name, sizeof m.members[0].name, "n1");
    (void)snprintf(m.members[0].peer_address, sizeof m.members[0].peer_address, "localhost:1");
    command_encode_membership(&command, &m);
    apply(db, &command);
    for (uint64_t r = 0; r < ref_set_repository_count(set); r++) {
        for (unsigned i = 0; i < 3; i++) {
            buffer_clear(&command);
            command_encode_register_repo(&command, ref_set_path(set, r, path),
                                         slice_of_text(storages[i]));
            apply(db, &command);
        }
    }
    buffer_release(&command);
}

/* Nanoseconds of one apply: what making the commands costs is taken off. */
static double update_many(struct refdb *db, const struct ref_set *set, uint64_t count,
                          uint64_t generation)
{
    struct buffer command = BUFFER_INIT;
    uint64_t sample = count < SAMPLES ? count : SAMPLES;
    double making = cpu(), both;

    for (uint64_t i = 0; i < sample; i++) {
        encode_update(set, ref_set_scattered(set, i), generation, false, &command);
    }
    both = cpu();
    making = (both - making) * (double)count / (double)sample;
    for (uint64_t i = 0; i < count; i++) {
        encode_update(set, ref_set_scattered(set, i), generation, false, &command);
        apply(db, &command);
    }
    both = cpu() - both;
    buffer_release(&command);
    return (both - making) / (double)count * 1e9;
}

static double look_up(const struct refdb *db, const struct ref_set *set, uint64_t count)
{
    char name[REF_SET_TEXT_MAX], path[REF_SET_TEXT_MAX];
    double making = cpu(), both;
    struct refdb_ref ref;
    size_t bytes = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t n = ref_set_scattered(set, i);

        bytes += ref_set_path(set, ref_set_repository_of(set, n), path).size;
        bytes += ref_set_name(set, n, name).size;
    }
    both = cpu();
    making = both - making;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t n = ref_set_scattered(set, i);

        if (refdb_find_ref(db, ref_set_path(set, ref_set_repository_of(set, n), path),
                           ref_set_name(set, n, name), &ref) != RK_OK) {
            give_up(name, "not found");
        }
    }
    both = cpu() - both;
    return bytes == 0 ? 0 : (both - making) / (double)count * 1e9;
}

/* All refs of all repositories, per ref; with a page size by seeking anew behind each page. */
static double list_all(const struct refdb *db, const struct ref_set *set, unsigned page)
{
    char path[REF_SET_TEXT_MAX], last[REF_SET_TEXT_MAX];
    struct refdb_ref_cursor cursor;
    struct refdb_ref ref;
    uint64_t count = 0;
    double start = cpu();

    for (uint64_t r = 0; r < ref_set_repository_count(set); r++) {
        struct slice at = ref_set_path(set, r, path), after = SLICE_NONE;
        unsigned left = page;

        if (refdb_seek_refs(db, at, after, &cursor) != RK_OK) {
            give_up(path, "not found");
        }
        while (refdb_next_ref(&cursor, &ref)) {
            count++;
            if (page > 0 && --left == 0) {
                memcpy(last, ref.name.data, ref.name.size);
                after = slice_of(last, ref.name.size);
                left = page;
                if (refdb_seek_refs(db, at, after, &cursor) != RK_OK ||
                    !refdb_next_ref(&cursor, &ref)) {
                    give_up(path, "a page is lost");
                }
            }
        }
    }
    if (count != set->ref_count) {
        give_up(path, "refs are missing from the list");
    }
    return (cpu() - start) / (double)count * 1e9;
}

/* What an update spends on the digest: the old element goes, the new one comes. */
static double digest_cost(const struct ref_set *set)
{
    struct oid oids[2] = { ref_set_oid(set, 1, 0), ref_set_oid(set, 1, 1) };
    struct digest refs = DIGEST_ZERO, content = DIGEST_ZERO, sum = DIGEST_ZERO;
    char name[REF_SET_TEXT_MAX];
    struct slice refname = ref_set_name(set, 1, name);
    double start = cpu();

    for (uint64_t i = 0; i < SAMPLES; i++) {
        struct digest gone = digest_ref(refname, &oids[i % 2]), content_gone;
        struct digest here = digest_ref(refname, &oids[(i + 1) % 2]), content_here;

        content_gone = ref_content_digest(gone, 7, i, i);
        content_here = ref_content_digest(here, 7, i + 1, i);
        digest_subtract(&refs, gone);
        digest_add(&refs, here);
        digest_subtract(&content, content_gone);
        digest_add(&content, content_here);
        digest_subtract(&sum, content_gone);
        digest_add(&sum, content_here);
        oids[0].bytes[19] ^= (uint8_t)(sum.low & 1);
    }
    return (cpu() - start) / SAMPLES * 1e9;
}

/* ---- A snapshot while updates go on ---- */

struct dumping {
    struct refdb_view *view;
    const char *dir;
    struct snapshot_meta meta;
    double seconds, cpu_seconds;
    int is_done; /* atomic */
};

static void *dump(void *argument)
{
    struct dumping *d = argument;
    struct snapshot_writer *writer;
    struct buffer bytes = BUFFER_INIT;
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status;
    double start = wall(), cpu_start = cpu();

    status = snapshot_writer_open(fs_posix(), d->dir, &d->meta, &writer, &why);
    while (status == RK_OK) {
        buffer_clear(&bytes);
        refdb_dump_next(d->view, &bytes);
        if (bytes.size == 0) {
            break;
        }
        status = snapshot_writer_put(writer, buffer_slice(&bytes), &why);
    }
    if (status != RK_OK || snapshot_writer_commit(writer, &why) != RK_OK) {
        give_up("write the snapshot", why.text);
    }
    buffer_release(&bytes);
    d->seconds = wall() - start;
    d->cpu_seconds = cpu() - cpu_start;
    __atomic_store_n(&d->is_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

struct loop {
    struct refdb *db;
    const struct ref_set *set;
    struct buffer commands[TURN];
    uint64_t next; /* ref to update */
    double peak;   /* resident */
    struct measured *to;
};

/* Notes a piece of work of the loop thread between two waits. */
static void note_pause(struct loop *l, double cpu_start, double wall_start)
{
    double used = (cpu() - cpu_start) * 1e3, passed = (wall() - wall_start) * 1e3;

    l->to->pause_ms = used > l->to->pause_ms ? used : l->to->pause_ms;
    l->to->pause_wall_ms = passed > l->to->pause_wall_ms ? passed : l->to->pause_wall_ms;
}

static void turn(struct loop *l)
{
    double cpu_start, wall_start, resident;

    for (unsigned i = 0; i < TURN; i++) {
        encode_update(l->set, ref_set_scattered(l->set, l->next), 2 + l->next / l->set->ref_count,
                      true, &l->commands[i]);
        l->next++;
    }
    cpu_start = cpu();
    wall_start = wall();
    for (unsigned i = 0; i < TURN; i++) {
        apply(l->db, &l->commands[i]);
    }
    note_pause(l, cpu_start, wall_start);
    if (l->next / TURN % 16 == 0) {
        resident = resident_bytes();
        l->peak = resident > l->peak ? resident : l->peak;
    }
}

/* Updates keep to their rate by the CPU time of the writing thread: what others take of this
 * machine then slows both sides down alike. */
static void wait_for_its_turn(clockid_t writing, const struct dumping *d, double until)
{
    const struct timespec shortly = { 0, 100000 };

    while (seconds_of(writing) < until && !__atomic_load_n(&d->is_done, __ATOMIC_ACQUIRE)) {
        (void)nanosleep(&shortly, NULL);
    }
}

static void update_while_dumping(struct loop *l, struct dumping *d, double rate)
{
    double cpu_start = cpu(), wall_start = wall();
    clockid_t writing;
    pthread_t thread;

    d->view = refdb_freeze(l->db);
    note_pause(l, cpu_start, wall_start);
    l->to->freeze_ms = (cpu() - cpu_start) * 1e3;
    if (pthread_create(&thread, NULL, dump, d) != 0 ||
        pthread_getcpuclockid(thread, &writing) != 0) {
        give_up("pthread_create", "refused");
    }
    while (!__atomic_load_n(&d->is_done, __ATOMIC_ACQUIRE)) {
        turn(l);
        l->to->during += TURN;
        if (rate > 0) {
            wait_for_its_turn(writing, d, l->to->during / rate);
        }
    }
    (void)pthread_join(thread, NULL);
    cpu_start = cpu();
    wall_start = wall();
    refdb_thaw(l->db, d->view);
    note_pause(l, cpu_start, wall_start);
    l->to->thaw_ms = (cpu() - cpu_start) * 1e3;
    while (refdb_sweep(l->db)) {
        turn(l);
    }
}

/* A snapshot of nothing first: what the libraries take once is not what a snapshot takes. */
static void warm_up(const char *dir, const struct membership *membership)
{
    struct snapshot_meta meta = { .last_index = 1, .last_term = 1, .membership_index = 1 };
    struct snapshot_writer *writer;
    struct errmsg why = ERRMSG_INIT;

    meta.membership = *membership;
    if (snapshot_writer_open(fs_posix(), dir, &meta, &writer, &why) != RK_OK ||
        snapshot_writer_put(writer, slice_of_text("nothing"), &why) != RK_OK ||
        snapshot_writer_commit(writer, &why) != RK_OK) {
        give_up("write a snapshot", why.text);
    }
}

static void write_snapshot(struct refdb *db, const struct ref_set *set, const char *dir,
                           double rate, struct measured *ret)
{
    struct dumping d = { .dir = dir };
    struct loop l = { .db = db, .set = set, .to = ret };
    struct snapshot_source *file;
    struct errmsg why = ERRMSG_INIT;
    double before;

    warm_up(dir, refdb_membership(db, &d.meta.membership_index));
    malloc_trim(0);
    before = resident_bytes();
    d.meta.last_index = refdb_applied_index(db);
    d.meta.last_term = refdb_applied_term(db);
    d.meta.membership = *refdb_membership(db, &d.meta.membership_index);
    update_while_dumping(&l, &d, rate);
    ret->write_s = d.seconds;
    ret->write_cpu_s = d.cpu_seconds;
    ret->overhead = l.peak > before ? (l.peak - before) / before : 0;
    if (snapshot_source_open(fs_posix(), dir, d.meta.last_index, d.meta.last_term, &file, &why) !=
        RK_OK) {
        give_up("open the snapshot", why.text);
    }
    ret->write_bytes = (double)snapshot_source_bytes(file);
    snapshot_source_close(file);
    for (unsigned i = 0; i < TURN; i++) {
        buffer_release(&l.commands[i]);
    }
}

static void load_snapshot(const char *dir, raft_index index, uint64_t refs, struct measured *ret)
{
    struct errmsg why = ERRMSG_INIT;
    struct refdb_gauges gauges;
    struct snapshot_meta meta;
    struct refdb *loaded;
    double start = wall(), cpu_start = cpu();

    if (snapshots_load(dir, index, 1, &meta, &loaded, &why) != RK_OK) {
        give_up("load the snapshot", why.text);
    }
    ret->load_s = wall() - start;
    ret->load_cpu_s = cpu() - cpu_start;
    refdb_get_gauges(loaded, &gauges);
    if (gauges.refs != refs) {
        give_up("load the snapshot", "refs are missing");
    }
    malloc_trim(0);
    ret->loaded_bytes = resident_bytes();
    refdb_free(loaded);
}

void measure(const struct ref_set *set, double rate, struct measured *ret)
{
    uint64_t samples = set->ref_count < SAMPLES ? set->ref_count : SAMPLES;
    struct refdb *db = refdb_new();
    char *dir = tmpdir_make();
    struct refdb_gauges gauges;
    raft_index at;

    *ret = (struct measured){ .refs = set->ref_count,
                              .repositories = ref_set_repository_count(set) };
    found(db, set);
    ret->create_ns = update_many(db, set, set->ref_count, 0);
    malloc_trim(0);
    ret->process_bytes = resident_bytes();
    refdb_get_gauges(db, &gauges);
    ret->structure_bytes = (double)gauges.bytes;
    ret->update_ns = update_many(db, set, samples, 1);
    ret->lookup_ns = look_up(db, set, samples);
    ret->list_ns = list_all(db, set, 0);
    ret->page_ns = list_all(db, set, PAGE);
    ret->digest_ns = digest_cost(set);
    at = refdb_applied_index(db);
    write_snapshot(db, set, dir, rate, ret);
    refdb_free(db);
    malloc_trim(0);
    load_snapshot(dir, at, set->ref_count, ret);
    tmpdir_remove(dir);
}
