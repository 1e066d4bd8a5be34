/* SPDX-License-Identifier: Apache-2.0 */
#include "node/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "sys/clock.h"

/* Before it sleeps the thread looks for orders this long: a lone client's next write comes
 * within it, and waking a sleeper costs more than the wait. */
#define SPIN_US 30

enum order_type {
    ORDER_SAVE_STATE,
    ORDER_TRUNCATE,
    ORDER_APPEND,
    ORDER_COMPACT,
    ORDER_RELEASE_RESERVE,
    ORDER_INSTALL,
};

struct order {
    struct order *next;
    enum order_type type;
    union {
        struct {
            struct persistent_state *state;
            uint64_t generation;
        } save_state;
        struct batch *append;
        raft_index index; /* truncate */
        struct storage_compaction *compaction;
        struct {
            raft_index last_index;
            raft_term last_term;
            bool keeps_suffix;
        } install;
    } u;
};

struct order_list {
    struct order *first;
    struct order **end;
};

struct writer {
    struct storage *storage;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct order_list queue;         /* under the lock */
    struct writer_report unreported; /* under the lock */
    bool is_stopping;                /* under the lock */
    bool is_asleep;                  /* under the lock */
    atomic_bool has_orders;          /* a hint for the spinning thread */
    bool has_failed;                 /* the thread's own: nothing more is carried out */
    struct order_list pending;       /* the thread's own: taken, not carried out yet */
    bool is_full;                    /* the thread's own: no space for the first of them */
    _Atomic uint64_t backlog_bytes;
    time_ms queued_ms;         /* under the lock: of the first order in the queue */
    _Atomic time_ms oldest_ms; /* since when an order waits or is in hand; 0 = none */

    /* the loop's own */
    struct order_list turn;
    struct event *reported;
    int reported_fd;
    writer_report_fn report;
    void *context;
};

