/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/result.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"
#include "refdb/varint.h"

#define CHUNK_BYTES 4096

struct result_chunk {
    struct result_chunk *next;
    size_t size, capacity;
    uint8_t bytes[];
};

/* ---- Building ---- */

void result_release(struct result_builder *b)
{
    result_clear(b, 0);
    heap_free(b->chunks);
    heap_free(b->items);
    heap_free(b->changes);
    *b = (struct result_builder){ 0 };
}

void result_clear(struct result_builder *b, raft_index index)
{
    while (b->chunks != NULL && b->chunks->next != NULL) { /* one stays for the next time */
        struct result_chunk *chunk = b->chunks;

        b->chunks = chunk->next;
        heap_free(chunk);
    }
    if (b->chunks != NULL) {
        b->chunks->size = 0;
    }
    b->count = 0;
    b->change_count = 0;
    b->result = (struct refdb_result){ .index = index };
}

struct refdb_item *result_items(struct result_builder *b, size_t count)
{
    PRE(b->count == 0);
    if (count > b->capacity) {
        b->items = heap_grow(b->items, count * sizeof *b->items);
        b->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        b->items[i] = (struct refdb_item){ .status = RK_OK };
    }
    b->count = count;
    return b->items;
}

struct slice result_text(struct result_builder *b, struct slice text)
{
    struct result_chunk *chunk = b->chunks;
    uint8_t *copy;

    if (text.size == 0) {
        return SLICE_NONE;
    }
    if (chunk == NULL || chunk->capacity - chunk->size < text.size) {
        size_t capacity = text.size > CHUNK_BYTES ? text.size : CHUNK_BYTES;

        chunk = heap_alloc(sizeof *chunk + capacity);
        chunk->next = b->chunks;
        chunk->size = 0;
        chunk->capacity = capacity;
        b->chunks = chunk;
    }
    copy = chunk->bytes + chunk->size;
    memcpy(copy, text.data, text.size);
    chunk->size += text.size;
    return slice_of(copy, text.size);
}

struct refdb_change *result_change(struct result_builder *b, enum refdb_change_kind kind,
                                   struct slice path)
{
    struct refdb_change *change;

    if (b->change_count == b->change_capacity) {
        b->change_capacity = b->change_capacity == 0 ? 16 : 2 * b->change_capacity;
        b->changes = heap_grow(b->changes, b->change_capacity * sizeof *b->changes);
    }
    change = &b->changes[b->change_count++];
    *change = (struct refdb_change){ .kind = kind, .path = path };
    return change;
}

void result_refuse_all(struct result_builder *b, enum rk_status status, struct slice detail)
{
    struct slice kept = result_text(b, detail);

    for (size_t i = 0; i < b->count; i++) {
        b->items[i] = (struct refdb_item){ .status = status, .detail = kept };
    }
}

void result_finish(struct result_builder *b, struct refdb_result *ret_result)
{
    b->result.items = b->items;
    b->result.item_count = b->count;
    b->result.changes = b->changes;
    b->result.change_count = b->change_count;
    b->result.status = RK_OK;
    for (size_t i = 0; i < b->count && b->result.status == RK_OK; i++) {
        b->result.status = b->items[i].status;
    }
    for (size_t i = 0; i < b->count && b->result.status == RK_ABORTED; i++) {
        b->result.status = b->items[i].status; /* the cause, not the consequence */
    }
    *ret_result = b->result;
}

/* ---- Keeping ---- */

enum kept_bits {
    KEPT_OUTCOME_MASK = 7, /* enum refdb_outcome */
    KEPT_CURRENT = 1 << 3,
    KEPT_INDEX = 1 << 4,
    KEPT_ACTOR = 1 << 5,
    KEPT_DETAIL = 1 << 6,
    KEPT_BITS_ALL = 127,
};

/* Codes of kept results: a format, so lines are only added at the end. */
static const enum rk_status kept_statuses[] = {
    RK_OK,     RK_CONFLICT,   RK_EXISTS,    RK_NOREF,    RK_NAMECONFLICT, RK_BADREF, RK_BADOID,
    RK_NOREPO, RK_REMOVED,    RK_RENAMED,   RK_FROZEN,   RK_FENCED,       RK_STALE,  RK_EXPIRED,
    RK_BADARG, RK_NOTREPLICA, RK_NOSTORAGE, RK_TOOLARGE, RK_ABORTED,
};
#define KEPT_STATUS_COUNT (sizeof kept_statuses / sizeof kept_statuses[0])

static uint8_t kept_code(enum rk_status status)
{
    uint8_t code = 0;

    while (code < KEPT_STATUS_COUNT && kept_statuses[code] != status) {
        code++;
    }
    POST(code < KEPT_STATUS_COUNT);
    return code;
}

