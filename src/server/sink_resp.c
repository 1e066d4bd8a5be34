/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP2.  The header of an array is put in front of its elements when it ends, because
 * only then is their number known.
 */
#include "base/assert.h"
#include "server/sink.h"

/* Writes marker, decimal digits, CR, LF; returns how many bytes. */
static size_t format_header(char *text, char marker, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    size_t size = 0;

    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    text[size++] = marker;
    while (count > 0) {
        text[size++] = digits[--count];
    }
    text[size++] = '\r';
    text[size++] = '\n';
    return size;
}

static void put_header(struct buffer *out, char marker, uint64_t value)
{
    char text[24];

    buffer_put(out, text, format_header(text, marker, value));
}

static void count_element(struct sink *s)
{
    if (s->depth > 0) {
        s->frames[s->depth - 1].count++;
    }
}

static void resp_begin(struct sink *s, enum sink_shape shape)
{
    PRE(s->depth < SINK_DEPTH_MAX);
    if (shape != SINK_ROW) {
        count_element(s);
    }
    s->frames[s->depth++] =
        (struct sink_frame){ .shape = shape, .count = 0, .begin = s->out->size };
}

static void resp_end(struct sink *s)
{
    struct sink_frame *frame;
    char text[24];
    size_t size;
    size_t body;

    PRE(s->depth > 0);
    frame = &s->frames[--s->depth];
    if (frame->shape == SINK_ROW) {
        PRE(s->depth > 0);
        s->frames[s->depth - 1].count += frame->count;
        return;
    }
    size = format_header(text, '*', frame->count);
    body = s->out->size - frame->begin;
    buffer_put(s->out, text, size);
    memmove(s->out->data + frame->begin + size, s->out->data + frame->begin, body);
    memcpy(s->out->data + frame->begin, text, size);
}

static void resp_text(struct sink *s, struct slice text)
{
    count_element(s);
    put_header(s->out, '$', text.size);
    buffer_put_slice(s->out, text);
    buffer_put(s->out, "\r\n", 2);
}

static void resp_field(struct sink *s, const char *name)
{
    if (s->depth > 0 && s->frames[s->depth - 1].shape == SINK_MAP) {
        resp_text(s, slice_of_text(name));
    }
}

static void resp_word(struct sink *s, const char *word)
{
    count_element(s);
    buffer_put_u8(s->out, '+');
    buffer_put_slice(s->out, slice_of_text(word));
    buffer_put(s->out, "\r\n", 2);
}

static void resp_number(struct sink *s, uint64_t number)
{
    count_element(s);
    put_header(s->out, ':', number);
}

static void resp_negative(struct sink *s, uint64_t number)
{
    count_element(s);
    buffer_printf(s->out, ":-%llu\r\n", (unsigned long long)number);
}

static void resp_boolean(struct sink *s, bool value)
{
    resp_number(s, value ? 1 : 0);
}

static void resp_nil(struct sink *s)
{
    count_element(s);
    buffer_put(s->out, "$-1\r\n", 5);
}

static void put_escaped(struct buffer *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte > ' ' && byte < 0x7f && byte != '%') {
            buffer_put_u8(out, byte);
        } else {
            char escaped[3] = { '%', digits[byte >> 4], digits[byte & 15] };

            buffer_put(out, escaped, sizeof(escaped));
        }
    }
}

static void put_failure_field(struct buffer *out, const struct failure_field *field)
{
    char hex[OID_HEX_BYTES_MAX + 1];

    buffer_put_u8(out, ' ');
    buffer_put_slice(out, slice_of_text(field->key));
    buffer_put_u8(out, '=');
    switch (field->type) {
    case FAILURE_NUMBER:
        buffer_printf(out, "%llu", (unsigned long long)field->number);
        break;
    case FAILURE_TEXT:
        put_escaped(out, field->text);
        break;
    case FAILURE_OID:
        if (field->oid.size == 0) {
            buffer_put(out, "ABSENT", 6);
        } else {
            oid_format(&field->oid, hex);
            buffer_put_slice(out, slice_of_text(hex));
        }
        break;
    }
}

static void resp_failure(struct sink *s, const struct failure *f)
{
    if (s->depth == 0) {
        s->status = f->status;
    }
    count_element(s);
    buffer_put_u8(s->out, '-');
    buffer_put_slice(s->out, slice_of_text(failure_word(f)));
    for (unsigned i = 0; i < f->field_count; i++) {
        put_failure_field(s->out, &f->fields[i]);
    }
    if (f->text[0] != '\0') {
        buffer_put_u8(s->out, ' ');
        buffer_put_slice(s->out, slice_of_text(f->text));
    }
    buffer_put(s->out, "\r\n", 2);
}

static const struct sink_ops resp_ops = {
    .begin = resp_begin,
    .end = resp_end,
    .field = resp_field,
    .text = resp_text,
    .word = resp_word,
    .number = resp_number,
    .negative = resp_negative,
    .id = resp_number,
    .boolean = resp_boolean,
    .nil = resp_nil,
    .failure = resp_failure,
};

void sink_init_resp(struct sink *s, struct buffer *out)
{
    s->ops = &resp_ops;
    s->out = out;
    s->depth = 0;
    s->is_json = false;
    s->field = NULL;
    s->status = RK_OK;
}
