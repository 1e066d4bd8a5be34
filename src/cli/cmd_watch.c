/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper watch: every change, as it is applied. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/event_rows.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define PAGE_WAIT_MS 60000 /* the library shortens it to what fits its deadline */

struct watch {
    struct cli *cli;
    struct output *out;
    uint64_t left;  /* events still wanted; UINT64_MAX = all */
    bool is_silent; /* the outage was told */
};

static int print_event(void *context, const struct rk_event *event)
{
    struct watch *w = context;

    event_row(w->out, event);
    if (w->left != UINT64_MAX) {
        w->left--;
    }
    return 0; /* the rest of the page is printed, too: an index is not split */
}

/* No node answers: said once, then the watch goes on trying. */
static bool goes_on(struct watch *w, const struct rk_error *error)
{
    if (error->reaction != RK_RETRY) {
        return false;
    }
    if (!w->is_silent) {
        fprintf(stderr, "refkeeper watch: %s; trying again\n", error->message);
        w->is_silent = true;
    }
    return true;
}

static int watch(struct watch *w, struct rk_client *client, struct rk_events_query *query,
                 bool is_once)
{
    struct rk_error error;
    int code = 0;

    while (code == 0 && w->left > 0) {
        uint64_t next = query->from;
        enum rk_status status;

        query->limit = w->left < 1000 ? (size_t)w->left : 1000;
        status = rk_events_read(client, query, print_event, w, &next, &error);
        if (status != RK_OK) {
            code = goes_on(w, &error) ? 0 : cli_fail(w->cli, &error);
            continue;
        }
        w->is_silent = false;
        if (output_flush(w->out) != 0) {
            return EXIT_OTHER;
        }
        if (is_once && next == query->from) {
            break;
        }
        query->from = next;
        query->is_from_now = 0;
    }
    return code;
}

int cmd_watch(struct cli *cli, int argc, char **argv)
{
    struct watch w = { .cli = cli, .left = UINT64_MAX };
    struct rk_events_query query = { .wait_ms = PAGE_WAIT_MS };
    char *from = NULL, *prefix = NULL;
    bool is_once = false;
    const struct flag flags[] = { { "from", FLAG_TEXT, &from },
                                  { "prefix", FLAG_TEXT, &prefix },
                                  { "count", FLAG_NUMBER, &w.left },
                                  { "once", FLAG_BOOL, &is_once } };
    struct rk_client *client;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 4, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    query.is_from_now = from == NULL && !is_once;
    if (from != NULL && !parse_number(from, &query.from)) {
        return cli_usage_error(cli, "--from: \"%s\" is not a number", from);
    }
    query.prefix = prefix;
    query.wait_ms = is_once ? 0 : PAGE_WAIT_MS;
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    /* An array that has no end is no JSON. */
    w.out = output_open(cli->format == OUTPUT_JSON && !is_once ? OUTPUT_JSONL : cli->format,
                        OUTPUT_ROWS, event_columns, EVENT_COLUMNS);
    code = watch(&w, client, &query, is_once);
    return output_close(w.out) != 0 && code == 0 ? EXIT_OTHER : code;
}
