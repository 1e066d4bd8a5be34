/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of pthreads and eventfd: threads that run one at a time, each until it waits.
 *
 * The program is linked with --wrap for the functions below, so that the node's own thread
 * loops run here as they are.  A thread gives way when it waits for a condition, when the disk
 * makes it wait, and at no other place; locks are therefore never contended.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "sim/loop.h"
#include "sim/sim.h"

#define STACK_BYTES (256 * 1024)
#define THREADS_MAX 64
#define CLOCK_READ_US 16 /* what reading the clock seems to take: loops that spin end */
#define WAKE_US_MAX 60

enum thread_state { THREAD_FREE, THREAD_READY, THREAD_SLEEPING, THREAD_WAITING, THREAD_DONE };

struct thread {
    enum thread_state state;
    struct machine *machine;
    uint64_t wakes; /* raised by each: an older plan to wake it is void */
    const pthread_cond_t *waits_for;
    bool is_timed_out;
    int64_t ahead_us;
    void *(*main)(void *);
    void *argument;
    void *stack;
    ucontext_t context;
};

static struct thread threads[THREADS_MAX];
static struct thread *running;
static ucontext_t outside;

bool thread_is_running(void)
{
    return running != NULL;
}

int64_t clock_thread_ahead_us(void)
{
    if (running == NULL) {
        return 0;
    }
    running->ahead_us += CLOCK_READ_US;
    return running->ahead_us;
}

static void thread_main(void)
{
    (void)running->main(running->argument);
    running->state = THREAD_DONE;
    swapcontext(&running->context, &outside);
}

static void run(struct thread *t)
{
    struct thread *before = running;
    struct machine *machine_before = sim->current;

    INVARIANT(before == NULL);
    running = t;
    sim->current = t->machine;
    t->state = THREAD_READY;
    swapcontext(&outside, &t->context);
    running = before;
    sim->current = machine_before;
}

static void give_way(struct thread *t)
{
    swapcontext(&t->context, &outside);
}

/* Wakes it unless that happened already. */
static void on_wake(void *context, uint64_t wakes)
{
    struct thread *t = context;

    if (t->wakes == wakes && (t->state == THREAD_SLEEPING || t->state == THREAD_WAITING)) {
        t->wakes++;
        run(t);
    }
}

static void on_timed_out(void *context, uint64_t wakes)
{
    struct thread *t = context;

    if (t->wakes == wakes && t->state == THREAD_WAITING) {
        t->is_timed_out = true;
        on_wake(context, wakes);
    }
}

void thread_sleep(int64_t us)
{
    struct thread *t = running;

    if (t == NULL || t->machine->is_dying) {
        return;
    }
    sim_after(SIM_THREAD, t->machine, us + t->ahead_us, on_wake, t, t->wakes);
    t->ahead_us = 0;
    t->state = THREAD_SLEEPING;
    give_way(t);
}

void threads_release(void)
{
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        INVARIANT(threads[i].state == THREAD_FREE);
        free(threads[i].stack);
        threads[i].stack = NULL;
    }
}

/* ---- pthreads ---- */

int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
int __wrap_pthread_join(pthread_t thread, void **ret_value);
int __wrap_pthread_cond_wait(pthread_cond_t *wake, pthread_mutex_t *lock);
int __wrap_pthread_cond_timedwait(pthread_cond_t *wake, pthread_mutex_t *lock,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *wake);

int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument)
{
    unsigned i = 0;
    struct thread *t;

    (void)attributes;
    while (i < THREADS_MAX && threads[i].state != THREAD_FREE) {
        i++;
    }
    INVARIANT(i < THREADS_MAX);
    t = &threads[i];
    t->machine = sim->current;
    t->main = main;
    t->argument = argument;
    t->ahead_us = 0;
    t->state = THREAD_SLEEPING;
    if (t->stack == NULL) {
        t->stack = heap_alloc(STACK_BYTES);
    }
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = t->stack;
    t->context.uc_stack.ss_size = STACK_BYTES;
    t->context.uc_link = NULL;
    makecontext(&t->context, thread_main, 0);
    sim_after(SIM_THREAD, t->machine, sim_between(1, WAKE_US_MAX), on_wake, t, t->wakes);
    *ret_thread = (pthread_t)(i + 1);
    return 0;
}

