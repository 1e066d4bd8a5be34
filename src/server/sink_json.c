/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, append only.  Frame 0 is the outer object of every answer. */
#include "base/assert.h"
#include "server/sink.h"

/* The length of the UTF-8 character at `i`, 0 when it is none.  [RFC 3629 4] */
static size_t utf8_length(struct slice text, size_t i)
{
    const uint8_t *p = text.data + i;
    size_t left = text.size - i;
    size_t length;
    uint32_t code;

    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        length = 2;
        code = p[0] & 0x1fU;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        length = 3;
        code = p[0] & 0x0fU;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        length = 4;
        code = p[0] & 0x07U;
    } else {
        return 0;
    }
    if (left < length) {
        return 0;
    }
    for (size_t k = 1; k < length; k++) {
        if ((p[k] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[k] & 0x3fU);
    }
    if (length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) {
        return 0;
    }
    return length == 4 && (code < 0x10000 || code > 0x10ffff) ? 0 : length;
}

static bool is_utf8(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        size_t length = utf8_length(text, i);

        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

static void put_quoted(struct buffer *out, struct slice text)
{
    size_t begin = 0;

    buffer_put_u8(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte >= ' ' && byte != '"' && byte != '\\' && byte != 0x7f) {
            continue;
        }
        buffer_put(out, text.data + begin, i - begin);
        begin = i + 1;
        if (byte == '"' || byte == '\\') {
            buffer_put_u8(out, '\\');
            buffer_put_u8(out, byte);
        } else {
            buffer_printf(out, "\\u%04x", byte);
        }
    }
    buffer_put(out, text.data + begin, text.size - begin);
    buffer_put_u8(out, '"');
}

static void put_base64(struct buffer *out, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    buffer_put_u8(out, '"');
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t three = (uint32_t)bytes.data[i] << 16;

        three |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        three |= left > 2 ? bytes.data[i + 2] : 0;
        buffer_put_u8(out, (uint8_t)digits[three >> 18]);
        buffer_put_u8(out, (uint8_t)digits[three >> 12 & 63]);
        buffer_put_u8(out, (uint8_t)(left > 1 ? digits[three >> 6 & 63] : '='));
        buffer_put_u8(out, (uint8_t)(left > 2 ? digits[three & 63] : '='));
    }
    buffer_put_u8(out, '"');
}

static void put_key(struct sink *s, const char *name, const char *suffix)
{
    buffer_put_u8(s->out, '"');
    buffer_put_slice(s->out, slice_of_text(name));
    buffer_put_slice(s->out, slice_of_text(suffix));
    buffer_put(s->out, "\":", 2);
}

/* Puts what stands in front of a value: a comma and, in an object, its name. */
static void open_value(struct sink *s)
{
    struct sink_frame *frame = &s->frames[s->depth - 1];

    if (frame->count++ > 0) {
        buffer_put_u8(s->out, ',');
    }
    if (frame->shape != SINK_LIST) {
        put_key(s, s->field != NULL ? s->field : "value", "");
        s->field = NULL;
    }
}

static void json_begin(struct sink *s, enum sink_shape shape)
{
    struct sink_frame *frame = &s->frames[s->depth];

    PRE(s->depth < SINK_DEPTH_MAX);
    *frame = (struct sink_frame){ .shape = shape };
    if (s->depth == 1 && s->field == NULL && shape != SINK_LIST) {
        frame->is_merged = true;
        frame->count = s->frames[0].count;
        s->depth++;
        return;
    }
    open_value(s);
    buffer_put_u8(s->out, shape == SINK_LIST ? '[' : '{');
    s->depth++;
}

static void json_end(struct sink *s)
{
    struct sink_frame *frame;

    PRE(s->depth > 1);
    frame = &s->frames[--s->depth];
    if (frame->is_merged) {
        s->frames[0].count = frame->count;
        return;
    }
    buffer_put_u8(s->out, frame->shape == SINK_LIST ? ']' : '}');
}

static void json_field(struct sink *s, const char *name)
{
    s->field = name;
}

static void json_text(struct sink *s, struct slice text)
{
    const char *name = s->field != NULL ? s->field : "value";
    bool is_in_list = s->frames[s->depth - 1].shape == SINK_LIST;

    open_value(s);
    if (is_utf8(text)) {
        put_quoted(s->out, text);
        return;
    }
    if (is_in_list) {
        buffer_put(s->out, "{\"b64\":", 7);
        put_base64(s->out, text);
        buffer_put_u8(s->out, '}');
        return;
    }
    buffer_put(s->out, "null,", 5);
    put_key(s, name, "_b64");
    put_base64(s->out, text);
}

static void json_word(struct sink *s, const char *word)
{
    open_value(s);
    put_quoted(s->out, slice_of_text(word));
}

static void json_number(struct sink *s, uint64_t number)
{
    open_value(s);
    buffer_printf(s->out, "%llu", (unsigned long long)number);
}

static void json_negative(struct sink *s, uint64_t number)
{
    open_value(s);
    buffer_printf(s->out, "-%llu", (unsigned long long)number);
}

static void json_id(struct sink *s, uint64_t id)
{
    open_value(s);
    buffer_printf(s->out, "\"%llu\"", (unsigned long long)id);
}

static void json_boolean(struct sink *s, bool value)
{
    open_value(s);
    buffer_put_slice(s->out, slice_of_text(value ? "true" : "false"));
}

static void json_nil(struct sink *s)
{
    open_value(s);
    buffer_put(s->out, "null", 4);
}

static void json_failure(struct sink *s, const struct failure *f)
{
    enum rk_reaction reaction = rk_status_reaction(f->status);

    if (s->depth == 1) {
        s->status = f->status;
        s->field = "error";
    }
    json_begin(s, SINK_MAP);
    json_field(s, "code");
    json_word(s, failure_word(f));
    json_field(s, "message");
    json_text(s, slice_of_text(f->text));
    json_field(s, "retryable");
    json_boolean(s, reaction == RK_RETRY);
    for (unsigned i = 0; i < f->field_count; i++) {
        const struct failure_field *field = &f->fields[i];

        json_field(s, field->key);
        if (field->type == FAILURE_NUMBER) {
            json_number(s, field->number);
        } else if (field->type == FAILURE_TEXT) {
            json_text(s, field->text);
        } else if (field->oid.size == 0) {
            json_nil(s);
        } else {
            sink_oid(s, &field->oid);
        }
    }
    json_end(s);
}

static const struct sink_ops json_ops = {
    .begin = json_begin,
    .end = json_end,
    .field = json_field,
    .text = json_text,
    .word = json_word,
    .number = json_number,
    .negative = json_negative,
    .id = json_id,
    .boolean = json_boolean,
    .nil = json_nil,
    .failure = json_failure,
};

void sink_init_json(struct sink *s, struct buffer *out, const struct sink_origin *origin)
{
    s->ops = &json_ops;
    s->out = out;
    s->depth = 1;
    s->frames[0] = (struct sink_frame){ .shape = SINK_MAP };
    s->is_json = true;
    s->field = NULL;
    s->status = RK_OK;
    buffer_put_u8(out, '{');
    if (origin == NULL) {
        return;
    }
    json_field(s, "node");
    json_text(s, slice_of_text(origin->node));
    json_field(s, "term");
    json_number(s, origin->term);
    json_field(s, "applied_index");
    json_number(s, origin->applied_index);
}

void sink_finish_json(struct sink *s)
{
    PRE(s->depth == 1);
    buffer_put(s->out, "}\n", 2);
}
