/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a stream and its turns on the loop. */
#include "node/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"
#include "node/stream_internal.h"

#define BYTES_KEPT_DEFAULT (16 * KIB)
#define READ_ROOM_MIN (64 * KIB)

/* Where input lands while a stream has none of its own; borrowed during one callback. */
static uint8_t shared_input[STREAM_READ_BYTES_MAX];
static bool shared_input_is_lent;

/* ---- Ends ---- */

static void stream_stop(struct stream *s)
{
    event_del(&s->reading);
    event_del(&s->writing);
    event_del(&s->wake);
}

void stream_fail(struct stream *s, bool by_host, const char *format, ...)
{
    va_list args;

    if (s->phase == STREAM_FAILED || s->is_closed) {
        return;
    }
    s->phase = STREAM_FAILED;
    s->by_host = by_host;
    va_start(args, format);
    vsnprintf(s->cause, sizeof s->cause, format, args);
    va_end(args);
    stream_stop(s);
    event_active(&s->wake, EV_READ, 0);
}

static void stream_free(struct stream *s)
{
    if (s->tls != NULL) {
        SSL_free(s->tls);
    }
    close(s->fd);
    stream_queue_release(&s->output);
    buffer_release(&s->input);
    heap_free(s);
}

static void leave(struct stream *s)
{
    if (--s->depth == 0 && s->is_closed) {
        stream_free(s);
    }
}

static void say_goodbye(struct stream *s)
{
    if (s->tls != NULL && SSL_is_init_finished(s->tls) && !s->is_tls_broken) {
        ERR_clear_error();
        (void)SSL_shutdown(s->tls); /* close_notify, if the socket takes it */
        ERR_clear_error();
    }
}

static void pump_output(struct stream *s)
{
    while (s->phase == STREAM_OPEN && stream_queue_bytes(&s->output) > 0) {
        size_t size = 0;

        if (stream_write(s, &size) != STREAM_DONE) {
            return;
        }
        stream_queue_advance(&s->output, size, s->options.bytes_kept);
    }
}

void stream_close(struct stream *s, bool drains)
{
    if (s->is_closed) {
        return;
    }
    if (drains) {
        pump_output(s);
    }
    s->is_closed = true;
    stream_stop(s);
    say_goodbye(s);
    shutdown(s->fd, SHUT_RDWR);
    if (s->depth == 0) {
        stream_free(s);
    }
}

/* ---- Input ---- */

static void drop_input(struct stream *s, size_t size)
{
    s->input_start += size;
    if (s->input_start == s->input.size) {
        s->input_start = 0;
        buffer_clear(&s->input);
        if (s->input.capacity > s->options.bytes_kept) {
            buffer_release(&s->input);
        }
    }
}

/* Shows `bytes` to the owner; returns how many were consumed, all when the stream was closed. */
static size_t show(struct stream *s, struct slice bytes)
{
    size_t used = s->callbacks.input(s->context, bytes);

    if (s->is_closed) {
        return bytes.size;
    }
    PRE(used <= bytes.size);
    if (bytes.size - used > s->options.input_bytes_max) {
        stream_fail(s, false, "more than %zu bytes of input wait", s->options.input_bytes_max);
    }
    return used;
}

static void show_kept(struct stream *s)
{
    struct slice bytes = slice_of(s->input.data + s->input_start, s->input.size - s->input_start);

    if (bytes.size > 0) {
        drop_input(s, show(s, bytes));
    }
}

static void keep_input(struct stream *s, struct slice bytes)
{
    if (bytes.size == 0) {
        return;
    }
    if (buffer_reserve(&s->input, bytes.size) != RK_OK) {
        stream_fail(s, false, "out of memory for input");
        return;
    }
    buffer_put_slice(&s->input, bytes);
}

/* Both return true when all the room was filled: there may be more. */
static bool read_to_shared(struct stream *s)
{
    size_t size = 0, used;

    INVARIANT(!shared_input_is_lent);
    if (stream_read(s, shared_input, sizeof shared_input, &size) != STREAM_DONE) {
        return false;
    }
    shared_input_is_lent = true;
    used = show(s, slice_of(shared_input, size));
    shared_input_is_lent = false;
    keep_input(s, slice_of(shared_input + used, size - used));
    return size == sizeof shared_input;
}

