/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of HTTP/1.x requests, read strictly.  [RFC 9112 2-6]
 *
 * Refused, because two readers could understand them differently: bare LF, continuation
 * lines, a space before a colon, control bytes, two Content-Length or Host, a length that
 * is not plain digits, any Transfer-Encoding, an absolute or empty target.
 *
 * Pure: no OS, no connection.
 */
#ifndef SERVER_HTTP_PARSER_H
#define SERVER_HTTP_PARSER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/limits.h"

struct http_head {
    struct slice method;
    struct slice path;  /* raw, starts with a slash */
    struct slice query; /* raw, without the question mark */
    bool has_query;
    bool is_old; /* HTTP/1.0 */
    bool closes; /* the client wants the connection closed */
    bool expects_continue;
    bool has_length;
    uint64_t length; /* of the body */
    struct slice host;
    struct slice authorization;
    struct slice content_type;
    struct slice idempotency_key;
    struct slice original_uri;
    struct slice original_method;
    size_t bytes; /* of the head itself */
};

enum http_verdict {
    HTTP_MORE,
    HTTP_GOOD,
    HTTP_BAD, /* *ret_code is the answer's status */
};

/*
 * Reads the head at the start of `input`; *scanned, 0 for a new head, remembers how far
 * its end was looked for.  Slices are borrowed from `input`.
 */
enum http_verdict http_parse(struct slice input, size_t *scanned, struct http_head *ret_head,
                             int *ret_code);

/*
 * Decodes %XX into `out`, which has room for `text.size` bytes; "+" stays what it is.
 * False for a broken escape or a NUL.
 */
bool http_decode(struct slice text, uint8_t *out, size_t *ret_size);

/*
 * Decodes base64, with or without padding, into `out`, which has room for `text.size` bytes.
 * False when it is none.  [RFC 4648 4]
 */
bool http_decode_base64(struct slice text, uint8_t *out, size_t *ret_size);

/*
 * The repository path and the kind of access of a git client's request [gitprotocol-http].
 * False when the raw path is not the only way to write it.
 */
bool http_parse_git_uri(struct slice uri, uint8_t *out, struct slice *ret_path, bool *ret_is_write);

#endif
