/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper version: of this program, its library, and the node it reaches. */
#include "cli/cli.h"
#include "cli/verbs.h"

int cmd_version(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "refkeeper", "librefkeeper", "node" };
    bool asks_node = false;
    const struct flag flags[] = { { "node", FLAG_BOOL, &asks_node } };
    struct rk_error error;
    struct rk_reply *map = NULL;
    struct rk_client *client;
    struct output *o;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 1, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    if (asks_node) {
        client = cli_client(cli, &code);
        if (client == NULL) {
            return code;
        }
        if (rk_cluster_status(client, &map, &error) != RK_OK) {
            return cli_fail(cli, &error);
        }
    }
    o = output_open(cli->format, OUTPUT_RECORD, columns, asks_node ? 3 : 2);
    output_text(o, RK_VERSION);
    output_text(o, rk_version());
    if (asks_node) {
        output_text(o, rk_reply_get_text(map, "version"));
    }
    output_end_row(o);
    rk_reply_free(map);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}