static bool read_to_own(struct stream *s)
{
    size_t size = 0, room;

    if (s->input_start > s->input.size / 2) {
        buffer_consume(&s->input, s->input_start);
        s->input_start = 0;
    }
    if (s->input.capacity - s->input.size < READ_ROOM_MIN &&
        buffer_reserve(&s->input, READ_ROOM_MIN) != RK_OK) {
        stream_fail(s, false, "out of memory for input");
        return false;
    }
    room = s->input.capacity - s->input.size;
    room = room > STREAM_READ_BYTES_MAX ? STREAM_READ_BYTES_MAX : room;
    if (stream_read(s, s->input.data + s->input.size, room, &size) != STREAM_DONE) {
        return false;
    }
    s->input.size += size;
    show_kept(s);
    return size == room;
}

static void read_turn(struct stream *s)
{
    bool has_more;

    s->must_read = false;
    has_more = s->input.size > 0 ? read_to_own(s) : read_to_shared(s);
    if (has_more && s->tls != NULL && s->phase == STREAM_OPEN && !s->is_closed && !s->is_paused) {
        /* OpenSSL may hold bytes that the socket will not announce. */
        s->must_read = true;
        event_active(&s->wake, EV_READ, 0);
    }
}

/* ---- Turns ---- */

/* Calls closed() and frees. */
static void stream_finish(struct stream *s)
{
    if (s->has_last_words && !s->is_paused) {
        read_turn(s);
    }
    if (!s->is_closed) {
        s->callbacks.closed(s->context, s->cause, s->by_host);
    }
    if (!s->is_closed) {
        s->is_closed = true;
        stream_stop(s);
        say_goodbye(s);
    }
}

static void become_open(struct stream *s)
{
    s->phase = STREAM_OPEN;
    event_del(&s->wake);
    if (s->callbacks.opened != NULL) {
        s->callbacks.opened(s->context);
    }
    if (s->is_closed || s->phase != STREAM_OPEN) {
        return;
    }
    pump_output(s);
    if (s->phase == STREAM_OPEN && !s->is_paused) {
        event_add(&s->reading, NULL);
        if (s->tls != NULL) {
            s->must_read = true; /* bytes may have come with the end of the handshake */
            event_active(&s->wake, EV_READ, 0);
        }
    }
}

static void advance_handshake(struct stream *s)
{
    if (stream_handshake(s) == STREAM_DONE) {
        event_del(&s->reading);
        become_open(s);
    }
}

static void become_connected(struct stream *s)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
        stream_fail(s, error == ECONNREFUSED || error == ECONNRESET, "connect: %s",
                    strerror(error));
    } else if (s->tls == NULL) {
        become_open(s);
    } else {
        s->phase = STREAM_HANDSHAKE;
        event_add(&s->reading, NULL);
        advance_handshake(s);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    struct stream *s = argument;

    (void)fd;
    (void)what;
    s->depth++;
    if (s->phase == STREAM_HANDSHAKE) {
        advance_handshake(s);
    } else if (s->phase == STREAM_OPEN) {
        if (s->write_wants_read) {
            s->write_wants_read = false;
            pump_output(s);
        }
        read_turn(s);
    }
    leave(s);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct stream *s = argument;

    (void)fd;
    (void)what;
    s->depth++;
    s->is_waiting_to_write = false;
    if (s->phase == STREAM_CONNECTING) {
        become_connected(s);
    } else if (s->phase == STREAM_HANDSHAKE) {
        advance_handshake(s);
    } else if (s->phase == STREAM_OPEN) {
        pump_output(s);
        if (s->read_wants_write && s->phase == STREAM_OPEN && !s->is_paused) {
            s->read_wants_write = false;
            read_turn(s);
        }
    }
    leave(s);
}

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
    struct stream *s = argument;

    (void)fd;
    s->depth++;
    if (s->phase == STREAM_FAILED) {
        stream_finish(s);
    } else if (s->phase != STREAM_OPEN) {
        if (what & EV_TIMEOUT) {
            stream_fail(s, false,
                        s->phase == STREAM_CONNECTING ? "connect: timed out"
                                                      : "tls: handshake timed out");
        }
    } else if (!s->is_paused) {
        show_kept(s);
        if (s->must_read && s->phase == STREAM_OPEN && !s->is_closed && !s->is_paused) {
            read_turn(s);
        }
    }
    leave(s);
}