/* Lets it run to its end.  Its waits end at once: wakes without cause are allowed. */
int __wrap_pthread_join(pthread_t thread, void **ret_value)
{
    struct thread *t = &threads[thread - 1];
    bool was_dying = t->machine->is_dying;

    (void)ret_value;
    t->machine->is_dying = true;
    while (t->state != THREAD_DONE) {
        t->wakes++;
        run(t);
    }
    t->machine->is_dying = was_dying;
    t->state = THREAD_FREE;
    return 0;
}

static int wait_for(pthread_cond_t *wake, pthread_mutex_t *lock, int64_t until_us)
{
    struct thread *t = running;

    INVARIANT(t != NULL);
    pthread_mutex_unlock(lock);
    t->waits_for = wake;
    t->is_timed_out = false;
    t->state = THREAD_WAITING;
    t->ahead_us = 0;
    if (until_us >= 0) {
        sim_after(SIM_THREAD, t->machine, until_us - sim->now_us, on_timed_out, t, t->wakes);
    }
    give_way(t);
    t->waits_for = NULL;
    pthread_mutex_lock(lock);
    return t->is_timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *wake, pthread_mutex_t *lock)
{
    return wait_for(wake, lock, -1);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *wake, pthread_mutex_t *lock,
                                  const struct timespec *until)
{
    const struct machine *m = running->machine;
    int64_t local_us = (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000;
    int64_t left_us = local_us - clock_local_us(m);

    return wait_for(wake, lock, sim->now_us + (left_us > 0 ? clock_span_us(m, left_us) : 0));
}

int __wrap_pthread_cond_signal(pthread_cond_t *wake)
{
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct thread *t = &threads[i];

        if (t->state == THREAD_WAITING && t->waits_for == wake) {
            t->waits_for = NULL; /* woken; another signal is for another */
            sim_after(SIM_THREAD, t->machine, sim_between(1, WAKE_US_MAX), on_wake, t, t->wakes);
            break;
        }
    }
    return 0;
}

/* ---- eventfd, and the calls on what it gives ---- */

#define FIRST_FD 1000000
#define FDS_MAX 128

static struct {
    bool is_open;
    uint64_t counter;
} fds[FDS_MAX];

int __wrap_eventfd(unsigned start, int flags);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_close(int fd);
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
int __real_close(int fd);

static bool is_ours(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + FDS_MAX;
}

int __wrap_eventfd(unsigned start, int flags)
{
    (void)flags;
    for (int i = 0; i < FDS_MAX; i++) {
        if (!fds[i].is_open) {
            fds[i].is_open = true;
            fds[i].counter = start;
            return FIRST_FD + i;
        }
    }
    errno = EMFILE;
    return -1;
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    if (!is_ours(fd)) {
        return __real_read(fd, data, size);
    }
    if (fds[fd - FIRST_FD].counter == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(data, &fds[fd - FIRST_FD].counter, sizeof(uint64_t));
    fds[fd - FIRST_FD].counter = 0;
    return sizeof(uint64_t);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    uint64_t more;

    if (!is_ours(fd)) {
        return __real_write(fd, data, size);
    }
    memcpy(&more, data, sizeof more);
    if (fds[fd - FIRST_FD].counter == 0) {
        loop_fd_is_readable(fd, sim_between(1, WAKE_US_MAX));
    }
    fds[fd - FIRST_FD].counter += more;
    return sizeof more;
}

int __wrap_close(int fd)
{
    if (net_owns(fd)) {
        net_close_socket(fd);
        return 0;
    }
    if (!is_ours(fd)) {
        return __real_close(fd);
    }
    fds[fd - FIRST_FD].is_open = false;
    return 0;
}
