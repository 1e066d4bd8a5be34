/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for people and programs: an aligned table, a JSON array, JSON lines, or bare values.
 *
 *   struct output *o = output_open(cli->format, OUTPUT_ROWS, columns, 2);
 *   output_text(o, oid); output_text(o, ref); output_end_row(o);
 *   output_close(o);
 *
 * Text that is not UTF-8 is null in JSON, with its base64 beside it under <column>_b64.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include <refkeeper/types.h>

enum output_format {
    OUTPUT_TABLE,
    OUTPUT_JSON,
    OUTPUT_JSONL,
    OUTPUT_VALUE, /* cells separated by tabs, no headings */
};

enum output_shape {
    OUTPUT_ROWS,
    OUTPUT_RECORD, /* one row: "name  value" lines, or one JSON object */
};

struct output;

/* Columns are borrowed until output_close(). */
struct output *output_open(enum output_format format, enum output_shape shape,
                           const char *const *columns, size_t column_count);
void output_text(struct output *o, const char *text); /* NULL = null */
void output_number(struct output *o, uint64_t value);
void output_real(struct output *o, double value); /* two decimals in tables */
void output_bool(struct output *o, int value);
/* A cell from a reply: arrays become JSON arrays, or words separated by commas. */
void output_reply(struct output *o, const struct rk_reply *reply);
void output_end_row(struct output *o);
/* Prints the rows so far, for a table that goes on; -1 when stdout took no more. */
int output_flush(struct output *o);
/* Prints what is left; returns 0, or -1 when stdout took no more. */
int output_close(struct output *o);
/* As output_close(), when it failed: of nothing, nothing is printed. */
int output_close_failed(struct output *o);

/* A flat map as a record.  Returns as output_close(). */
int output_map(enum output_format format, const struct rk_reply *map);

/*
 * Flat maps as rows, all keys of the first one as columns (or `columns` when given).
 */
int output_maps(enum output_format format, const struct rk_reply *maps, const char *const *columns,
                size_t column_count);

#endif
