/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"
#include "node/node_internal.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define STOP_GRACE_MS 3000
#define EXPIRE_INTERVAL_MS 50

/* ---- Log, halt, time ---- */

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (n->options.log == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->options.log(n->options.log_context, level, text);
}

void node_halt(struct node *n, int exit_code, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (n->is_stopped) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    node_log(n, NODE_LOG_ERROR, "%s", text);
    n->exit_code = exit_code;
    n->is_stopping = n->is_stopped = true;
}

void node_halt_on_disk(struct node *n, enum rk_status status, const char *what,
                       const struct errmsg *why)
{
    int exit_code = status == RK_CORRUPT ? NODE_REOPEN : status == RK_NOMEM ? 1 : 74;

    node_halt(n, exit_code, "%s: %s", what, why->text);
}

raft_index node_fit(void *context, raft_index first, raft_index last, uint64_t bytes_max,
                    uint64_t *ret_bytes)
{
    struct node *n = context;

    return window_fit(&n->window, first, last, bytes_max, ret_bytes);
}

void node_trace(void *context, const char *text)
{
    node_log(context, NODE_LOG_DEBUG, "%s", text);
}

int64_t node_cluster_ms(const struct node *n)
{
    int64_t replicated = refdb_cluster_ms(n->refdb);
    int64_t reckoned = n->cluster_base_ms + (clock_monotonic_ms() - n->cluster_heard_ms);

    return reckoned > replicated ? reckoned : replicated;
}

int64_t node_now_ms(const struct node *n)
{
    (void)n;
    return clock_monotonic_ms();
}

/* ---- Reports of the log writer ---- */

static void on_written(void *context, const struct writer_report *report)
{
    struct node *n = context;
    struct raft_event event = driver_event(n, RAFT_PERSISTED);

    for (uint32_t i = 0; i < report->sync_count; i++) {
        histogram_add(&n->sync, report->sync_us[i]);
    }
    if (report->failed != RK_OK) {
        node_halt_on_disk(n, report->failed, "the disk failed", &report->why);
        return;
    }
    if (report->state_generation != 0) {
        n->durable_generation = report->state_generation;
    }
    if (report->last_index != 0 && raft_term_at(n->raft, report->last_index) == report->last_term) {
        n->durable_index = report->last_index;
    }
    if (report->state_generation != 0 || report->last_index != 0) {
        event.u.persisted.hard_state_generation = n->durable_generation;
        event.u.persisted.last_term = report->last_term;
        event.u.persisted.last_index = report->last_index;
        driver_step(n, &event);
        driver_release_held(n);
        window_trim(&n->window, n->durable_index);
    }
    if (report->is_installed) {
        snapshots_installed(n);
    }
    if (report->compacted_first_index != 0) {
        snapshots_compacted(n, report->compacted_first_index);
    }
    if (report->is_compaction_done) {
        compaction_finished(n, report);
    }
}

/* ---- Turns ---- */

static void on_timer(evutil_socket_t fd, short events, void *context)
{
    struct node *n = context;

    (void)fd;
    (void)events;
    n->timer_ms = 0; /* what is due is found at the end of this turn */
}

static bool has_waiting(const struct node *n)
{
    return proposals_waiting(&n->proposals) > 0 || changes_are_waiting(n) || n->reads.count > 0 ||
           n->reads.asking.count > 0 || n->reads.waiting.count > 0 || n->is_stopping;
}

/* Moves the timer only when it would come too late: one that comes early costs less than
 * moving it every turn. */
static void arm_timer(struct node *n)
{
    time_ms now_ms = clock_monotonic_ms();
    time_ms deadline_ms = raft_deadline_ms(n->raft);
    time_ms snapshots_ms = snapshots_send_wake_ms(n);
    time_ms wait_ms;
    struct timeval wait;

    deadline_ms = snapshots_ms < deadline_ms ? snapshots_ms : deadline_ms;
    if (has_waiting(n) && now_ms + EXPIRE_INTERVAL_MS < deadline_ms) {
        deadline_ms = now_ms + EXPIRE_INTERVAL_MS;
    }
    if (n->timer_ms != 0 && n->timer_ms <= deadline_ms) {
        return;
    }
    wait_ms = deadline_ms <= now_ms ? 1 : deadline_ms - now_ms;
    wait_ms = wait_ms > 1000 ? 1000 : wait_ms;
    wait = (struct timeval){ wait_ms / 1000, wait_ms % 1000 * 1000 };
    n->timer_ms = now_ms + wait_ms;
    event_add(n->timer, &wait);
}

