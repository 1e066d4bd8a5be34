/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper rebalance: primaries spread evenly over the storages that are fit, as far as complete
 * replicas allow.  A repository moves when that makes the fuller of the two storages less full.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/placement.h"
#include "cli/verbs.h"

struct rebalance {
    struct placement placement;
    struct moves moves;
};

static int plan_one(void *context, const char *path, const struct rk_reply *map)
{
    struct rebalance *r = context;
    struct placed_storage *from = placement_find(&r->placement, rk_reply_get_text(map, "primary"));
    struct placed_storage *to = placement_choose(&r->placement, map);

    if (from != NULL && to != NULL && to->primaries + 1 < from->primaries) {
        from->primaries--;
        to->primaries++;
        moves_add(&r->moves, path, from->name, to->name);
    }
    return 0;
}

static int print(struct cli *cli, const struct moves *m, bool is_dry_run)
{
    static const char *const columns[] = { "path", "from", "to", "outcome" };
    struct output *o = output_open(cli->format, OUTPUT_ROWS, columns, 4);
    int code = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct move *move = &m->list[i];
        bool is_moved = is_dry_run || move->status == RK_OK;

        output_text(o, move->path);
        output_text(o, move->from);
        output_text(o, move->to);
        output_text(o, is_dry_run ? "would move"
                       : is_moved ? "moved"
                                  : rk_status_text(move->status));
        output_end_row(o);
        code = is_moved ? code : EXIT_REFUSED;
    }
    return output_close(o) != 0 ? EXIT_OTHER : code;
}

int cmd_rebalance(struct cli *cli, int argc, char **argv)
{
    struct rebalance r = { .placement = { NULL, 0 } };
    bool is_dry_run = false;
    const struct flag flags[] = { { "dry-run", FLAG_BOOL, &is_dry_run } };
    struct rk_error error;
    struct rk_client *client;
    enum rk_status status;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 1, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    status = placement_read(&r.placement, client, &error);
    if (status == RK_OK) {
        status = rk_repo_list(client, NULL, plan_one, &r, &error);
    }
    if (status == RK_OK && !is_dry_run) {
        status = moves_send(&r.moves, client, cli_actor(cli), &error);
    }
    code = status == RK_OK ? print(cli, &r.moves, is_dry_run) : cli_fail(cli, &error);
    moves_release(&r.moves);
    placement_release(&r.placement);
    return code;
}
