/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units lie one behind the other in segments; whole segments are dropped.
 *
 *   unit  u64 index, u64 term, u64 wall_ms, string actor, u32 count, string items
 *   item  u8 kind, u8 bits, and as the bits say: path (else that of the item before), name,
 *         old text, new text as strings; old oid, new oid as u8 size, bytes
 */
#include "node/events.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"

#define SEGMENT_BYTES (64 * KIB) /* a segment with this much takes no further unit */

enum item_bits {
    ITEM_PATH = 1 << 0,
    ITEM_NAME = 1 << 1,
    ITEM_OLD_TEXT = 1 << 2,
    ITEM_NEW_TEXT = 1 << 3,
    ITEM_OLD_OID = 1 << 4,
    ITEM_NEW_OID = 1 << 5,
};

struct segment {
    raft_index last; /* of its newest unit */
    struct buffer bytes;
};

struct events {
    size_t bytes_max;
    size_t bytes;
    raft_index oldest, next;
    uint64_t generation;
    struct segment **segments; /* ring, oldest first */
    size_t head, count, capacity;
    struct buffer items; /* of the unit being encoded */
};

struct events *events_new(size_t bytes_max)
{
    struct events *e = heap_new(struct events);

    e->bytes_max = bytes_max;
    e->oldest = e->next = 1;
    return e;
}

static struct segment *segment_at(const struct events *e, size_t i)
{
    return e->segments[(e->head + i) % e->capacity];
}

static void drop_oldest(struct events *e)
{
    struct segment *s = segment_at(e, 0);

    e->oldest = s->last + 1;
    e->bytes -= s->bytes.capacity;
    e->head = (e->head + 1) % e->capacity;
    e->count--;
    buffer_release(&s->bytes);
    heap_free(s);
}

void events_free(struct events *e)
{
    if (e == NULL) {
        return;
    }
    while (e->count > 0) {
        drop_oldest(e);
    }
    buffer_release(&e->items);
    heap_free(e->segments);
    heap_free(e);
}

void events_reset(struct events *e, raft_index applied)
{
    while (e->count > 0) {
        drop_oldest(e);
    }
    e->oldest = e->next = applied + 1;
    e->generation++;
}

/* ---- Adding ---- */

static void put_oid(struct buffer *out, const struct oid *oid)
{
    if (oid->size > 0) {
        buffer_put_u8(out, oid->size);
        buffer_put(out, oid->bytes, oid->size);
    }
}

static void put_text(struct buffer *out, struct slice text)
{
    if (text.size > 0) {
        buffer_put_string(out, text);
    }
}

static void put_item(struct buffer *out, const struct refdb_change *c, struct slice path_before)
{
    bool has_path = !slice_equal(c->path, path_before);
    unsigned bits = (has_path ? ITEM_PATH : 0) | (c->name.size > 0 ? ITEM_NAME : 0) |
                    (c->old_text.size > 0 ? ITEM_OLD_TEXT : 0) |
                    (c->new_text.size > 0 ? ITEM_NEW_TEXT : 0) |
                    (c->old_oid.size > 0 ? ITEM_OLD_OID : 0) |
                    (c->new_oid.size > 0 ? ITEM_NEW_OID : 0);

    buffer_put_u8(out, (uint8_t)c->kind);
    buffer_put_u8(out, (uint8_t)bits);
    if (has_path) {
        buffer_put_string(out, c->path);
    }
    put_text(out, c->name);
    put_text(out, c->old_text);
    put_text(out, c->new_text);
    put_oid(out, &c->old_oid);
    put_oid(out, &c->new_oid);
}

static void append_segment(struct events *e, struct segment *s)
{
    if (e->count == e->capacity) {
        size_t capacity = e->capacity == 0 ? 16 : 2 * e->capacity;
        struct segment **segments = heap_zalloc(capacity * sizeof segments[0]);

        for (size_t i = 0; i < e->count; i++) {
            segments[i] = segment_at(e, i);
        }
        heap_free(e->segments);
        e->segments = segments;
        e->capacity = capacity;
        e->head = 0;
    }
    e->segments[(e->head + e->count++) % e->capacity] = s;
}

/* The segment the next unit goes to, with room for it. */
static struct segment *take_room(struct events *e, size_t size)
{
    struct segment *s = e->count == 0 ? NULL : segment_at(e, e->count - 1);

    if (s != NULL && s->bytes.capacity - s->bytes.size >= size) {
        return s;
    }
    size = size > SEGMENT_BYTES ? size : SEGMENT_BYTES;
    size = size > e->bytes_max ? e->bytes_max : size;
    while (e->count > 0 && e->bytes + size > e->bytes_max) {
        drop_oldest(e);
    }
    s = heap_new(struct segment);
    s->bytes.data = heap_alloc(size);
    s->bytes.capacity = size;
    e->bytes += size;
    append_segment(e, s);
    return s;
}