/* ---- Interface ---- */

static void attach_tls(struct stream *s, SSL_CTX *tls, bool is_server)
{
    ERR_clear_error();
    s->tls = SSL_new(tls);
    if (s->tls == NULL || SSL_set_fd(s->tls, s->fd) != 1) {
        ERR_clear_error();
        stream_fail(s, false, "tls: out of memory");
        return;
    }
    SSL_set_mode(s->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(s->tls, 1);
    if (is_server) {
        SSL_set_accept_state(s->tls);
    } else {
        SSL_set_connect_state(s->tls);
    }
}

struct stream *stream_new(struct event_base *base, int fd, SSL_CTX *tls, bool is_server,
                          const struct stream_options *options,
                          const struct stream_callbacks *callbacks, void *context)
{
    struct timeval timeout = { HANDSHAKE_TIMEOUT_MS / 1000, HANDSHAKE_TIMEOUT_MS % 1000 * 1000 };
    struct stream *s = heap_new(struct stream);
    int on = 1;

    s->fd = fd;
    s->callbacks = *callbacks;
    s->context = context;
    s->options = *options;
    if (s->options.bytes_kept == 0) {
        s->options.bytes_kept = BYTES_KEPT_DEFAULT;
    }
    event_assign(&s->reading, base, fd, EV_READ | EV_PERSIST, on_readable, s);
    event_assign(&s->writing, base, fd, EV_WRITE, on_writable, s);
    event_assign(&s->wake, base, -1, 0, on_wake, s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* no TCP socket: no matter */
    s->is_waiting_to_write = true;
    event_add(&s->writing, NULL);
    event_add(&s->wake, &timeout);
    if (tls != NULL) {
        attach_tls(s, tls, is_server);
    }
    return s;
}

struct buffer *stream_output(struct stream *s)
{
    return &s->output.own;
}

void stream_send_shared(struct stream *s, struct slice bytes, void (*release)(void *owner),
                        void *owner)
{
    if (bytes.size < STREAM_SHARED_BYTES_MIN) {
        buffer_put_slice(&s->output.own, bytes);
        release(owner);
        return;
    }
    stream_queue_share(
        &s->output, &(struct stream_segment){ .bytes = bytes, .release = release, .owner = owner });
}

void stream_flush(struct stream *s)
{
    if (s->phase == STREAM_OPEN && !s->is_waiting_to_write && !s->write_wants_read) {
        pump_output(s);
    }
    if (stream_queue_bytes(&s->output) > s->options.output_bytes_max) {
        stream_fail(s, false, "more than %zu bytes of output wait", s->options.output_bytes_max);
    }
}

void stream_pause(struct stream *s)
{
    s->is_paused = true;
    if (s->phase == STREAM_OPEN) {
        event_del(&s->reading);
    }
}

void stream_resume(struct stream *s)
{
    if (!s->is_paused) {
        return;
    }
    s->is_paused = false;
    if (s->phase == STREAM_OPEN && !s->is_closed) {
        event_add(&s->reading, NULL);
        s->must_read = s->tls != NULL;
        if (s->must_read || s->input.size > 0) {
            event_active(&s->wake, EV_READ, 0);
        }
    }
}

size_t stream_output_bytes(const struct stream *s)
{
    return stream_queue_bytes(&s->output);
}

void stream_transferred(const struct stream *s, uint64_t *ret_sent, uint64_t *ret_received)
{
    *ret_sent = s->sent_bytes;
    *ret_received = s->received_bytes;
}

SSL *stream_tls(struct stream *s)
{
    return s->tls;
}
