/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of RESP: arrays of bulk strings.  [DESIGN 6]
 *
 *   request   "*" count CRLF, count times ("$" size CRLF, size bytes, CRLF)
 *   count     0..elements_max, size 0..; decimal digits only
 *   inline    "PING" or "QUIT" in any case, LF or CRLF; no other text
 *
 * The parser sees the same unconsumed bytes again and again, each time with more behind
 * them; it remembers how far it came, keeps offsets and copies nothing.  Limits are checked
 * when a size is announced, memory is taken only for elements that have begun to arrive.
 *
 * Pure: no OS, no connection.
 */
#ifndef SERVER_RESP_PARSER_H
#define SERVER_RESP_PARSER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"

#define RESP_INLINE_SPANS 16

struct resp_limits {
    uint32_t elements_max;
    size_t bytes_max; /* of a whole request, headers included */
};

struct resp_span {
    uint32_t offset; /* from the start of the request */
    uint32_t size;
};

/* 0 <= count <= announced; `position` only grows within one request. */
struct resp_parser {
    size_t position;    /* first byte not understood yet */
    uint32_t announced; /* elements of this request */
    uint32_t count;     /* elements complete */
    uint32_t left;      /* bytes of the element begun, its CRLF not counted */
    bool has_begun;     /* the first line is understood */
    bool is_in_element; /* `left` holds */
    bool is_complete;
    enum rk_status broken; /* OK, or what the verdict was and stays */
    const char *cause;
    uint32_t capacity;
    struct resp_span *spans; /* NULL while inline_spans suffice */
    struct resp_span inline_spans[RESP_INLINE_SPANS];
};

enum resp_verdict {
    RESP_MORE,    /* the request goes on behind the input */
    RESP_REQUEST, /* complete: resp_request_bytes() long */
    RESP_BROKEN,  /* not our protocol, or over a limit: answer and close */
};

void resp_parser_init(struct resp_parser *p);
void resp_parser_release(struct resp_parser *p);

/*
 * Goes on with the request at the start of `input`.  After RESP_REQUEST it says the same
 * again until resp_parser_next().  On RESP_BROKEN *ret_status is PROTOCOL or TOOLARGE and
 * *ret_cause a text for the client.
 */
enum resp_verdict resp_parse(struct resp_parser *p, struct slice input,
                             const struct resp_limits *limits, enum rk_status *ret_status,
                             const char **ret_cause);

/* Makes ready for the next request. */
void resp_parser_next(struct resp_parser *p);

/* True inside a request: some of it came, not all. */
bool resp_parser_is_partial(const struct resp_parser *p);

/* ---- Of a complete request ---- */

static inline size_t resp_request_bytes(const struct resp_parser *p)
{
    return p->position;
}

static inline uint32_t resp_request_count(const struct resp_parser *p)
{
    return p->count;
}

static inline struct slice resp_request_element(const struct resp_parser *p, struct slice input,
                                                uint32_t i)
{
    const struct resp_span *span = &(p->spans != NULL ? p->spans : p->inline_spans)[i];

    return slice_of(input.data + span->offset, span->size);
}

#endif
