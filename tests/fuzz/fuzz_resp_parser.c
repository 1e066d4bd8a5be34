/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of RESP in any pieces.  Byte 0 chooses the size of the pieces; the same input in
 * one piece must end in the same place with the same elements.
 */
#include "base/assert.h"
#include "base/heap.h"
#include "server/request.h"
#include "server/resp_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct resp_limits limits = { 1000, 64 * KIB };

struct outcome {
    size_t used;
    unsigned requests;
    uint64_t elements;
    enum rk_status status;
};

static void take(const struct resp_parser *p, struct slice input, struct outcome *o)
{
    static struct slice words[1000];
    static struct request_scratch scratch;
    const struct request_type *type;
    struct request r;
    struct failure why;
    uint32_t count = resp_request_count(p);

    o->requests++;
    for (uint32_t i = 0; i < count; i++) {
        words[i] = resp_request_element(p, input, i);
        INVARIANT(words[i].data >= input.data);
        INVARIANT(words[i].data + words[i].size <= input.data + input.size);
        o->elements = o->elements * 31 + words[i].size;
    }
    type = count == 0 ? NULL : request_type_find(words[0]);
    if (type != NULL) {
        (void)!request_parse_words(type, words, count, &scratch, &r, &why);
    }
}

static struct outcome run(const uint8_t *data, size_t size, size_t piece)
{
    struct outcome o = { 0 };
    struct resp_parser p;
    size_t shown = 0;

    resp_parser_init(&p);
    while (shown < size && o.status == RK_OK) {
        uint8_t *exact;
        struct slice input;
        const char *cause = NULL;
        enum resp_verdict verdict;

        shown = size - shown < piece ? size : shown + piece;
        exact = heap_copy(data + o.used, shown - o.used);
        input = slice_of(exact, shown - o.used);
        while ((verdict = resp_parse(&p, input, &limits, &o.status, &cause)) == RESP_REQUEST) {
            take(&p, input, &o);
            o.used += resp_request_bytes(&p);
            input = slice_of(input.data + resp_request_bytes(&p),
                             input.size - resp_request_bytes(&p));
            resp_parser_next(&p);
        }
        heap_free(exact);
        INVARIANT(verdict != RESP_BROKEN || cause != NULL);
    }
    resp_parser_release(&p);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;

    if (size < 2 || size > 16 * KIB) {
        return 0;
    }
    whole = run(data + 1, size - 1, size);
    pieces = run(data + 1, size - 1, 1 + (size_t)data[0]);
    INVARIANT(whole.used == pieces.used && whole.requests == pieces.requests);
    INVARIANT(whole.elements == pieces.elements && whole.status == pieces.status);
    return 0;
}
