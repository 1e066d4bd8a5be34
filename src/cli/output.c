/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <refkeeper/client.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/heap.h"

#define ROWS_ALIGNED_MAX 1000 /* rows looked at for the widths; later ones use the same */

struct output {
    enum output_format format;
    enum output_shape shape;
    const char *const *columns;
    size_t column_count;
    size_t at;    /* next cell of the row */
    json_t *row;  /* JSON: the row being built */
    json_t *rows; /* OUTPUT_JSON with OUTPUT_ROWS: all of them */
    char **cells; /* others: cells of the rows not yet printed, row by row */
    size_t cell_count, cell_capacity;
    size_t *widths;  /* of columns; 0 = nothing printed yet */
    bool has_widths; /* fixed by what was printed */
    size_t row_count;
};

static bool is_json(const struct output *o)
{
    return o->format == OUTPUT_JSON || o->format == OUTPUT_JSONL;
}

struct output *output_open(enum output_format format, enum output_shape shape,
                           const char *const *columns, size_t column_count)
{
    struct output *o = heap_new(struct output);

    PRE(column_count > 0);
    o->format = format;
    o->shape = shape;
    o->columns = columns;
    o->column_count = column_count;
    o->widths = heap_zalloc(column_count * sizeof *o->widths);
    if (format == OUTPUT_JSON && shape == OUTPUT_ROWS) {
        o->rows = json_array();
    }
    return o;
}

/* ---- Cells ---- */

static void put_json(struct output *o, const char *suffix, json_t *value)
{
    char name[128];

    snprintf(name, sizeof name, "%s%s", o->columns[o->at], suffix);
    if (o->row == NULL) {
        o->row = json_object();
    }
    (void)json_object_set_new(o->row, name, value);
}

static void put_cell(struct output *o, char *text)
{
    INVARIANT(o->at < o->column_count);
    if (o->cell_count == o->cell_capacity) {
        o->cell_capacity = o->cell_capacity == 0 ? 64 : 2 * o->cell_capacity;
        o->cells = heap_grow(o->cells, o->cell_capacity * sizeof *o->cells);
    }
    o->cells[o->cell_count++] = text;
    o->at++;
}

static char *base64(const char *text, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = heap_alloc((size + 2) / 3 * 4 + 1);
    size_t n = 0;

    for (size_t i = 0; i < size; i += 3) {
        uint32_t v = (uint32_t)(uint8_t)text[i] << 16;

        v |= i + 1 < size ? (uint32_t)(uint8_t)text[i + 1] << 8 : 0;
        v |= i + 2 < size ? (uint32_t)(uint8_t)text[i + 2] : 0;
        out[n++] = digits[v >> 18];
        out[n++] = digits[v >> 12 & 63];
        out[n++] = i + 1 < size ? digits[v >> 6 & 63] : '=';
        out[n++] = i + 2 < size ? digits[v & 63] : '=';
    }
    out[n] = '\0';
    return out;
}

static void put_json_text(struct output *o, const char *text)
{
    json_t *value = json_string(text);

    if (value == NULL) {
        char *encoded = base64(text, strlen(text));

        put_json(o, "", json_null());
        put_json(o, "_b64", json_string(encoded));
        heap_free(encoded);
    } else {
        put_json(o, "", value);
    }
    o->at++;
}

void output_text(struct output *o, const char *text)
{
    if (!is_json(o)) {
        const char *shown = text == NULL ? (o->format == OUTPUT_VALUE ? "" : "-") : text;

        put_cell(o, heap_copy_text(shown, strlen(shown)));
    } else if (text == NULL) {
        put_json(o, "", json_null());
        o->at++;
    } else {
        put_json_text(o, text);
    }
}

void output_number(struct output *o, uint64_t value)
{
    char text[24];

    if (is_json(o)) {
        put_json(o, "", json_integer((json_int_t)value));
        o->at++;
        return;
    }
    snprintf(text, sizeof text, "%" PRIu64, value);
    output_text(o, text);
}

void output_real(struct output *o, double value)
{
    char text[48];

    if (is_json(o)) {
        put_json(o, "", json_real(value));
        o->at++;
        return;
    }
    snprintf(text, sizeof text, "%.2f", value);
    output_text(o, text);
}

