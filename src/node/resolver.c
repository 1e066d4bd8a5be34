/* SPDX-License-Identifier: Apache-2.0 */
#include "node/resolver.h"

#include <event2/event_struct.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/heap.h"

#define THREAD_STACK_BYTES (256 * KIB)

/* Shared by the thread and the loop; the one that leaves last frees it. */
struct lookup {
    atomic_int holders;
    struct address address;
    int done_fd;        /* written by the thread when the result stands */
    struct event event; /* of the loop, never touched by the thread */
    lookup_fn done;
    void *context;
    int rc; /* of getaddrinfo() */
    unsigned count;
    struct address_socket found[RESOLVER_ADDRESSES_MAX];
};

static void lookup_leave(struct lookup *l)
{
    if (atomic_fetch_sub(&l->holders, 1) == 1) {
        close(l->done_fd);
        heap_free(l);
    }
}

static void *run(void *argument)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    struct lookup *l = argument;
    uint64_t one = 1;
    ssize_t written;

    l->rc = getaddrinfo(l->address.host, l->address.port, &hints, &found);
    if (l->rc == 0) {
        for (struct addrinfo *at = found; at != NULL && l->count < RESOLVER_ADDRESSES_MAX;
             at = at->ai_next) {
            memcpy(&l->found[l->count].storage, at->ai_addr, at->ai_addrlen);
            l->found[l->count++].size = at->ai_addrlen;
        }
        freeaddrinfo(found);
    }
    written = write(l->done_fd, &one, sizeof one);
    (void)written; /* an eventfd at zero takes it */
    lookup_leave(l);
    return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *argument)
{
    struct lookup *l = argument;

    (void)fd;
    (void)what;
    l->done(l->context, l->rc == 0 ? NULL : gai_strerror(l->rc), l->found, l->count);
    lookup_leave(l);
}

static bool start_thread(struct lookup *l)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool is_started;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    is_started = pthread_create(&thread, &attributes, run, l) == 0;
    pthread_attr_destroy(&attributes);
    return is_started;
}

struct lookup *lookup_start(struct event_base *base, const struct address *address, lookup_fn done,
                            void *context)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct lookup *l;

    if (fd < 0) {
        return NULL;
    }
    l = heap_new(struct lookup);
    atomic_init(&l->holders, 2);
    l->address = *address;
    l->done_fd = fd;
    l->done = done;
    l->context = context;
    event_assign(&l->event, base, fd, EV_READ, on_done, l);
    event_add(&l->event, NULL);
    if (!start_thread(l)) {
        event_del(&l->event);
        close(fd);
        heap_free(l);
        return NULL;
    }
    return l;
}

void lookup_cancel(struct lookup *l)
{
    if (l != NULL) {
        event_del(&l->event);
        lookup_leave(l);
    }
}
