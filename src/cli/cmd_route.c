/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper route: where a fetch or a push goes; with --ssh, takes it there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/verbs.h"

/*
 * Becomes `CMD ssh-address`, with the route in the environment, so that a forced command can
 * hand a session on.
 */
static int hand_over(struct cli *cli, const char *command, const struct rk_reply *map)
{
    const char *address = rk_reply_get_text(map, "primary_ssh");
    char number[24];

    if (address[0] == '\0') {
        return cli_fail_text(cli, RK_NOT_FOUND,
                             "the primary %s has no ssh address; set it with "
                             "`refkeeper storage set %s --ssh HOST`",
                             rk_reply_get_text(map, "primary"), rk_reply_get_text(map, "primary"));
    }
    snprintf(number, sizeof number, "%llu", (unsigned long long)rk_reply_get_number(map, "epoch"));
    if (setenv("REFKEEPER_EPOCH", number, 1) != 0 ||
        setenv("REFKEEPER_STORAGE", rk_reply_get_text(map, "primary"), 1) != 0) {
        return cli_fail_text(cli, RK_NOMEM, "set the environment: %s", strerror(errno));
    }
    execl("/bin/sh", "sh", "-c", "exec $0 \"$1\"", command, address, (char *)NULL);
    return cli_fail_text(cli, RK_IO, "run %s: %s", command, strerror(errno));
}

int cmd_route(struct cli *cli, int argc, char **argv)
{
    bool is_write = false, is_stale = false;
    char *command = NULL;
    const struct flag flags[] = { { "write", FLAG_BOOL, &is_write },
                                  { "stale", FLAG_BOOL, &is_stale },
                                  { "ssh", FLAG_TEXT, &command } };
    struct rk_read read = { RK_READ_LINEARIZABLE, 0 };
    struct rk_error error;
    struct rk_reply *map = NULL;
    struct rk_client *client;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 3, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    read.consistency = is_stale ? RK_READ_STALE : RK_READ_LINEARIZABLE;
    if (rk_route(client, argv[0], is_write, &read, &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    if (command != NULL) {
        code = hand_over(cli, command, map);
    } else {
        code = output_map(cli->format, map) != 0 ? EXIT_OTHER : 0;
    }
    rk_reply_free(map);
    return code;
}
