/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result of the entry being applied, and the form in which a session keeps it.
 *
 *   kept   varint index first answered, varint item count, then runs of equal items up to
 *          that count:
 *   run    varint length, u8 code of the status, u8 bits, and as the bits say
 *            KEPT_CURRENT  u8 size, oid       KEPT_INDEX  varint index of the last change
 *            KEPT_ACTOR    varint size, text  KEPT_DETAIL varint size, text
 *
 * Only runs of length 1 carry what the bits add.  Beyond KEPT_DETAILS_BYTES_MAX an item
 * keeps its status alone.
 */
#ifndef REFDB_RESULT_H
#define REFDB_RESULT_H

#include "refdb/refdb.h"

struct result_builder {
    struct refdb_item *items;
    size_t count, capacity;
    struct refdb_change *changes;
    size_t change_count, change_capacity;
    struct result_chunk *chunks; /* texts of the items; they do not move */
    struct refdb_result result;
};

void result_release(struct result_builder *b);

/* Forgets the last result. */
void result_clear(struct result_builder *b, raft_index index);

/* `count` items, all OK.  PRE: cleared. */
struct refdb_item *result_items(struct result_builder *b, size_t count);

/* The text, kept until result_clear(). */
struct slice result_text(struct result_builder *b, struct slice text);

/* One more change, all zeros but the kind.  Valid until the next one. */
struct refdb_change *result_change(struct result_builder *b, enum refdb_change_kind kind,
                                   struct slice path);

/* One status for all items there are. */
void result_refuse_all(struct result_builder *b, enum rk_status status, struct slice detail);

/* The answer; its status is the first refusal among the items. */
void result_finish(struct result_builder *b, struct refdb_result *ret_result);

void result_encode(struct buffer *out, const struct result_builder *b, raft_index index);

/* False when the bytes are not what result_encode() writes.  With `b` NULL it only checks.
 * PRE: `b` is cleared. */
bool result_decode(struct slice bytes, struct result_builder *b);

#endif
