/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the cluster, and who of them leads. */
#include <refkeeper/client.h>

#include "client/arguments.h"

/* VERB name [second [third]], answered by a log index or a word. */
static enum rk_status change(struct rk_client *client, const char *const words[4],
                             uint64_t *ret_index, struct rk_error *ret_error)
{
    struct arguments a = ARGUMENTS_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    for (int i = 0; i < 4 && words[i] != NULL; i++) {
        arguments_add(&a, words[i]);
    }
    status = arguments_call(&a, client, RK_CALL_ONCE, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (ret_index == NULL ? reply->type == RK_REPLY_ARRAY : reply->type != RK_REPLY_INTEGER) {
        return unexpected_reply(client, words[0], reply, ret_error);
    }
    if (ret_index != NULL) {
        *ret_index = (uint64_t)reply->integer;
    }
    rk_reply_free(reply);
    return RK_OK;
}

enum rk_status rk_member_add(struct rk_client *client, const char *name, const char *peer_address,
                             int is_learner, uint64_t *ret_index, struct rk_error *ret_error)
{
    const char *const words[4] = { "MEMBER.ADD", name, peer_address,
                                   is_learner ? "LEARNER" : NULL };

    return change(client, words, ret_index, ret_error);
}

enum rk_status rk_member_promote(struct rk_client *client, const char *name, uint64_t *ret_index,
                                 struct rk_error *ret_error)
{
    const char *const words[4] = { "MEMBER.PROMOTE", name };

    return change(client, words, ret_index, ret_error);
}

enum rk_status rk_member_remove(struct rk_client *client, const char *name, uint64_t *ret_index,
                                struct rk_error *ret_error)
{
    const char *const words[4] = { "MEMBER.REMOVE", name };

    return change(client, words, ret_index, ret_error);
}

enum rk_status rk_member_replace(struct rk_client *client, const char *name,
                                 const char *peer_address, uint64_t *ret_index,
                                 struct rk_error *ret_error)
{
    const char *const words[4] = { "MEMBER.REPLACE", name, peer_address };

    return change(client, words, ret_index, ret_error);
}

enum rk_status rk_member_update(struct rk_client *client, const char *name,
                                const char *peer_address, uint64_t *ret_index,
                                struct rk_error *ret_error)
{
    const char *const words[4] = { "MEMBER.UPDATE", name, peer_address };

    return change(client, words, ret_index, ret_error);
}

enum rk_status rk_leader_move(struct rk_client *client, const char *name,
                              struct rk_error *ret_error)
{
    const char *const words[4] = { "LEADER.MOVE", name };

    return change(client, words, NULL, ret_error);
}
