/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of node/stream*.c: the ends of connections, without sockets. */
#include "node/stream.h"

#include "base/assert.h"
#include "base/heap.h"
#include "sim/net.h"
#include "sim/sim.h"

struct stream {
    struct conn *conn;
    unsigned end;
    struct stream_options options;
    struct stream_callbacks callbacks;
    void *context;
    struct buffer output, input;
    uint64_t sent, received;
    bool is_closed;
    unsigned depth;
};

struct stream *stream_new(struct event_base *base, int fd, SSL_CTX *tls, bool is_server,
                          const struct stream_options *options,
                          const struct stream_callbacks *callbacks, void *context)
{
    struct stream *s = heap_new(struct stream);

    (void)base;
    (void)is_server;
    INVARIANT(tls == NULL);
    s->options = *options;
    s->callbacks = *callbacks;
    s->context = context;
    s->conn = net_take_socket(fd, s, &s->end);
    return s;
}

struct buffer *stream_output(struct stream *s)
{
    return &s->output;
}

void stream_send_shared(struct stream *s, struct slice bytes, void (*release)(void *owner),
                        void *owner)
{
    buffer_put_slice(&s->output, bytes);
    release(owner);
}

void stream_flush(struct stream *s)
{
    if (s->output.size > 0 && !s->is_closed) {
        s->sent += s->output.size;
        net_send(s->conn, s->end, &s->output);
    }
}

void stream_pause(struct stream *s)
{
    (void)s;
    INVARIANT(!"peers are never paused");
}

void stream_resume(struct stream *s)
{
    (void)s;
    INVARIANT(!"peers are never paused");
}

size_t stream_output_bytes(const struct stream *s)
{
    return s->output.size;
}

void stream_transferred(const struct stream *s, uint64_t *ret_sent, uint64_t *ret_received)
{
    *ret_sent = s->sent;
    *ret_received = s->received;
}

SSL *stream_tls(struct stream *s)
{
    (void)s;
    return NULL;
}

static void stream_free(struct stream *s)
{
    buffer_release(&s->output);
    buffer_release(&s->input);
    heap_free(s);
}

void stream_close(struct stream *s, bool drains)
{
    if (s->is_closed) {
        return;
    }
    if (drains && !s->conn->ends[s->end].machine->is_dying) {
        stream_flush(s);
    }
    s->is_closed = true;
    net_end_closed(s->conn, s->end);
    if (s->depth == 0) {
        stream_free(s);
    }
}

static void leave(struct stream *s)
{
    if (--s->depth == 0 && s->is_closed) {
        stream_free(s);
    }
}

void net_stream_opened(struct stream *s)
{
    s->depth++;
    if (s->callbacks.opened != NULL) {
        s->callbacks.opened(s->context);
    }
    leave(s);
}

void net_stream_input(struct stream *s, struct slice bytes)
{
    size_t used;

    s->received += bytes.size;
    s->depth++;
    if (s->input.size > 0) {
        buffer_put_slice(&s->input, bytes);
        used = s->callbacks.input(s->context, buffer_slice(&s->input));
        buffer_consume(&s->input, used < s->input.size ? used : s->input.size);
    } else {
        used = s->callbacks.input(s->context, bytes);
        if (used < bytes.size) {
            buffer_put(&s->input, bytes.data + used, bytes.size - used);
        }
    }
    leave(s);
}

void net_stream_over(struct stream *s, const char *cause, bool by_host)
{
    s->depth++;
    s->callbacks.closed(s->context, cause, by_host);
    leave(s);
}
