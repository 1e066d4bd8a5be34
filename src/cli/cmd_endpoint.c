/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper endpoint hash: do all members hold the same?  Each is asked by itself for its digests;
 * they are compared at the newest index of which all of them know one, so that it does not matter
 * how far each has come.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/verbs.h"

#define ENDPOINTS_MAX 64
#define EXIT_UNAVAILABLE 5
#define ROUND_MS 20

struct endpoint_state {
    const char *address;
    struct rk_client *client;
    struct rk_reply *reply; /* NULL = none yet */
    struct rk_error error;
};

struct comparison {
    struct endpoint_state endpoints[ENDPOINTS_MAX];
    size_t count, answered;
    uint64_t index; /* compared at; 0 = there is none */
};

static void ask_one(struct cli *cli, struct endpoint_state *e)
{
    const char *request = "STATE.DIGEST";

    rk_reply_free(e->reply);
    e->reply = NULL;
    if (e->client == NULL) {
        e->client = cli_client_of(cli, e->address, &e->error);
    }
    if (e->client != NULL) {
        (void)rk_call(e->client, RK_CALL_READ, 1, &request, NULL, &e->reply, &e->error);
    }
}

/* Its digest at that index; NULL when it does not know it. */
static const char *digest_at(const struct rk_reply *map, uint64_t index)
{
    const struct rk_reply *marks = rk_reply_get(map, "marks");

    if (rk_reply_get_number(map, "applied_index") == index) {
        return rk_reply_get_text(map, "digest");
    }
    for (size_t i = 0; marks != NULL && i + 1 < marks->count; i += 2) {
        if ((uint64_t)marks->items[i]->integer == index) {
            return marks->items[i + 1]->text;
        }
    }
    return NULL;
}

static bool all_know(const struct comparison *c, uint64_t index)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct rk_reply *reply = c->endpoints[i].reply;

        if (reply != NULL && digest_at(reply, index) == NULL) {
            return false;
        }
    }
    return index > 0;
}

/* The newest index all who answered know: one of the first of them. */
static void choose_index(struct comparison *c)
{
    const struct rk_reply *first = NULL, *marks;

    for (size_t i = 0; i < c->count && first == NULL; i++) {
        first = c->endpoints[i].reply;
    }
    if (first == NULL) {
        return;
    }
    if (all_know(c, rk_reply_get_number(first, "applied_index"))) {
        c->index = rk_reply_get_number(first, "applied_index");
        return;
    }
    marks = rk_reply_get(first, "marks");
    for (size_t i = 0; marks != NULL && i + 1 < marks->count && c->index == 0; i += 2) {
        if (all_know(c, (uint64_t)marks->items[i]->integer)) {
            c->index = (uint64_t)marks->items[i]->integer;
        }
    }
}

/* How many of those who answered have this digest. */
static size_t count_equal(const struct comparison *c, const char *digest)
{
    size_t count = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct rk_reply *reply = c->endpoints[i].reply;

        count += reply != NULL && strcmp(digest_at(reply, c->index), digest) == 0;
    }
    return count;
}

static const char *verdict_of(const struct comparison *c, const struct endpoint_state *e,
                              const char *digest)
{
    if (e->reply == NULL) {
        return rk_status_text(e->error.status);
    }
    if (digest == NULL) {
        return "no index all of them know";
    }
    return count_equal(c, digest) == c->answered ? "equal" : "DIFFERENT";
}

static int print(struct cli *cli, const struct comparison *c)
{
    static const char *const columns[] = { "endpoint", "node",   "applied",
                                           "index",    "digest", "verdict" };
    struct output *o = output_open(cli->format, OUTPUT_ROWS, columns, 6);
    int code = c->answered < c->count || c->index == 0 ? EXIT_UNAVAILABLE : 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct endpoint_state *e = &c->endpoints[i];
        const char *digest = e->reply == NULL || c->index == 0 ? NULL
                                                               : digest_at(e->reply, c->index);

        output_text(o, e->address);
        output_reply(o, e->reply == NULL ? NULL : rk_reply_get(e->reply, "node"));
        output_reply(o, e->reply == NULL ? NULL : rk_reply_get(e->reply, "applied_index"));
        if (digest == NULL) {
            output_text(o, NULL);
        } else {
            output_number(o, c->index);
        }
        output_text(o, digest);
        output_text(o, verdict_of(c, e, digest));
        output_end_row(o);
        if (digest != NULL && count_equal(c, digest) != c->answered) {
            code = EXIT_REFUSED;
        }
    }
    return output_close(o) != 0 ? EXIT_OTHER : code;
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Asks all, again while none knows what the others do: they are about to. */
static void compare(struct cli *cli, struct comparison *c)
{
    int64_t until = now_ms() + cli->timeout_ms;

    do {
        c->answered = 0;
        for (size_t i = 0; i < c->count; i++) {
            ask_one(cli, &c->endpoints[i]);
            c->answered += c->endpoints[i].reply != NULL;
        }
        choose_index(c);
        if (c->index != 0 || c->answered == 0) {
            return;
        }
        (void)poll(NULL, 0, ROUND_MS);
    } while (now_ms() < until);
}

int cmd_endpoint_hash(struct cli *cli, int argc, char **argv)
{
    struct comparison *c;
    struct rk_client *client;
    char *list, *rest = NULL;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    c = heap_new(struct comparison);
    list = cli_member_endpoints(cli, client);
    for (char *word = strtok_r(list, ",", &rest); word != NULL && c->count < ENDPOINTS_MAX;
         word = strtok_r(NULL, ",", &rest)) {
        c->endpoints[c->count++].address = word;
    }
    compare(cli, c);
    code = print(cli, c);
    for (size_t i = 0; i < c->count; i++) {
        rk_reply_free(c->endpoints[i].reply);
        rk_client_close(c->endpoints[i].client);
    }
    heap_free(list);
    heap_free(c);
    return code;
}
