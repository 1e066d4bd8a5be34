/* SPDX-License-Identifier: Apache-2.0 */
/* EVENTS, for the front ends: each lets it wait in its own way. */
#ifndef SERVER_REQUESTS_EVENTS_H
#define SERVER_REQUESTS_EVENTS_H

#include "server/event_page.h"
#include "server/request.h"

/* Where it begins.  The prefix is borrowed from the request. */
void events_query_init(const struct request *r, const struct events *e, struct event_query *ret_q);

/*
 * RESP [next, [event, ...]], JSON {"next":N,"entries":[...]}.  Returns false when there is
 * nothing to tell: no event, and nothing behind those looked at.
 * PRE: event_page_refuse() has not.
 */
bool events_answer(const struct events *e, struct event_query *q, struct sink *s);

#endif
