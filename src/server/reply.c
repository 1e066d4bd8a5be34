/* SPDX-License-Identifier: Apache-2.0 */
/* From what the state machine said to what the client is told. */
#include "server/request.h"

raft_index reply_index_of(const struct refdb_result *result)
{
    return result->is_replay ? result->replay_index : result->index;
}

static const struct refdb_item *first_refused(const struct refdb_result *result, size_t *ret_i)
{
    const struct refdb_item *first = NULL;

    for (size_t i = 0; i < result->item_count; i++) {
        const struct refdb_item *item = &result->items[i];

        if (item->status != RK_OK && (first == NULL || first->status == RK_ABORTED)) {
            first = item;
            *ret_i = i;
            if (item->status != RK_ABORTED) {
                break;
            }
        }
    }
    return first;
}

/* One refusal for the whole request; false when there is none. */
static bool put_refusal(const struct refdb_result *result, struct sink *s)
{
    struct failure f;
    const struct refdb_item *item;
    size_t i = 0;

    if (result->status == RK_OK) {
        return false;
    }
    item = first_refused(result, &i);
    if (item == NULL) {
        sink_status(s, result->status);
        return true;
    }
    failure_from_item(&f, item);
    if (result->item_count > 1) {
        failure_add_number(&f, "item", i);
    }
    sink_failure(s, &f);
    return true;
}

void reply_index(const struct asked *asked, const struct refdb_result *result, struct sink *s)
{
    (void)asked;
    if (!put_refusal(result, s)) {
        sink_field(s, "index");
        sink_number(s, reply_index_of(result));
    }
}

void reply_registered(const struct asked *asked, const struct refdb_result *result, struct sink *s)
{
    static const char *const words[] = {
        [REFDB_DONE] = "DONE",       [REFDB_CREATED] = "CREATED",     [REFDB_ADDED] = "ADDED",
        [REFDB_ALREADY] = "ALREADY", [REFDB_UNTRACKED] = "UNTRACKED",
    };

    (void)asked;
    if (put_refusal(result, s)) {
        return;
    }
    sink_begin(s, SINK_RECORD);
    sink_field(s, "index");
    sink_number(s, reply_index_of(result));
    sink_field(s, "outcome");
    sink_word(s, words[result->item_count > 0 ? result->items[0].outcome : REFDB_DONE]);
    sink_end(s);
}

/* RESP: a word or number, or an error; JSON: an object with its code. */
static void put_item(const struct refdb_item *item, struct sink *s)
{
    struct failure f;

    if (item->status != RK_OK) {
        failure_from_item(&f, item);
        sink_failure(s, &f);
        return;
    }
    sink_begin(s, SINK_ROW);
    sink_field(s, "code");
    sink_word(s, item->outcome == REFDB_ALREADY ? "ALREADY" : "OK");
    sink_end(s);
}

static void put_update_items(const struct refdb_result *result, struct sink *s)
{
    sink_field(s, "results");
    sink_begin(s, SINK_LIST);
    for (size_t i = 0; i < result->item_count; i++) {
        const struct refdb_item *item = &result->items[i];

        if (item->status == RK_OK && !s->is_json) {
            sink_number(s, reply_index_of(result));
        } else {
            put_item(item, s);
        }
    }
    sink_end(s);
}

void reply_updates(const struct asked *asked, const struct refdb_result *result, struct sink *s)
{
    bool is_atomic = (asked->flags & ENVELOPE_ATOMIC) != 0;

    if (result->status != RK_OK && result->item_count != asked->count) {
        (void)put_refusal(result, s);
        return;
    }
    if (is_atomic && result->status == RK_OK) {
        sink_field(s, "index");
        sink_number(s, reply_index_of(result));
        return;
    }
    if (s->is_json) {
        if (is_atomic) {
            (void)put_refusal(result, s);
        }
        sink_field(s, "index");
        sink_number(s, reply_index_of(result));
    }
    put_update_items(result, s);
}

void reply_paths(const struct asked *asked, const struct refdb_result *result, struct sink *s)
{
    if (result->item_count != asked->count) {
        if (!put_refusal(result, s)) {
            sink_status(s, RK_UNKNOWN);
        }
        return;
    }
    sink_field(s, "results");
    sink_begin(s, SINK_LIST);
    for (size_t i = 0; i < result->item_count; i++) {
        put_item(&result->items[i], s);
    }
    sink_end(s);
}
