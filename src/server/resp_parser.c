/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_parser.h"

#include "base/assert.h"
#include "base/heap.h"

enum line_verdict {
    LINE_MORE,
    LINE_GOOD,
    LINE_BAD,
};

void resp_parser_init(struct resp_parser *p)
{
    *p = (struct resp_parser){ .capacity = RESP_INLINE_SPANS };
}

void resp_parser_release(struct resp_parser *p)
{
    heap_free(p->spans);
    resp_parser_init(p);
}

void resp_parser_next(struct resp_parser *p)
{
    heap_free(p->spans);
    p->spans = NULL;
    p->capacity = RESP_INLINE_SPANS;
    p->position = 0;
    p->announced = 0;
    p->count = 0;
    p->left = 0;
    p->has_begun = false;
    p->is_in_element = false;
    p->is_complete = false;
    p->broken = RK_OK;
}

bool resp_parser_is_partial(const struct resp_parser *p)
{
    return p->has_begun && !p->is_complete;
}

/*
 * Reads a header line at p->position: marker, digits, CRLF.  A number too long for the line
 * is cut off at its bound, which every limit is below.
 */
static enum line_verdict read_line(struct resp_parser *p, struct slice input, char marker,
                                   uint64_t *ret_number)
{
    const uint8_t *line = input.data + p->position;
    size_t size = input.size - p->position;
    size_t i = 1;
    uint64_t number = 0;

    if (size == 0) {
        return LINE_MORE;
    }
    if (line[0] != (uint8_t)marker) {
        return LINE_BAD;
    }
    for (; i < size && line[i] >= '0' && line[i] <= '9'; i++) {
        if (i >= RESP_HEADER_BYTES_MAX - 2) {
            return LINE_BAD;
        }
        if (number < UINT32_MAX) {
            number = number * 10 + (uint64_t)(line[i] - '0');
        }
    }
    if (i == size) {
        return LINE_MORE;
    }
    if (i == 1 || line[i] != '\r') {
        return LINE_BAD;
    }
    if (i + 1 == size) {
        return LINE_MORE;
    }
    if (line[i + 1] != '\n') {
        return LINE_BAD;
    }
    p->position += i + 2;
    *ret_number = number;
    return LINE_GOOD;
}

static enum resp_verdict broken(struct resp_parser *p, enum rk_status status, const char *cause,
                                enum rk_status *ret_status, const char **ret_cause)
{
    p->broken = status;
    p->cause = cause;
    *ret_status = status;
    *ret_cause = cause;
    return RESP_BROKEN;
}

static void add_span(struct resp_parser *p, size_t offset, size_t size)
{
    struct resp_span *spans = p->spans;

    if (p->count == p->capacity) {
        p->capacity *= 2;
        spans = heap_grow(p->spans, p->capacity * sizeof(*spans));
        if (p->spans == NULL) {
            memcpy(spans, p->inline_spans, sizeof(p->inline_spans));
        }
        p->spans = spans;
    }
    if (spans == NULL) {
        spans = p->inline_spans;
    }
    spans[p->count++] = (struct resp_span){ (uint32_t)offset, (uint32_t)size };
}

static bool is_word(const uint8_t *bytes, const char *upper)
{
    for (size_t i = 0; upper[i] != '\0'; i++) {
        if ((bytes[i] & 0xdf) != (uint8_t)upper[i]) {
            return false;
        }
    }
    return true;
}

/* PING or QUIT typed by hand or sent by a probe. */
static enum resp_verdict read_inline(struct resp_parser *p, struct slice input,
                                     enum rk_status *ret_status, const char **ret_cause)
{
    static const char cause[] = "a request is an array of bulk strings";
    size_t word = 4;
    size_t known = input.size < word ? input.size : word;
    size_t end = word;

    for (size_t i = 0; i < known; i++) {
        uint8_t upper = input.data[i] & 0xdf;

        if (upper != (uint8_t) "PING"[i] && upper != (uint8_t) "QUIT"[i]) {
            return broken(p, RK_PROTOCOL, cause, ret_status, ret_cause);
        }
    }
    if (input.size > end && input.data[end] == '\r') {
        end++;
    }
    if (input.size <= end) {
        return RESP_MORE;
    }
    if (input.data[end] != '\n' || (!is_word(input.data, "PING") && !is_word(input.data, "QUIT"))) {
        return broken(p, RK_PROTOCOL, cause, ret_status, ret_cause);
    }
    add_span(p, 0, word);
    p->position = end + 1;
    p->has_begun = true;
    p->is_complete = true;
    return RESP_REQUEST;
}

/* Reads `size` bytes and CRLF of the element begun. */
static enum line_verdict read_element(struct resp_parser *p, struct slice input)
{
    const uint8_t *end;

    if (input.size - p->position < (size_t)p->left + 2) {
        return LINE_MORE;
    }
    end = input.data + p->position + p->left;
    if (end[0] != '\r' || end[1] != '\n') {
        return LINE_BAD;
    }
    add_span(p, p->position, p->left);
    p->position += (size_t)p->left + 2;
    p->is_in_element = false;
    return LINE_GOOD;
}

static enum resp_verdict read_elements(struct resp_parser *p, struct slice input,
                                       const struct resp_limits *limits, enum rk_status *ret_status,
                                       const char **ret_cause)
{
    while (p->count < p->announced) {
        enum line_verdict verdict;

        if (!p->is_in_element) {
            uint64_t size;

            verdict = read_line(p, input, '$', &size);
            if (verdict == LINE_GOOD) {
                if (size > limits->bytes_max || p->position + size + 2 > limits->bytes_max) {
                    return broken(p, RK_TOOLARGE, "the request is too long", ret_status, ret_cause);
                }
                p->left = (uint32_t)size;
                p->is_in_element = true;
                verdict = read_element(p, input);
            }
        } else {
            verdict = read_element(p, input);
        }
        if (verdict == LINE_MORE) {
            return RESP_MORE;
        }
        if (verdict == LINE_BAD) {
            return broken(p, RK_PROTOCOL, "a bulk string was expected", ret_status, ret_cause);
        }
    }
    p->is_complete = true;
    return RESP_REQUEST;
}

enum resp_verdict resp_parse(struct resp_parser *p, struct slice input,
                             const struct resp_limits *limits, enum rk_status *ret_status,
                             const char **ret_cause)
{
    PRE(input.size >= p->position);

    if (p->is_complete) {
        return RESP_REQUEST;
    }
    if (p->broken != RK_OK) {
        *ret_status = p->broken;
        *ret_cause = p->cause;
        return RESP_BROKEN;
    }
    if (input.size == 0) {
        return RESP_MORE;
    }
    if (!p->has_begun) {
        uint64_t count;
        enum line_verdict verdict;

        if (input.data[0] != '*') {
            return read_inline(p, input, ret_status, ret_cause);
        }
        verdict = read_line(p, input, '*', &count);
        if (verdict == LINE_MORE) {
            return RESP_MORE;
        }
        if (verdict == LINE_BAD) {
            return broken(p, RK_PROTOCOL, "the number of elements was expected", ret_status,
                          ret_cause);
        }
        if (count > limits->elements_max) {
            return broken(p, RK_TOOLARGE, "the request has too many elements", ret_status,
                          ret_cause);
        }
        p->announced = (uint32_t)count;
        p->has_begun = true;
    }
    return read_elements(p, input, limits, ret_status, ret_cause);
}
