/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as net.c (its two ways) and stream.c (its two ends) see it. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "base/bytes.h"

struct machine;
struct stream;

/* Bytes under way. */
struct piece {
    struct piece *next;
    int64_t due_us;
    bool is_end; /* nothing follows: the sender closed */
    struct buffer bytes;
};

struct pipe {
    struct piece *first, *last;
    int64_t due_us; /* of the last: what follows comes no earlier */
    int64_t blocked_since_us;
    bool is_planned;
};

struct end {
    struct machine *machine; /* NULL = not accepted yet */
    unsigned boot;
    struct stream *stream;
    bool is_gone; /* closed here */
};

struct conn {
    struct conn *next;
    struct end ends[2];   /* 0 dialled */
    struct pipe pipes[2]; /* pipes[i] leads away from end i */
    unsigned plans;       /* events to come that name it */
    unsigned depth;       /* callbacks under way */
};

/* ---- net.c ---- */

/* The connection of a socket; `s` becomes one end of it. */
struct conn *net_take_socket(int fd, struct stream *s, unsigned *ret_end);
void net_send(struct conn *c, unsigned from, struct buffer *output); /* taken, left empty */
void net_end_closed(struct conn *c, unsigned from);

/* ---- stream.c ---- */

void net_stream_opened(struct stream *s);
void net_stream_input(struct stream *s, struct slice bytes);
void net_stream_over(struct stream *s, const char *cause, bool by_host);

#endif
