/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper member ..., move-leader: the nodes of the cluster. */
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "cli/write.h"
#include "sys/clock.h"

#define WAIT_LOOK_MS 100

int cmd_member_list(struct cli *cli, int argc, char **argv)
{
    return cli_list(cli, argc, argv, rk_member_list);
}

/* Whether `name` votes and nothing is to become of anybody of that name any more. */
static bool is_settled(const struct rk_reply *maps, const char *name)
{
    bool is_voter = false;

    for (size_t i = 0; i < maps->count; i++) {
        const struct rk_reply *m = maps->items[i];

        if (strcmp(rk_reply_get_text(m, "name"), name) == 0) {
            if (rk_reply_get_text(m, "change")[0] != '\0') {
                return false;
            }
            is_voter = strcmp(rk_reply_get_text(m, "kind"), "voter") == 0;
        }
    }
    return is_voter;
}

/* Until the new member votes; 0, or the exit code. */
static int wait_for_vote(struct cli *cli, struct rk_client *client, const char *name,
                         int64_t wait_ms)
{
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    struct rk_error error;

    for (;;) {
        struct rk_reply *maps = NULL;
        bool is_done;

        if (rk_member_list(client, &maps, &error) != RK_OK) {
            return cli_fail(cli, &error);
        }
        is_done = is_settled(maps, name);
        rk_reply_free(maps);
        if (is_done) {
            return 0;
        }
        if (clock_monotonic_ms() >= until_ms) {
            return cli_fail_text(cli, RK_TIMED_OUT,
                                 "%s is admitted, but does not vote yet: is it running there, with "
                                 "an empty data directory and --join?",
                                 name);
        }
        (void)poll(NULL, 0, WAIT_LOOK_MS);
    }
}

int cmd_member_add(struct cli *cli, int argc, char **argv)
{
    bool is_learner = false;
    int64_t wait_ms = 0;
    const struct flag flags[] = { { "learner", FLAG_BOOL, &is_learner },
                                  { "wait", FLAG_DURATION, &wait_ms } };
    struct rk_client *client;
    struct rk_error error;
    enum rk_status status;
    uint64_t index = 0;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 2, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    if (is_learner && wait_ms > 0) {
        return cli_usage_error(cli, "--wait: a learner does not vote before it is promoted");
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    status = rk_member_add(client, argv[0], argv[1], is_learner, &index, &error);
    if (status == RK_OK && wait_ms > 0) {
        code = wait_for_vote(cli, client, argv[0], wait_ms);
        if (code != 0) {
            return code;
        }
    }
    return write_report(cli, status, &index, &error);
}

int cmd_member_replace(struct cli *cli, int argc, char **argv)
{
    int64_t wait_ms = 0;
    const struct flag flags[] = { { "wait", FLAG_DURATION, &wait_ms } };
    struct rk_client *client;
    struct rk_error error;
    enum rk_status status;
    uint64_t index = 0;
    int code = EXIT_USAGE;
    int count = cli_parse(cli, argc, argv, flags, 1, 1, 2);

    if (count < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    status = rk_member_replace(client, argv[0], count > 1 ? argv[1] : NULL, &index, &error);
    if (status == RK_OK && wait_ms > 0) {
        code = wait_for_vote(cli, client, argv[0], wait_ms);
        if (code != 0) {
            return code;
        }
    }
    return write_report(cli, status, &index, &error);
}

/* VERB NAME */
static int change(struct cli *cli, int argc, char **argv,
                  enum rk_status (*call)(struct rk_client *client, const char *name,
                                         uint64_t *ret_index, struct rk_error *ret_error))
{
    struct rk_client *client;
    struct rk_error error;
    uint64_t index = 0;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    return write_report(cli, call(client, argv[0], &index, &error), &index, &error);
}

int cmd_member_promote(struct cli *cli, int argc, char **argv)
{
    return change(cli, argc, argv, rk_member_promote);
}

int cmd_member_remove(struct cli *cli, int argc, char **argv)
{
    return change(cli, argc, argv, rk_member_remove);
}

int cmd_member_update(struct cli *cli, int argc, char **argv)
{
    struct rk_client *client;
    struct rk_error error;
    uint64_t index = 0;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    return write_report(cli, rk_member_update(client, argv[0], argv[1], &index, &error), &index,
                        &error);
}

static int report_leader(struct cli *cli, struct rk_client *client)
{
    static const char *const columns[] = { "leader" };
    struct rk_reply *map = NULL;
    struct rk_error error;
    struct output *o;

    if (rk_cluster_status(client, &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    o = output_open(cli->format, OUTPUT_RECORD, columns, 1);
    output_text(o, rk_reply_get_text(map, "leader"));
    output_end_row(o);
    rk_reply_free(map);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

int cmd_move_leader(struct cli *cli, int argc, char **argv)
{
    struct rk_client *client;
    struct rk_error error;
    int code = EXIT_USAGE;
    int count = cli_parse(cli, argc, argv, NULL, 0, 0, 1);

    if (count < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (rk_leader_move(client, count > 0 ? argv[0] : NULL, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    return report_leader(cli, client);
}
