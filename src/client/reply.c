/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callbacks hiredis' reader builds replies with, and the questions about replies.
 *
 * An array grows as its elements arrive: the count a server announces reserves nothing.
 */
#include "client/reply.h"

#include <stdlib.h>
#include <string.h>

#include <refkeeper/client.h>

#include "base/heap.h"
#include "client/failure.h"

static struct rk_reply *new_reply(enum rk_reply_type type)
{
    struct rk_reply *r = heap_new(struct rk_reply);

    r->type = type;
    return r;
}

/* Puts a reply into the array it belongs to. */
static void *place(const redisReadTask *task, struct rk_reply *r)
{
    struct rk_reply *parent;
    size_t index;

    if (task->parent == NULL) {
        return r;
    }
    parent = task->parent->obj;
    index = (size_t)task->idx;
    /* Capacities are powers of two and never stored: full exactly when the count is one. */
    if ((index & (index - 1)) == 0) {
        size_t capacity = index == 0 ? 1 : 2 * index;

        parent->items = heap_grow(parent->items, capacity * sizeof(struct rk_reply *));
    }
    parent->items[index] = r;
    parent->count = index + 1;
    return r;
}

static void *create_string(const redisReadTask *task, char *text, size_t size)
{
    struct rk_reply *r = new_reply(task->type == REDIS_REPLY_ERROR ? RK_REPLY_ERROR
                                                                   : RK_REPLY_TEXT);

    r->text = heap_copy_text(text, size);
    r->size = size;
    return place(task, r);
}

static void *create_array(const redisReadTask *task, int count)
{
    (void)count;
    return place(task, new_reply(RK_REPLY_ARRAY));
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct rk_reply *r = new_reply(RK_REPLY_INTEGER);

    r->integer = value;
    return place(task, r);
}

static void *create_nil(const redisReadTask *task)
{
    return place(task, new_reply(RK_REPLY_NIL));
}

void rk_reply_free(struct rk_reply *reply)
{
    if (reply == NULL) {
        return;
    }
    /* As deep as the reader's own stack, which is bounded. */
    for (size_t i = 0; i < reply->count; i++) {
        rk_reply_free(reply->items[i]);
    }
    heap_free(reply->items);
    heap_free(reply->text);
    heap_free(reply);
}

static void free_object(void *object)
{
    rk_reply_free(object);
}

redisReader *reply_reader_new(void)
{
    /* hiredis asks for a table it may write to and never does. */
    static redisReplyObjectFunctions functions = { create_string, create_array, create_integer,
                                                   create_nil, free_object };
    redisReader *reader = redisReaderCreateWithFunctions(&functions);

    if (reader == NULL) {
        heap_exhausted(sizeof *reader);
    }
    return reader;
}

const struct rk_reply *rk_reply_get(const struct rk_reply *map, const char *key)
{
    size_t size = strlen(key);

    if (map == NULL || map->type != RK_REPLY_ARRAY) {
        return NULL;
    }
    for (size_t i = 0; i + 1 < map->count; i += 2) {
        const struct rk_reply *name = map->items[i];

        if (name->type == RK_REPLY_TEXT && name->size == size &&
            memcmp(name->text, key, size) == 0) {
            return map->items[i + 1];
        }
    }
    return NULL;
}

const char *rk_reply_get_text(const struct rk_reply *map, const char *key)
{
    const struct rk_reply *value = rk_reply_get(map, key);

    return value != NULL && value->type == RK_REPLY_TEXT ? value->text : "";
}

uint64_t rk_reply_get_number(const struct rk_reply *map, const char *key)
{
    const struct rk_reply *value = rk_reply_get(map, key);

    if (value == NULL) {
        return 0;
    }
    if (value->type == RK_REPLY_INTEGER) {
        return (uint64_t)value->integer;
    }
    return value->type == RK_REPLY_TEXT ? strtoull(value->text, NULL, 10) : 0;
}

enum rk_status rk_reply_error(const struct rk_reply *reply, struct rk_error *ret_error)
{
    if (reply->type != RK_REPLY_ERROR) {
        return RK_OK;
    }
    return failure_parse(ret_error, reply->text, reply->size, NULL);
}
