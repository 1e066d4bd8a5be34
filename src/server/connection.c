/* SPDX-License-Identifier: Apache-2.0 */
#include "server/connection.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"
#include "server/server_internal.h"

/* ---- Deadlines ---- */

static void unlink_timed(struct connection *c)
{
    struct connection_link *list = &c->server->timed[c->deadline];

    if (c->deadline == DEADLINE_NONE) {
        return;
    }
    if (c->timed.previous != NULL) {
        c->timed.previous->timed.next = c->timed.next;
    } else {
        list->next = c->timed.next;
    }
    if (c->timed.next != NULL) {
        c->timed.next->timed.previous = c->timed.previous;
    } else {
        list->previous = c->timed.previous;
    }
    c->timed = (struct connection_link){ 0 };
    c->deadline = DEADLINE_NONE;
}

void connection_expect(struct connection *c, enum deadline deadline)
{
    struct connection_link *list = &c->server->timed[deadline];
    struct timeval second = { 1, 0 };

    if (c->deadline == deadline) {
        return;
    }
    unlink_timed(c);
    if (deadline == DEADLINE_NONE) {
        return;
    }
    c->deadline = deadline;
    c->since_ms = node_now_ms(c->server->node);
    c->timed.previous = list->previous;
    if (list->previous != NULL) {
        list->previous->timed.next = c;
    } else {
        list->next = c;
    }
    list->previous = c;
    if (!event_pending(c->server->sweep, EV_TIMEOUT, NULL)) {
        event_add(c->server->sweep, &second);
    }
}

/* ---- Stream callbacks ---- */

static size_t on_input(void *context, struct slice input)
{
    struct connection *c = context;

    return c->wants_to_close ? input.size : c->ops->input(c, input);
}

static void on_opened(void *context)
{
    struct connection *c = context;

    c->ops->opened(c);
}

/* Leaves the server's lists; the protocol frees what it holds. */
static void connection_leave(struct connection *c)
{
    struct server *s = c->server;

    unlink_timed(c);
    if (c->all.previous != NULL) {
        c->all.previous->all.next = c->all.next;
    } else {
        s->all = c->all.next;
    }
    if (c->all.next != NULL) {
        c->all.next->all.previous = c->all.previous;
    }
    INVARIANT(s->counts[c->is_http] > 0);
    s->counts[c->is_http]--;
    c->is_closed = true;
    c->ops->leave(c);
    if (!c->is_dirty) {
        c->ops->free(c);
    }
}

static void on_closed(void *context, const char *cause, bool by_host)
{
    struct connection *c = context;

    (void)by_host;
    server_log(c->server, NODE_LOG_DEBUG, "client closed: %s", cause);
    c->stream = NULL;
    connection_leave(c);
}

/* ---- Interface ---- */

void connection_open(struct connection *c, struct server *server, int fd, bool is_http,
                     const struct connection_ops *ops)
{
    static const struct stream_callbacks callbacks = { on_input, on_opened, on_closed };
    static const struct stream_options options[2] = {
        { .input_bytes_max = CLIENT_INPUT_BYTES_MAX,
          .output_bytes_max = CONNECTION_OUTPUT_BYTES_MAX,
          .bytes_kept = CLIENT_BYTES_KEPT },
        { .input_bytes_max = CLIENT_INPUT_BYTES_MAX,
          .output_bytes_max = CONNECTION_OUTPUT_BYTES_MAX,
          .bytes_kept = CLIENT_BYTES_KEPT },
    };

    c->ops = ops;
    c->server = server;
    c->is_http = is_http;
    c->all.next = server->all;
    if (server->all != NULL) {
        server->all->all.previous = c;
    }
    server->all = c;
    server->counts[is_http]++;
    server->counters.accepted_total[is_http]++;
    c->stream = stream_new(server->base, fd, server->tls, true, &options[is_http], &callbacks, c);
    connection_expect(c, DEADLINE_OPENING);
}

void connection_touch(struct connection *c)
{
    if (!c->is_dirty) {
        c->is_dirty = true;
        c->next_dirty = c->server->dirty;
        c->server->dirty = c;
    }
}

void connection_finish(struct connection *c)
{
    c->wants_to_close = true;
    connection_expect(c, DEADLINE_OUTPUT);
    connection_touch(c);
}

void connection_close(struct connection *c)
{
    if (c->is_closed) {
        return;
    }
    connection_touch(c); /* keeps it in memory until the end of the turn */
    stream_close(c->stream, true);
    c->stream = NULL;
    connection_leave(c);
}
