/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_connection.h"

#include "base/assert.h"
#include "base/heap.h"
#include "server/server_internal.h"

#define INPUT_WAITING_BYTES_MAX (64 * KIB)
/* Beyond this much unsent output the next request waits. */
#define OUTPUT_HIGH_BYTES (1 * MIB)

static struct http_connection *http_of(struct connection *c)
{
    return (struct http_connection *)(void *)c;
}

static const char *reason_of(int code)
{
    static const struct {
        int code;
        const char *reason;
    } reasons[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 507, "Insufficient Storage" },
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].code == code) {
            return reasons[i].reason;
        }
    }
    return "Status";
}

/* ---- Answers ---- */

void http_answered(struct http_connection *c)
{
    c->is_busy = false;
    heap_free(c->bytes);
    c->bytes = NULL;
    if (c->will_close || c->is_draining) {
        connection_finish(&c->base);
        return;
    }
    connection_touch(&c->base);
    c->is_answered = true;
    connection_expect(&c->base, DEADLINE_IDLE);
}

void http_answer(struct http_connection *c, int code, const char *type, const char *headers,
                 struct slice body)
{
    struct buffer *out = stream_output(c->base.stream);
    bool closes = c->will_close || c->is_draining;

    buffer_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", code,
                  reason_of(code), type, body.size);
    buffer_printf(out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s%s%s\r\n",
                  code == 503 || code == 429 ? "Retry-After: 1\r\n" : "",
                  closes ? "Connection: close\r\n" : "", headers);
    if (!c->is_head) {
        buffer_put_slice(out, body);
    }
    http_answered(c);
}

void http_begin_json(struct http_connection *c, struct sink *s, struct buffer *out)
{
    struct node_status status;

    node_get_status(c->base.server->node, &status);
    sink_init_json(s, out,
                   &(struct sink_origin){ status.name, status.raft.current_term,
                                          refdb_applied_index(node_refdb(c->base.server->node)) });
}

void http_end_json(struct http_connection *c, struct sink *s, int code)
{
    struct buffer *out = s->out;

    sink_finish_json(s);
    http_answer(c, code, "application/json", code == 401 ? "WWW-Authenticate: Basic\r\n" : "",
                buffer_slice(out));
    buffer_release(out);
}

void http_answer_failure(struct http_connection *c, int code, const struct failure *f)
{
    struct buffer out = BUFFER_INIT;
    struct sink s;

    http_begin_json(c, &s, &out);
    sink_failure(&s, f);
    http_end_json(c, &s, code);
}

static void answer_status(struct http_connection *c, enum rk_status status)
{
    struct failure f;

    failure_of_node(&f, c->base.server->node, status);
    server_count_request(c->base.server, c->request.type, status);
    http_answer_failure(c, rk_status_http(status), &f);
}

/* ---- Carrying out ---- */

static void answer_read(struct http_connection *c)
{
    struct buffer out = BUFFER_INIT;
    struct sink s;

    http_begin_json(c, &s, &out);
    request_read(c->base.server->node, &c->request, &s);
    server_count_request(c->base.server, c->request.type, s.status);
    http_end_json(c, &s, rk_status_http(s.status));
}

/* The connection a ticket belongs to, or NULL; the ticket is used up. */
static struct http_connection *take_ticket(struct http_ticket *t)
{
    struct http_connection *c = t->connection;

    if (c != NULL) {
        c->ticket = NULL;
    }
    heap_free(t);
    return c;
}

static void on_readable(void *context, enum rk_status status)
{
    struct http_ticket *t = context;
    struct server *s = t->server;
    struct http_connection *c = take_ticket(t);

    if (c != NULL) {
        if (c->is_route) {
            http_answer_route(c, status);
        } else if (status != RK_OK) {
            answer_status(c, status);
        } else if (c->is_map) {
            http_answer_map(c);
        } else {
            answer_read(c);
        }
    }
    server_release(s);
}

static void on_proposed(void *context, enum rk_status status, raft_term term,
                        const struct refdb_result *result)
{
    struct http_ticket *t = context;
    struct server *server = t->server;
    struct asked asked = t->asked;
    struct http_connection *c = take_ticket(t);
    struct buffer out = BUFFER_INIT;
    struct sink s;

    (void)term;
    if (c != NULL && status != RK_OK) {
        answer_status(c, status);
    } else if (c != NULL) {
        http_begin_json(c, &s, &out);
        asked.type->reply(&asked, result, &s);
        server_count_request(server, asked.type, s.status);
        http_end_json(c, &s, rk_status_http(s.status));
    }
    server_release(server);
}

static void ask_node(struct http_connection *c)
{
    struct server *s = c->base.server;
    const struct request *r = &c->request;
    struct http_ticket *t = heap_new(struct http_ticket);
    enum rk_status status;

    t->server = s;
    t->connection = c;
    t->asked = (struct asked){ r->type, r->envelope.flags,
                               r->update_count > 0 ? r->update_count : r->item_count };
    if (r->kind == REQUEST_READ) {
        status = node_read(s->node, request_consistency(r), r->min_index, on_readable, t);
    } else {
        buffer_clear(&s->command);
        request_encode(s->node, r, &s->command);
        status = node_propose(s->node, buffer_slice(&s->command), on_proposed, t);
    }
    if (status == RK_OK) {
        c->ticket = t;
        server_hold(s);
        return;
    }
    heap_free(t);
    if (c->is_route) {
        http_answer_route(c, status);
    } else {
        answer_status(c, status);
    }
}

