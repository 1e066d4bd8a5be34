/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a stream, for stream*.c only. */
#ifndef NODE_STREAM_INTERNAL_H
#define NODE_STREAM_INTERNAL_H

#include <event2/event_struct.h>

#include "node/stream.h"

enum stream_phase {
    STREAM_CONNECTING, /* waiting for the socket to become writable */
    STREAM_HANDSHAKE,  /* TLS is being negotiated */
    STREAM_OPEN,
    STREAM_FAILED, /* closed() is due */
};

/* Shared bytes in the output, and how many own bytes go before them. */
struct stream_segment {
    size_t own_before;
    struct slice bytes;
    void (*release)(void *owner);
    void *owner;
};

/*
 * The output is own bytes with shared segments in between.
 *
 *   own[own_start ..]      = own_before of segment 1, of segment 2, ..., the tail
 *   own_claimed            = sum of own_before over all segments
 */
struct stream_queue {
    struct buffer own;
    size_t own_start;
    size_t own_claimed;
    struct stream_segment *segments; /* the live ones are [first, count) */
    size_t first, count, capacity;
    size_t shared_bytes;
};

struct stream {
    int fd;
    SSL *tls;
    enum stream_phase phase;
    bool is_paused;
    bool is_closed; /* by stream_close() from inside a callback */
    bool is_waiting_to_write;
    bool must_read;        /* at the next wake: OpenSSL may hold bytes */
    bool read_wants_write; /* TLS cannot read before it has written */
    bool write_wants_read; /* and the reverse */
    bool is_tls_broken;    /* after a fatal error nothing may be asked of it */
    bool has_last_words;   /* writing failed: what the other side said before may be unread */
    bool by_host;
    unsigned depth; /* callbacks under way: the stream outlives them */
    struct event reading, writing;
    struct event wake; /* the timeout of the handshake; made active for work that cannot wait */
    struct stream_callbacks callbacks;
    void *context;
    struct stream_options options;
    struct buffer input; /* unconsumed from input_start on */
    size_t input_start;
    struct stream_queue output;
    uint64_t sent_bytes, received_bytes;
    char cause[192];
};

/* ---- stream_io.c: one transfer on the socket or through TLS ---- */

enum stream_result {
    STREAM_DONE,    /* some bytes were transferred */
    STREAM_BLOCKED, /* the socket is not ready; the events are armed */
    STREAM_ENDED,   /* stream_fail() was called */
};

enum stream_result stream_read(struct stream *s, void *data, size_t size, size_t *ret_size);
/* Writes the head of the output queue. */
enum stream_result stream_write(struct stream *s, size_t *ret_size);
enum stream_result stream_handshake(struct stream *s); /* DONE = established */

/* ---- stream.c ---- */

/* Ends the stream: closed(cause) follows from the loop.  The first cause wins. */
void stream_fail(struct stream *s, bool by_host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- stream_queue.c ---- */

struct iovec;

/* Describes the head of the queue in at most `max` pieces; returns how many. */
unsigned stream_queue_gather(const struct stream_queue *q, struct iovec *pieces, unsigned max);
void stream_queue_share(struct stream_queue *q, const struct stream_segment *segment);
/* Drops `size` sent bytes; buffers above `bytes_kept` are freed when all is sent. */
void stream_queue_advance(struct stream_queue *q, size_t size, size_t bytes_kept);
size_t stream_queue_bytes(const struct stream_queue *q);
void stream_queue_release(struct stream_queue *q);

#endif
