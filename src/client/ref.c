/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and changing refs. */
#include <stdbool.h>
#include <string.h>

#include <refkeeper/client.h>

#include "base/heap.h"
#include "client/arguments.h"
#include "client/failure.h"

#define NULL_OID "0000000000000000000000000000000000000000"

struct rk_ref_results {
    struct rk_reply *reply; /* array, or the index that stands for all */
    size_t count;
    uint64_t index;
};

enum rk_status rk_ref_get(struct rk_client *client, const char *path, const char *ref,
                          const struct rk_read *read, char ret_oid[RK_OID_TEXT_MAX + 1],
                          struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    arguments_add(&a, "REF.GET");
    arguments_add_pair(&a, path, ref);
    arguments_add_read(&a, read);
    status = arguments_call(&a, client, RK_CALL_READ, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (reply->type == RK_REPLY_NIL) {
        rk_reply_free(reply);
        return failure_set(ret_error, RK_NOREF, rk_client_endpoint(client),
                           "NOREF: %s has no ref %s", path, ref);
    }
    if (reply->type != RK_REPLY_TEXT || reply->size > RK_OID_TEXT_MAX) {
        return unexpected_reply(client, "REF.GET", reply, ret_error);
    }
    memcpy(ret_oid, reply->text, reply->size + 1);
    rk_reply_free(reply);
    return RK_OK;
}

/* True for [applied index, last index, next or nil, [ref, oid, ...]]. */
static bool is_page(const struct rk_reply *reply)
{
    return reply->type == RK_REPLY_ARRAY && reply->count == 4 &&
           reply->items[1]->type == RK_REPLY_INTEGER && reply->items[3]->type == RK_REPLY_ARRAY &&
           reply->items[3]->count % 2 == 0;
}

static enum rk_status read_page(struct rk_client *client, const char *path,
                                const struct rk_page *page, const char *after,
                                const struct rk_read *read, struct rk_reply **ret_reply,
                                struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    enum rk_status status;

    arguments_add_pair(&a, "REF.LIST", path);
    if (page != NULL && page->prefix != NULL && page->prefix[0] != '\0') {
        arguments_add_pair(&a, "PREFIX", page->prefix);
    }
    if (after != NULL && after[0] != '\0') {
        arguments_add_pair(&a, "AFTER", after);
    }
    arguments_add(&a, "LIMIT");
    arguments_add_number(&a, page != NULL && page->limit > 0 ? page->limit : 10000);
    arguments_add_read(&a, read);
    status = arguments_call(&a, client, RK_CALL_READ, ret_reply, ret_error);
    if (status == RK_OK && !is_page(*ret_reply)) {
        return unexpected_reply(client, "REF.LIST", *ret_reply, ret_error);
    }
    return status;
}

static bool give_pairs(const struct rk_reply *pairs, rk_ref_each *each, void *context)
{
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        if (pairs->items[i]->type == RK_REPLY_TEXT && pairs->items[i + 1]->type == RK_REPLY_TEXT &&
            each(context, pairs->items[i]->text, pairs->items[i + 1]->text) != 0) {
            return false;
        }
    }
    return true;
}

enum rk_status rk_ref_list(struct rk_client *client, const char *path, const struct rk_page *page,
                           const struct rk_read *read, rk_ref_each *each, void *context,
                           uint64_t *ret_last_index, int *ret_is_torn, struct rk_error *ret_error)
{
    char *after = page == NULL || page->after == NULL
                      ? NULL
                      : heap_copy_text(page->after, strlen(page->after));
    uint64_t first_index = 0, last_index = 0;
    bool is_first = true, goes_on = true;
    enum rk_status status = RK_OK;

    while (goes_on && status == RK_OK) {
        struct rk_reply *reply = NULL;

        status = read_page(client, path, page, after, read, &reply, ret_error);
        if (status != RK_OK) {
            break;
        }
        last_index = (uint64_t)reply->items[1]->integer;
        first_index = is_first ? last_index : first_index;
        is_first = false;
        if (!give_pairs(reply->items[3], each, context)) {
            status = failure_set(ret_error, RK_ABORTED, NULL, "the listing was ended");
        }
        goes_on = reply->items[2]->type == RK_REPLY_TEXT;
        if (goes_on) {
            heap_free(after);
            after = heap_copy_text(reply->items[2]->text, reply->items[2]->size);
        }
        rk_reply_free(reply);
    }
    heap_free(after);
    if (status == RK_OK && ret_last_index != NULL) {
        *ret_last_index = last_index;
    }
    if (status == RK_OK && ret_is_torn != NULL) {
        *ret_is_torn = first_index != last_index;
    }
    return status;
}

