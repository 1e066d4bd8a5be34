/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper limits, refkeeper filter: settings of the whole cluster. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "cli/write.h"

/* Sends a write whose answer is a log index; `argv` has room for two more words. */
static int send_write(struct cli *cli, const char **argv, int argc)
{
    struct rk_error error;
    struct rk_reply *reply = NULL;
    struct rk_client *client;
    uint64_t index = 0;
    enum rk_status status;
    int code = 0;

    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    argv[argc++] = "ACTOR";
    argv[argc++] = cli_actor(cli);
    status = rk_call(client, RK_CALL_WRITE, argc, argv, NULL, &reply, &error);
    if (status == RK_OK) {
        index = (uint64_t)reply->integer;
    }
    rk_reply_free(reply);
    return write_report(cli, status, &index, &error);
}

/* Asks without arguments; NULL after saying what is wrong, *ret_code is then the exit code. */
static struct rk_reply *ask(struct cli *cli, int argc, char **argv, const char *request,
                            int *ret_code)
{
    struct rk_error error;
    struct rk_reply *reply = NULL;
    struct rk_client *client;

    *ret_code = EXIT_USAGE;
    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return NULL;
    }
    client = cli_client(cli, ret_code);
    if (client != NULL &&
        rk_call(client, RK_CALL_READ, 1, &request, NULL, &reply, &error) != RK_OK) {
        *ret_code = cli_fail(cli, &error);
    }
    return reply;
}

int cmd_limits_show(struct cli *cli, int argc, char **argv)
{
    int code;
    struct rk_reply *map = ask(cli, argc, argv, "LIMITS.SHOW", &code);

    if (map != NULL) {
        code = output_map(cli->format, map) != 0 ? EXIT_OTHER : 0;
        rk_reply_free(map);
    }
    return code;
}

int cmd_limits_set(struct cli *cli, int argc, char **argv)
{
    char *values[4] = { NULL };
    const struct flag flags[] = { { "repositories", FLAG_TEXT, &values[0] },
                                  { "refs", FLAG_TEXT, &values[1] },
                                  { "bytes", FLAG_TEXT, &values[2] },
                                  { "repository-refs", FLAG_TEXT, &values[3] } };
    static const char *const words[] = { "REPOSITORIES", "REFS", "BYTES", "REPOSITORY_REFS" };
    const char *call[1 + 8 + 2] = { "LIMITS.SET" };
    uint64_t number;
    int count = 1;

    if (cli_parse(cli, argc, argv, flags, 4, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < 4; i++) {
        if (values[i] == NULL) {
            continue;
        }
        if (!parse_number(values[i], &number)) {
            return cli_usage_error(cli, "--%s: \"%s\" is not a number", flags[i].name, values[i]);
        }
        call[count++] = words[i];
        call[count++] = values[i];
    }
    if (count == 1) {
        return cli_usage_error(cli, "nothing to set: give one limit at least");
    }
    return send_write(cli, call, count);
}

int cmd_filter_show(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "rule", "pattern" };
    int code;
    struct rk_reply *maps = ask(cli, argc, argv, "FILTER.SHOW", &code);

    if (maps != NULL) {
        code = output_maps(cli->format, maps, columns, 2) != 0 ? EXIT_OTHER : 0;
        rk_reply_free(maps);
    }
    return code;
}

/* "track:PATTERN" or "ignore:PATTERN" as the two words of a request. */
static bool split_rule(const char *rule, const char **ret_words)
{
    static const struct {
        const char *before, *word;
    } kinds[] = { { "track:", "TRACK" }, { "ignore:", "IGNORE" } };

    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(kinds[i].before);

        if (strncmp(rule, kinds[i].before, size) == 0) {
            ret_words[0] = kinds[i].word;
            ret_words[1] = rule + size;
            return true;
        }
    }
    return false;
}

int cmd_filter_set(struct cli *cli, int argc, char **argv)
{
    bool clears = false;
    const struct flag flags[] = { { "clear", FLAG_BOOL, &clears } };
    const char **call;
    char number[16];
    int code = 0, count = cli_parse(cli, argc, argv, flags, 1, 0, argc);

    if (count < 0) {
        return EXIT_USAGE;
    }
    if (clears != (count == 0)) {
        return cli_usage_error(cli, "give rules, or --clear");
    }
    call = heap_alloc((2 * (size_t)count + 4) * sizeof *call);
    (void)snprintf(number, sizeof number, "%d", count);
    call[0] = "FILTER.SET";
    call[1] = number;
    for (int i = 0; i < count && code == 0; i++) {
        if (!split_rule(argv[i], &call[2 + 2 * i])) {
            code = cli_usage_error(cli, "\"%s\": track:PATTERN or ignore:PATTERN", argv[i]);
        }
    }
    if (code == 0) {
        code = send_write(cli, call, 2 + 2 * count);
    }
    heap_free(call);
    return code;
}
