/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper hook daemon-access: whether git daemon may serve a repository of this storage.
 * [git-daemon(1) --access-hook]
 *
 * Called with service, directory and more; the first line of stdout is shown to the user.  Fetches
 * are served where the copy is the primary's or in sync, pushes by the primary.  A cluster that
 * does not answer stops pushes; fetches go on.
 */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/placement.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define GIT_MS 10000
#define CLUSTER_MS 5000

static int refuse(const char *text, const char *more)
{
    printf("%s%s\n", text, more);
    return EXIT_REFUSED;
}

static int judge(const struct rk_reply *route, const char *storage, bool is_write)
{
    const char *primary = rk_reply_get_text(route, "primary");
    bool is_primary = strcmp(primary, storage) == 0;

    if (is_write && strcmp(rk_reply_get_text(route, "state"), "rw") != 0) {
        return refuse("the repository is frozen: ", rk_reply_get_text(route, "reason"));
    }
    if (is_write && !is_primary) {
        return refuse("pushes go to the storage ", primary);
    }
    if (!is_primary && !placement_lists(route, "in_sync", storage)) {
        return refuse("this copy is behind; fetch from the storage ", primary);
    }
    return 0;
}

static int ask(struct cli *cli, const struct git_config *config, bool is_write)
{
    const char *path = git_config_get(config, "refkeeper.path");
    const char *storage = git_config_get(config, "refkeeper.storage");
    const char *endpoints = git_config_get(config, "refkeeper.endpoints");
    struct rk_reply *route = NULL;
    struct rk_error error;
    int code = 0;

    if (path == NULL || storage == NULL || endpoints == NULL) {
        return refuse("the repository is not under the cluster's decision", "");
    }
    cli->timeout_ms = CLUSTER_MS;
    cli->client = cli_client_of(cli, endpoints, &error);
    if (cli->client != NULL &&
        rk_route(cli->client, path, is_write, NULL, &route, &error) == RK_OK) {
        code = judge(route, storage, is_write);
    } else if (error.status == RK_NOREPO || error.status == RK_REMOVED) {
        code = refuse("there is no such repository", "");
    } else if (is_write) {
        code = refuse("the cluster does not answer; try again later", "");
    }
    rk_reply_free(route);
    return code;
}

int cmd_hook_daemon_access(struct cli *cli, int argc, char **argv)
{
    struct git_config config = { .text = BUFFER_INIT };
    struct errmsg why = ERRMSG_INIT;
    int code;

    if (cli_parse(cli, argc, argv, NULL, 0, 2, 64) < 0) {
        return EXIT_USAGE;
    }
    if (git_config_read(&config, argv[1], clock_monotonic_ms() + GIT_MS, &why) != RK_OK) {
        code = refuse("there is no such repository", "");
    } else {
        code = ask(cli, &config, strcmp(argv[0], "receive-pack") == 0);
    }
    git_config_release(&config);
    return code;
}
