/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper history, undo: what was changed, and back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/event_rows.h"
#include "cli/verbs.h"
#include "cli/write.h"

/* ---- history ---- */

struct history {
    struct output *out;
    const char *path;
    const char *ref;       /* NULL = all */
    size_t count;          /* printed */
    struct rk_error older; /* OK, or why what was before is not known */
};

static bool is_about(const struct history *h, const struct rk_event *event)
{
    bool is_path = (event->path != NULL && strcmp(event->path, h->path) == 0) ||
                   (strcmp(event->kind, "renamed") == 0 && event->old_value != NULL &&
                    strcmp(event->old_value, h->path) == 0);

    return is_path && (h->ref == NULL || (strcmp(event->kind, "ref") == 0 && event->ref != NULL &&
                                          strcmp(event->ref, h->ref) == 0));
}

static int print_event(void *context, const struct rk_event *event)
{
    struct history *h = context;

    if (is_about(h, event)) {
        event_row(h->out, event);
        h->count++;
    }
    return 0;
}

/* From the first index if a node still knows it, else what there is; h->older tells. */
static enum rk_status read_first(struct rk_client *client, struct rk_events_query *query,
                                 struct history *h, uint64_t *ret_next, struct rk_error *error)
{
    enum rk_status status;

    query->from = 1;
    status = rk_events_read(client, query, print_event, h, ret_next, error);
    if (status != RK_COMPACTED) {
        return status;
    }
    h->older = *error;
    query->from = 0;
    return rk_events_read(client, query, print_event, h, ret_next, error);
}

/* Nothing was found: of a path that no repository has, that is an error. */
static enum rk_status look_for_path(struct rk_client *client, const char *path,
                                    struct rk_error *error)
{
    struct rk_reply *map = NULL;
    enum rk_status status = rk_repo_show(client, path, &map, error);

    rk_reply_free(map);
    return status;
}

/* A short list must not be taken for all there was. */
static void say_where_it_begins(const struct history *h)
{
    if (h->older.status != RK_OK) {
        fprintf(stderr, "refkeeper history: %solder changes are not kept: %s\n",
                h->count == 0 ? "no change is known; " : "", h->older.message);
    } else if (h->count == 0) {
        fprintf(stderr, "refkeeper history: no change is known, from index 1 on\n");
    }
}

int cmd_history(struct cli *cli, int argc, char **argv)
{
    struct history h = { 0 };
    struct rk_events_query query = { 0 };
    struct rk_error error;
    struct rk_client *client;
    enum rk_status status;
    uint64_t next = 0;
    int code = EXIT_USAGE;
    int count = cli_parse(cli, argc, argv, NULL, 0, 1, 2);

    if (count < 0) {
        return EXIT_USAGE;
    }
    h.path = argv[0];
    h.ref = count > 1 ? argv[1] : NULL;
    query.prefix = h.path;
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    h.out = output_open(cli->format, OUTPUT_ROWS, event_columns, EVENT_COLUMNS);
    status = read_first(client, &query, &h, &next, &error);
    while (status == RK_OK && next != query.from) {
        query.from = next;
        status = rk_events_read(client, &query, print_event, &h, &next, &error);
    }
    if (status == RK_OK && h.count == 0) {
        status = look_for_path(client, h.path, &error);
    }
    if (status != RK_OK) {
        (void)output_close_failed(h.out);
        return cli_fail(cli, &error);
    }
    say_where_it_begins(&h);
    return output_close(h.out) != 0 ? EXIT_OTHER : 0;
}

/* ---- undo ---- */

struct undo {
    uint64_t index;
    char *path;
    struct rk_ref_change *changes;
    size_t count, capacity;
    size_t others; /* changes that are not of refs */
};

static char *copy(const char *text)
{
    return text == NULL ? NULL : heap_copy_text(text, strlen(text));
}

/* The change back: what it became must still be there, what it was comes again. */
static int take_event(void *context, const struct rk_event *event)
{
    struct undo *u = context;
    char *now;

    if (event->index != u->index) {
        return 0;
    }
    if (strcmp(event->kind, "ref") != 0 || event->path == NULL || event->ref == NULL) {
        u->others++;
        return 0;
    }
    if (u->count == u->capacity) {
        u->capacity = u->capacity == 0 ? 16 : 2 * u->capacity;
        u->changes = heap_grow(u->changes, u->capacity * sizeof *u->changes);
    }
    if (u->path == NULL) {
        u->path = copy(event->path); /* an entry changes refs of one repository only */
    }
    now = copy(event->new_value == NULL ? RK_ABSENT : event->new_value);
    u->changes[u->count++] = (struct rk_ref_change){ copy(event->ref), now,
                                                     copy(event->old_value) };
    return 0;
}

static void release(struct undo *u)
{
    for (size_t i = 0; i < u->count; i++) {
        heap_free((void *)(uintptr_t)u->changes[i].ref);
        heap_free((void *)(uintptr_t)u->changes[i].old_oid);
        heap_free((void *)(uintptr_t)u->changes[i].new_oid);
    }
    heap_free(u->changes);
    heap_free(u->path);
}

static int change_back(struct cli *cli, struct rk_client *client, const struct undo *u,
                       const struct rk_write *write)
{
    struct rk_ref_results *results = NULL;
    struct rk_error error;
    enum rk_status status;
    uint64_t index = 0;

    if (u->others > 0) {
        return cli_fail_text(cli, RK_UNSUPPORTED,
                             "index %" PRIu64 " changed something else than refs; only changes "
                             "of refs can be undone",
                             u->index);
    }
    if (u->count == 0) {
        return cli_fail_text(cli, RK_NOT_FOUND, "index %" PRIu64 " changed nothing", u->index);
    }
    status = rk_ref_txn(client, u->path, true, u->changes, u->count, write, &results, &error);
    if (results != NULL) {
        index = rk_ref_results_index(results);
        rk_ref_results_free(results);
    }
    return write_report(cli, status, &index, &error);
}

int cmd_undo(struct cli *cli, int argc, char **argv)
{
    struct undo u = { 0 };
    struct rk_events_query query = { .limit = 1 };
    struct write_flags wanted = { 0 };
    const struct flag flags[] = { WRITE_FLAGS(wanted) };
    const struct rk_write *write;
    struct rk_error error;
    struct rk_client *client;
    uint64_t next;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, WRITE_FLAG_COUNT, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    if (!parse_number(argv[0], &u.index) || u.index == 0) {
        return cli_usage_error(cli, "\"%s\" is not an index", argv[0]);
    }
    write = write_flags_use(cli, &wanted);
    client = write == NULL ? NULL : cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    query.from = u.index;
    if (rk_events_read(client, &query, take_event, &u, &next, &error) != RK_OK) {
        code = cli_fail(cli, &error);
    } else {
        code = change_back(cli, client, &u, write);
    }
    release(&u);
    return code;
}