static void step_plain(struct node *n, enum raft_event_type type)
{
    struct raft_event event = driver_event(n, type);

    driver_step(n, &event);
}

static void step_bootstrap(struct node *n)
{
    struct raft_event event = driver_event(n, RAFT_BOOTSTRAP);
    struct membership first;

    identity_first_membership(n, &first);
    event.u.bootstrap.membership = &first;
    n->is_bootstrap_sent = true;
    driver_step(n, &event);
}

static void turn_core(struct node *n)
{
    if (identity_may_bootstrap(n)) {
        step_bootstrap(n);
    }
    if (clock_monotonic_ms() >= raft_deadline_ms(n->raft)) {
        step_plain(n, RAFT_TIMEOUT);
    }
    proposals_turn(n);
    changes_turn(n);
    node_reads_turn(n);
    step_plain(n, RAFT_TURN);
}

static void turn_stopping(struct node *n)
{
    bool is_busy = proposals_waiting(&n->proposals) > 0 || raft_transfer_target(n->raft) != 0 ||
                   changes_are_waiting(n);

    if (n->is_stopping && !n->is_stopped && (!is_busy || clock_monotonic_ms() >= n->stop_by_ms)) {
        n->is_stopped = true;
    }
}

void node_turn(struct node *n)
{
    n->has_more = false;
    turn_core(n);
    if (!n->is_stopped) {
        applier_turn(n);
        digests_turn(n);
        node_reads_deliver(n);
        proposals_expire(n);
        node_reads_expire(n);
        snapshots_turn(n);
    }
    writer_hand_over(n->writer);
    transport_flush(n->transport);
    for (size_t i = 0; i < n->flush_count; i++) {
        n->flush[i](n->flush_context[i]);
    }
    /* Callbacks may have proposed or read again. */
    n->has_more |= n->proposals.queue.count > 0 && raft_role_of(n->raft) == RAFT_LEADER &&
                   !raft_holds_proposals(n->raft);
    n->has_more |= n->reads.now.count > 0;
    turn_stopping(n);
    arm_timer(n);
}

int node_run(struct node *n)
{
    while (!n->is_stopped) {
        event_base_loop(n->base, n->has_more ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
        node_turn(n);
    }
    return n->exit_code;
}

void node_on_flush(struct node *n, void (*flush)(void *context), void *context)
{
    PRE(n->flush_count < sizeof n->flush / sizeof n->flush[0]);
    n->flush[n->flush_count] = flush;
    n->flush_context[n->flush_count] = context;
    n->flush_count++;
}

void node_stop(struct node *n)
{
    if (n->is_stopping) {
        n->is_stopped = true;
        return;
    }
    n->is_stopping = true;
    n->stop_by_ms = clock_monotonic_ms() + STOP_GRACE_MS;
    n->has_more = true;
    if (raft_role_of(n->raft) == RAFT_LEADER) {
        step_plain(n,
                   RAFT_TRANSFER); /* refused when it is alone: then there is nobody to wait for */
    }
}

/* ---- Writes and reads ---- */

enum rk_status node_judge_command(const struct node *n, struct slice command)
{
    struct command decoded;
    enum rk_status status = command_decode(command, &decoded);

    if (status != RK_OK) {
        return status;
    }
    if (decoded.tag == COMMAND_NOOP || decoded.tag == COMMAND_MEMBERSHIP) {
        return RK_PROTOCOL; /* the core's own */
    }
    if (command_feature_level(&decoded) > raft_membership(n->raft)->feature_level) {
        return RK_UNSUPPORTED; /* not every member knows it yet */
    }
    return RK_OK;
}

enum rk_status node_propose(struct node *n, struct slice command, node_proposed_fn done,
                            void *context)
{
    enum rk_status status;

    if (n->is_stopping) {
        return RK_STOPPED;
    }
    if (node_is_out(n)) {
        return RK_NOMEMBER;
    }
    if (digests_is_quarantined(n)) {
        return RK_NOLEADER;
    }
    status = node_judge_command(n, command);
    if (status != RK_OK) {
        return status;
    }
    if (writer_backlog_bytes(n->writer) > WRITER_QUEUE_BYTES_MAX) {
        return RK_OVERLOADED;
    }
    return proposals_add(&n->proposals, command, done, context);
}

enum rk_status node_read(struct node *n, enum node_consistency consistency, raft_index min_index,
                         node_readable_fn done, void *context)
{
    if (n->is_stopped) {
        return RK_STOPPED;
    }
    if (digests_is_quarantined(n)) {
        return RK_NOLEADER; /* its own copy, too: it is wrong */
    }
    if (consistency == NODE_LINEARIZABLE ||
        (consistency == NODE_MIN_INDEX && min_index > refdb_applied_index(n->refdb))) {
        if (node_is_out(n)) {
            return RK_NOMEMBER; /* it learns of nothing any more */
        }
    }
    return node_reads_add(n, consistency, min_index, done, context);
}

bool node_take_snapshot(struct node *n)
{
    return snapshots_take(n);
}

const struct refdb *node_refdb(const struct node *n)
{
    return n->refdb;
}

const struct events *node_events(const struct node *n)
{
    return n->events;
}

struct replicas *node_replicas(const struct node *n)
{
    return n->replicas;
}

/* ---- Life cycle ---- */

static char *copy_or_null(const char *text)
{
    return text == NULL ? NULL : heap_copy_text(text, strlen(text));
}

static void copy_options(struct node *n, const struct node_options *options)
{
    n->options = *options;
    n->options.name = copy_or_null(options->name);
    n->options.data_dir = copy_or_null(options->data_dir);
    n->options.listen_peer = copy_or_null(options->listen_peer);
    n->options.advertise_peer = copy_or_null(options->advertise_peer);
    n->options.advertise_client = copy_or_null(options->advertise_client);
    n->options.advertise_http = copy_or_null(options->advertise_http);
    n->options.peer_tls = NULL;
    if (n->options.seed == 0) {
        n->options.seed = entropy_u64();
    }
}

static void free_options(struct node_options *o)
{
    const char *texts[] = { o->name,           o->data_dir,         o->listen_peer,
                            o->advertise_peer, o->advertise_client, o->advertise_http };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        heap_free((void *)(uintptr_t)texts[i]);
    }
}

