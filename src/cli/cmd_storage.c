/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper storage ...: the Git servers. */
#include "cli/cli.h"
#include "cli/verbs.h"
#include "cli/write.h"

int cmd_storage_set(struct cli *cli, int argc, char **argv)
{
    char *http = NULL, *ssh = NULL, *zone = NULL, *state = NULL;
    const struct flag flags[] = { { "http", FLAG_TEXT, &http },
                                  { "ssh", FLAG_TEXT, &ssh },
                                  { "zone", FLAG_TEXT, &zone },
                                  { "state", FLAG_TEXT, &state } };
    const char *const names[] = { "http", "ssh", "zone", "state" };
    const char *fields[8];
    struct rk_write write = { 0 };
    struct rk_error error;
    struct rk_client *client;
    uint64_t index = 0;
    size_t count = 0;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 4, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < 4; i++) {
        const char *value = *(char **)flags[i].target;

        if (value != NULL) {
            fields[count++] = names[i];
            fields[count++] = value;
        }
    }
    if (count == 0) {
        return cli_usage_error(cli, "nothing to set: give --http, --ssh, --zone or --state");
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    write.actor = cli_actor(cli);
    return write_report(cli, rk_storage_set(client, argv[0], fields, count, &write, &index, &error),
                        &index, &error);
}

int cmd_storage_list(struct cli *cli, int argc, char **argv)
{
    return cli_list(cli, argc, argv, rk_storage_list);
}

int cmd_storage_remove(struct cli *cli, int argc, char **argv)
{
    struct rk_write write = { 0 };
    struct rk_error error;
    struct rk_client *client;
    uint64_t index = 0;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    write.actor = cli_actor(cli);
    return write_report(cli, rk_storage_remove(client, argv[0], &write, &index, &error), &index,
                        &error);
}
