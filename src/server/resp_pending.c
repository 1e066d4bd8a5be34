/* SPDX-License-Identifier: Apache-2.0 */
/* Requests the node has been asked to carry out, and their answers in order. */
#include "base/assert.h"
#include "server/resp_connection.h"
#include "server/server_internal.h"

/* Beyond this much unsent output nothing more is answered until the client has read some. */
#define OUTPUT_HIGH_BYTES (1 * MIB)

bool resp_is_idle(const struct resp_connection *c)
{
    return c->write_count == 0 && c->reads == NULL && c->waiting == NULL;
}

bool resp_has_much_output(const struct resp_connection *c)
{
    return stream_output_bytes(c->base.stream) > OUTPUT_HIGH_BYTES;
}

/* What was blocked may go on: the stream shows the input that waits. */
void resp_unblock(struct resp_connection *c)
{
    if (c->base.is_closed || c->base.wants_to_close || !(c->is_blocked || c->is_paused)) {
        return;
    }
    c->is_blocked = false;
    c->is_paused = false;
    stream_pause(c->base.stream);
    stream_resume(c->base.stream);
}

/* Draining, or QUIT, or an error: closes when nothing is pending. */
void resp_close_when_idle(struct resp_connection *c)
{
    if (resp_is_idle(c) && (c->is_draining || c->client.wants_to_close)) {
        connection_finish(&c->base);
    }
}

/* ---- Writes ---- */

void resp_put_failure(struct resp_connection *c, struct buffer *out, const struct failure *f)
{
    struct sink s;

    sink_init_resp(&s, out);
    sink_failure(&s, f);
    connection_touch(&c->base);
}

/* What a write came to. */
struct outcome {
    enum rk_status status;
    const struct refdb_result *result; /* of a write that was applied */
    raft_index index;                  /* of a change of the members */
    const char *why;                   /* ... was not made; NULL = the text of the status */
};

static void put_change(struct sink *s, const struct outcome *o)
{
    struct failure why;

    if (o->status != RK_OK) {
        failure_set(&why, o->status, o->why == NULL ? NULL : "%s", o->why);
        sink_failure(s, &why);
    } else if (o->index == 0) {
        sink_word(s, "OK");
    } else {
        sink_number(s, o->index);
    }
}

static void put_outcome(struct write_slot *w, struct buffer *out, const struct outcome *o)
{
    struct failure why;
    struct sink s;

    sink_init_resp(&s, out);
    if (w->asked.type->kind == REQUEST_CHANGE) {
        put_change(&s, o);
    } else if (o->status == RK_OK) {
        w->asked.type->reply(&w->asked, o->result, &s);
    } else {
        failure_of_node(&why, w->server->node, o->status);
        sink_failure(&s, &why);
    }
    server_count_request(w->server, w->asked.type, s.status);
}

static void append_write(struct resp_connection *c, struct write_slot *w)
{
    w->connection = c;
    if (c->last_write == NULL) {
        c->first_write = w;
    } else {
        c->last_write->next = w;
    }
    c->last_write = w;
    c->write_count++;
}

static struct write_slot *take_first_write(struct resp_connection *c)
{
    struct write_slot *w = c->first_write;

    c->first_write = w->next;
    if (c->first_write == NULL) {
        c->last_write = NULL;
    }
    c->write_count--;
    return w;
}

/* The oldest write was answered: those behind it whose answers are held go out with it. */
static void release_held(struct resp_connection *c)
{
    struct buffer *out = stream_output(c->base.stream);

    while (c->first_write != NULL && c->first_write->is_answered) {
        struct write_slot *w = take_first_write(c);

        buffer_put_slice(out, buffer_slice(&w->held));
        write_slot_free(w);
    }
    connection_touch(&c->base);
    if (c->write_count == 0) {
        resp_unblock(c);
        resp_close_when_idle(c);
    } else if (c->is_blocked && c->write_count < CONNECTION_PIPELINE_MAX / 2) {
        resp_unblock(c);
    }
}

static void answer_write(struct write_slot *w, const struct outcome *o)
{
    struct server *s = w->server;
    struct resp_connection *c = w->connection;

    if (c == NULL) {
        server_count_request(s, w->asked.type, o->status);
        write_slot_free(w);
        server_release(s);
        return;
    }
    if (o->status == RK_UNKNOWN && (c->write_count > 1 || c->unconsumed > 0)) {
        c->refuses_writes = true;
        c->refusing_turn = s->turn;
    }
    if (w == c->first_write) {
        put_outcome(w, stream_output(c->base.stream), o);
        write_slot_free(take_first_write(c));
        release_held(c);
    } else {
        put_outcome(w, &w->held, o);
        w->is_answered = true;
    }
    server_release(s);
}

static void on_proposed(void *context, enum rk_status status, raft_term term,
                        const struct refdb_result *result)
{
    (void)term;
    answer_write(context, &(struct outcome){ .status = status, .result = result });
}

static void on_changed(void *context, enum rk_status status, raft_index index, const char *why)
{
    answer_write(context, &(struct outcome){ .status = status, .index = index, .why = why });
}