static void add_change(struct arguments *a, const struct rk_ref_change *change)
{
    arguments_add(a, change->ref);
    arguments_add_pair(a, change->old_oid == NULL ? "ANY" : change->old_oid,
                       change->new_oid == NULL ? NULL_OID : change->new_oid);
}

enum rk_status rk_ref_update(struct rk_client *client, const char *path,
                             const struct rk_ref_change *change, const struct rk_write *write,
                             uint64_t *ret_index, struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add_pair(&a, "REF.UPDATE", path);
    add_change(&a, change);
    return arguments_write(&a, client, write, ret_index, ret_error);
}

/* One item: an index, "OK", or an error as error reply or as text. */
static enum rk_status judge_item(const struct rk_reply *item, struct rk_error *ret_error)
{
    if (item->type == RK_REPLY_ERROR) {
        return failure_parse(ret_error, item->text, item->size, NULL);
    }
    if (item->type == RK_REPLY_TEXT && strcmp(item->text, "OK") != 0) {
        return failure_parse(ret_error, item->text, item->size, NULL);
    }
    return RK_OK;
}

enum rk_status rk_ref_results_get(const struct rk_ref_results *results, size_t i,
                                  struct rk_error *ret_error)
{
    return results->reply->type == RK_REPLY_ARRAY ? judge_item(results->reply->items[i], ret_error)
                                                  : RK_OK;
}

/* The first refusal that is one itself, not the consequence of another. */
static enum rk_status first_refusal(struct rk_ref_results *results, struct rk_error *ret_error)
{
    enum rk_status status = RK_OK;

    for (size_t i = 0; i < results->count; i++) {
        struct rk_error error;
        enum rk_status item = rk_ref_results_get(results, i, &error);
        const struct rk_reply *reply = results->reply;

        if (reply->type == RK_REPLY_ARRAY && reply->items[i]->type == RK_REPLY_INTEGER) {
            results->index = (uint64_t)reply->items[i]->integer;
        }
        if (item != RK_OK && (status == RK_OK || status == RK_ABORTED) && item != status) {
            status = item;
            if (ret_error != NULL) {
                *ret_error = error;
            }
        }
    }
    return status;
}

enum rk_status rk_ref_txn(struct rk_client *client, const char *path, int is_atomic,
                          const struct rk_ref_change *changes, size_t count,
                          const struct rk_write *write, struct rk_ref_results **ret_results,
                          struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    *ret_results = NULL;
    arguments_add_pair(&a, "REF.TXN", path);
    arguments_add(&a, is_atomic ? "ATOMIC" : "INDEPENDENT");
    arguments_add_number(&a, count);
    for (size_t i = 0; i < count; i++) {
        add_change(&a, &changes[i]);
    }
    arguments_add_write(&a, write);
    status = arguments_call(&a, client, RK_CALL_WRITE, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (reply->type != RK_REPLY_INTEGER &&
        (reply->type != RK_REPLY_ARRAY || reply->count != count)) {
        return unexpected_reply(client, "REF.TXN", reply, ret_error);
    }
    *ret_results = heap_new(struct rk_ref_results);
    (*ret_results)->reply = reply;
    (*ret_results)->count = count;
    (*ret_results)->index = reply->type == RK_REPLY_INTEGER ? (uint64_t)reply->integer : 0;
    return first_refusal(*ret_results, ret_error);
}

size_t rk_ref_results_count(const struct rk_ref_results *results)
{
    return results->count;
}

uint64_t rk_ref_results_index(const struct rk_ref_results *results)
{
    return results->index;
}

void rk_ref_results_free(struct rk_ref_results *results)
{
    if (results != NULL) {
        rk_reply_free(results->reply);
        heap_free(results);
    }
}