void http_execute(struct http_connection *c, const struct request *r)
{
    struct request_context context = { c->base.server, c->base.server->node, NULL };
    struct buffer out = BUFFER_INIT;
    struct sink s;

    c->request = *r;
    if (r->type->kind == REQUEST_EVENTS) {
        http_events_begin(c, r);
        return;
    }
    if (r->kind != REQUEST_LOCAL) {
        ask_node(c);
        return;
    }
    http_begin_json(c, &s, &out);
    r->type->local(&context, r, &s);
    server_count_request(c->base.server, r->type, s.status);
    http_end_json(c, &s, rk_status_http(s.status));
}

/* ---- Input ---- */

static void refuse_head(struct http_connection *c, int code)
{
    struct failure f;
    enum rk_status status = code == 413 || code == 414 || code == 431 ? RK_TOOLARGE : RK_PROTOCOL;

    failure_set(&f, status, "the request was refused: %s", reason_of(code));
    c->base.server->counters.broken_total[1]++;
    c->will_close = true;
    c->is_head = false;
    http_answer_failure(c, code, &f);
}

/* True when the whole request is there; else it waits for more. */
static bool has_body(struct http_connection *c, const struct http_head *head, size_t size)
{
    if (size - head->bytes >= head->length) {
        return true;
    }
    if (head->expects_continue && !c->has_continued) {
        c->has_continued = true;
        buffer_put_slice(stream_output(c->base.stream),
                         slice_of_text("HTTP/1.1 100 Continue\r\n\r\n"));
        connection_touch(&c->base);
    }
    connection_expect(&c->base, DEADLINE_REQUEST);
    return false;
}

static void begin_request(struct http_connection *c, const struct http_head *head)
{
    c->scanned = 0;
    c->has_continued = false;
    c->is_busy = true;
    c->is_route = false;
    c->is_map = false;
    c->is_head = slice_equal(head->method, slice_of_text("HEAD"));
    c->is_old = head->is_old;
    c->will_close = head->closes || head->is_old;
    connection_expect(&c->base, DEADLINE_NONE);
}

/* Takes the request at the start of `input`; returns its length, or 0 when it has to wait. */
static size_t take_request(struct http_connection *c, struct slice input)
{
    struct http_head head;
    int code = 400;

    switch (http_parse(input, &c->scanned, &head, &code)) {
    case HTTP_MORE:
        connection_expect(&c->base, DEADLINE_HEAD);
        return 0;
    case HTTP_BAD:
        refuse_head(c, code);
        return input.size;
    case HTTP_GOOD:
        break;
    }
    if (!has_body(c, &head, input.size)) {
        c->scanned = head.bytes - 1; /* the end is found again when more has come */
        return 0;
    }
    begin_request(c, &head);
    http_route(c, &head, slice_of(input.data + head.bytes, (size_t)head.length));
    return head.bytes + (size_t)head.length;
}

static size_t on_input(struct connection *base, struct slice input)
{
    struct http_connection *c = http_of(base);
    size_t used = 0;

    while (used < input.size && !c->is_busy && !base->wants_to_close && !base->is_closed &&
           stream_output_bytes(base->stream) < OUTPUT_HIGH_BYTES) {
        size_t size = take_request(c, slice_of(input.data + used, input.size - used));

        if (size == 0) {
            return used;
        }
        used += size;
    }
    if (input.size - used > INPUT_WAITING_BYTES_MAX && !base->is_closed) {
        stream_pause(base->stream);
    }
    return base->wants_to_close || base->is_closed ? input.size : used;
}

static void on_opened(struct connection *base)
{
    connection_expect(base, DEADLINE_IDLE);
}

static void on_flushed(struct connection *base)
{
    struct http_connection *c = http_of(base);

    if (c->events != NULL) {
        http_events_flushed(c);
        return;
    }
    if (c->is_busy || base->wants_to_close ||
        stream_output_bytes(base->stream) >= OUTPUT_HIGH_BYTES) {
        return;
    }
    if (base->deadline == DEADLINE_NONE) {
        connection_expect(base, DEADLINE_IDLE);
    }
    if (c->is_answered) {
        c->is_answered = false;
        stream_pause(base->stream); /* what is pipelined behind it is shown again */
        stream_resume(base->stream);
    }
}

static void on_drain(struct connection *base)
{
    struct http_connection *c = http_of(base);

    c->is_draining = true;
    if (c->events != NULL) {
        http_events_end(c, false);
    } else if (!c->is_busy) {
        connection_finish(base);
    }
}

static void on_expired(struct connection *base, enum deadline deadline)
{
    struct http_connection *c = http_of(base);

    if (deadline == DEADLINE_HEAD || deadline == DEADLINE_REQUEST) {
        refuse_head(c, 408);
    } else if (deadline == DEADLINE_OUTPUT && c->events != NULL) {
        http_events_end(c, true);
    }
}

static void on_leave(struct connection *base)
{
    struct http_connection *c = http_of(base);

    if (c->ticket != NULL) {
        c->ticket->connection = NULL;
        c->ticket = NULL;
    }
    http_events_abandon(c);
}

static void on_free(struct connection *base)
{
    struct http_connection *c = http_of(base);

    heap_free(c->bytes);
    heap_free(c);
}

void http_accept(struct server *s, int fd)
{
    static const struct connection_ops ops = {
        .input = on_input,
        .opened = on_opened,
        .leave = on_leave,
        .free = on_free,
        .flushed = on_flushed,
        .drain = on_drain,
        .expired = on_expired,
    };
    struct http_connection *c = heap_new(struct http_connection);

    connection_open(&c->base, s, fd, true, &ops);
}
