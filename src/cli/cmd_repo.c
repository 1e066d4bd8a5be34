/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper repo ...: repositories. */
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "cli/write.h"

#define REPLICAS_OF_FLAG_MAX 32

/* What a verb that writes has after its flags are parsed. */
struct setup {
    struct write_flags flags;
    const struct rk_write *write;
    struct rk_client *client;
    uint64_t index;
    struct rk_error error;
};

/* Parses, opens the client.  Returns 0, or the exit code to end with in *ret_exit and -1. */
static int set_up(struct cli *cli, struct setup *s, int argc, char **argv, const struct flag *own,
                  size_t own_count, int least, int most, int *ret_exit)
{
    struct flag flags[8] = { WRITE_FLAGS(s->flags) };
    int count;

    for (size_t i = 0; i < own_count; i++) {
        flags[WRITE_FLAG_COUNT + i] = own[i];
    }
    *ret_exit = EXIT_USAGE;
    count = cli_parse(cli, argc, argv, flags, WRITE_FLAG_COUNT + own_count, least, most);
    if (count < 0) {
        return -1;
    }
    s->write = write_flags_use(cli, &s->flags);
    if (s->write == NULL) {
        return -1;
    }
    s->client = cli_client(cli, ret_exit);
    return s->client == NULL ? -1 : count;
}

/* Splits "a,b,c" in place. */
static size_t split(char *list, const char **items, size_t max)
{
    size_t count = 0;

    for (char *item = list; item != NULL && count < max;) {
        char *comma = strchr(item, ',');

        if (comma != NULL) {
            *comma++ = '\0';
        }
        items[count++] = item;
        item = comma;
    }
    return count;
}

int cmd_repo_create(struct cli *cli, int argc, char **argv)
{
    char *replicas = NULL, *format = NULL, *head = NULL;
    const struct flag own[] = { { "replicas", FLAG_TEXT, &replicas },
                                { "format", FLAG_TEXT, &format },
                                { "head", FLAG_TEXT, &head } };
    const char *names[REPLICAS_OF_FLAG_MAX];
    struct setup s = { .index = 0 };
    struct rk_repo_spec spec = { 0 };
    int code;

    if (set_up(cli, &s, argc, argv, own, 3, 2, 2, &code) < 0) {
        return code;
    }
    spec.path = argv[0];
    spec.primary = argv[1];
    spec.replicas = names;
    spec.replica_count = split(replicas, names, REPLICAS_OF_FLAG_MAX);
    spec.format = format;
    spec.head = head;
    return write_report(cli, rk_repo_create(s.client, &spec, s.write, &s.index, &s.error), &s.index,
                        &s.error);
}

