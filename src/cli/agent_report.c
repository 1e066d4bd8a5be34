/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling one node of the cluster what this storage holds.
 *
 * What a node knows of storages is its own and is gone when it restarts: each has a thread here.
 * It says every second or so that the storage lives, tells each copy whose digest changed,
 * and all of them again when the node's count of its losses (reports_generation) changed.
 * A node that is behind calls a copy DIFFERENT that is not: it is asked again until it agrees.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "cli/agent.h"

#define NODE_MS 3000 /* for one answer */
#define BEAT_MS 1000 /* between signs of life */
#define AGAIN_MS 100 /* a node was behind */
#define REPORTS_AT_ONCE 500
#define WORD_BYTES 48

/* What is told in one request, copied out of the shared table. */
struct batch {
    struct agent_copy *copies[REPORTS_AT_ONCE];
    bool is_complete[REPORTS_AT_ONCE];
    char ids[REPORTS_AT_ONCE][WORD_BYTES];
    char digests[REPORTS_AT_ONCE][WORD_BYTES];
    size_t count;
};

static void put_again(struct agent_node *n, struct agent_copy *copy)
{
    if (n->again_count == n->again_capacity) {
        n->again_capacity = n->again_capacity == 0 ? 64 : 2 * n->again_capacity;
        n->again = heap_grow(n->again, n->again_capacity * sizeof(*n->again));
    }
    n->again[n->again_count++] = copy;
}

/* A node that has not applied what the copy was compared with would judge it by older refs. */
static void take(struct agent_node *n, struct batch *b, struct agent_copy *copy)
{
    if (!copy->has_digest || copy->is_gone) {
        return;
    }
    if (copy->index > n->applied_index) {
        put_again(n, copy);
        return;
    }
    b->copies[b->count] = copy;
    b->is_complete[b->count] = copy->is_complete;
    snprintf(b->ids[b->count], WORD_BYTES, "%" PRIu64, copy->id);
    copy_format_digest(copy->digest, b->digests[b->count]);
    b->count++;
}

/* Under the lock: those the node was behind on, the new ones, then all once more. */
static void gather(struct agent_node *n, struct batch *b)
{
    struct agent *a = n->agent;

    b->count = 0;
    for (size_t left = n->again_count; left > 0 && b->count < REPORTS_AT_ONCE; left--) {
        struct agent_copy *copy = n->again[0];

        memmove(n->again, n->again + 1, --n->again_count * sizeof(*n->again));
        take(n, b, copy);
    }
    while (n->reported < a->report_count && b->count < REPORTS_AT_ONCE) {
        take(n, b, a->reports[n->reported++]);
    }
    while (n->walked < a->count && b->count < REPORTS_AT_ONCE) {
        take(n, b, a->copies[n->walked++]);
    }
}

static bool is_word(const struct rk_reply *reply, const char *word)
{
    return reply->type == RK_REPLY_TEXT && strcmp(reply->text, word) == 0;
}

/* False when the node could not be told. */
static bool tell(struct agent_node *n, struct rk_client *client, struct batch *b)
{
    struct agent *a = n->agent;
    const char **argv = heap_alloc((2 + 3 * REPORTS_AT_ONCE) * sizeof(*argv));
    struct rk_reply *reply = NULL;
    int argc = 0;
    bool is_told;

    argv[argc++] = "REPLICA.REPORT";
    argv[argc++] = a->storage;
    for (size_t i = 0; i < b->count; i++) {
        argv[argc++] = b->copies[i]->path;
        argv[argc++] = b->ids[i];
        argv[argc++] = b->digests[i];
    }
    is_told = rk_call(client, RK_CALL_READ, argc, argv, NULL, &reply, NULL) == RK_OK &&
              reply->type == RK_REPLY_ARRAY && reply->count == b->count;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < b->count; i++) {
        bool is_behind = is_told && b->is_complete[i] && is_word(reply->items[i], "DIFFERENT");

        if (!is_told || (is_behind && b->copies[i]->is_complete)) {
            put_again(n, b->copies[i]);
        }
    }
    n->is_telling = false;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    rk_reply_free(reply);
    heap_free(argv);
    return is_told;
}

/* Whether the node still knows what it was told. */
static bool look_at_node(struct agent_node *n, struct rk_client *client)
{
    struct rk_reply *map = NULL;
    uint64_t generation;

    if (rk_cluster_status(client, &map, NULL) != RK_OK) {
        return false;
    }
    generation = rk_reply_get_number(map, "reports_generation");
    n->applied_index = rk_reply_get_number(map, "applied_index");
    rk_reply_free(map);
    if (generation != n->generation) {
        pthread_mutex_lock(&n->agent->lock);
        n->generation = generation;
        n->walked = 0;
        pthread_mutex_unlock(&n->agent->lock);
    }
    return true;
}

/* Until there is something to tell, but no longer. */
static void wait_for_news(struct agent_node *n, int64_t wait_ms)
{
    struct agent *a = n->agent;
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (rc == 0 && n->reported == a->report_count && n->walked >= a->count) {
        rc = pthread_cond_timedwait(&a->changed, &a->lock, &until);
    }
}

void *agent_reporter(void *node)
{
    struct agent_node *n = node;
    struct agent *a = n->agent;
    struct rk_client *client = agent_client(a, n->endpoint, NODE_MS);
    struct batch *batch = heap_new(struct batch);

    for (;;) {
        bool is_told = look_at_node(n, client);
        bool has_more = is_told;

        while (has_more) {
            pthread_mutex_lock(&a->lock);
            gather(n, batch);
            n->is_telling = batch->count > 0;
            pthread_mutex_unlock(&a->lock);
            is_told = tell(n, client, batch);
            has_more = is_told && batch->count == REPORTS_AT_ONCE && n->again_count == 0;
        }
        pthread_mutex_lock(&a->lock);
        if (is_told) {
            wait_for_news(n, n->again_count > 0 ? AGAIN_MS : BEAT_MS);
        }
        pthread_mutex_unlock(&a->lock);
        if (!is_told) {
            (void)poll(NULL, 0, BEAT_MS);
        }
    }
    return NULL;
}
