/* SPDX-License-Identifier: Apache-2.0 */
/* EVENTS: what was changed, from an index on. */
#include "server/requests_events.h"
#include "server/event_page.h"
#include "server/request.h"
#include "server/server.h"

static enum rk_status check_events(struct request_scratch *scratch, struct request *r,
                                   struct failure *why)
{
    (void)scratch;
    if ((r->given & FIELD_BIT(FIELD_FROM)) == 0) {
        r->is_from_now = true;
    }
    if ((r->given & FIELD_BIT(FIELD_EVENT_COUNT)) == 0) {
        r->event_count = LIST_LIMIT_DEFAULT;
    } else if (r->event_count == 0 || r->event_count > LIST_LIMIT_MAX) {
        failure_set(why, RK_BADARG, "count: 1 to %d", LIST_LIMIT_MAX);
        return RK_BADARG;
    }
    if ((r->given & FIELD_BIT(FIELD_BLOCK)) == 0) {
        r->kind = REQUEST_READ;
        return RK_OK;
    }
    if (r->block_ms > EVENTS_BLOCK_MS_MAX) {
        failure_set(why, RK_BADARG, "wait: 0 (the longest) to %d ms", EVENTS_BLOCK_MS_MAX);
        return RK_BADARG;
    }
    if ((r->given & FIELDS_READ) != 0) {
        failure_set(why, RK_BADARG, "a request that waits takes no consistency");
        return RK_BADARG;
    }
    if (r->block_ms == 0) {
        r->block_ms = EVENTS_BLOCK_MS_MAX;
    }
    return RK_OK;
}

void events_query_init(const struct request *r, const struct events *e, struct event_query *ret_q)
{
    ret_q->from = r->is_from_now ? events_next(e) : r->from;
    if (ret_q->from == 0) {
        ret_q->from = events_oldest(e);
    }
    ret_q->prefix = r->prefix;
    ret_q->count = r->event_count;
}

bool events_answer(const struct events *e, struct event_query *q, struct sink *s)
{
    struct buffer *out = s->out;
    struct buffer page = BUFFER_INIT;
    uint64_t count;

    sink_begin(s, SINK_RECORD);
    s->out = &page;
    sink_field(s, s->is_json ? "entries" : "events");
    sink_begin(s, SINK_LIST);
    count = s->is_json ? event_units_put(e, q, s) : event_page_put(e, q, s);
    sink_end(s);
    s->out = out;
    sink_field(s, "next"); /* stands in front but is known only now */
    sink_number(s, q->from);
    buffer_put_slice(out, buffer_slice(&page));
    sink_end(s);
    buffer_release(&page);
    return count > 0 || q->from < events_next(e);
}

static void read_events(const struct node *n, const struct request *r, struct sink *s)
{
    const struct events *e = node_events(n);
    struct event_query q;

    events_query_init(r, e, &q);
    if (!event_page_refuse(e, &q, s)) {
        (void)events_answer(e, &q, s);
    }
}

const struct request_type requests_events[] = {
    {
        .name = "EVENTS",
        .kind = REQUEST_EVENTS,
        .scope = SERVER_MAY_READ,
        .arguments = "FROM index|$ [COUNT n] [BLOCK ms] [PREFIX p] [STALE|MININDEX n]",
        .summary = "What was changed from an index on; with BLOCK it waits for the first change",
        .options = FIELDS_READ | FIELD_BIT(FIELD_FROM) | FIELD_BIT(FIELD_EVENT_COUNT) |
                   FIELD_BIT(FIELD_BLOCK) | FIELD_BIT(FIELD_PREFIX),
        .check = check_events,
        .read_node = read_events,
    },
    { .name = NULL },
};
