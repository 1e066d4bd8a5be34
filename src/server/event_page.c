/* SPDX-License-Identifier: Apache-2.0 */
#include "server/event_page.h"

#include "base/limits.h"

bool event_page_refuse(const struct events *e, const struct event_query *q, struct sink *s)
{
    struct failure f;

    if (q->from >= events_oldest(e)) {
        return false;
    }
    failure_set(&f, RK_COMPACTED,
                "the events from there on are not kept any more: read the state, then go on from "
                "the index it had");
    failure_add_number(&f, "oldest", events_oldest(e));
    sink_failure(s, &f);
    return true;
}

/* ---- One event ---- */

static void put_oid(struct sink *s, const struct oid *oid)
{
    if (oid->size == 0) {
        sink_nil(s);
    } else {
        sink_oid(s, oid);
    }
}

static void put_text(struct sink *s, struct slice text)
{
    if (text.size == 0) {
        sink_nil(s);
    } else {
        sink_text(s, text);
    }
}

static void put_values(struct sink *s, const struct event_item *item)
{
    bool is_ref = item->kind == REFDB_CHANGE_REF;

    sink_field(s, "kind");
    sink_c_text(s, event_kind_word(item->kind));
    sink_field(s, "path");
    put_text(s, item->path);
    sink_field(s, "ref");
    put_text(s, item->name);
    sink_field(s, "old");
    if (is_ref) {
        put_oid(s, &item->old_oid);
    } else {
        put_text(s, item->old_text);
    }
    sink_field(s, "new");
    if (is_ref) {
        put_oid(s, &item->new_oid);
    } else {
        put_text(s, item->new_text);
    }
}

/* Milliseconds since 1970. */
static void put_time(struct sink *s, int64_t wall_ms)
{
    if (wall_ms <= 0) {
        sink_nil(s);
    } else {
        sink_number(s, (uint64_t)wall_ms);
    }
}

/* ---- One index ---- */

static uint64_t put_flat(struct event_unit *unit, struct slice prefix, struct sink *s)
{
    struct event_item item;
    uint64_t count = 0;

    while (event_unit_next(unit, &item)) {
        if (!event_has_prefix(&item, prefix)) {
            continue;
        }
        sink_begin(s, SINK_RECORD);
        sink_number(s, unit->index);
        sink_number(s, unit->term);
        put_values(s, &item);
        put_text(s, unit->actor);
        put_time(s, unit->wall_ms);
        sink_end(s);
        count++;
    }
    return count;
}

static bool has_any(struct event_unit unit, struct slice prefix)
{
    struct event_item item;

    while (event_unit_next(&unit, &item)) {
        if (event_has_prefix(&item, prefix)) {
            return true;
        }
    }
    return false;
}

static uint64_t put_unit(struct event_unit *unit, struct slice prefix, struct sink *s)
{
    struct event_item item;
    uint64_t count = 0;

    if (!has_any(*unit, prefix)) {
        return 0;
    }
    sink_begin(s, SINK_MAP);
    sink_field(s, "index");
    sink_number(s, unit->index);
    sink_field(s, "term");
    sink_number(s, unit->term);
    sink_field(s, "time_ms");
    put_time(s, unit->wall_ms);
    sink_field(s, "actor");
    put_text(s, unit->actor);
    sink_field(s, "events");
    sink_begin(s, SINK_LIST);
    while (event_unit_next(unit, &item)) {
        if (event_has_prefix(&item, prefix)) {
            sink_begin(s, SINK_MAP);
            put_values(s, &item);
            sink_end(s);
            count++;
        }
    }
    sink_end(s);
    sink_end(s);
    return count;
}

static uint64_t put_line(struct event_unit *unit, struct slice prefix, struct sink *s)
{
    size_t before = s->out->size;
    uint64_t count;

    sink_init_json(s, s->out, NULL);
    count = put_unit(unit, prefix, s);
    if (count == 0) {
        s->out->size = before;
        return 0;
    }
    sink_finish_json(s);
    return count;
}

/* ---- Pages ---- */

struct page {
    size_t bytes_max;
    uint64_t (*put)(struct event_unit *unit, struct slice prefix, struct sink *s);
};

static uint64_t put_page(const struct events *e, struct event_query *q, const struct page *page,
                         struct sink *s)
{
    struct events_walk walk;
    struct event_unit unit;
    size_t begin = s->out->size;
    uint64_t count = 0;
    unsigned looked = 0;

    if (q->from >= events_next(e)) {
        return 0;
    }
    events_seek(e, q->from, &walk);
    while (count < q->count && looked++ < EVENTS_SCAN_MAX &&
           s->out->size - begin < page->bytes_max) {
        if (!events_walk_next(&walk, &unit)) {
            q->from = events_next(e);
            break;
        }
        q->from = unit.index + 1;
        count += page->put(&unit, q->prefix, s);
    }
    return count;
}

uint64_t event_page_put(const struct events *e, struct event_query *q, struct sink *s)
{
    return put_page(e, q, &(struct page){ EVENTS_PAGE_BYTES_MAX, put_flat }, s);
}

uint64_t event_units_put(const struct events *e, struct event_query *q, struct sink *s)
{
    return put_page(e, q, &(struct page){ EVENTS_PAGE_BYTES_MAX, put_unit }, s);
}

void event_lines_put(const struct events *e, struct event_query *q, size_t bytes_max,
                     struct buffer *out)
{
    struct sink s = { .out = out };

    (void)put_page(e, q, &(struct page){ bytes_max, put_line }, &s);
}
