/* SPDX-License-Identifier: Apache-2.0 */
#include "node/snapshots.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sys/clock.h"

/* While a snapshot is being sent, another is taken only when the log has grown to this many
 * times the size that usually triggers one. */
#define POSTPONED_COMPACTIONS 4

/* ---- Taking ---- */

struct taking {
    struct node *node;
    struct refdb_view *view;
    struct snapshot_meta meta;
    const char *data_dir;
    uint64_t bytes, state_bytes;
    enum rk_status status;
    struct errmsg why;
};

static uint64_t state_bytes(const struct node *n)
{
    struct refdb_gauges gauges;

    refdb_get_gauges(n->refdb, &gauges);
    return gauges.bytes;
}

static void taking_run(void *job, const struct worker *w)
{
    struct taking *t = job;
    struct snapshot_writer *writer = NULL;
    struct buffer bytes = BUFFER_INIT;

    t->status = snapshot_writer_open(fs_posix(), t->data_dir, &t->meta, &writer, &t->why);
    while (t->status == RK_OK) {
        if (worker_should_stop(w)) {
            t->status = RK_STOPPED;
            break;
        }
        buffer_clear(&bytes);
        refdb_dump_next(t->view, &bytes);
        if (bytes.size == 0) {
            break;
        }
        t->status = snapshot_writer_put(writer, buffer_slice(&bytes), &t->why);
    }
    buffer_release(&bytes);
    if (t->status == RK_OK) {
        t->status = snapshot_writer_commit(writer, &t->why);
        t->bytes = snapshot_file_bytes(fs_posix(), t->data_dir, t->meta.last_index,
                                       t->meta.last_term);
    } else {
        snapshot_writer_abort(writer);
    }
}

/* Which entries and which snapshot there are to send from now on. */
static void tell_core(struct node *n)
{
    struct raft_event event = driver_event(n, RAFT_COMPACTED);

    event.u.compacted.first_index = n->log_first_index;
    event.u.compacted.snapshot_last_index = n->snapshots.last_index;
    event.u.compacted.snapshot_last_term = n->snapshots.last_term;
    driver_step(n, &event);
}

void snapshots_compacted(struct node *n, raft_index first_index)
{
    n->log_first_index = first_index;
    tell_core(n);
}

static void taking_done(void *job)
{
    struct taking *t = job;
    struct node *n = t->node;
    struct snapshots *s = &n->snapshots;

    refdb_thaw(n->refdb, t->view);
    s->is_taking = false;
    s->taken_ms = clock_monotonic_ms();
    if (t->status == RK_OK) {
        s->older_index = s->last_index;
        s->last_index = t->meta.last_index;
        s->last_term = t->meta.last_term;
        s->last_bytes = t->bytes;
        s->last_state_bytes = t->state_bytes;
        s->taken_total++;
        node_log(n, NODE_LOG_INFO, "snapshot %" PRIu64 "^%" PRIu64 " taken", s->last_index,
                 s->last_term);
        if (!n->is_stopped) {
            tell_core(n);
            compaction_start(n);
        }
    } else if (t->status != RK_STOPPED) {
        s->applied_bytes++; /* due again, by the timer */
        node_log(n, NODE_LOG_ERROR, "snapshot at %" PRIu64 " failed: %s", t->meta.last_index,
                 t->why.text);
    }
    heap_free(t);
}

bool snapshots_take(struct node *n)
{
    struct snapshots *s = &n->snapshots;
    struct taking *t;
    raft_index membership_index = 0;
    const struct membership *membership = refdb_membership(n->refdb, &membership_index);

    if (s->is_taking || s->is_loading || s->loaded != NULL || s->is_installing ||
        n->digests.is_deriving || digests_is_quarantined(n) || membership == NULL ||
        refdb_applied_index(n->refdb) <= s->last_index) {
        return false;
    }
    t = heap_new(struct taking);
    t->node = n;
    t->data_dir = n->options.data_dir;
    t->meta = (struct snapshot_meta){
        .last_index = refdb_applied_index(n->refdb),
        .last_term = refdb_applied_term(n->refdb),
        .membership = *membership,
        .membership_index = membership_index,
        .feature_level = n->state.feature_level,
    };
    memcpy(t->meta.cluster_id, n->state.cluster_id, CLUSTER_ID_BYTES);
    t->state_bytes = state_bytes(n);
    t->view = refdb_freeze(n->refdb);
    s->is_taking = true;
    if (storage_is_short_of_space(n->storage)) {
        writer_release_reserve(n->writer);
    }
    s->applied_bytes = 0;
    worker_submit(n->worker, taking_run, taking_done, t);
    return true;
}

