/* SPDX-License-Identifier: Apache-2.0 */
#include "client/arguments.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/heap.h"
#include "client/failure.h"

void arguments_add(struct arguments *a, const char *text)
{
    PRE(text != NULL);
    if (a->count == a->capacity) {
        a->capacity = a->capacity == 0 ? 16 : 2 * a->capacity;
        a->argv = heap_grow(a->argv, a->capacity * sizeof *a->argv);
    }
    a->argv[a->count++] = text;
}

void arguments_add_number(struct arguments *a, uint64_t value)
{
    char *text;

    INVARIANT(a->number_count < ARGUMENT_NUMBERS_MAX);
    text = a->numbers[a->number_count++];
    snprintf(text, sizeof a->numbers[0], "%" PRIu64, value);
    arguments_add(a, text);
}

void arguments_add_pair(struct arguments *a, const char *key, const char *value)
{
    arguments_add(a, key);
    arguments_add(a, value);
}

void arguments_add_read(struct arguments *a, const struct rk_read *read)
{
    if (read == NULL || read->consistency == RK_READ_LINEARIZABLE) {
        return;
    }
    if (read->consistency == RK_READ_STALE) {
        arguments_add(a, "STALE");
    } else {
        arguments_add(a, "MININDEX");
        arguments_add_number(a, read->min_index);
    }
}

void arguments_add_write(struct arguments *a, const struct rk_write *write)
{
    if (write == NULL) {
        return;
    }
    if (write->has_epoch) {
        arguments_add(a, "EPOCH");
        arguments_add_number(a, write->epoch);
    }
    if (write->storage != NULL) {
        arguments_add_pair(a, "BY", write->storage);
    }
    if (write->repository_id != 0) {
        arguments_add(a, "ID");
        arguments_add_number(a, write->repository_id);
    }
    if (write->actor != NULL && write->actor[0] != '\0') {
        arguments_add_pair(a, "ACTOR", write->actor);
    }
}

enum rk_status arguments_call(struct arguments *a, struct rk_client *client, unsigned flags,
                              struct rk_reply **ret_reply, struct rk_error *ret_error)
{
    enum rk_status status;

    PRE(a->count <= INT_MAX - 4);
    status = rk_call(client, flags, (int)a->count, a->argv, NULL, ret_reply, ret_error);
    heap_free(a->argv);
    return status;
}

enum rk_status unexpected_reply(struct rk_client *client, const char *command,
                                struct rk_reply *reply, struct rk_error *ret_error)
{
    rk_reply_free(reply);
    return failure_set(ret_error, RK_PROTOCOL, rk_client_endpoint(client),
                       "%s: unexpected answer from %s; is it a Refkeeper node of a known version?",
                       command, rk_client_endpoint(client));
}

enum rk_status arguments_write(struct arguments *a, struct rk_client *client,
                               const struct rk_write *write, uint64_t *ret_index,
                               struct rk_error *ret_error)
{
    const char *command = a->argv[0];
    struct rk_reply *reply = NULL;
    enum rk_status status;

    arguments_add_write(a, write);
    status = arguments_call(a, client, RK_CALL_WRITE, &reply, ret_error);
    if (status != RK_OK) {
        return status;
    }
    if (reply->type != RK_REPLY_INTEGER) {
        return unexpected_reply(client, command, reply, ret_error);
    }
    if (ret_index != NULL) {
        *ret_index = (uint64_t)reply->integer;
    }
    rk_reply_free(reply);
    return RK_OK;
}
