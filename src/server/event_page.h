/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of events, for RESP and HTTP.  An index is on one page as a whole; a page ends when it
 * has what was asked for, or when enough was looked at: then `next` says how far it got.
 */
#ifndef SERVER_EVENT_PAGE_H
#define SERVER_EVENT_PAGE_H

#include "node/events.h"
#include "server/sink.h"

struct event_query {
    raft_index from; /* where the next page begins; 0 = the oldest there is */
    struct slice prefix;
    uint64_t count; /* events; one index more than that may be on the page */
};

/* Answers COMPACTED, with the oldest index; false when nothing is missing at `from`. */
bool event_page_refuse(const struct events *e, const struct event_query *q, struct sink *s);

/* As events in the list that is open: RESP.  Moves `from` on; returns how many. */
uint64_t event_page_put(const struct events *e, struct event_query *q, struct sink *s);

/* As objects, one per index, in the list that is open: HTTP. */
uint64_t event_units_put(const struct events *e, struct event_query *q, struct sink *s);

/*
 * One line of JSON per index:
 * {"index":N,"term":N,"time_ms":N,"actor":"..","events":[{"kind","path","ref","old","new"}]}
 * Moves `from` on; ends when `out` has grown by `bytes_max`, or as a page does.
 */
void event_lines_put(const struct events *e, struct event_query *q, size_t bytes_max,
                     struct buffer *out);

#endif
