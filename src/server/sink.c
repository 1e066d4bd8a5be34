/* SPDX-License-Identifier: Apache-2.0 */
#include "server/sink.h"

#include "base/assert.h"

void sink_c_text(struct sink *s, const char *text)
{
    sink_text(s, slice_of_text(text));
}

void sink_oid(struct sink *s, const struct oid *oid)
{
    char hex[OID_HEX_BYTES_MAX + 1];

    oid_format(oid, hex);
    sink_text(s, slice_of(hex, (size_t)2 * oid->size));
}

void sink_hex(struct sink *s, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char hex[64];

    PRE(size <= sizeof(hex) / 2);
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    sink_text(s, slice_of(hex, 2 * size));
}

void sink_status(struct sink *s, enum rk_status status)
{
    struct failure f;

    failure_set(&f, status, NULL);
    sink_failure(s, &f);
}

void sink_page_begin(struct sink *s, struct sink_page *ret_page)
{
    *ret_page = (struct sink_page){ BUFFER_INIT, BUFFER_INIT, s->out };
    s->out = &ret_page->bytes;
}

void sink_page_end(struct sink *s, struct sink_page *page)
{
    s->out = page->out;
    sink_field(s, "next");
    if (page->last.size > 0) {
        sink_text(s, buffer_slice(&page->last));
    } else {
        sink_nil(s);
    }
    buffer_put_slice(s->out, buffer_slice(&page->bytes));
    buffer_release(&page->bytes);
    buffer_release(&page->last);
}
