/* SPDX-License-Identifier: Apache-2.0 */
#include "server/event_wait.h"

#include "base/assert.h"
#include "server/server_internal.h"

static void arm(struct event_wait *w)
{
    struct timeval wait = { w->every_ms / 1000, w->every_ms % 1000 * 1000 };

    event_add(w->timer, &wait);
}

static void on_due(evutil_socket_t fd, short what, void *context)
{
    struct event_wait *w = context;

    (void)fd;
    (void)what;
    arm(w);
    w->look(w, true);
}

void event_wait_start(struct event_wait *w, struct server *s, time_ms every_ms, event_wait_fn look)
{
    PRE(w->timer == NULL && every_ms > 0);
    *w = (struct event_wait){ .server = s, .every_ms = every_ms, .look = look };
    w->next = s->waits.first;
    if (w->next != NULL) {
        w->next->previous = w;
    }
    s->waits.first = w;
    s->waits.count++;
    w->timer = evtimer_new(s->base, on_due, w);
    INVARIANT(w->timer != NULL);
    arm(w);
}

void event_wait_stop(struct event_wait *w)
{
    if (w->timer == NULL) {
        return;
    }
    event_free(w->timer);
    w->timer = NULL;
    if (w->previous != NULL) {
        w->previous->next = w->next;
    } else {
        w->server->waits.first = w->next;
    }
    if (w->next != NULL) {
        w->next->previous = w->previous;
    }
    w->server->waits.count--;
}

void event_waits_turn(struct server *s)
{
    const struct events *events = node_events(s->node);
    struct event_wait *next;

    if (events_next(events) == s->waits.seen_next &&
        events_generation(events) == s->waits.seen_generation) {
        return;
    }
    s->waits.seen_next = events_next(events);
    s->waits.seen_generation = events_generation(events);
    for (struct event_wait *w = s->waits.first; w != NULL; w = next) {
        next = w->next; /* `w` may be gone afterwards, the others are not */
        w->look(w, false);
    }
}