static unsigned kept_bits(const struct refdb_item *item)
{
    return (unsigned)item->outcome | (item->current.size > 0 ? KEPT_CURRENT : 0U) |
           (item->current_index > 0 ? KEPT_INDEX : 0U) |
           (item->current_actor.size > 0 ? KEPT_ACTOR : 0U) |
           (item->detail.size > 0 ? KEPT_DETAIL : 0U);
}

static void put_text(struct buffer *out, struct slice text)
{
    buffer_put_varint(out, text.size);
    buffer_put_slice(out, text);
}

static void encode_details(struct buffer *out, const struct refdb_item *item, unsigned bits)
{
    if ((bits & KEPT_CURRENT) != 0) {
        buffer_put_u8(out, item->current.size);
        buffer_put(out, item->current.bytes, item->current.size);
    }
    if ((bits & KEPT_INDEX) != 0) {
        buffer_put_varint(out, item->current_index);
    }
    if ((bits & KEPT_ACTOR) != 0) {
        put_text(out, item->current_actor);
    }
    if ((bits & KEPT_DETAIL) != 0) {
        put_text(out, item->detail);
    }
}

void result_encode(struct buffer *out, const struct result_builder *b, raft_index index)
{
    size_t start = out->size, i = 0;

    buffer_put_varint(out, index);
    buffer_put_varint(out, b->count);
    while (i < b->count) {
        const struct refdb_item *item = &b->items[i];
        unsigned bits = kept_bits(item);
        size_t run = 1;

        if (out->size - start > KEPT_DETAILS_BYTES_MAX) {
            bits &= KEPT_OUTCOME_MASK;
        }
        while (bits <= KEPT_OUTCOME_MASK && i + run < b->count &&
               b->items[i + run].status == item->status && kept_bits(&b->items[i + run]) == bits) {
            run++;
        }
        buffer_put_varint(out, run);
        buffer_put_u8(out, kept_code(item->status));
        buffer_put_u8(out, (uint8_t)bits);
        encode_details(out, item, bits);
        i += run;
    }
}

static struct slice get_text(struct reader *r, size_t size_bytes_max)
{
    uint64_t size = reader_varint(r);

    if (size == 0 || size > size_bytes_max) {
        r->failed = true;
        return SLICE_NONE;
    }
    return reader_bytes(r, (size_t)size);
}

static void decode_details(struct reader *r, unsigned bits, struct refdb_item *item)
{
    if ((bits & KEPT_CURRENT) != 0) {
        uint8_t size = reader_u8(r);
        struct slice bytes = reader_bytes(r, size);

        r->failed |= size != 20 && size != 32;
        if (!r->failed) {
            item->current.size = size;
            memcpy(item->current.bytes, bytes.data, size);
        }
    }
    if ((bits & KEPT_INDEX) != 0) {
        item->current_index = reader_varint(r);
    }
    if ((bits & KEPT_ACTOR) != 0) {
        item->current_actor = get_text(r, ACTOR_BYTES_MAX);
    }
    if ((bits & KEPT_DETAIL) != 0) {
        item->detail = get_text(r, PATH_BYTES_MAX);
    }
}

/* One run into items[i ...]; returns its length, 0 when it is bad. */
static size_t decode_run(struct reader *r, struct result_builder *b, size_t i, size_t left)
{
    uint64_t run = reader_varint(r);
    uint8_t code = reader_u8(r);
    unsigned bits = reader_u8(r);
    struct refdb_item item = { .status = RK_OK };

    if (r->failed || run == 0 || run > left || code >= KEPT_STATUS_COUNT || bits > KEPT_BITS_ALL ||
        (bits & KEPT_OUTCOME_MASK) > REFDB_UNTRACKED || (run > 1 && bits > KEPT_OUTCOME_MASK)) {
        return 0;
    }
    item.status = kept_statuses[code];
    item.outcome = (enum refdb_outcome)(bits & KEPT_OUTCOME_MASK);
    decode_details(r, bits, &item);
    if (r->failed) {
        return 0;
    }
    if (b != NULL) {
        item.current_actor = result_text(b, item.current_actor);
        item.detail = result_text(b, item.detail);
        for (size_t k = 0; k < run; k++) {
            b->items[i + k] = item;
        }
    }
    return (size_t)run;
}

bool result_decode(struct slice bytes, struct result_builder *b)
{
    struct reader r = reader_of(bytes);
    raft_index index = reader_varint(&r);
    uint64_t count = reader_varint(&r);

    if (r.failed || count > BATCH_ITEMS_MAX) {
        return false;
    }
    if (b != NULL) {
        result_items(b, (size_t)count);
        b->result.is_replay = true;
        b->result.replay_index = index;
    }
    for (size_t i = 0; i < count;) {
        size_t run = decode_run(&r, b, i, (size_t)count - i);

        if (run == 0) {
            return false;
        }
        i += run;
    }
    return reader_done(&r);
}