/* An answer that is ready while writes before it are not. */
void resp_answer_in_order(struct resp_connection *c, const struct failure *f)
{
    struct write_slot *w;

    if (c->write_count == 0) {
        resp_put_failure(c, stream_output(c->base.stream), f);
        return;
    }
    w = write_slot_new(c->base.server);
    resp_put_failure(c, &w->held, f);
    w->is_answered = true;
    append_write(c, w);
}

static void propose(struct resp_connection *c, const struct request *r)
{
    struct server *s = c->base.server;
    struct write_slot *w = write_slot_new(s);
    struct member_change change;
    struct failure why;
    enum rk_status status;

    w->asked = (struct asked){ r->type, r->envelope.flags,
                               r->update_count > 0 ? r->update_count : r->item_count };
    if (r->kind == REQUEST_CHANGE) {
        r->type->change(r, &change);
        status = node_change_members(s->node, &change, on_changed, w);
    } else {
        buffer_clear(&s->command);
        request_encode(s->node, r, &s->command);
        status = node_propose(s->node, buffer_slice(&s->command), on_proposed, w);
    }
    if (status == RK_OK) {
        append_write(c, w);
        server_hold(s);
        return;
    }
    write_slot_free(w);
    failure_of_node(&why, s->node, status);
    server_count_request(s, r->type, status);
    resp_answer_in_order(c, &why);
}

bool resp_take_write(struct resp_connection *c, const struct request *r)
{
    struct failure why;

    if (c->reads != NULL || c->waiting != NULL || c->write_count >= CONNECTION_PIPELINE_MAX) {
        return false;
    }
    if (c->refuses_writes) {
        failure_set(&why, RK_ABORTED,
                    "not executed: the outcome of a write before it on this connection is unknown");
        resp_answer_in_order(c, &why);
        return true;
    }
    propose(c, r);
    return true;
}

/* ---- Reads ---- */

static void answer_read(struct resp_connection *c, const struct request *r, enum rk_status status)
{
    struct server *s = c->base.server;
    struct failure why;
    struct sink sink;

    sink_init_resp(&sink, stream_output(c->base.stream));
    if (status == RK_OK) {
        request_read(s->node, r, &sink);
    } else {
        failure_of_node(&why, s->node, status);
        sink_failure(&sink, &why);
    }
    server_count_request(s, r->type, sink.status);
}

/* Answers what the client has room for; the rest follows when it has read (on_flushed). */
void resp_answer_reads(struct resp_connection *c)
{
    struct read_group *g = c->reads;

    while (g->first != NULL && !resp_has_much_output(c)) {
        struct read_slot *slot = g->first;

        answer_read(c, &slot->request, g->status);
        g->first = slot->next;
        read_slot_free(g->server, slot);
    }
    connection_touch(&c->base);
    if (g->first == NULL) {
        c->reads = NULL;
        read_group_free(g);
        resp_unblock(c);
        resp_close_when_idle(c);
    }
}

static void on_readable(void *context, enum rk_status status)
{
    struct read_group *g = context;
    struct server *s = g->server;

    g->is_asked = false;
    if (g->connection == NULL) {
        read_group_free(g);
    } else {
        g->is_ready = true;
        g->status = status;
        resp_answer_reads(g->connection);
    }
    server_release(s);
}

/* The reads gathered in this input go to the node together. */
void resp_ask_for_reads(struct resp_connection *c)
{
    struct read_group *g = c->reads;
    struct server *s = c->base.server;
    enum rk_status status;

    if (g == NULL || g->is_asked || g->is_ready) {
        return;
    }
    status = node_read(s->node, g->consistency, g->min_index, on_readable, g);
    if (status == RK_OK) {
        g->is_asked = true;
        server_hold(s);
        return;
    }
    g->is_ready = true;
    g->status = status;
    resp_answer_reads(c);
}

bool resp_take_read(struct resp_connection *c, const struct request *r, struct slice raw)
{
    struct read_group *g = c->reads;
    struct read_slot *slot;

    if (c->write_count > 0 || c->waiting != NULL) {
        return false;
    }
    if (g == NULL) {
        g = read_group_new(c->base.server);
        g->connection = c;
        g->consistency = request_consistency(r);
        g->min_index = r->min_index;
        c->reads = g;
    } else if (g->is_asked || g->is_ready || g->consistency != request_consistency(r) ||
               g->min_index != r->min_index || g->count >= CONNECTION_PIPELINE_MAX) {
        return false;
    }
    slot = read_slot_new(c->base.server, r, raw);
    if (g->first == NULL) {
        g->first = slot;
    } else {
        g->last->next = slot;
    }
    g->last = slot;
    g->count++;
    return true;
}

void resp_abandon(struct resp_connection *c)
{
    while (c->first_write != NULL) {
        struct write_slot *w = take_first_write(c);

        if (w->is_answered) {
            write_slot_free(w);
        } else {
            w->connection = NULL; /* freed when its outcome comes */
        }
    }
    if (c->reads != NULL && c->reads->is_asked) {
        c->reads->connection = NULL;
    } else if (c->reads != NULL) {
        read_group_free(c->reads);
    }
    c->reads = NULL;
    resp_events_abandon(c);
}
