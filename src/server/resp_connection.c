/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_connection.h"

#include "base/assert.h"
#include "base/heap.h"
#include "server/server_internal.h"

/* Blocked with this much input waiting, the socket is not read any more. */
#define INPUT_WAITING_BYTES_MAX (64 * KIB)

static struct resp_connection *resp_of(struct connection *c)
{
    return (struct resp_connection *)(void *)c;
}

/* ---- Local requests ---- */

static bool take_local(struct resp_connection *c, const struct request *r)
{
    struct request_context context = { c->base.server, c->base.server->node, &c->client };
    struct sink s;

    if (!resp_is_idle(c)) {
        return false;
    }
    sink_init_resp(&s, stream_output(c->base.stream));
    r->type->local(&context, r, &s);
    server_count_request(c->base.server, r->type, s.status);
    connection_touch(&c->base);
    if (c->client.wants_to_close) {
        resp_close_when_idle(c);
    } else if (c->client.is_known && c->base.deadline == DEADLINE_OPENING) {
        connection_expect(&c->base, DEADLINE_NONE);
    }
    return true;
}

/* ---- Taking requests ---- */

/* Why it may not be executed, whatever its arguments; false when it may. */
static bool is_barred(const struct resp_connection *c, const struct request_type *type,
                      struct failure *why)
{
    if (type == NULL) {
        failure_set(why, RK_UNSUPPORTED, "unknown command; COMMAND LIST names those there are");
        why->word = "ERR";
        return true;
    }
    if (type->scope != 0 && !c->client.is_known) {
        failure_set(why, RK_NOAUTH, "Authentication required.");
        return true;
    }
    if (c->client.is_in_multi && !word_is(slice_of_text(type->name), "EXEC") &&
        !word_is(slice_of_text(type->name), "DISCARD") &&
        !word_is(slice_of_text(type->name), "QUIT")) {
        failure_set(why, RK_UNSUPPORTED, "not executed: it stands between MULTI and EXEC");
        return true;
    }
    if ((type->scope & ~c->client.scopes) != 0) {
        failure_set(why, RK_NOPERM, "this user may not use this command");
        return true;
    }
    return false;
}

/* A refusal is answered in its place: behind reads it waits until they are answered. */
static bool take_refused(struct resp_connection *c, const struct request_type *type,
                         const struct failure *why)
{
    if (c->reads != NULL || c->waiting != NULL) {
        return false;
    }
    server_count_request(c->base.server, type, why->status);
    resp_answer_in_order(c, why);
    return true;
}

static struct slice *words_of(struct server *s, const struct resp_parser *p, struct slice input)
{
    uint32_t count = resp_request_count(p);

    if (count > s->word_capacity) {
        s->words = heap_grow(s->words, count * sizeof *s->words);
        s->word_capacity = count;
    }
    for (uint32_t i = 0; i < count; i++) {
        s->words[i] = resp_request_element(p, input, i);
    }
    return s->words;
}

/* Takes the complete request at the start of `input`; false when it has to wait. */
static bool take_request(struct resp_connection *c, struct slice input)
{
    struct server *s = c->base.server;
    uint32_t count = resp_request_count(&c->parser);
    const struct request_type *type;
    struct slice *words;
    struct request r;
    struct failure why;

    if (count == 0) {
        return true; /* an empty array asks for nothing */
    }
    words = words_of(s, &c->parser, input);
    type = request_type_find(words[0]);
    if (is_barred(c, type, &why) ||
        request_parse_words(type, words, count, &s->scratch, &r, &why) != RK_OK) {
        return take_refused(c, type, &why);
    }
    switch (r.kind) {
    case REQUEST_WRITE:
    case REQUEST_CHANGE:
        return resp_take_write(c, &r);
    case REQUEST_READ:
        return resp_take_read(c, &r, slice_of(input.data, resp_request_bytes(&c->parser)));
    case REQUEST_EVENTS:
        return resp_take_events(c, &r);
    case REQUEST_LOCAL:
        break;
    }
    return take_local(c, &r);
}

static const struct resp_limits *limits_of(const struct resp_connection *c)
{
    static const struct resp_limits stranger = { RESP_NOAUTH_ARGUMENTS_MAX, RESP_NOAUTH_BYTES_MAX };
    static const struct resp_limits known = { RESP_ARGUMENTS_MAX, RESP_REQUEST_BYTES_MAX };

    return c->client.is_known ? &known : &stranger;
}

/* Not our protocol: one last answer. */
static void break_off(struct resp_connection *c, enum rk_status status, const char *cause)
{
    struct failure why;

    failure_set(&why, status, "%s", cause);
    c->base.server->counters.broken_total[0]++;
    resp_answer_in_order(c, &why);
    c->client.wants_to_close = true;
    resp_close_when_idle(c);
}

/* This node holds as much unfinished input as it may. */
static void give_up(struct resp_connection *c)
{
    if (resp_is_idle(c)) {
        break_off(c, RK_OVERLOADED, "too many bytes of unfinished requests wait on this node");
    } else {
        connection_close(&c->base);
    }
}

/* ---- Callbacks of the connection ---- */

