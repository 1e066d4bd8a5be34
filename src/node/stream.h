/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A non-blocking byte stream on a socket, plain or TLS, with its own buffers.
 *
 * Input is read when the loop says so and handed over as one slice; output is gathered and
 * written by stream_flush(), once per turn.  Used by peers and by the RESP front end.
 *
 * Callbacks come from the loop only, never from inside a function of this header; an error
 * met in stream_flush() is told by closed() later in the turn.  A connection that is not
 * established (connected, TLS handshake done) within HANDSHAKE_TIMEOUT_MS is closed.
 *
 * A stream that has nothing to hold holds no buffers: input is read into memory shared by
 * all streams, and only what its owner leaves unconsumed is copied.
 * Thread: the loop; one loop per process.
 */
#ifndef NODE_STREAM_H
#define NODE_STREAM_H

#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/bytes.h"

struct stream;

struct stream_callbacks {
    /*
     * Bytes have arrived: `input` is everything not yet consumed.  Returns how many bytes
     * were consumed; the rest is shown again with the next arrival (or stream_resume).
     * The callback may call stream_close().
     */
    size_t (*input)(void *context, struct slice input);
    void (*opened)(void *context); /* connected, TLS established; may be NULL */
    /* Closed by the other side, by an error, or a limit: the stream is gone after this. */
    void (*closed)(void *context, const char *cause, bool by_host);
};

struct stream_options {
    size_t input_bytes_max;  /* unconsumed input; over = closed */
    size_t output_bytes_max; /* unsent output after a flush; over = closed */
    size_t bytes_kept;       /* capacity an empty buffer keeps for reuse; 0 = 16 KiB */
};

/*
 * Takes a connected (or connecting) non-blocking socket.  `tls` NULL = plain; server side
 * when is_server; the context is referenced as long as needed.  TCP_NODELAY is set.
 * SIGPIPE must be ignored by the process.  `options` and `callbacks` are copied.
 */
struct stream *stream_new(struct event_base *base, int fd, SSL_CTX *tls, bool is_server,
                          const struct stream_options *options,
                          const struct stream_callbacks *callbacks, void *context);

/* Append whole messages to it; the buffer is valid until the next call on the stream, and
 * what stands in it already must not be touched. */
struct buffer *stream_output(struct stream *s);

/*
 * Queues bytes owned elsewhere, behind everything appended so far: `release(owner)` is called
 * when they were sent or dropped; that may be before this returns (few bytes are copied).
 * release() must not call into the stream.
 */
void stream_send_shared(struct stream *s, struct slice bytes, void (*release)(void *owner),
                        void *owner);

/* Writes what the socket takes now; the rest goes when it is writable. */
void stream_flush(struct stream *s);

void stream_pause(struct stream *s);  /* stop reading: back-pressure */
void stream_resume(struct stream *s); /* read again; unconsumed input is shown within a turn */
size_t stream_output_bytes(const struct stream *s);
void stream_transferred(const struct stream *s, uint64_t *ret_sent, uint64_t *ret_received);
SSL *stream_tls(struct stream *s); /* NULL = plain */

/* Closes at once (after sending what the socket takes when `drains`); no callback follows. */
void stream_close(struct stream *s, bool drains);

#endif
