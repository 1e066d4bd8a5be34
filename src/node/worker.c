/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "sys/clock.h"

struct worker_job {
    struct worker_job *next;
    void (*run)(void *job, const struct worker *w);
    void (*done)(void *job);
    void *job;
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct worker_job *queue;    /* under the lock; oldest first */
    struct worker_job *finished; /* under the lock; oldest first */
    atomic_bool is_stopping;
    struct event *ready;
    int ready_fd;
};

static void push_last(struct worker_job **list, struct worker_job *item)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }
    item->next = NULL;
    *list = item;
}

static void *worker_main(void *argument)
{
    static const uint64_t one = 1;
    struct worker *w = argument;

    pthread_mutex_lock(&w->lock);
    while (!atomic_load(&w->is_stopping)) {
        struct worker_job *item = w->queue;

        if (item == NULL) {
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        w->queue = item->next;
        pthread_mutex_unlock(&w->lock);
        item->run(item->job, w);
        pthread_mutex_lock(&w->lock);
        push_last(&w->finished, item);
        INVARIANT(write(w->ready_fd, &one, sizeof one) == sizeof one);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void finish_all(struct worker *w)
{
    struct worker_job *list;

    pthread_mutex_lock(&w->lock);
    list = w->finished;
    w->finished = NULL;
    pthread_mutex_unlock(&w->lock);
    while (list != NULL) {
        struct worker_job *item = list;

        list = item->next;
        item->done(item->job);
        heap_free(item);
    }
}

static void on_ready(evutil_socket_t fd, short events, void *context)
{
    uint64_t count;

    (void)events;
    if (read(fd, &count, sizeof count) == sizeof count) {
        finish_all(context);
    }
}

struct worker *worker_start(struct event_base *base)
{
    struct worker *w = heap_new(struct worker);

    pthread_condattr_t monotonic;

    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    INVARIANT(w->ready_fd >= 0);
    w->ready = event_new(base, w->ready_fd, EV_READ | EV_PERSIST, on_ready, w);
    INVARIANT(w->ready != NULL && event_add(w->ready, NULL) == 0);
    INVARIANT(pthread_create(&w->thread, NULL, worker_main, w) == 0);
    return w;
}

void worker_submit(struct worker *w, void (*run)(void *job, const struct worker *w),
                   void (*done)(void *job), void *job)
{
    struct worker_job *item = heap_new(struct worker_job);

    *item = (struct worker_job){ NULL, run, done, job };
    pthread_mutex_lock(&w->lock);
    push_last(&w->queue, item);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->wake);
}

bool worker_should_stop(const struct worker *w)
{
    return atomic_load(&w->is_stopping);
}

void worker_rest(const struct worker *w, int64_t us)
{
    struct worker *self = (struct worker *)(uintptr_t)w; /* its lock is not what a job may see */
    int64_t until_us = clock_monotonic_us() + us;
    struct timespec until = { until_us / 1000000, until_us % 1000000 * 1000 };

    pthread_mutex_lock(&self->lock);
    if (!atomic_load(&self->is_stopping)) {
        pthread_cond_timedwait(&self->wake, &self->lock, &until);
    }
    pthread_mutex_unlock(&self->lock);
}

void worker_stop(struct worker *w)
{
    if (w == NULL) {
        return;
    }
    atomic_store(&w->is_stopping, true);
    pthread_mutex_lock(&w->lock);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    while (w->queue != NULL) {
        struct worker_job *item = w->queue;

        w->queue = item->next;
        push_last(&w->finished, item);
    }
    finish_all(w);
    event_free(w->ready);
    close(w->ready_fd);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    heap_free(w);
}
