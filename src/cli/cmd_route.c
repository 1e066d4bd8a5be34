/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper route: where a fetch or a push goes.  With --ssh it takes a git client's command over
 * ssh there: a forced command (authorized_keys, ForceCommand) that serves every repository of the
 * cluster under one address.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "cli/cli.h"
#include "cli/ssh_command.h"
#include "cli/verbs.h"

struct route_flags {
    bool is_write, is_stale, is_printed;
    char *ssh;          /* the client's command */
    char *local, *root; /* the storage that this machine is, and where its repositories lie */
};

static int fail_exec(struct cli *cli, const char *program)
{
    return cli_fail_text(cli, RK_IO, "run %s: %s", program, strerror(errno));
}

/* This machine is the storage: git itself. */
static int run_here(struct cli *cli, const struct route_flags *flags, const struct ssh_command *c)
{
    struct buffer path = BUFFER_INIT;

    buffer_printf(&path, "%s/%s", flags->root, c->path);
    buffer_put_u8(&path, '\0');
    execlp("git", "git", c->service + strlen("git-"), (char *)path.data, (char *)NULL);
    return fail_exec(cli, "git");
}

static int run_there(struct cli *cli, const struct ssh_command *c, const struct ssh_address *to)
{
    char epoch[64];
    char *command = ssh_command_format(c);
    const char *words[12];
    size_t count = 0;

    snprintf(epoch, sizeof epoch, "SetEnv=REFKEEPER_EPOCH=%s", getenv("REFKEEPER_EPOCH"));
    words[count++] = "ssh";
    words[count++] = "-oBatchMode=yes";
    words[count++] = "-oSendEnv=GIT_PROTOCOL";
    words[count++] = "-o";
    words[count++] = epoch;
    if (to->port[0] != '\0') {
        words[count++] = "-p";
        words[count++] = to->port;
    }
    words[count++] = "--";
    words[count++] = to->destination;
    words[count++] = command;
    words[count] = NULL;
    execvp("ssh", (char *const *)(uintptr_t)words);
    heap_free(command);
    return fail_exec(cli, "ssh");
}

static int print(struct cli *cli, const struct ssh_command *c, const struct ssh_address *to,
                 const struct rk_reply *map)
{
    static const char *const columns[] = { "host", "port", "command", "storage", "id", "epoch" };
    struct output *output = output_open(cli->format, OUTPUT_RECORD, columns, 6);
    char *command = ssh_command_format(c);

    output_text(output, to->destination);
    output_text(output, to->port);
    output_text(output, command);
    output_text(output, rk_reply_get_text(map, "primary"));
    output_number(output, rk_reply_get_number(map, "id"));
    output_number(output, rk_reply_get_number(map, "epoch"));
    output_end_row(output);
    heap_free(command);
    return output_close(output) != 0 ? EXIT_OTHER : 0;
}

/* A frozen repository may be fetched from; a storage that is down serves nobody. */
static int check_usable(struct cli *cli, const struct ssh_command *c, const struct rk_reply *map)
{
    const char *state = rk_reply_get_text(map, "state");

    if (c->is_write && strcmp(state, "rw") != 0) {
        return cli_fail_text(cli, RK_FROZEN, "%s is %s: %s", c->path, state,
                             rk_reply_get_text(map, "reason"));
    }
    if (strcmp(rk_reply_get_text(map, "primary_state"), "down") == 0) {
        return cli_fail_text(cli, RK_NOLEADER, "%s is unavailable: its primary %s is down", c->path,
                             rk_reply_get_text(map, "primary"));
    }
    return 0;
}

static int serve_ssh(struct cli *cli, const struct route_flags *flags, const struct ssh_command *c,
                     const struct rk_reply *map)
{
    const char *storage = rk_reply_get_text(map, "primary");
    const char *address = rk_reply_get_text(map, "primary_ssh");
    struct ssh_address to = { .port = "" };
    struct errmsg why = ERRMSG_INIT;
    char number[24];
    int code = check_usable(cli, c, map);

    if (code != 0) {
        return code;
    }
    snprintf(number, sizeof number, "%" PRIu64, rk_reply_get_number(map, "epoch"));
    if (setenv("REFKEEPER_EPOCH", number, 1) != 0) {
        return cli_fail_text(cli, RK_NOMEM, "set the environment: %s", strerror(errno));
    }
    if (flags->local != NULL && strcmp(flags->local, storage) == 0 && !flags->is_printed) {
        return run_here(cli, flags, c);
    }
    if (address[0] == '\0') {
        return cli_fail_text(cli, RK_NOT_FOUND,
                             "the primary %s has no ssh address; set it with "
                             "`refkeeper storage set %s --ssh HOST`",
                             storage, storage);
    }
    if (ssh_address_parse(address, &to, &why) != RK_OK) {
        return cli_fail_text(cli, RK_BADARG, "storage %s: %s", storage, why.text);
    }
    return flags->is_printed ? print(cli, c, &to, map) : run_there(cli, c, &to);
}

static int route(struct cli *cli, const struct route_flags *flags, const char *path,
                 const struct ssh_command *command)
{
    struct rk_read read = { RK_READ_LINEARIZABLE, 0 };
    struct rk_error error;
    struct rk_reply *map = NULL;
    int code = EXIT_USAGE;
    struct rk_client *client = cli_client(cli, &code);

    if (client == NULL) {
        return code;
    }
    read.consistency = flags->is_stale ? RK_READ_STALE : RK_READ_LINEARIZABLE;
    if (rk_route(client, path, flags->is_write, &read, &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    if (command != NULL) {
        code = serve_ssh(cli, flags, command, map);
    } else {
        code = output_map(cli->format, map) != 0 ? EXIT_OTHER : 0;
    }
    rk_reply_free(map);
    return code;
}

int cmd_route(struct cli *cli, int argc, char **argv)
{
    struct route_flags f = { .ssh = NULL };
    const struct flag flags[] = {
        { "write", FLAG_BOOL, &f.is_write }, { "stale", FLAG_BOOL, &f.is_stale },
        { "ssh", FLAG_TEXT, &f.ssh },        { "print", FLAG_BOOL, &f.is_printed },
        { "local", FLAG_TEXT, &f.local },    { "root", FLAG_TEXT, &f.root },
    };
    struct ssh_command command;
    struct errmsg why = ERRMSG_INIT;
    int count = cli_parse(cli, argc, argv, flags, sizeof flags / sizeof flags[0], 0, 1);

    if (count < 0) {
        return EXIT_USAGE;
    }
    if ((f.ssh != NULL) == (count == 1)) {
        return cli_usage_error(cli, "either PATH or --ssh COMMAND is needed");
    }
    if ((f.local == NULL) != (f.root == NULL)) {
        return cli_usage_error(cli, "--local and --root belong together");
    }
    if (f.ssh == NULL) {
        return route(cli, &f, argv[0], NULL);
    }
    if (ssh_command_parse(f.ssh, &command, &why) != RK_OK) {
        return cli_fail_text(cli, RK_BADARG, "%s", why.text);
    }
    f.is_write = command.is_write;
    return route(cli, &f, command.path, &command);
}
