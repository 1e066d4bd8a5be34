/* SPDX-License-Identifier: Apache-2.0 */
/* Reading events. */
#include <stdbool.h>
#include <string.h>

#include "client/arguments.h"
#include "client/client.h"
#include "client/failure.h"

#define EVENT_FIELDS 9 /* index, term, kind, path, ref, old, new, actor, time */

static enum rk_status ask(struct rk_client *client, const struct rk_events_query *query,
                          struct rk_reply **ret_reply, struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    int64_t wait_ms = query->wait_ms;

    /* An attempt gets a third of the time: the wait has to end before it. */
    wait_ms = wait_ms > client->timeout_ms / 4 ? client->timeout_ms / 4 : wait_ms;
    arguments_add_pair(&a, "EVENTS", "FROM");
    if (query->is_from_now) {
        arguments_add(&a, "$");
    } else {
        arguments_add_number(&a, query->from);
    }
    arguments_add(&a, "COUNT");
    arguments_add_number(&a, query->limit == 0 ? 1000 : query->limit);
    if (wait_ms > 0) {
        arguments_add(&a, "BLOCK");
        arguments_add_number(&a, (uint64_t)wait_ms);
    }
    if (query->prefix != NULL && query->prefix[0] != '\0') {
        arguments_add_pair(&a, "PREFIX", query->prefix);
    }
    return arguments_call(&a, client, RK_CALL_READ, ret_reply, ret_error);
}

/* Each node keeps what it could: one that was not restarted may go further back. */
static enum rk_status ask_all(struct rk_client *client, const struct rk_events_query *query,
                              struct rk_reply **ret_reply, struct rk_error *ret_error)
{
    enum rk_status status = ask(client, query, ret_reply, ret_error);

    for (size_t i = 1; status == RK_COMPACTED && i < client->options->endpoint_count; i++) {
        client_disconnect(client);
        status = ask(client, query, ret_reply, ret_error);
    }
    return status;
}

static const char *text_of(const struct rk_reply *reply)
{
    return reply->type == RK_REPLY_TEXT ? reply->text : NULL;
}

static bool is_event(const struct rk_reply *r)
{
    return r->type == RK_REPLY_ARRAY && r->count >= EVENT_FIELDS &&
           r->items[0]->type == RK_REPLY_INTEGER && r->items[1]->type == RK_REPLY_INTEGER &&
           r->items[2]->type == RK_REPLY_TEXT;
}

static bool is_page(const struct rk_reply *reply)
{
    if (reply->type != RK_REPLY_ARRAY || reply->count != 2 ||
        reply->items[0]->type != RK_REPLY_INTEGER || reply->items[1]->type != RK_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i < reply->items[1]->count; i++) {
        if (!is_event(reply->items[1]->items[i])) {
            return false;
        }
    }
    return true;
}

static bool give(const struct rk_reply *list, rk_event_each *each, void *context)
{
    for (size_t i = 0; i < list->count; i++) {
        struct rk_reply *const *f = list->items[i]->items;
        struct rk_event event = {
            .index = (uint64_t)f[0]->integer,
            .term = (uint64_t)f[1]->integer,
            .kind = f[2]->text,
            .path = text_of(f[3]),
            .ref = text_of(f[4]),
            .old_value = text_of(f[5]),
            .new_value = text_of(f[6]),
            .actor = text_of(f[7]),
            .time_ms = f[8]->type == RK_REPLY_INTEGER ? f[8]->integer : 0,
        };

        if (each(context, &event) != 0) {
            return false;
        }
    }
    return true;
}

enum rk_status rk_events_read(struct rk_client *client, const struct rk_events_query *query,
                              rk_event_each *each, void *context, uint64_t *ret_next,
                              struct rk_error *ret_error)
{
    struct rk_reply *reply = NULL;
    enum rk_status status = ask_all(client, query, &reply, ret_error);

    if (status != RK_OK) {
        return status;
    }
    if (!is_page(reply)) {
        return unexpected_reply(client, "EVENTS", reply, ret_error);
    }
    if (give(reply->items[1], each, context)) {
        *ret_next = (uint64_t)reply->items[0]->integer;
    } else {
        status = failure_set(ret_error, RK_ABORTED, NULL, "the page was ended");
    }
    rk_reply_free(reply);
    return status;
}