int cmd_repo_register(struct cli *cli, int argc, char **argv)
{
    static const char *const words[] = { "CREATED", "ADDED", "ALREADY" };
    static const char *const columns[] = { "index", "outcome" };
    enum rk_registered what = RK_REGISTERED_ALREADY;
    struct setup s = { .index = 0 };
    struct output *o;
    int code;

    if (set_up(cli, &s, argc, argv, NULL, 0, 2, 2, &code) < 0) {
        return code;
    }
    if (rk_repo_register(s.client, argv[0], argv[1], s.write, &what, &s.index, &s.error) != RK_OK) {
        return cli_fail(cli, &s.error);
    }
    o = output_open(cli->format, OUTPUT_RECORD, columns, 2);
    output_number(o, s.index);
    output_text(o, words[what]);
    output_end_row(o);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

int cmd_repo_remove(struct cli *cli, int argc, char **argv)
{
    struct setup s = { .index = 0 };
    int code;

    if (set_up(cli, &s, argc, argv, NULL, 0, 1, 1, &code) < 0) {
        return code;
    }
    return write_report(cli, rk_repo_remove(s.client, argv[0], s.write, &s.index, &s.error),
                        &s.index, &s.error);
}

int cmd_repo_rename(struct cli *cli, int argc, char **argv)
{
    bool is_prefix = false;
    const struct flag own[] = { { "prefix", FLAG_BOOL, &is_prefix } };
    struct setup s = { .index = 0 };
    int code;

    if (set_up(cli, &s, argc, argv, own, 1, 2, 2, &code) < 0) {
        return code;
    }
    return write_report(
        cli, rk_repo_rename(s.client, argv[0], argv[1], is_prefix, s.write, &s.index, &s.error),
        &s.index, &s.error);
}

int cmd_repo_set_head(struct cli *cli, int argc, char **argv)
{
    struct setup s = { .index = 0 };
    int code;

    if (set_up(cli, &s, argc, argv, NULL, 0, 2, 2, &code) < 0) {
        return code;
    }
    return write_report(cli,
                        rk_repo_set_head(s.client, argv[0], argv[1], s.write, &s.index, &s.error),
                        &s.index, &s.error);
}

int cmd_repo_freeze(struct cli *cli, int argc, char **argv)
{
    struct setup s = { .index = 0 };
    int code;

    if (set_up(cli, &s, argc, argv, NULL, 0, 2, 2, &code) < 0) {
        return code;
    }
    return write_report(cli,
                        rk_repo_freeze(s.client, argv[0], argv[1], s.write, &s.index, &s.error),
                        &s.index, &s.error);
}

int cmd_repo_thaw(struct cli *cli, int argc, char **argv)
{
    struct setup s = { .index = 0 };
    int code;

    if (set_up(cli, &s, argc, argv, NULL, 0, 1, 1, &code) < 0) {
        return code;
    }
    return write_report(cli, rk_repo_thaw(s.client, argv[0], s.write, &s.index, &s.error), &s.index,
                        &s.error);
}

int cmd_repo_remove_replica(struct cli *cli, int argc, char **argv)
{
    struct setup s = { .index = 0 };
    int code;

    if (set_up(cli, &s, argc, argv, NULL, 0, 2, 2, &code) < 0) {
        return code;
    }
    return write_report(
        cli, rk_repo_remove_replica(s.client, argv[0], argv[1], s.write, &s.index, &s.error),
        &s.index, &s.error);
}

int cmd_repo_show(struct cli *cli, int argc, char **argv)
{
    struct rk_error error;
    struct rk_reply *map = NULL;
    struct rk_client *client;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (rk_repo_show(client, argv[0], &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    code = output_map(cli->format, map) != 0 ? EXIT_OTHER : 0;
    rk_reply_free(map);
    return code;
}

static const char *const list_columns[] = { "path", "id", "state", "primary", "replicas", "refs" };

struct listing {
    struct cli *cli;
    struct output *output; /* opened at the first item: only then is it known what there is */
};

static int list_one(void *context, const char *path, const struct rk_reply *map)
{
    struct listing *l = context;
    size_t count = map == NULL || l->cli->format == OUTPUT_VALUE ? 1 : 6;

    if (l->output == NULL) {
        l->output = output_open(l->cli->format, OUTPUT_ROWS, list_columns, count);
    }
    output_text(l->output, path);
    for (size_t i = 1; i < count; i++) {
        output_reply(l->output, rk_reply_get(map, list_columns[i]));
    }
    output_end_row(l->output);
    return 0;
}

int cmd_repo_list(struct cli *cli, int argc, char **argv)
{
    char *prefix = NULL, *storage = NULL;
    const struct flag flags[] = { { "prefix", FLAG_TEXT, &prefix },
                                  { "storage", FLAG_TEXT, &storage } };
    struct listing l = { cli, NULL };
    struct rk_page page = { 0 };
    struct rk_error error;
    struct rk_client *client;
    enum rk_status status;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 2, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    page.prefix = prefix;
    page.storage = storage;
    status = rk_repo_list(client, &page, list_one, &l, &error);
    if (l.output == NULL) {
        l.output = output_open(cli->format, OUTPUT_ROWS, list_columns, 1);
    }
    if (status != RK_OK) {
        (void)output_close_failed(l.output);
        return cli_fail(cli, &error);
    }
    return output_close(l.output) != 0 ? EXIT_OTHER : 0;
}
