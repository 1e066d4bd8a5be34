/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A RESP connection: requests take effect and are answered in the order they came.
 *
 *   IDLE      nothing is pending
 *   WRITING   consecutive writes are proposed, their outcomes may come in any order
 *   READING   consecutive reads of one consistency wait for one node_read()
 *   WAITING   an EVENTS waits for what is yet to be applied
 *
 *   IDLE    -> WRITING : resp_take_write : a write was proposed
 *   IDLE    -> READING : resp_take_read : a read came; those behind it in the same input join
 *   IDLE    -> WAITING : resp_take_events : there are no events yet
 *   WRITING -> IDLE    : on_proposed : the last outcome came
 *   READING -> IDLE    : resp_answer_reads : the last read was answered
 *   WAITING -> IDLE    : look_again : events came, or the time is over
 *
 * A request that fits no pending group stays in the stream's input, understood by the parser
 * but not taken, until the connection is IDLE again.  Local requests are answered in IDLE
 * only.  Writes hold no bytes of their request; a read holds a copy of its own.
 */
#ifndef SERVER_RESP_CONNECTION_H
#define SERVER_RESP_CONNECTION_H

#include "server/client.h"
#include "server/connection.h"
#include "server/request.h"
#include "server/resp_parser.h"

#define READ_SLOT_BYTES 400 /* a request up to this long is copied without an allocation */

/* A write that waits for its outcome. */
struct write_slot {
    struct write_slot *next; /* the write behind it, or the next free slot */
    struct server *server;
    struct resp_connection *connection; /* NULL: closed meanwhile */
    struct asked asked;
    bool is_answered; /* its answer is in `held`, until those before it are answered */
    struct buffer held;
};

/* A read that waits for its turn. */
struct read_slot {
    struct read_slot *next;
    struct request request; /* its slices point into `bytes`, or `more` when too long */
    uint8_t *more;
    struct slice *items; /* the request's list; NULL = none */
    uint8_t bytes[READ_SLOT_BYTES];
};

/* Reads that share one node_read(). */
struct read_group {
    struct read_group *next_free;
    struct server *server;
    struct resp_connection *connection; /* NULL: closed meanwhile */
    enum node_consistency consistency;
    raft_index min_index;
    bool is_asked; /* node_read() was called and has not called back */
    bool is_ready; /* being answered */
    enum rk_status status;
    struct read_slot *first;
    struct read_slot *last;
    unsigned count;
};

struct resp_connection {
    struct connection base;
    struct client client;
    struct resp_parser parser;
    struct write_slot *first_write; /* oldest unanswered, then in order */
    struct write_slot *last_write;
    unsigned write_count;
    struct read_group *reads;    /* NULL unless READING */
    struct resp_events *waiting; /* NULL unless WAITING */
    size_t unconsumed;           /* input left over at the last look */
    bool is_blocked;             /* a request waits in the input */
    bool is_paused;
    bool is_draining;
    bool refuses_writes;    /* an outcome before them is unknown [DESIGN 6] */
    uint64_t refusing_turn; /* when that answer was given */
};

/* ---- Pending requests (resp_pending.c) ---- */

bool resp_is_idle(const struct resp_connection *c);

/* True when the client has to read before more is answered. */
bool resp_has_much_output(const struct resp_connection *c);

/* What was blocked may go on: the stream shows the input that waits. */
void resp_unblock(struct resp_connection *c);

/* Draining, or QUIT, or an error: closes when nothing is pending. */
void resp_close_when_idle(struct resp_connection *c);

void resp_put_failure(struct resp_connection *c, struct buffer *out, const struct failure *f);

/* An answer that is ready while writes before it may not be.  PRE: no reads are pending, and
 * it is not WAITING. */
void resp_answer_in_order(struct resp_connection *c, const struct failure *f);

/* Both return false when the request has to wait; `raw` is the whole request. */
bool resp_take_write(struct resp_connection *c, const struct request *r);
bool resp_take_read(struct resp_connection *c, const struct request *r, struct slice raw);

/* The reads gathered in this input go to the node together. */
void resp_ask_for_reads(struct resp_connection *c);

/* Answers what the client has room for; the rest follows when it has read. */
void resp_answer_reads(struct resp_connection *c);

/* ---- EVENTS (resp_events.c) ---- */

/* Returns false when the request has to wait for those before it. */
bool resp_take_events(struct resp_connection *c, const struct request *r);

/* Answers an EVENTS that waits, with what there is. */
void resp_events_end(struct resp_connection *c);

void resp_events_abandon(struct resp_connection *c);

/* The connection is gone: answers that come later go nowhere. */
void resp_abandon(struct resp_connection *c);

/* ---- Slots, pooled by the server (resp_slots.c) ---- */

struct write_slot *write_slot_new(struct server *s);
void write_slot_free(struct write_slot *w);

/* Copies the request's bytes and lists; `raw` is where its slices point into now. */
struct read_slot *read_slot_new(struct server *s, const struct request *r, struct slice raw);
void read_slot_free(struct server *s, struct read_slot *slot);

struct read_group *read_group_new(struct server *s);
void read_group_free(struct read_group *g); /* with the slots left in it */

#endif