/* Begun requests are bounded for all connections together, before memory is taken. */
static bool note_unconsumed(struct resp_connection *c, size_t unconsumed)
{
    struct server *s = c->base.server;

    s->partial_bytes += unconsumed;
    s->partial_bytes -= c->unconsumed;
    c->unconsumed = unconsumed;
    return unconsumed <= INPUT_WAITING_BYTES_MAX || s->partial_bytes <= RESP_PARTIAL_BYTES_MAX;
}

static void note_deadline(struct resp_connection *c, bool has_taken)
{
    bool is_partial = c->unconsumed > 0 && !c->is_blocked;

    if (!c->client.is_known || c->base.wants_to_close) {
        return;
    }
    if (has_taken || !is_partial) {
        connection_expect(&c->base, DEADLINE_NONE);
    }
    if (is_partial) {
        connection_expect(&c->base, DEADLINE_REQUEST);
    }
}

/* Something wrote an UNKNOWN, and the client has had time to read it and to choose. */
static void note_arrival(struct resp_connection *c)
{
    if (c->refuses_writes && resp_is_idle(c) && c->unconsumed == 0 &&
        c->refusing_turn != c->base.server->turn) {
        c->refuses_writes = false;
    }
}

static bool may_take(const struct resp_connection *c)
{
    return !c->client.wants_to_close && !c->is_draining && !c->base.wants_to_close &&
           !resp_has_much_output(c);
}

/* Takes requests until one has to wait; returns how many bytes they had. */
static size_t take_requests(struct resp_connection *c, struct slice input)
{
    const char *cause = NULL;
    enum rk_status status = RK_OK;
    size_t used = 0;

    while (!c->is_blocked && used < input.size) {
        struct slice rest = slice_of(input.data + used, input.size - used);
        enum resp_verdict verdict;

        if (!may_take(c)) {
            c->is_blocked = true;
            break;
        }
        verdict = resp_parse(&c->parser, rest, limits_of(c), &status, &cause);
        if (verdict == RESP_MORE) {
            break;
        }
        if (verdict == RESP_BROKEN) {
            if (c->reads != NULL || c->waiting != NULL) {
                c->is_blocked = true; /* those before it are answered first */
                break;
            }
            break_off(c, status, cause);
            return input.size;
        }
        if (!take_request(c, rest)) {
            c->is_blocked = true;
            break;
        }
        used += resp_request_bytes(&c->parser);
        resp_parser_next(&c->parser);
    }
    return used;
}

static size_t on_input(struct connection *base, struct slice input)
{
    struct resp_connection *c = resp_of(base);
    size_t used = 0;
    bool had_blocked;

    if (!c->is_blocked) {
        note_arrival(c);
    }
    do {
        used += take_requests(c, slice_of(input.data + used, input.size - used));
        had_blocked = c->is_blocked;
        resp_ask_for_reads(c);
    } while (had_blocked && !c->is_blocked && used < input.size);
    if (!note_unconsumed(c, input.size - used)) {
        give_up(c);
    }
    if (base->is_closed) {
        return input.size;
    }
    if (c->is_blocked && c->unconsumed > INPUT_WAITING_BYTES_MAX && !c->is_paused) {
        c->is_paused = true;
        stream_pause(base->stream);
    }
    note_deadline(c, used > 0);
    return used;
}

static void on_opened(struct connection *base)
{
    if (resp_of(base)->client.is_known) {
        connection_expect(base, DEADLINE_NONE);
    }
}

static void on_flushed(struct connection *base)
{
    struct resp_connection *c = resp_of(base);

    if (base->wants_to_close || resp_has_much_output(c)) {
        return;
    }
    if (c->reads != NULL && c->reads->is_ready) {
        resp_answer_reads(c);
    } else if (c->is_blocked && resp_is_idle(c) && may_take(c)) {
        resp_unblock(c);
    }
    if (base->deadline == DEADLINE_NONE && c->unconsumed > 0 && !c->is_blocked) {
        connection_expect(base, DEADLINE_REQUEST);
    }
}

static void on_drain(struct connection *base)
{
    struct resp_connection *c = resp_of(base);

    c->is_draining = true;
    resp_events_end(c);
    resp_close_when_idle(c);
}

static void on_expired(struct connection *base, enum deadline deadline)
{
    struct resp_connection *c = resp_of(base);
    struct failure why;

    if (deadline != DEADLINE_OUTPUT && resp_is_idle(c) && base->stream != NULL) {
        failure_set(&why, RK_TIMED_OUT, "the request was not completed in time");
        resp_put_failure(c, stream_output(base->stream), &why);
    }
}

static void on_leave(struct connection *base)
{
    struct resp_connection *c = resp_of(base);

    resp_abandon(c);
    (void)note_unconsumed(c, 0);
}

static void on_free(struct connection *base)
{
    struct resp_connection *c = resp_of(base);

    resp_parser_release(&c->parser);
    heap_free(c->client.name);
    heap_free(c);
}

void resp_accept(struct server *s, int fd)
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
    struct resp_connection *c = heap_new(struct resp_connection);

    resp_parser_init(&c->parser);
    c->client.id = ++s->next_client_id;
    c->client.is_known = s->options.authenticate == NULL;
    c->client.scopes = c->client.is_known ? SERVER_MAY_ALL : 0;
    connection_open(&c->base, s, fd, false, &ops);
}
