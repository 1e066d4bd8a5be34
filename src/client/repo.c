/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories: creating, naming, describing, listing. */
#include <stdbool.h>
#include <string.h>

#include <refkeeper/client.h>

#include "base/heap.h"
#include "client/arguments.h"
#include "client/failure.h"

enum rk_status rk_repo_create(struct rk_client *client, const struct rk_repo_spec *spec,
                              const struct rk_write *write, uint64_t *ret_index,
                              struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add(&a, "REPO.CREATE");
    arguments_add_pair(&a, spec->path, spec->primary);
    if (spec->replica_count > 0) {
        arguments_add(&a, "REPLICAS");
        arguments_add_number(&a, spec->replica_count);
        for (size_t i = 0; i < spec->replica_count; i++) {
            arguments_add(&a, spec->replicas[i]);
        }
    }
    if (spec->format != NULL) {
        arguments_add_pair(&a, "FORMAT", spec->format);
    }
    if (spec->head != NULL) {
        arguments_add_pair(&a, "HEAD", spec->head);
    }
    return arguments_write(&a, client, write, ret_index, ret_error);
}

enum rk_status rk_repo_register(struct rk_client *client, const char *path, const char *storage,
                                const struct rk_write *write, enum rk_registered *ret_what,
                                uint64_t *ret_index, struct rk_error *ret_error)
{
    static const char *const words[] = { "CREATED", "ADDED", "ALREADY" };
    struct arguments a = ARGUMENTS_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    arguments_add(&a, "REPO.REGISTER");
    arguments_add_pair(&a, path, storage);
    arguments_add_write(&a, write);
    status = arguments_call(&a, client, RK_CALL_WRITE, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (reply->type != RK_REPLY_ARRAY || reply->count != 2 ||
        reply->items[0]->type != RK_REPLY_INTEGER || reply->items[1]->type != RK_REPLY_TEXT) {
        return unexpected_reply(client, "REPO.REGISTER", reply, ret_error);
    }
    for (int i = 0; i < 3; i++) {
        if (ret_what != NULL && strcmp(reply->items[1]->text, words[i]) == 0) {
            *ret_what = (enum rk_registered)i;
        }
    }
    if (ret_index != NULL) {
        *ret_index = (uint64_t)reply->items[0]->integer;
    }
    rk_reply_free(reply);
    return RK_OK;
}

/* VERB text [text]. */
static enum rk_status write_texts(struct rk_client *client, const char *verb, const char *one,
                                  const char *two, const struct rk_write *write,
                                  uint64_t *ret_index, struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add_pair(&a, verb, one);
    if (two != NULL) {
        arguments_add(&a, two);
    }
    return arguments_write(&a, client, write, ret_index, ret_error);
}

enum rk_status rk_repo_remove(struct rk_client *client, const char *path,
                              const struct rk_write *write, uint64_t *ret_index,
                              struct rk_error *ret_error)
{
    return write_texts(client, "REPO.REMOVE", path, NULL, write, ret_index, ret_error);
}

enum rk_status rk_repo_rename(struct rk_client *client, const char *from, const char *to,
                              int is_prefix, const struct rk_write *write, uint64_t *ret_index,
                              struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add(&a, "REPO.RENAME");
    if (is_prefix) {
        arguments_add(&a, "PREFIX");
    }
    arguments_add_pair(&a, from, to);
    return arguments_write(&a, client, write, ret_index, ret_error);
}

enum rk_status rk_repo_set_head(struct rk_client *client, const char *path, const char *ref,
                                const struct rk_write *write, uint64_t *ret_index,
                                struct rk_error *ret_error)
{
    return write_texts(client, "REPO.SETHEAD", path, ref, write, ret_index, ret_error);
}

enum rk_status rk_repo_freeze(struct rk_client *client, const char *path, const char *reason,
                              const struct rk_write *write, uint64_t *ret_index,
                              struct rk_error *ret_error)
{
    return write_texts(client, "REPO.FREEZE", path, reason, write, ret_index, ret_error);
}

enum rk_status rk_repo_thaw(struct rk_client *client, const char *path,
                            const struct rk_write *write, uint64_t *ret_index,
                            struct rk_error *ret_error)
{
    return write_texts(client, "REPO.THAW", path, NULL, write, ret_index, ret_error);
}

enum rk_status rk_repo_remove_replica(struct rk_client *client, const char *path,
                                      const char *storage, const struct rk_write *write,
                                      uint64_t *ret_index, struct rk_error *ret_error)
{
    return write_texts(client, "REPLICA.REMOVE", path, storage, write, ret_index, ret_error);
}

enum rk_status rk_repo_show(struct rk_client *client, const char *path, struct rk_reply **ret_map,
                            struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add_pair(&a, "REPO.SHOW", path);
    return arguments_call(&a, client, RK_CALL_READ, ret_map, ret_error);
}

static enum rk_status read_page(struct rk_client *client, const struct rk_page *page,
                                const char *after, struct rk_reply **ret_reply,
                                struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    arguments_add(&a, "REPO.LIST");
    if (page != NULL && page->prefix != NULL && page->prefix[0] != '\0') {
        arguments_add_pair(&a, "PREFIX", page->prefix);
    }
    if (page != NULL && page->storage != NULL) {
        arguments_add_pair(&a, "STORAGE", page->storage);
    }
    if (after != NULL && after[0] != '\0') {
        arguments_add_pair(&a, "AFTER", after);
    }
    arguments_add(&a, "LIMIT");
    arguments_add_number(&a, page != NULL && page->limit > 0 ? page->limit : 1000);
    status = arguments_call(&a, client, RK_CALL_READ, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (reply->type != RK_REPLY_ARRAY || reply->count < 3 ||
        reply->items[reply->count - 1]->type != RK_REPLY_ARRAY) {
        return unexpected_reply(client, "REPO.LIST", reply, ret_error);
    }
    *ret_reply = reply;
    return RK_OK;
}

/* An item is a path, or a map with "path" in it. */
static bool give_items(const struct rk_reply *items, rk_repo_each *each, void *context)
{
    for (size_t i = 0; i < items->count; i++) {
        const struct rk_reply *item = items->items[i];
        const char *path = item->type == RK_REPLY_TEXT ? item->text
                                                       : rk_reply_get_text(item, "path");

        if (each(context, path, item->type == RK_REPLY_ARRAY ? item : NULL) != 0) {
            return false;
        }
    }
    return true;
}

enum rk_status rk_repo_list(struct rk_client *client, const struct rk_page *page,
                            rk_repo_each *each, void *context, struct rk_error *ret_error)
{
    char *after = page == NULL || page->after == NULL
                      ? NULL
                      : heap_copy_text(page->after, strlen(page->after));
    enum rk_status status = RK_OK;
    bool goes_on = true;

    while (goes_on && status == RK_OK) {
        struct rk_reply *reply = NULL;
        const struct rk_reply *next;

        status = read_page(client, page, after, &reply, ret_error);
        if (status != RK_OK) {
            break;
        }
        if (!give_items(reply->items[reply->count - 1], each, context)) {
            status = failure_set(ret_error, RK_ABORTED, NULL, "the listing was ended");
        }
        next = reply->items[reply->count - 2];
        goes_on = next->type == RK_REPLY_TEXT;
        if (goes_on) {
            heap_free(after);
            after = heap_copy_text(next->text, next->size);
        }
        rk_reply_free(reply);
    }
    heap_free(after);
    return status;
}