static void order_list_init(struct order_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static struct order *order_new(struct writer *w, enum order_type type)
{
    struct order *o = heap_new(struct order);

    o->type = type;
    *w->turn.end = o;
    w->turn.end = &o->next;
    return o;
}

void writer_save_state(struct writer *w, const struct persistent_state *state, uint64_t generation)
{
    struct order *o = order_new(w, ORDER_SAVE_STATE);

    o->u.save_state.state = heap_copy(state, sizeof *state);
    o->u.save_state.generation = generation;
}

void writer_truncate(struct writer *w, raft_index from)
{
    order_new(w, ORDER_TRUNCATE)->u.index = from;
}

void writer_append(struct writer *w, struct batch *b)
{
    order_new(w, ORDER_APPEND)->u.append = batch_ref(b);
    atomic_fetch_add(&w->backlog_bytes, b->bytes.size);
}

void writer_compact(struct writer *w, struct storage_compaction *compaction)
{
    order_new(w, ORDER_COMPACT)->u.compaction = compaction;
}

void writer_release_reserve(struct writer *w)
{
    (void)order_new(w, ORDER_RELEASE_RESERVE);
}

void writer_install(struct writer *w, raft_index last_index, raft_term last_term, bool keeps_suffix)
{
    struct order *o = order_new(w, ORDER_INSTALL);

    o->u.install.last_index = last_index;
    o->u.install.last_term = last_term;
    o->u.install.keeps_suffix = keeps_suffix;
}

void writer_hand_over(struct writer *w)
{
    bool wakes;

    if (w->turn.first == NULL) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    if (w->queue.first == NULL) {
        w->queued_ms = clock_monotonic_ms();
        if (atomic_load(&w->oldest_ms) == 0) {
            atomic_store(&w->oldest_ms, w->queued_ms);
        }
    }
    *w->queue.end = w->turn.first;
    w->queue.end = w->turn.end;
    wakes = w->is_asleep;
    atomic_store_explicit(&w->has_orders, true, memory_order_release);
    pthread_mutex_unlock(&w->lock);
    order_list_init(&w->turn);
    if (wakes) {
        pthread_cond_signal(&w->wake);
    }
}

time_ms writer_age_ms(const struct writer *w, time_ms now_ms)
{
    time_ms oldest_ms = w == NULL ? 0 : atomic_load_explicit(&w->oldest_ms, memory_order_relaxed);

    return oldest_ms == 0 || now_ms < oldest_ms ? 0 : now_ms - oldest_ms;
}

uint64_t writer_backlog_bytes(const struct writer *w)
{
    return atomic_load(&w->backlog_bytes);
}

/* ---- The thread ---- */

static void order_free(struct order *o)
{
    if (o->type == ORDER_SAVE_STATE) {
        heap_free(o->u.save_state.state);
    } else if (o->type == ORDER_APPEND) {
        batch_unref(o->u.append);
    }
    heap_free(o);
}

/* Takes the first order off the pending ones. */
static void drop_first(struct writer *w)
{
    struct order *o = w->pending.first;

    w->pending.first = o->next;
    if (o->next == NULL) {
        w->pending.end = &w->pending.first;
    }
    order_free(o);
}

/* Appends the run of ORDER_APPEND at the head and syncs once.  Is there no space for the next
 * one, it stays; what was appended before it counts. */
static enum rk_status carry_out_appends(struct writer *w, struct writer_report *done,
                                        struct errmsg *why)
{
    enum rk_status status = RK_OK;
    uint64_t bytes = 0;
    int64_t started_us = clock_monotonic_us();

    while (w->pending.first != NULL && w->pending.first->type == ORDER_APPEND) {
        struct batch *b = w->pending.first->u.append;

        status = storage_append(w->storage, buffer_slice(&b->bytes), b->records, b->count, why);
        if (status != RK_OK) {
            break;
        }
        done->last_term = b->records[b->count - 1].term;
        done->last_index = b->last_index;
        bytes += b->bytes.size;
        drop_first(w);
    }
    w->is_full = status == RK_NOSPACE;
    if ((status == RK_OK || w->is_full) && done->last_index != 0) {
        started_us = clock_monotonic_us();
        status = storage_sync(w->storage, why);
        done->sync_us[0] = clock_monotonic_us() - started_us;
        done->sync_count = 1;
    }
    atomic_fetch_sub(&w->backlog_bytes, bytes);
    return status == RK_NOSPACE ? RK_OK : status;
}

/* The log as it was will do as well, but for a disk that fails. */
static enum rk_status carry_out_compaction(struct writer *w, struct storage_compaction *compaction,
                                           struct writer_report *done, struct errmsg *why)
{
    enum rk_status status = storage_compaction_finish(compaction, why);

    done->is_compaction_done = true;
    done->compacted_first_index = storage_first_index(w->storage);
    if (status == RK_NOSPACE || status == RK_NOT_FOUND) {
        done->compaction_why = *why;
        return RK_OK;
    }
    return status;
}

static enum rk_status carry_out_one(struct writer *w, struct order *o, struct writer_report *done,
                                    struct errmsg *why)
{
    enum rk_status status;

    switch (o->type) {
    case ORDER_SAVE_STATE:
        status = storage_save_state(w->storage, o->u.save_state.state, why);
        done->state_generation = o->u.save_state.generation;
        return status;
    case ORDER_TRUNCATE:
        return storage_truncate(w->storage, o->u.index, why);
    case ORDER_COMPACT:
        return carry_out_compaction(w, o->u.compaction, done, why);
    case ORDER_RELEASE_RESERVE:
        storage_release_reserve(w->storage, clock_monotonic_ms());
        return RK_OK;
    case ORDER_INSTALL:
        status = storage_install(w->storage, o->u.install.last_index, o->u.install.last_term,
                                 o->u.install.keeps_suffix, why);
        done->is_installed = status == RK_OK;
        return status;
    case ORDER_APPEND:
        break;
    }
    INVARIANT(!"a known order");
    return RK_IO;
}

static void tell_loop(struct writer *w, const struct writer_report *done)
{
    static const uint64_t one = 1;
    struct writer_report *r = &w->unreported;

    pthread_mutex_lock(&w->lock);
    if (done->state_generation != 0) {
        r->state_generation = done->state_generation;
    }
    if (done->last_index != 0) {
        r->last_index = done->last_index;
        r->last_term = done->last_term;
    }
    if (done->compacted_first_index != 0) {
        r->compacted_first_index = done->compacted_first_index;
    }
    if (done->is_compaction_done) {
        r->is_compaction_done = true;
        r->compaction_why = done->compaction_why;
    }
    r->is_installed |= done->is_installed;
    if (done->sync_count != 0 && r->sync_count < 32) {
        r->sync_us[r->sync_count++] = done->sync_us[0];
    }
    if (done->failed != RK_OK) {
        r->failed = done->failed;
        r->why = done->why;
    }
    pthread_mutex_unlock(&w->lock);
    /* The counter of an eventfd cannot overflow by ones; a short write is impossible. */
    INVARIANT(write(w->reported_fd, &one, sizeof one) == sizeof one);
}

static void finish_order(struct writer *w, struct writer_report *done)
{
    if (done->failed != RK_OK) {
        w->has_failed = true;
        done->last_index = done->state_generation = 0;
        done->compacted_first_index = 0;
    }
    tell_loop(w, done);
}

/* What makes space does not wait for it, nor do term and vote: their slots have their space.
 * They overtake entries of earlier terms, as if those had come later. */
static bool waits_for_space(const struct order *o)
{
    return o->type != ORDER_COMPACT && o->type != ORDER_RELEASE_RESERVE &&
           o->type != ORDER_SAVE_STATE;
}

static void overtake(struct writer *w)
{
    struct order **next = &w->pending.first;

    while (*next != NULL && !w->has_failed) {
        struct order *o = *next;
        struct writer_report done = { 0 };

        if (waits_for_space(o)) {
            next = &o->next;
            continue;
        }
        done.failed = carry_out_one(w, o, &done, &done.why);
        *next = o->next;
        if (o->next == NULL) {
            w->pending.end = next;
        }
        order_free(o);
        finish_order(w, &done);
    }
}

/* An installation without space is tried again, with the reserve. */
static void carry_out_first(struct writer *w, struct writer_report *done)
{
    if (w->pending.first->type == ORDER_APPEND) {
        done->failed = carry_out_appends(w, done, &done->why);
        return;
    }
    done->failed = carry_out_one(w, w->pending.first, done, &done->why);
    if (done->failed == RK_NOSPACE) {
        done->failed = RK_OK;
        w->is_full = true;
        storage_release_reserve(w->storage, clock_monotonic_ms());
        return;
    }
    drop_first(w);
}

/* After a failure nothing more is carried out: what is on disk is what was reported. */
static void carry_out(struct writer *w)
{
    w->is_full = false;
    while (w->pending.first != NULL && !w->is_full) {
        struct writer_report done = { 0 };

        if (w->has_failed) {
            drop_first(w);
            continue;
        }
        carry_out_first(w, &done);
        finish_order(w, &done);
    }
    if (w->is_full) {
        overtake(w);
    }
}

static void spin(struct writer *w)
{
    int64_t until_us = clock_monotonic_us() + SPIN_US;

    while (!atomic_load_explicit(&w->has_orders, memory_order_acquire) &&
           clock_monotonic_us() < until_us) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

/* Those taken before are finished, or wait for space.  Sleeps until there are orders, at most
 * wait_ms (0 = for ever).  Takes the whole queue. */
static void take_orders(struct writer *w, int64_t wait_ms, bool *ret_stop)
{
    spin(w);
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->oldest_ms, w->queue.first == NULL ? 0 : w->queued_ms);
    if (w->queue.first == NULL && !w->is_stopping) {
        w->is_asleep = true;
        if (wait_ms == 0) {
            pthread_cond_wait(&w->wake, &w->lock);
        } else {
            int64_t until_us = clock_monotonic_us() + wait_ms * 1000;
            struct timespec until = { until_us / 1000000, until_us % 1000000 * 1000 };

            pthread_cond_timedwait(&w->wake, &w->lock, &until);
        }
        w->is_asleep = false;
    }
    *ret_stop = w->is_stopping && w->queue.first == NULL;
    if (w->queue.first != NULL) {
        *w->pending.end = w->queue.first;
        w->pending.end = w->queue.end;
    }
    order_list_init(&w->queue);
    atomic_store_explicit(&w->has_orders, false, memory_order_relaxed);
    pthread_mutex_unlock(&w->lock);
}

/* How long until storage's deferred work is due; 0 = nothing is. */
static int64_t storage_wait_ms(const struct writer *w)
{
    int64_t deadline_ms = storage_deadline_ms(w->storage);
    int64_t now_ms = clock_monotonic_ms();

    if (!w->has_failed && w->is_full && now_ms + APPEND_RETRY_MS < deadline_ms) {
        deadline_ms = now_ms + APPEND_RETRY_MS;
    }
    if (w->has_failed || deadline_ms == INT64_MAX) {
        return 0;
    }
    return deadline_ms <= now_ms ? 1 : deadline_ms - now_ms;
}

static void *writer_main(void *argument)
{
    struct writer *w = argument;
    bool stop = false;

    while (!stop) {
        struct writer_report done = { 0 };

        take_orders(w, storage_wait_ms(w), &stop);
        carry_out(w);
        if (w->has_failed) {
            continue;
        }
        done.failed = storage_tick(w->storage, clock_monotonic_ms(), &done.why);
        if (done.failed != RK_OK) {
            w->has_failed = true;
            tell_loop(w, &done);
        }
    }
    return NULL;
}

/* ---- The loop's side ---- */

static void on_reported(evutil_socket_t fd, short events, void *context)
{
    struct writer *w = context;
    struct writer_report report;
    uint64_t count;

    (void)events;
    if (read(fd, &count, sizeof count) != sizeof count) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    report = w->unreported;
    w->unreported = (struct writer_report){ 0 };
    pthread_mutex_unlock(&w->lock);
    w->report(w->context, &report);
}

struct writer *writer_start(struct event_base *base, struct storage *storage,
                            writer_report_fn report, void *context)
{
    struct writer *w = heap_new(struct writer);
    pthread_condattr_t monotonic;

    w->storage = storage;
    w->report = report;
    w->context = context;
    order_list_init(&w->queue);
    order_list_init(&w->turn);
    order_list_init(&w->pending);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->reported_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    INVARIANT(w->reported_fd >= 0);
    w->reported = event_new(base, w->reported_fd, EV_READ | EV_PERSIST, on_reported, w);
    INVARIANT(w->reported != NULL && event_add(w->reported, NULL) == 0);
    INVARIANT(pthread_create(&w->thread, NULL, writer_main, w) == 0);
    return w;
}

void writer_stop(struct writer *w)
{
    if (w == NULL) {
        return;
    }
    writer_hand_over(w);
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    atomic_store(&w->has_orders, true);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->wake);
    pthread_join(w->thread, NULL);
    while (w->pending.first != NULL) {
        drop_first(w); /* there was no space for it: it was never acknowledged */
    }
    event_free(w->reported);
    close(w->reported_fd);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    heap_free(w);
}
