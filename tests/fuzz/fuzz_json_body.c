/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of HTTP writes.  Byte 0 chooses the request, and whether there is an Idempotency-Key.
 * What is accepted must be fit to be proposed; what is refused must say why, with the status and
 * pointer that the answer needs, and lie in the body's own memory.
 */
#include "base/assert.h"
#include "base/heap.h"
#include "server/json_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const requests[] = { "REF.TXN", "REPO.CREATE", "PRIMARY.SET" };

/* Everything a request borrows is read: a slice into freed memory is found. */
__attribute__((noinline)) static uint64_t touch(const struct request *r)
{
    uint64_t sum = r->path.size + r->storage.size + r->head.size;

    for (size_t i = 0; i < r->path.size; i++) {
        sum = sum * 31 + r->path.data[i];
    }
    for (uint32_t i = 0; i < r->item_count; i++) {
        for (size_t k = 0; k < r->items[i].size; k++) {
            sum = sum * 31 + r->items[i].data[k];
        }
    }
    for (uint32_t i = 0; i < r->update_count; i++) {
        INVARIANT(r->updates[i].refname.size > 0);
        for (size_t k = 0; k < r->updates[i].refname.size; k++) {
            sum = sum * 31 + r->updates[i].refname.data[k];
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct request_scratch scratch;
    const struct request_type *type;
    struct json_body body;
    struct request r;
    struct failure why = { 0 };
    struct slice key = SLICE_NONE;
    uint8_t *exact;

    if (size < 1 || size > 64 * KIB) {
        return 0;
    }
    type = request_type_find(slice_of_text(requests[data[0] % 3]));
    if ((data[0] & 4) != 0) {
        key = slice_of_text("7:1:1");
    }
    exact = heap_copy(data + 1, size - 1); /* a byte past the end is found */
    if (json_body_parse(&body, type, slice_of(exact, size - 1), key, &scratch, &r, &why) == RK_OK) {
        struct buffer out = BUFFER_INIT;

        INVARIANT(r.item_count <= BATCH_ITEMS_MAX && r.update_count <= BATCH_ITEMS_MAX);
        (void)touch(&r);
        if (r.type->encode != NULL) {
            r.type->encode(&r, &out);
            INVARIANT(out.size > 0);
        }
        buffer_release(&out);
    } else {
        INVARIANT(why.status != RK_OK && why.text[0] != '\0');
    }
    json_body_release(&body);
    heap_free(exact);
    return 0;
}
