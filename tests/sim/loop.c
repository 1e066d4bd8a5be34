/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of libevent: timers and descriptors on the virtual clock.
 *
 * A pending event takes a slot; what is planned names slot and generation, so that an event
 * may be freed at any time.
 */
#include "sim/loop.h"

#include <arpa/inet.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "sim/sim.h"

#define SLOTS_MAX 1024

struct slot {
    struct event *event; /* NULL = free */
    struct machine *machine;
    uint64_t generation;
};

struct evconnlistener {
    evconnlistener_cb accepted;
    void *context;
};

static struct slot slots[SLOTS_MAX];
static struct evconnlistener listeners[MACHINES_MAX + 1]; /* by machine */

/* Where an event keeps its slot, plus one; 0 = not pending. */
static int *slot_of(struct event *event)
{
    return &event->ev_timeout_pos.min_heap_idx;
}

static struct slot *take_slot(struct event *event)
{
    for (int i = 0; i < SLOTS_MAX; i++) {
        if (slots[i].event == NULL) {
            slots[i].event = event;
            slots[i].machine = sim->current;
            *slot_of(event) = i + 1;
            return &slots[i];
        }
    }
    INVARIANT(!"a slot for another event");
    return NULL;
}

static void on_due(void *context, uint64_t generation)
{
    struct slot *slot = context;
    struct event *event = slot->event;
    bool is_timer;

    if (event == NULL || slot->generation != generation) {
        return;
    }
    is_timer = event->ev_fd < 0;
    if ((event->ev_events & EV_PERSIST) == 0) {
        event_del(event);
    } else {
        slot->generation++;
    }
    event->ev_evcallback.evcb_cb_union.evcb_callback(event->ev_fd, is_timer ? EV_TIMEOUT : EV_READ,
                                                     event->ev_evcallback.evcb_arg);
}

static void plan(struct slot *slot, int64_t delay_us)
{
    slot->generation++;
    sim_after(SIM_LOOP, slot->machine, delay_us, on_due, slot, slot->generation);
}

int event_assign(struct event *event, struct event_base *base, evutil_socket_t fd, short events,
                 event_callback_fn callback, void *argument)
{
    memset(event, 0, sizeof *event);
    event->ev_base = base;
    event->ev_fd = fd;
    event->ev_events = events;
    event->ev_evcallback.evcb_cb_union.evcb_callback = callback;
    event->ev_evcallback.evcb_arg = argument;
    return 0;
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short events,
                        event_callback_fn callback, void *argument)
{
    struct event *event = heap_new(struct event);

    event_assign(event, base, fd, events, callback, argument);
    return event;
}

int event_add(struct event *event, const struct timeval *wait)
{
    struct slot *slot = *slot_of(event) != 0 ? &slots[*slot_of(event) - 1] : take_slot(event);

    if (wait != NULL) {
        int64_t local_us = (int64_t)wait->tv_sec * 1000000 + wait->tv_usec;

        plan(slot, clock_span_us(slot->machine, local_us));
    }
    return 0;
}

int event_del(struct event *event)
{
    if (*slot_of(event) != 0) {
        struct slot *slot = &slots[*slot_of(event) - 1];

        slot->event = NULL;
        slot->generation++;
        *slot_of(event) = 0;
    }
    return 0;
}

void event_free(struct event *event)
{
    event_del(event);
    heap_free(event);
}

int event_base_loop(struct event_base *base, int flags)
{
    (void)base;
    (void)flags;
    INVARIANT(!"the simulation is the loop");
    return -1;
}

void loop_fd_is_readable(int fd, int64_t delay_us)
{
    for (int i = 0; i < SLOTS_MAX; i++) {
        if (slots[i].event != NULL && slots[i].event->ev_fd == fd) {
            plan(&slots[i], delay_us);
            return;
        }
    }
}

void loop_process_ended(struct machine *m)
{
    for (int i = 0; i < SLOTS_MAX; i++) {
        INVARIANT(slots[i].event == NULL || slots[i].machine != m);
    }
    listeners[m->id].accepted = NULL;
}

/* ---- Listeners ---- */

struct evconnlistener *evconnlistener_new_bind(struct event_base *base, evconnlistener_cb accepted,
                                               void *context, unsigned flags, int backlog,
                                               const struct sockaddr *address, int size)
{
    struct evconnlistener *l = &listeners[sim->current->id];

    (void)base;
    (void)flags;
    (void)backlog;
    (void)address;
    (void)size;
    l->accepted = accepted;
    l->context = context;
    return l;
}

void evconnlistener_free(struct evconnlistener *l)
{
    l->accepted = NULL;
}

int evconnlistener_enable(struct evconnlistener *l)
{
    (void)l;
    return 0;
}

int evconnlistener_disable(struct evconnlistener *l)
{
    (void)l;
    return 0;
}

void evconnlistener_set_error_cb(struct evconnlistener *l, evconnlistener_errorcb failed)
{
    (void)l;
    (void)failed;
}

evutil_socket_t evconnlistener_get_fd(struct evconnlistener *l)
{
    (void)l;
    return -1;
}

bool loop_accept(struct machine *m, int fd, node_id from)
{
    struct evconnlistener *l = &listeners[m->id];
    struct sockaddr_in address = { .sin_family = AF_INET };

    if (l->accepted == NULL) {
        return false;
    }
    address.sin_addr.s_addr = htonl((uint32_t)(0x0a000000U + from));
    l->accepted(l, fd, (struct sockaddr *)&address, sizeof address, l->context);
    return true;
}
