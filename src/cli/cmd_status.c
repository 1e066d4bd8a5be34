/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper status: one node, or every member as it sees itself. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/verbs.h"

/* What people look for first; the rest of a node's answer is in `status` without --cluster. */
static const char *const columns[] = { "endpoint", "node",    "role", "term", "leader",
                                       "commit",   "applied", "refs", "state" };
#define COLUMNS (sizeof columns / sizeof columns[0])

static const char *first_of(const struct rk_reply *map, const char *one, const char *two)
{
    return rk_reply_get(map, one) != NULL ? one : two;
}

/* A node that answers is not always one that serves. */
static const char *state_of(const struct rk_reply *map)
{
    if (rk_reply_get_number(map, "is_removed") != 0) {
        return "removed";
    }
    if (strcmp(rk_reply_get_text(map, "state_check"), "equal") != 0) {
        return rk_reply_get_text(map, "state_check");
    }
    return rk_reply_get_number(map, "is_ready") != 0 ? "ok" : "not ready";
}

/* One row.  Returns the exit code of asking. */
static int print_node(struct cli *cli, struct output *o, const char *endpoint)
{
    struct rk_error error;
    struct rk_reply *map = NULL;
    struct rk_client *client = cli_client_of(cli, endpoint, &error);
    enum rk_status status = client == NULL ? error.status : rk_cluster_status(client, &map, &error);

    output_text(o, endpoint);
    if (status != RK_OK) {
        for (size_t i = 1; i + 1 < COLUMNS; i++) {
            output_text(o, NULL);
        }
        output_text(o, rk_status_text(status));
    } else {
        output_reply(o, rk_reply_get(map, first_of(map, "node", "name")));
        output_reply(o, rk_reply_get(map, "role"));
        output_reply(o, rk_reply_get(map, "term"));
        output_reply(o, rk_reply_get(map, "leader"));
        output_reply(o, rk_reply_get(map, first_of(map, "commit_index", "commit")));
        output_reply(o, rk_reply_get(map, first_of(map, "applied_index", "applied")));
        output_reply(o, rk_reply_get(map, "refs"));
        output_text(o, state_of(map));
    }
    output_end_row(o);
    rk_reply_free(map);
    rk_client_close(client);
    return status == RK_OK ? 0 : rk_status_exit_code(status);
}

static int print_cluster(struct cli *cli, struct rk_client *client)
{
    char *list = cli_member_endpoints(cli, client);
    struct output *o = output_open(cli->format, OUTPUT_ROWS, columns, COLUMNS);
    int code = 0;

    for (char *item = list; item != NULL;) {
        char *comma = strchr(item, ',');
        int rc;

        if (comma != NULL) {
            *comma = '\0';
        }
        rc = print_node(cli, o, item);
        code = rc != 0 ? rc : code;
        item = comma == NULL ? NULL : comma + 1;
    }
    heap_free(list);
    return output_close(o) != 0 ? EXIT_OTHER : code;
}

int cmd_status(struct cli *cli, int argc, char **argv)
{
    bool is_cluster = false;
    const struct flag flags[] = { { "cluster", FLAG_BOOL, &is_cluster } };
    struct rk_error error;
    struct rk_reply *map = NULL;
    struct rk_client *client;
    int code = 0;

    if (cli_parse(cli, argc, argv, flags, 1, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (is_cluster) {
        return print_cluster(cli, client);
    }
    if (rk_cluster_status(client, &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    code = output_map(cli->format, map) != 0 ? EXIT_OTHER : 0;
    rk_reply_free(map);
    return code;
}