static bool is_due(const struct node *n)
{
    const struct snapshots *s = &n->snapshots;
    time_ms interval_ms = n->options.snapshot_interval_ms;

    if (snapshots_is_sending(n) &&
        s->applied_bytes < POSTPONED_COMPACTIONS * n->options.log_compact_bytes) {
        return false; /* it could not cut the log, and might replace what is being sent */
    }
    if (storage_is_short_of_space(n->storage)) {
        interval_ms = SHORT_SNAPSHOT_INTERVAL_MS;
    }
    return s->applied_bytes > 0 && (s->applied_bytes >= n->options.log_compact_bytes ||
                                    clock_monotonic_ms() - s->taken_ms >= interval_ms);
}

void snapshots_turn(struct node *n)
{
    if (is_due(n)) {
        (void)snapshots_take(n); /* false: one is on its way, and it will be due again */
    }
    compaction_turn(n);
    snapshots_send_turn(n);
}

/* ---- Loading what was received ---- */

struct loading {
    struct node *node;
    struct snapshot_receiver *receiver;
    const char *data_dir;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    struct snapshot_meta meta;
    struct refdb *refdb;
    enum rk_status status;
    struct errmsg why;
};

enum rk_status snapshots_load(const char *data_dir, raft_index last_index, raft_term last_term,
                              struct snapshot_meta *ret_meta, struct refdb **ret_refdb,
                              struct errmsg *why)
{
    struct snapshot_reader *reader;
    struct refdb_loader *loader;
    struct slice bytes;
    enum rk_status status = snapshot_reader_open(fs_posix(), data_dir, last_index, last_term,
                                                 ret_meta, &reader, why);

    if (status != RK_OK) {
        return status;
    }
    loader = refdb_loader_new();
    do {
        status = snapshot_reader_next(reader, &bytes, why);
        if (status == RK_OK && bytes.size > 0) {
            status = refdb_loader_put(loader, bytes);
        }
    } while (status == RK_OK && bytes.size > 0);
    snapshot_reader_close(reader);
    if (status == RK_OK) {
        status = refdb_loader_finish(loader, ret_refdb);
    } else {
        refdb_loader_free(loader);
    }
    if (status != RK_OK && why->text[0] == '\0') {
        errmsg_set(why, "the state in snapshot %" PRIu64 "^%" PRIu64 " cannot be loaded: %s",
                   last_index, last_term, rk_status_text(status));
    }
    return status;
}

void snapshots_note_size(struct node *n)
{
    struct snapshots *s = &n->snapshots;

    s->last_bytes = snapshot_file_bytes(fs_posix(), n->options.data_dir, s->last_index,
                                        s->last_term);
    s->last_state_bytes = state_bytes(n);
}

static void loading_run(void *job, const struct worker *w)
{
    struct loading *l = job;

    (void)w;
    l->status = snapshot_receiver_commit(l->receiver, l->cluster_id, &l->meta, &l->why);
    l->receiver = NULL;
    if (l->status == RK_OK) {
        l->status = snapshots_load(l->data_dir, l->meta.last_index, l->meta.last_term, &l->meta,
                                   &l->refdb, &l->why);
    }
}

/* ---- Letting go of a state: of ten million refs that takes a second, so the worker does ---- */

struct leaving {
    struct refdb *refdb;
};

static void leaving_run(void *job, const struct worker *w)
{
    struct leaving *l = job;

    (void)w;
    refdb_free(l->refdb);
    l->refdb = NULL;
}