void output_bool(struct output *o, int value)
{
    if (is_json(o)) {
        put_json(o, "", json_boolean(value));
        o->at++;
        return;
    }
    output_text(o, value ? "yes" : "no");
}

static json_t *json_of(const struct rk_reply *reply)
{
    json_t *value;

    switch (reply->type) {
    case RK_REPLY_INTEGER:
        return json_integer(reply->integer);
    case RK_REPLY_TEXT:
    case RK_REPLY_ERROR:
        value = json_string(reply->text);
        return value == NULL ? json_null() : value;
    case RK_REPLY_ARRAY:
        value = json_array();
        for (size_t i = 0; i < reply->count; i++) {
            (void)json_array_append_new(value, json_of(reply->items[i]));
        }
        return value;
    case RK_REPLY_NIL:
        break;
    }
    return json_null();
}

/* `nil` stands for what is not known. */
static void append_words(struct buffer *out, const struct rk_reply *reply, const char *nil)
{
    switch (reply->type) {
    case RK_REPLY_INTEGER:
        buffer_printf(out, "%" PRId64, reply->integer);
        break;
    case RK_REPLY_TEXT:
    case RK_REPLY_ERROR:
        buffer_put(out, reply->text, reply->size);
        break;
    case RK_REPLY_ARRAY:
        for (size_t i = 0; i < reply->count; i++) {
            buffer_put(out, ",", i > 0 ? 1 : 0);
            append_words(out, reply->items[i], nil);
        }
        break;
    case RK_REPLY_NIL:
        buffer_put(out, nil, strlen(nil));
        break;
    }
}

void output_reply(struct output *o, const struct rk_reply *reply)
{
    struct buffer words = BUFFER_INIT;

    if (reply == NULL || reply->type == RK_REPLY_NIL) {
        output_text(o, NULL);
    } else if (is_json(o) && reply->type != RK_REPLY_TEXT) {
        put_json(o, "", json_of(reply));
        o->at++;
    } else {
        append_words(&words, reply, o->format == OUTPUT_VALUE ? "" : "-");
        buffer_put_u8(&words, '\0');
        output_text(o, words.size > 1 || is_json(o) ? (const char *)words.data : NULL);
        buffer_release(&words);
    }
}

/* ---- Printing ---- */

