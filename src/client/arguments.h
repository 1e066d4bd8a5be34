/* SPDX-License-Identifier: Apache-2.0 */
/* The argument list of a request while it is put together. */
#ifndef CLIENT_ARGUMENTS_H
#define CLIENT_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

#include <refkeeper/client.h>

#define ARGUMENT_NUMBERS_MAX 6

struct arguments {
    const char **argv; /* texts are borrowed until the call */
    size_t count;
    size_t capacity;
    char numbers[ARGUMENT_NUMBERS_MAX][24];
    size_t number_count;
};

#define ARGUMENTS_INIT                                                                             \
    {                                                                                              \
        NULL, 0, 0, { { 0 } }, 0                                                                   \
    }

void arguments_add(struct arguments *a, const char *text);
void arguments_add_number(struct arguments *a, uint64_t value);
void arguments_add_pair(struct arguments *a, const char *key, const char *value);
void arguments_add_read(struct arguments *a, const struct rk_read *read);
void arguments_add_write(struct arguments *a, const struct rk_write *write);

/* Calls, and releases the list. */
enum rk_status arguments_call(struct arguments *a, struct rk_client *client, unsigned flags,
                              struct rk_reply **ret_reply, struct rk_error *ret_error);
/* The same for a write answered by a log index; ret_index may be NULL. */
enum rk_status arguments_write(struct arguments *a, struct rk_client *client,
                               const struct rk_write *write, uint64_t *ret_index,
                               struct rk_error *ret_error);

/* The error of a reply that has not the promised shape. */
enum rk_status unexpected_reply(struct rk_client *client, const char *command,
                                struct rk_reply *reply, struct rk_error *ret_error);

#endif
