/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/events: a stream of JSON lines that does not end, or with `wait` one answer that comes
 * when there are events.
 *
 * The stream takes from the ring only while the socket takes from us, so a slow client costs
 * this node EVENTS_PIECE_BYTES and falls behind; when what it has not read yet is no longer
 * kept, or when it reads nothing at all for CLIENT_OUTPUT_MS, it is told and closed.
 */
#include "base/heap.h"
#include "server/http_connection.h"
#include "server/requests_events.h"
#include "server/server_internal.h"

#define PIECES_PER_TURN 4

struct http_events {
    struct event_wait wait;
    struct http_connection *connection;
    struct event_query query; /* its prefix is in the connection's bytes */
    bool is_stream;
    struct buffer piece;
};

void http_events_abandon(struct http_connection *c)
{
    struct http_events *h = c->events;

    if (h != NULL) {
        c->events = NULL;
        event_wait_stop(&h->wait);
        buffer_release(&h->piece);
        heap_free(h);
    }
}

static const struct events *events_of(const struct http_connection *c)
{
    return node_events(c->base.server->node);
}

/* ---- One answer ---- */

static void answer_refused(struct http_connection *c, const struct event_query *q)
{
    struct buffer out = BUFFER_INIT;
    struct sink s;

    http_begin_json(c, &s, &out);
    (void)event_page_refuse(events_of(c), q, &s);
    server_count_request(c->base.server, c->request.type, s.status);
    http_end_json(c, &s, rk_status_http(s.status));
}

/* False when there is nothing to say yet. */
static bool answer_once(struct http_connection *c, struct event_query *q, bool must_answer)
{
    struct buffer out = BUFFER_INIT;
    struct sink s;

    if (q->from < events_oldest(events_of(c))) {
        answer_refused(c, q);
        return true;
    }
    http_begin_json(c, &s, &out);
    if (!events_answer(events_of(c), q, &s) && !must_answer) {
        buffer_release(&out);
        return false;
    }
    server_count_request(c->base.server, c->request.type, RK_OK);
    http_end_json(c, &s, 200);
    return true;
}

/* ---- Stream ---- */

/* Sends h->piece, which is whole lines. */
static void put_piece(struct http_events *h)
{
    struct http_connection *c = h->connection;
    struct buffer *out = stream_output(c->base.stream);

    if (h->piece.size == 0) {
        return;
    }
    if (!c->is_old) {
        buffer_printf(out, "%zx\r\n", h->piece.size);
    }
    buffer_put_slice(out, buffer_slice(&h->piece));
    if (!c->is_old) {
        buffer_put(out, "\r\n", 2);
    }
    buffer_clear(&h->piece);
    connection_touch(&c->base);
}

static void put_progress(struct http_events *h)
{
    buffer_printf(&h->piece, "{\"next\":%llu}\n", (unsigned long long)h->query.from);
}

static void end_stream(struct http_events *h)
{
    struct http_connection *c = h->connection;

    put_piece(h);
    if (!c->is_old) {
        buffer_put(stream_output(c->base.stream), "0\r\n\r\n", 5);
    }
    http_events_abandon(c);
    c->will_close = true;
    http_answered(c);
}

static void put_failure(struct http_events *h, const struct failure *f)
{
    struct sink s;

    sink_init_json(&s, &h->piece, NULL);
    sink_failure(&s, f);
    sink_field(&s, "next");
    sink_number(&s, h->query.from);
    sink_finish_json(&s);
}

/* What the client missed is gone: by a snapshot that was installed, or because it was slow. */
static void end_compacted(struct http_events *h)
{
    struct failure f;

    failure_set(&f, RK_COMPACTED, "the events from there on are not kept any more");
    failure_add_number(&f, "oldest", events_oldest(events_of(h->connection)));
    put_failure(h, &f);
    end_stream(h);
}

/* The next piece, while the client reads. */
static void feed(struct http_events *h)
{
    struct http_connection *c = h->connection;
    const struct events *e = events_of(c);

    if (stream_output_bytes(c->base.stream) > 0) {
        return;
    }
    if (h->query.from < events_oldest(e)) {
        end_compacted(h);
        return;
    }
    event_lines_put(e, &h->query, EVENTS_PIECE_BYTES, &h->piece);
    put_piece(h);
}

static void look(struct event_wait *wait, bool is_due)
{
    struct http_events *h = (struct http_events *)(void *)wait;
    struct http_connection *c = h->connection;

    if (!h->is_stream) {
        if (answer_once(c, &h->query, is_due)) {
            http_events_abandon(c);
        }
        return;
    }
    if (is_due && stream_output_bytes(c->base.stream) == 0) {
        put_progress(h);
    }
    feed(h);
}

static void begin_stream(struct http_events *h)
{
    struct http_connection *c = h->connection;

    buffer_printf(
        stream_output(c->base.stream),
        "HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n%s\r\n",
        c->is_old ? "Connection: close\r\n" : "Transfer-Encoding: chunked\r\n");
    put_progress(h);
    put_piece(h);
}

void http_events_flushed(struct http_connection *c)
{
    struct http_events *h = c->events;

    for (unsigned i = 0; i < PIECES_PER_TURN && h->is_stream; i++) {
        feed(h);
        if (c->events == NULL || stream_output_bytes(c->base.stream) == 0) {
            return; /* ended, or everything was told */
        }
        stream_flush(c->base.stream);
    }
    if (h->is_stream && stream_output_bytes(c->base.stream) == 0) {
        event_active(h->wait.timer, EV_TIMEOUT, 1); /* there is more: the next turn is soon */
    }
}

void http_events_end(struct http_connection *c, bool is_slow)
{
    struct http_events *h = c->events;
    struct failure f;

    if (!h->is_stream) {
        (void)answer_once(c, &h->query, true);
        http_events_abandon(c);
        return;
    }
    if (is_slow) {
        c->base.server->counters.slow_watchers_total++;
        failure_set(&f, RK_OVERLOADED, "closed: nothing was read for %d s; go on from `next`",
                    CLIENT_OUTPUT_MS / 1000);
        put_failure(h, &f);
    } else {
        put_progress(h);
    }
    end_stream(h);
}

void http_events_begin(struct http_connection *c, const struct request *r)
{
    bool waits = (r->given & FIELD_BIT(FIELD_BLOCK)) != 0;
    struct http_events *h;
    struct event_query q;

    events_query_init(r, events_of(c), &q);
    if (c->is_head) {
        http_answer(c, 200, "application/jsonl", "", SLICE_NONE);
        return;
    }
    if (q.from < events_oldest(events_of(c))) {
        answer_refused(c, &q);
        return;
    }
    if (waits && answer_once(c, &q, c->is_draining)) {
        return;
    }
    h = heap_new(struct http_events);
    h->connection = c;
    h->query = q;
    h->is_stream = !waits;
    c->events = h;
    event_wait_start(&h->wait, c->base.server,
                     waits ? (time_ms)r->block_ms : (time_ms)EVENTS_PROGRESS_MS, look);
    if (h->is_stream) {
        server_count_request(c->base.server, r->type, RK_OK);
        begin_stream(h);
    }
}
