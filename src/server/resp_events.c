/* SPDX-License-Identifier: Apache-2.0 */
/* EVENTS ... BLOCK: answered when there are events, or when its time is over. */
#include "base/heap.h"
#include "server/requests_events.h"
#include "server/resp_connection.h"
#include "server/server_internal.h"

struct resp_events {
    struct event_wait wait;
    struct resp_connection *connection;
    const struct request_type *type;
    struct event_query query;
    uint8_t *prefix; /* the query's */
};

void resp_events_abandon(struct resp_connection *c)
{
    struct resp_events *w = c->waiting;

    if (w != NULL) {
        c->waiting = NULL;
        event_wait_stop(&w->wait);
        heap_free(w->prefix);
        heap_free(w);
    }
}

/* Answers if there is something to say.  With `must_answer` also that there is nothing. */
static bool answer(struct resp_connection *c, const struct request_type *type,
                   struct event_query *q, bool must_answer)
{
    struct server *s = c->base.server;
    const struct events *e = node_events(s->node);
    struct buffer *out = stream_output(c->base.stream);
    size_t before = out->size;
    struct sink sink;

    sink_init_resp(&sink, out);
    if (!event_page_refuse(e, q, &sink) && !events_answer(e, q, &sink) && !must_answer) {
        out->size = before; /* `from` has moved on all the same */
        return false;
    }
    server_count_request(s, type, sink.status);
    connection_touch(&c->base);
    return true;
}

static void end_wait(struct resp_connection *c)
{
    resp_events_abandon(c);
    resp_unblock(c);
    resp_close_when_idle(c);
}

static void look_again(struct event_wait *wait, bool is_due)
{
    struct resp_events *w = (struct resp_events *)(void *)wait;

    if (answer(w->connection, w->type, &w->query, is_due)) {
        end_wait(w->connection);
    }
}

void resp_events_end(struct resp_connection *c)
{
    if (c->waiting != NULL) {
        look_again(&c->waiting->wait, true);
    }
}

bool resp_take_events(struct resp_connection *c, const struct request *r)
{
    struct resp_events *w;
    struct event_query q;

    if (!resp_is_idle(c)) {
        return false;
    }
    events_query_init(r, node_events(c->base.server->node), &q);
    if (answer(c, r->type, &q, false)) {
        return true;
    }
    w = heap_new(struct resp_events);
    w->connection = c;
    w->type = r->type;
    w->query = q;
    w->prefix = heap_copy(q.prefix.data, q.prefix.size);
    w->query.prefix.data = w->prefix;
    event_wait_start(&w->wait, c->base.server, (time_ms)r->block_ms, look_again);
    c->waiting = w;
    return true;
}
