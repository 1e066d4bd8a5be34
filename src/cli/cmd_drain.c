/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper drain: the primaries of a storage go to replicas that hold everything.
 *
 * Nothing is ever lost by it: a repository moves only where the cluster, when the move is applied,
 * has seen the replica complete at the repository's last index.  One without such a replica stays
 * where it is and is named.
 *
 * --watch does it by itself, by this rule: a storage is set down and drained when a majority of
 * the nodes named by --endpoints say that its agent has been silent for longer than --after, and no
 * node has heard it since.  A storage that never reported is left alone.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/placement.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define AGAIN_MS 500
#define WAIT_MS_DEFAULT 10000
#define AFTER_MS_DEFAULT 30000
#define NODES_MAX 16

static const char *const columns[] = { "path", "from", "to", "outcome" };

struct drain {
    struct cli *cli;
    struct rk_client *client;
    const char *storage;
    bool is_dry_run, is_last; /* the last round names what stays */
    int64_t wait_ms;
    struct output *output;
    struct placement placement;
    struct moves moves;
    size_t moved, left;
};

static void tell(struct drain *d, const char *path, const char *to, const char *outcome)
{
    output_text(d->output, path);
    output_text(d->output, d->storage);
    output_text(d->output, to);
    output_text(d->output, outcome);
    output_end_row(d->output);
}

static int plan_one(void *context, const char *path, const struct rk_reply *map)
{
    struct drain *d = context;
    struct placed_storage *to;

    if (strcmp(rk_reply_get_text(map, "primary"), d->storage) != 0) {
        return 0;
    }
    to = placement_choose(&d->placement, map);
    if (to != NULL) {
        to->primaries++;
        moves_add(&d->moves, path, d->storage, to->name);
        return 0;
    }
    d->left++;
    if (d->is_last) {
        tell(d, path, NULL, "stays: no live replica holds everything");
    }
    return 0;
}

static void tell_moves(struct drain *d)
{
    for (size_t i = 0; i < d->moves.count; i++) {
        const struct move *m = &d->moves.list[i];

        if (d->is_dry_run) {
            tell(d, m->path, m->to, "would move");
        } else if (m->status == RK_OK) {
            d->moved++;
            tell(d, m->path, m->to, "moved");
        } else if (m->status != RK_NOREPO && m->status != RK_REMOVED) {
            d->left++;
            if (d->is_last) {
                tell(d, m->path, m->to, rk_status_text(m->status));
            }
        }
    }
}

static enum rk_status run_round(struct drain *d, struct rk_error *error)
{
    struct rk_page page = { .storage = d->storage };
    enum rk_status status = placement_read(&d->placement, d->client, error);

    d->left = 0;
    if (status == RK_OK) {
        status = rk_repo_list(d->client, &page, plan_one, d, error);
    }
    if (status == RK_OK && !d->is_dry_run) {
        status = moves_send(&d->moves, d->client, cli_actor(d->cli), error);
    }
    if (status == RK_OK) {
        tell_moves(d);
    }
    moves_release(&d->moves);
    placement_release(&d->placement);
    return status;
}

/* Replicas that are behind get --wait to catch up. */
static enum rk_status run_rounds(struct drain *d, struct rk_error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + d->wait_ms;
    enum rk_status status = RK_OK;

    d->is_last = d->is_dry_run || d->wait_ms <= 0;
    do {
        status = run_round(d, error);
        if (status != RK_OK || d->is_last || d->left == 0) {
            break;
        }
        (void)poll(NULL, 0, AGAIN_MS);
        d->is_last = clock_monotonic_ms() >= deadline_ms;
    } while (true);
    return status;
}

/* It gets no more reads, and the registry says why; one that is down stays so. */
static enum rk_status set_state(struct drain *d, const char *state, struct rk_error *error)
{
    const char *const fields[] = { "STATE", state };
    struct rk_write write = { .actor = cli_actor(d->cli) };
    struct placement p = { NULL, 0 };
    enum rk_status status = placement_read(&p, d->client, error);
    const struct placed_storage *s = NULL;

    if (status == RK_OK) {
        s = placement_find(&p, d->storage);
    }
    if (status == RK_OK && s == NULL) {
        *error = (struct rk_error){ .status = RK_NOSTORAGE };
        snprintf(error->message, sizeof error->message, "no such storage: %s", d->storage);
        status = RK_NOSTORAGE;
    }
    if (status == RK_OK && !d->is_dry_run && strcmp(s->state, "down") != 0 &&
        strcmp(s->state, state) != 0) {
        status = rk_storage_set(d->client, d->storage, fields, 2, &write, NULL, error);
    }
    placement_release(&p);
    return status;
}

/* ---- By itself ---- */

