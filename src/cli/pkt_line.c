/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pkt_line.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH_DIGITS 4

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The number in four hex digits, or -1. */
static int parse_length(const char text[LENGTH_DIGITS])
{
    int length = 0;

    for (int i = 0; i < LENGTH_DIGITS; i++) {
        int value = digit(text[i]);

        if (value < 0) {
            return -1;
        }
        length = length * 16 + value;
    }
    return length;
}

enum rk_status pkt_read(FILE *input, struct buffer *payload, bool *ret_is_flush, struct errmsg *why)
{
    char head[LENGTH_DIGITS];
    char part[PKT_PAYLOAD_BYTES_MAX + LENGTH_DIGITS];
    int length;
    size_t size;

    if (fread(head, 1, sizeof head, input) != sizeof head) {
        errmsg_set(why, "git closed the conversation");
        return RK_CLOSED;
    }
    length = parse_length(head);
    if (length == 0) {
        *ret_is_flush = true;
        return RK_OK;
    }
    if (length < LENGTH_DIGITS || length - LENGTH_DIGITS > PKT_PAYLOAD_BYTES_MAX) {
        errmsg_set(why, "bad packet length %.4s", head);
        return RK_PROTOCOL;
    }
    size = (size_t)length - LENGTH_DIGITS;
    if (fread(part, 1, size, input) != size) {
        errmsg_set(why, "git closed the conversation inside a packet");
        return RK_CLOSED;
    }
    if (size > 0 && part[size - 1] == '\n') {
        size--;
    }
    buffer_clear(payload);
    buffer_put(payload, part, size);
    buffer_put_u8(payload, '\0');
    payload->size--;
    *ret_is_flush = false;
    return RK_OK;
}

void pkt_put(struct buffer *out, struct slice payload)
{
    size_t size = payload.size > PKT_PAYLOAD_BYTES_MAX ? PKT_PAYLOAD_BYTES_MAX : payload.size;

    buffer_printf(out, "%04x", (unsigned)(size + LENGTH_DIGITS));
    buffer_put(out, payload.data, size);
}

void pkt_put_flush(struct buffer *out)
{
    buffer_put(out, "0000", LENGTH_DIGITS);
}