/* Columns on a terminal: bytes that do not continue a UTF-8 sequence. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((uint8_t)*text & 0xc0) != 0x80;
    }
    return width;
}

static void print_line(const struct output *o, const char *const *cells)
{
    for (size_t c = 0; c < o->column_count; c++) {
        bool is_last = c + 1 == o->column_count;
        size_t width = width_of(cells[c]);

        fputs(cells[c], stdout);
        if (o->format == OUTPUT_VALUE) {
            fputs(is_last ? "" : "\t", stdout);
        } else if (!is_last) {
            printf("%*s", (int)(o->widths[c] > width ? o->widths[c] - width + 2 : 2), "");
        }
    }
    putchar('\n');
}

static void print_heading(const struct output *o)
{
    char **names = heap_alloc(o->column_count * sizeof *names);
    size_t count = o->column_count;

    for (size_t c = 0; c < count; c++) {
        names[c] = heap_copy_text(o->columns[c], strlen(o->columns[c]));
        for (char *p = names[c]; *p != '\0'; p++) {
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p == '_' ? ' ' : *p;
        }
    }
    print_line(o, (const char *const *)names);
    for (size_t c = 0; c < count; c++) {
        heap_free(names[c]);
    }
    heap_free(names);
}

static void print_record(const struct output *o)
{
    size_t width = 0;

    for (size_t c = 0; c < o->column_count; c++) {
        size_t w = width_of(o->columns[c]);

        width = w > width ? w : width;
    }
    for (size_t c = 0; c < o->cell_count; c++) {
        if (o->format == OUTPUT_VALUE) {
            printf("%s\n", o->cells[c]);
        } else {
            printf("%-*s  %s\n", (int)width, o->columns[c], o->cells[c]);
        }
    }
}

static void flush_rows(struct output *o)
{
    if (!o->has_widths && o->format == OUTPUT_TABLE && o->shape == OUTPUT_ROWS) {
        for (size_t c = 0; c < o->column_count; c++) {
            o->widths[c] = width_of(o->columns[c]);
        }
        for (size_t i = 0; i < o->cell_count; i++) {
            size_t width = width_of(o->cells[i]);
            size_t *known = &o->widths[i % o->column_count];

            *known = width > *known ? width : *known;
        }
        o->has_widths = true;
        print_heading(o);
    }
    if (o->shape == OUTPUT_RECORD) {
        print_record(o);
    } else {
        for (size_t i = 0; i + o->column_count <= o->cell_count; i += o->column_count) {
            print_line(o, (const char *const *)o->cells + i);
        }
    }
    for (size_t i = 0; i < o->cell_count; i++) {
        heap_free(o->cells[i]);
    }
    o->cell_count = 0;
}

void output_end_row(struct output *o)
{
    INVARIANT(o->at == o->column_count);
    o->at = 0;
    o->row_count++;
    if (o->rows != NULL) {
        (void)json_array_append_new(o->rows, o->row);
    } else if (is_json(o)) {
        (void)json_dumpf(o->row, stdout, o->format == OUTPUT_JSON ? JSON_INDENT(2) : JSON_COMPACT);
        putchar('\n');
        json_decref(o->row);
    } else if (o->cell_count >= ROWS_ALIGNED_MAX * o->column_count || o->has_widths) {
        flush_rows(o);
    }
    o->row = NULL;
}

int output_flush(struct output *o)
{
    if (!is_json(o) && o->row_count > 0) {
        flush_rows(o);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}

int output_close(struct output *o)
{
    if (o->rows != NULL) {
        (void)json_dumpf(o->rows, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o->rows);
    } else if (!is_json(o)) {
        flush_rows(o);
    }
    heap_free(o->cells);
    heap_free(o->widths);
    heap_free(o);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}

int output_close_failed(struct output *o)
{
    if (o->row_count > 0) {
        return output_close(o);
    }
    if (o->rows != NULL) {
        json_decref(o->rows);
    }
    heap_free(o->cells);
    heap_free(o->widths);
    heap_free(o);
    return 0;
}

/* ---- Maps ---- */

static const char **keys_of(const struct rk_reply *map, size_t *ret_count)
{
    const char **keys = heap_alloc((map->count / 2 + 1) * sizeof *keys);
    size_t count = 0;

    for (size_t i = 0; i + 1 < map->count; i += 2) {
        keys[count++] = map->items[i]->type == RK_REPLY_TEXT ? map->items[i]->text : "?";
    }
    *ret_count = count;
    return keys;
}

int output_map(enum output_format format, const struct rk_reply *map)
{
    size_t count = 0;
    const char **keys = keys_of(map, &count);
    struct output *o;
    int rc = 0;

    if (count > 0) {
        o = output_open(format, OUTPUT_RECORD, keys, count);
        for (size_t i = 0; i < count; i++) {
            output_reply(o, map->items[2 * i + 1]);
        }
        output_end_row(o);
        rc = output_close(o);
    }
    heap_free(keys);
    return rc;
}

int output_maps(enum output_format format, const struct rk_reply *maps, const char *const *columns,
                size_t column_count)
{
    const char **keys = NULL;
    struct output *o;
    int rc;

    if (columns == NULL && maps->count > 0) {
        keys = keys_of(maps->items[0], &column_count);
        columns = keys;
    }
    if (column_count == 0) {
        if (format == OUTPUT_JSON) {
            puts("[]");
        }
        heap_free(keys);
        return 0;
    }
    o = output_open(format, OUTPUT_ROWS, columns, column_count);
    for (size_t i = 0; i < maps->count; i++) {
        for (size_t c = 0; c < column_count; c++) {
            output_reply(o, rk_reply_get(maps->items[i], columns[c]));
        }
        output_end_row(o);
    }
    rc = output_close(o);
    heap_free(keys);
    return rc;
}
