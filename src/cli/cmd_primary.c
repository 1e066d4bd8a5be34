/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper primary set: moves the primary of repositories. */
#include "cli/cli.h"
#include "cli/verbs.h"

int cmd_primary_set(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "path", "outcome" };
    char *reason = NULL;
    const struct flag flags[] = { { "force", FLAG_TEXT, &reason } };
    struct rk_write write = { 0 };
    struct rk_error error;
    struct rk_reply *array = NULL;
    struct rk_client *client;
    struct output *o;
    int code = EXIT_USAGE;
    int count = cli_parse(cli, argc, argv, flags, 1, 2, 20001);

    if (count < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    write.actor = cli_actor(cli);
    if (rk_primary_set(client, argv[0], (const char *const *)argv + 1, (size_t)count - 1, reason,
                       &write, &array, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    code = 0;
    o = output_open(cli->format, OUTPUT_ROWS, columns, 2);
    for (size_t i = 0; i < array->count; i++) {
        output_text(o, argv[1 + i]);
        output_reply(o, array->items[i]);
        output_end_row(o);
        if (array->items[i]->type == RK_REPLY_ERROR) {
            code = rk_status_exit_code(rk_reply_error(array->items[i], NULL));
        }
    }
    rk_reply_free(array);
    return output_close(o) != 0 ? EXIT_OTHER : code;
}