struct watch {
    struct drain drain;
    struct rk_client *nodes[NODES_MAX];
    size_t node_count;
    int64_t after_ms;
};

static void open_nodes(struct watch *w)
{
    char *list = heap_copy_text(w->drain.cli->endpoints, strlen(w->drain.cli->endpoints));

    for (char *item = list; item != NULL && w->node_count < NODES_MAX;) {
        char *comma = strchr(item, ',');
        struct rk_error error;

        if (comma != NULL) {
            *comma++ = '\0';
        }
        w->nodes[w->node_count] = cli_client_of(w->drain.cli, item, &error);
        w->node_count += w->nodes[w->node_count] != NULL ? 1 : 0;
        item = comma;
    }
    heap_free(list);
}

/* Each node's own word: nobody else knows what it heard. */
static bool is_dead(struct watch *w, struct placement *said, const char *name)
{
    size_t silent = 0;

    for (size_t i = 0; i < w->node_count; i++) {
        const struct placed_storage *s = placement_find(&said[i], name);

        if (s != NULL && s->silent_ms >= 0 && s->silent_ms <= w->after_ms) {
            return false;
        }
        silent += s != NULL && s->silent_ms > w->after_ms ? 1 : 0;
    }
    return 2 * silent > w->node_count;
}

static void drain_dead(struct watch *w, const char *name, const char *state)
{
    struct rk_error error;
    enum rk_status status = RK_OK;

    w->drain.storage = name;
    w->drain.moved = 0;
    if (strcmp(state, "down") != 0) {
        fprintf(stderr, "refkeeper drain: storage %s has been silent for too long: down\n", name);
        status = set_state(&w->drain, "down", &error);
    }
    if (status == RK_OK) {
        status = run_rounds(&w->drain, &error);
    }
    if (status != RK_OK) {
        (void)cli_fail(w->drain.cli, &error);
    }
}

static void look_once(struct watch *w)
{
    struct placement said[NODES_MAX] = { { NULL, 0 } };
    const struct placement *all = NULL;
    struct rk_error error;

    for (size_t i = 0; i < w->node_count; i++) {
        if (placement_read(&said[i], w->nodes[i], &error) == RK_OK) {
            all = &said[i];
        }
    }
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        const struct placed_storage *s = &all->storages[i];

        if (s->primaries > 0 && is_dead(w, said, s->name)) {
            drain_dead(w, s->name, s->state);
        }
    }
    for (size_t i = 0; i < w->node_count; i++) {
        placement_release(&said[i]);
    }
}

static int watch(struct drain *d, int64_t after_ms)
{
    struct watch w = { .drain = *d, .after_ms = after_ms };

    if (d->cli->endpoints == NULL) {
        return cli_usage_error(d->cli, "--watch needs --endpoints, of all nodes");
    }
    w.drain.wait_ms = 0;
    open_nodes(&w);
    while (output_flush(w.drain.output) == 0) {
        look_once(&w);
        (void)poll(NULL, 0, AGAIN_MS);
    }
    return EXIT_OTHER;
}

int cmd_drain(struct cli *cli, int argc, char **argv)
{
    struct drain d = { .cli = cli, .wait_ms = WAIT_MS_DEFAULT };
    int64_t after_ms = AFTER_MS_DEFAULT;
    bool is_watch = false;
    const struct flag flags[] = { { "dry-run", FLAG_BOOL, &d.is_dry_run },
                                  { "wait", FLAG_DURATION, &d.wait_ms },
                                  { "watch", FLAG_BOOL, &is_watch },
                                  { "after", FLAG_DURATION, &after_ms } };
    struct rk_error error;
    enum rk_status status;
    int code = EXIT_USAGE;
    int count = cli_parse(cli, argc, argv, flags, 4, 0, 1);

    if (count < 0) {
        return EXIT_USAGE;
    }
    if ((count == 1) == is_watch) {
        return cli_usage_error(cli, "either STORAGE or --watch is needed");
    }
    d.client = cli_client(cli, &code);
    if (d.client == NULL) {
        return code;
    }
    d.output = output_open(cli->format == OUTPUT_JSON && is_watch ? OUTPUT_JSONL : cli->format,
                           OUTPUT_ROWS, columns, 4);
    if (is_watch) {
        code = watch(&d, after_ms);
        return output_close(d.output) != 0 ? EXIT_OTHER : code;
    }
    d.storage = argv[0];
    status = set_state(&d, "draining", &error);
    if (status == RK_OK) {
        status = run_rounds(&d, &error);
    }
    code = output_close(d.output) != 0 ? EXIT_OTHER : d.left > 0 ? EXIT_REFUSED : 0;
    return status == RK_OK ? code : cli_fail(cli, &error);
}