static enum rk_status open_transport(struct node *n, const struct tls_options *tls,
                                     struct errmsg *why)
{
    struct transport_options options = { .listen = n->options.listen_peer,
                                         .self = n->state.id,
                                         .seed = n->options.seed };
    enum rk_status status;

    if (tls != NULL) {
        status = tls_peer_context(tls, &n->peer_tls, why);
        if (status != RK_OK) {
            return status;
        }
        options.tls = n->peer_tls;
    }
    status = transport_open(n->base, &options, &node_transport_callbacks, n, &n->transport, why);
    if (status == RK_OK) {
        members_refresh_transport(n);
    }
    return status;
}

enum rk_status node_open(struct event_base *base, const struct node_options *options,
                         struct node **ret_node, struct errmsg *why)
{
    struct node *n = heap_new(struct node);
    enum rk_status status;

    n->base = base;
    n->started_ms = clock_monotonic_ms();
    n->snapshots.taken_ms = n->started_ms;
    n->cluster_heard_ms = n->started_ms;
    copy_options(n, options);
    n->replicas = replicas_new();
    n->events = events_new(options->events_bytes_max == 0 ? EVENTS_BYTES_DEFAULT
                                                          : options->events_bytes_max);
    raft_effects_init(&n->effects);
    n->timer = evtimer_new(base, on_timer, n);
    INVARIANT(n->timer != NULL);
    status = recovery_open(n, why);
    if (status == RK_OK) {
        status = open_transport(n, options->peer_tls, why);
    }
    if (status != RK_OK) {
        node_close(n);
        return status;
    }
    n->writer = writer_start(base, n->storage, on_written, n);
    n->worker = worker_start(base);
    n->mover = worker_start(base);
    n->snapshots.transfer.rate.bytes_per_s = n->options.snapshot_rate_bytes;
    n->has_more = true;
    *ret_node = n;
    return RK_OK;
}

void node_close(struct node *n)
{
    if (n == NULL) {
        return;
    }
    n->is_stopped = n->is_stopping = true;
    worker_stop(n->mover);
    worker_stop(n->worker);
    proposals_abandon(n);
    changes_abandon(n);
    node_reads_abandon(n);
    transport_close(n->transport);
    writer_stop(n->writer);
    snapshots_release(n);
    storage_close(n->storage);
    raft_free(n->raft);
    raft_effects_release(&n->effects);
    refdb_free(n->refdb);
    events_free(n->events);
    replicas_free(n->replicas);
    window_release(&n->window);
    message_decoder_release(&n->decoder);
    buffer_release(&n->scratch);
    proposals_release(&n->proposals);
    node_reads_release(&n->reads);
    heap_free(n->held);
    SSL_CTX_free(n->peer_tls);
    event_free(n->timer);
    free_options(&n->options);
    heap_free(n);
}
