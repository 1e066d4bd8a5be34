/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where handlers put their answers: one interface, two writers, RESP2 and JSON.
 *
 * Elements are counted by the sink, so no handler can announce a number it does not keep.
 *
 *   shape     RESP2                                JSON
 *   MAP       flat array: name, value, ...         object
 *   RECORD    array of the values                  object
 *   LIST      array                                array
 *   ROW       nothing: its values join the list    object (an element of a LIST)
 *
 * sink_field() names the next value: of MAP, RECORD and ROW each value has a name, in a LIST
 * none.  An answer is one value; a scalar or a LIST that is the whole answer is named too,
 * which RESP ignores.
 *
 * Text that is not UTF-8 becomes, in JSON, `"name":null,"name_b64":"..."`; in a LIST
 * `{"b64":"..."}`.
 */
#ifndef SERVER_SINK_H
#define SERVER_SINK_H

#include "base/bytes.h"
#include "model/oid.h"
#include "server/failure.h"

#define SINK_DEPTH_MAX 6

enum sink_shape {
    SINK_MAP,
    SINK_RECORD,
    SINK_LIST,
    SINK_ROW,
};

struct sink_frame {
    enum sink_shape shape;
    bool is_merged; /* JSON: the whole answer, whose fields join the outer object */
    uint32_t count; /* elements so far */
    size_t begin;   /* where its bytes begin in `out` */
};

struct sink {
    const struct sink_ops *ops;
    struct buffer *out; /* borrowed */
    unsigned depth;
    struct sink_frame frames[SINK_DEPTH_MAX];
    bool is_json;
    const char *field;     /* JSON: the name of the next value */
    enum rk_status status; /* of a failure that is the whole answer; OK = none */
};

struct sink_ops {
    void (*begin)(struct sink *s, enum sink_shape shape);
    void (*end)(struct sink *s);
    void (*field)(struct sink *s, const char *name);
    void (*text)(struct sink *s, struct slice text);
    void (*word)(struct sink *s, const char *word);
    void (*number)(struct sink *s, uint64_t number);
    void (*negative)(struct sink *s, uint64_t number); /* its absolute value is given */
    void (*id)(struct sink *s, uint64_t id);
    void (*boolean)(struct sink *s, bool value);
    void (*nil)(struct sink *s);
    void (*failure)(struct sink *s, const struct failure *f);
};

void sink_init_resp(struct sink *s, struct buffer *out);

/* What every JSON answer says of the node that gave it. */
struct sink_origin {
    const char *node;
    uint64_t term;
    uint64_t applied_index;
};

/* Opens the outer object, with the origin in it (NULL: a line of a stream, which has none);
 * sink_finish_json() closes it and ends the line. */
void sink_init_json(struct sink *s, struct buffer *out, const struct sink_origin *origin);
void sink_finish_json(struct sink *s);

static inline void sink_begin(struct sink *s, enum sink_shape shape)
{
    s->ops->begin(s, shape);
}

static inline void sink_end(struct sink *s)
{
    s->ops->end(s);
}

/* `name` is a constant of ours: lower case, no escaping needed. */
static inline void sink_field(struct sink *s, const char *name)
{
    s->ops->field(s, name);
}

/* Any bytes. */
static inline void sink_text(struct sink *s, struct slice text)
{
    s->ops->text(s, text);
}

/* A constant of ours: no line end, no quote. */
static inline void sink_word(struct sink *s, const char *word)
{
    s->ops->word(s, word);
}

static inline void sink_number(struct sink *s, uint64_t number)
{
    s->ops->number(s, number);
}

/* -number. */
static inline void sink_negative(struct sink *s, uint64_t number)
{
    s->ops->negative(s, number);
}

/* A number that is only compared: a string in JSON, whose readers keep 53 bits. */
static inline void sink_id(struct sink *s, uint64_t id)
{
    s->ops->id(s, id);
}

static inline void sink_bool(struct sink *s, bool value)
{
    s->ops->boolean(s, value);
}

static inline void sink_nil(struct sink *s)
{
    s->ops->nil(s);
}

static inline void sink_failure(struct sink *s, const struct failure *f)
{
    s->ops->failure(s, f);
}

/* Shorthands over the above. */
void sink_c_text(struct sink *s, const char *text);
void sink_oid(struct sink *s, const struct oid *oid);
void sink_hex(struct sink *s, const uint8_t *bytes, size_t size); /* at most 32 bytes */
void sink_status(struct sink *s, enum rk_status status);          /* a failure without fields */

/*
 * A page of a list that goes on.  `next`, AFTER of the page behind it or nil, stands in front of it
 * but is known only when it is written.
 */
struct sink_page {
    struct buffer last;  /* filled in by whoever writes the page; empty = nothing is behind it */
    struct buffer bytes; /* of the page; what follows is for sink_page_begin and _end */
    struct buffer *out;
};

/* What is put until sink_page_end is the page. */
void sink_page_begin(struct sink *s, struct sink_page *ret_page);
/* Puts `next` and the page, and releases it. */
void sink_page_end(struct sink *s, struct sink_page *page);

#endif