void events_add(struct events *e, raft_term term, const struct refdb_result *result)
{
    struct segment *s;
    struct slice path = SLICE_NONE;
    size_t size;

    PRE(result->index == e->next);
    if (result->change_count == 0) {
        e->next++;
        return;
    }
    buffer_clear(&e->items);
    for (size_t i = 0; i < result->change_count; i++) {
        put_item(&e->items, &result->changes[i], path);
        path = result->changes[i].path;
    }
    size = 3 * 8 + 3 * 4 + result->actor.size + e->items.size;
    if (size > e->bytes_max) {
        events_reset(e, e->next);
        return;
    }
    s = take_room(e, size);
    s->last = e->next;
    buffer_put_u64(&s->bytes, result->index);
    buffer_put_u64(&s->bytes, term);
    buffer_put_u64(&s->bytes, (uint64_t)result->wall_ms);
    buffer_put_string(&s->bytes, result->actor);
    buffer_put_u32(&s->bytes, (uint32_t)result->change_count);
    buffer_put_string(&s->bytes, buffer_slice(&e->items));
    e->next++;
    if (e->items.capacity > SEGMENT_BYTES) {
        buffer_release(&e->items);
    }
}

/* ---- Questions ---- */

raft_index events_oldest(const struct events *e)
{
    return e->oldest;
}

raft_index events_next(const struct events *e)
{
    return e->next;
}

size_t events_bytes(const struct events *e)
{
    return e->bytes;
}

uint64_t events_generation(const struct events *e)
{
    return e->generation;
}

/* The first segment whose last unit is not before `from`. */
static size_t find_segment(const struct events *e, raft_index from)
{
    size_t low = 0, high = e->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (segment_at(e, middle)->last < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool events_walk_next(struct events_walk *walk, struct event_unit *ret_unit)
{
    const struct events *e = walk->events;
    const struct segment *s;
    struct reader r;

    if (walk->segment == e->count) {
        return false;
    }
    s = segment_at(e, walk->segment);
    r = reader_of(slice_of(s->bytes.data + walk->offset, s->bytes.size - walk->offset));
    ret_unit->index = reader_u64(&r);
    ret_unit->term = reader_u64(&r);
    ret_unit->wall_ms = (int64_t)reader_u64(&r);
    ret_unit->actor = reader_string(&r, r.size);
    ret_unit->count = reader_u32(&r);
    ret_unit->items = reader_string(&r, r.size);
    ret_unit->path = SLICE_NONE;
    INVARIANT(!r.failed);
    walk->offset += r.offset;
    if (walk->offset == s->bytes.size) {
        walk->segment++;
        walk->offset = 0;
    }
    return true;
}

void events_seek(const struct events *e, raft_index from, struct events_walk *ret_walk)
{
    struct events_walk walk = { e, find_segment(e, from), 0 };
    struct event_unit unit;

    PRE(from >= e->oldest);
    do {
        *ret_walk = walk;
    } while (events_walk_next(&walk, &unit) && unit.index < from);
}

static struct slice take_text(struct reader *r, unsigned bits, unsigned bit)
{
    return (bits & bit) != 0 ? reader_string(r, r->size) : SLICE_NONE;
}

static void take_oid(struct reader *r, unsigned bits, unsigned bit, struct oid *ret_oid)
{
    struct slice bytes;

    *ret_oid = (struct oid){ 0 };
    if ((bits & bit) != 0) {
        ret_oid->size = reader_u8(r);
        bytes = reader_bytes(r, ret_oid->size);
        memcpy(ret_oid->bytes, bytes.data, bytes.size);
    }
}

bool event_unit_next(struct event_unit *unit, struct event_item *ret_item)
{
    struct reader r = reader_of(unit->items);
    unsigned bits;

    if (unit->items.size == 0) {
        return false;
    }
    ret_item->kind = (enum refdb_change_kind)reader_u8(&r);
    bits = reader_u8(&r);
    if ((bits & ITEM_PATH) != 0) {
        unit->path = reader_string(&r, r.size);
    }
    ret_item->path = unit->path;
    ret_item->name = take_text(&r, bits, ITEM_NAME);
    ret_item->old_text = take_text(&r, bits, ITEM_OLD_TEXT);
    ret_item->new_text = take_text(&r, bits, ITEM_NEW_TEXT);
    take_oid(&r, bits, ITEM_OLD_OID, &ret_item->old_oid);
    take_oid(&r, bits, ITEM_NEW_OID, &ret_item->new_oid);
    INVARIANT(!r.failed);
    unit->items.data += r.offset;
    unit->items.size -= r.offset;
    return true;
}

const char *event_kind_word(enum refdb_change_kind kind)
{
    switch (kind) { /* no default: the compiler names a kind that is missing */
    case REFDB_CHANGE_REF:
        return "ref";
    case REFDB_CHANGE_CREATED:
        return "created";
    case REFDB_CHANGE_REMOVED:
        return "removed";
    case REFDB_CHANGE_RENAMED:
        return "renamed";
    case REFDB_CHANGE_HEAD:
        return "head";
    case REFDB_CHANGE_STATE:
        return "state";
    case REFDB_CHANGE_PRIMARY:
        return "primary";
    case REFDB_CHANGE_REPLICA:
        return "replica";
    case REFDB_CHANGE_STORAGE:
        return "storage";
    case REFDB_CHANGE_SETTING:
        break;
    }
    return "setting";
}

bool event_has_prefix(const struct event_item *item, struct slice prefix)
{
    return slice_has_prefix(item->path, prefix) ||
           (item->kind == REFDB_CHANGE_RENAMED && slice_has_prefix(item->old_text, prefix));
}