static void leaving_done(void *job)
{
    struct leaving *l = job;

    refdb_free(l->refdb); /* the node stops: nobody ran it */
    heap_free(l);
}

static void let_go(struct node *n, struct refdb *refdb)
{
    struct leaving *l = heap_new(struct leaving);

    l->refdb = refdb;
    worker_submit(n->worker, leaving_run, leaving_done, l);
}

static void loading_done(void *job)
{
    struct loading *l = job;
    struct node *n = l->node;
    struct raft_event event = driver_event(n, RAFT_SNAPSHOT_RECEIVED);

    n->snapshots.is_loading = false;
    snapshot_receiver_close(l->receiver); /* the node stops: a restart goes on from there */
    if (l->status != RK_OK) {
        node_log(n, NODE_LOG_ERROR, "a received snapshot is not usable: %s", l->why.text);
    } else if (n->is_stopped) {
        refdb_free(l->refdb);
    } else {
        n->snapshots.loaded = l->refdb;
        n->snapshots.loaded_meta = l->meta;
        event.u.snapshot_received.last_index = l->meta.last_index;
        event.u.snapshot_received.last_term = l->meta.last_term;
        event.u.snapshot_received.membership = &l->meta.membership;
        event.u.snapshot_received.membership_index = l->meta.membership_index;
        driver_step(n, &event);
        if (!n->snapshots.is_installing) { /* not needed after all */
            let_go(n, n->snapshots.loaded);
            n->snapshots.loaded = NULL;
        }
    }
    if (!n->snapshots.is_installing) {
        snapshots_receive_end(n);
    }
    heap_free(l);
}

void snapshots_load_received(struct node *n, struct snapshot_receiver *receiver)
{
    struct loading *l = heap_new(struct loading);

    l->node = n;
    l->receiver = receiver;
    l->data_dir = n->options.data_dir;
    memcpy(l->cluster_id, n->state.cluster_id, CLUSTER_ID_BYTES);
    n->snapshots.is_loading = true;
    worker_submit(n->worker, loading_run, loading_done, l);
}

/* ---- Installing ---- */

void snapshots_install(struct node *n, raft_index last_index, raft_term last_term,
                       bool keeps_suffix)
{
    PRE(n->snapshots.loaded != NULL);
    n->snapshots.is_installing = true;
    writer_install(n->writer, last_index, last_term, keeps_suffix);
    if (!keeps_suffix) {
        window_clear(&n->window);
        n->durable_index = last_index;
    }
}

void snapshots_installed(struct node *n)
{
    struct snapshots *s = &n->snapshots;
    struct raft_event event = driver_event(n, RAFT_SNAPSHOT_INSTALLED);

    INVARIANT(s->is_installing && s->loaded != NULL);
    INVARIANT(!s->is_taking); /* the worker runs one job at a time, and this one came later */
    proposals_skipped(n, s->loaded_meta.last_index);
    let_go(n, n->refdb);
    n->refdb = s->loaded;
    events_reset(n->events, refdb_applied_index(n->refdb)); /* what lies before was never seen */
    s->loaded = NULL;
    s->is_installing = false;
    snapshots_receive_end(n);
    s->older_index = s->last_index;
    s->last_index = s->loaded_meta.last_index;
    s->last_term = s->loaded_meta.last_term;
    snapshots_note_size(n);
    s->applied_bytes = 0;
    s->installed_total++;
    n->log_first_index = storage_first_index(n->storage);
    if (n->durable_index < s->last_index) {
        n->durable_index = s->last_index;
    }
    identity_learned(n, &s->loaded_meta.membership, s->loaded_meta.membership_index);
    node_log(n, NODE_LOG_INFO, "snapshot %" PRIu64 "^%" PRIu64 " installed", s->last_index,
             s->last_term);
    event.u.snapshot_installed.last_index = s->last_index;
    event.u.snapshot_installed.last_term = s->last_term;
    driver_step(n, &event);
    digests_installed(n);
}

void snapshots_release(struct node *n)
{
    snapshots_send_release(n);
    snapshots_receive_release(n);
    refdb_free(n->snapshots.loaded);
    n->snapshots.loaded = NULL;
    compaction_release(n);
}
