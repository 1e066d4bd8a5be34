/* SPDX-License-Identifier: Apache-2.0 */
/* Primaries, storages, routes, members, status. */
#include <refkeeper/client.h>

#include "client/arguments.h"

enum rk_status rk_primary_set(struct rk_client *client, const char *storage,
                              const char *const *paths, size_t count, const char *reason,
                              const struct rk_write *write, struct rk_reply **ret_array,
                              struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    arguments_add_pair(&a, "PRIMARY.SET", storage);
    for (size_t i = 0; i < count; i++) {
        arguments_add(&a, paths[i]);
    }
    if (reason != NULL) {
        arguments_add_pair(&a, "FORCE", reason);
    }
    arguments_add_write(&a, write);
    status = arguments_call(&a, client, RK_CALL_WRITE, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (reply->type != RK_REPLY_ARRAY || reply->count != count) {
        return unexpected_reply(client, "PRIMARY.SET", reply, ret_error);
    }
    *ret_array = reply;
    return RK_OK;
}

enum rk_status rk_storage_set(struct rk_client *client, const char *name, const char *const *fields,
                              size_t count, const struct rk_write *write, uint64_t *ret_index,
                              struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add_pair(&a, "STORAGE.SET", name);
    for (size_t i = 0; i < count; i++) {
        arguments_add(&a, fields[i]);
    }
    return arguments_write(&a, client, write, ret_index, ret_error);
}

enum rk_status rk_storage_remove(struct rk_client *client, const char *name,
                                 const struct rk_write *write, uint64_t *ret_index,
                                 struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add_pair(&a, "STORAGE.REMOVE", name);
    return arguments_write(&a, client, write, ret_index, ret_error);
}

/* VERB, answered by an array. */
static enum rk_status ask(struct rk_client *client, const char *verb, struct rk_reply **ret_reply,
                          struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    enum rk_status status;

    arguments_add(&a, verb);
    status = arguments_call(&a, client, RK_CALL_READ, ret_reply, ret_error);
    if (status == RK_OK && (*ret_reply)->type != RK_REPLY_ARRAY) {
        return unexpected_reply(client, verb, *ret_reply, ret_error);
    }
    return status;
}

enum rk_status rk_storage_list(struct rk_client *client, struct rk_reply **ret_maps,
                               struct rk_error *ret_error)
{
    return ask(client, "STORAGE.LIST", ret_maps, ret_error);
}

enum rk_status rk_cluster_status(struct rk_client *client, struct rk_reply **ret_map,
                                 struct rk_error *ret_error)
{
    return ask(client, "CLUSTER.STATUS", ret_map, ret_error);
}

enum rk_status rk_member_list(struct rk_client *client, struct rk_reply **ret_maps,
                              struct rk_error *ret_error)
{
    return ask(client, "MEMBER.LIST", ret_maps, ret_error);
}

enum rk_status rk_route(struct rk_client *client, const char *path, int is_write,
                        const struct rk_read *read, struct rk_reply **ret_map,
                        struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;

    arguments_add_pair(&a, "ROUTE", path);
    arguments_add(&a, is_write ? "WRITE" : "READ");
    arguments_add_read(&a, read);
    return arguments_call(&a, client, RK_CALL_READ, ret_map, ret_error);
}
