/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper member ...: the nodes of the cluster. */
#include "cli/cli.h"
#include "cli/verbs.h"

int cmd_member_list(struct cli *cli, int argc, char **argv)
{
    struct rk_error error;
    struct rk_reply *maps = NULL;
    struct rk_client *client;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (rk_member_list(client, &maps, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    code = output_maps(cli->format, maps, NULL, 0) != 0 ? EXIT_OTHER : 0;
    rk_reply_free(maps);
    return code;
}
