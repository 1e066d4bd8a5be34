/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper hook install: puts a repository on this machine under the cluster's decision. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/hook_install.h"
#include "cli/hook_place.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define GIT_MS 30000

static int set_config(struct cli *cli, const char *git_dir, const char *key, const char *value)
{
    const char *words[] = { "config", key, value, NULL };
    struct errmsg why = ERRMSG_INIT;

    if (value == NULL) {
        return 0;
    }
    if (git_run(git_dir, words, SLICE_NONE, clock_monotonic_ms() + GIT_MS, NULL, NULL, &why) !=
        RK_OK) {
        return cli_fail_text(cli, RK_IO, "set %s in %s: %s", key, git_dir, why.text);
    }
    return 0;
}

/* The kernel passes a longer first line on cut, and no word with a space. */
#define SHEBANG_BYTES_MAX 120

/* A script that calls this very program, without a shell where that works: it survives a PATH that
 * does not hold it.  No link: whoever wrote through that would overwrite the program. */
static int write_hook(struct cli *cli, const char *path, const char *name)
{
    char program[PATH_MAX];
    char temporary[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    FILE *file;
    bool is_ok;

    if (size < 0) {
        return cli_fail_text(cli, RK_IO, "find my own program: %s", strerror(errno));
    }
    program[size] = '\0';
    if (strchr(program, '\'') != NULL) {
        return cli_fail_text(cli, RK_IO, "my own path holds a quote: %s", program);
    }
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary) {
        return cli_fail_text(cli, RK_BADARG, "the path of the hook is too long: %s", path);
    }
    file = fopen(temporary, "w");
    if (file == NULL) {
        return cli_fail_text(cli, RK_IO, "write %s: %s", temporary, strerror(errno));
    }
    if (strchr(program, ' ') == NULL && strlen(program) + strlen(name) < SHEBANG_BYTES_MAX) {
        fprintf(file, "#!%s hook %s\n", program, name);
    } else {
        fprintf(file, "#!/bin/sh\nexec '%s' hook %s \"$@\"\n", program, name);
    }
    is_ok = fchmod(fileno(file), 0755) == 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    is_ok = fclose(file) == 0 && is_ok;
    if (!is_ok || rename(temporary, path) != 0) {
        return cli_fail_text(cli, RK_IO, "write %s: %s", path, strerror(errno));
    }
    return 0;
}

/* Whether a hook of somebody else is there. */
static bool is_foreign(const char *path, const char *name)
{
    struct stat st;

    return lstat(path, &st) == 0 && !hook_is_ours(path, name);
}

/* proc-receive last: until then pushes go on as before. */
static int write_hooks(struct cli *cli, const char *folder, bool keeps_foreign)
{
    static const char *const names[] = { "post-receive", "reference-transaction", "proc-receive" };
    int code = 0;

    for (size_t i = 0; code == 0 && i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) >= (int)sizeof path) {
            return cli_fail_text(cli, RK_BADARG, "the path of the hooks is too long: %s", folder);
        }
        if (!is_foreign(path, names[i])) {
            code = write_hook(cli, path, names[i]);
        } else if (!keeps_foreign) {
            code = cli_fail_text(cli, RK_EXISTS,
                                 "%s is there already: call `refkeeper hook %s` from it, with its "
                                 "arguments and input, and use --keep-hooks",
                                 path, names[i]);
        }
    }
    return code;
}

/* The hooks directory git looks into, made if it is not there. */
static char *find_hooks(struct cli *cli, const char *git_dir)
{
    static const char *const words[] = { "rev-parse", "--git-path", "hooks", NULL };
    char *path = git_line(git_dir, words, clock_monotonic_ms() + GIT_MS);

    if (path[0] == '\0') {
        (void)cli_fail_text(cli, RK_NOT_FOUND, "%s is not a git repository", git_dir);
        heap_free(path);
        return NULL;
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        (void)cli_fail_text(cli, RK_IO, "make %s: %s", path, strerror(errno));
        heap_free(path);
        return NULL;
    }
    return path;
}

/* The id keeps a hook from deciding for another repository that took the path. */
static int find_id(struct cli *cli, const char *repo, char ret_id[24])
{
    struct rk_reply *map = NULL;
    struct rk_error error;
    struct rk_client *client;
    int code = 0;

    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (rk_repo_show(client, repo, &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    snprintf(ret_id, 24, "%llu", (unsigned long long)rk_reply_get_number(map, "id"));
    rk_reply_free(map);
    return 0;
}

/* Maintenance rewrites refs without the cluster's knowledge; replicas fetch what was decided by its
 * id; what is the storage's own is nobody's to see or push. */
static int write_config(struct cli *cli, const struct hook_installation *h)
{
    const char *const pairs[][2] = {
        { "refkeeper.path", h->repo },
        { "refkeeper.id", h->id },
        { "refkeeper.storage", h->storage },
        { "refkeeper.endpoints", cli->endpoints },
        { "refkeeper.cacert", cli->ca_file },
        { "refkeeper.cert", cli->cert_file },
        { "refkeeper.key", cli->key_file },
        { "receive.autogc", "false" },
        { "gc.auto", "0" },
        { "transfer.hideRefs", "refs/refkeeper" },
        { "uploadpack.allowAnySHA1InWant", "true" },
        { "receive.advertisePushOptions", "true" },
        { "receive.procReceiveRefs", "refs/" },
    };
    int code = 0;

    for (size_t i = 0; code == 0 && i < sizeof pairs / sizeof pairs[0]; i++) {
        code = set_config(cli, h->git_dir, pairs[i][0], pairs[i][1]);
    }
    return code;
}

int hook_install(struct cli *cli, const struct hook_installation *h)
{
    char *hooks = find_hooks(cli, h->git_dir);
    int code;

    if (hooks == NULL) {
        return EXIT_OTHER;
    }
    /* The hooks first: with receive.procReceiveRefs and no proc-receive every push is refused. */
    code = write_hooks(cli, hooks, h->keeps_foreign);
    heap_free(hooks);
    return code != 0 ? code : write_config(cli, h);
}

int cmd_hook_install(struct cli *cli, int argc, char **argv)
{
    struct hook_installation h = { .git_dir = NULL };
    char *repo = NULL, *storage = NULL;
    char id[24];
    bool has_no_id = false;
    const struct flag flags[] = { { "repo", FLAG_TEXT, &repo },
                                  { "storage", FLAG_TEXT, &storage },
                                  { "no-id", FLAG_BOOL, &has_no_id },
                                  { "keep-hooks", FLAG_BOOL, &h.keeps_foreign } };
    int code;

    if (cli_parse(cli, argc, argv, flags, 4, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    if (repo == NULL || storage == NULL || cli->endpoints == NULL) {
        return cli_usage_error(cli, "--repo, --storage and --endpoints are needed");
    }
    code = has_no_id ? 0 : find_id(cli, repo, id);
    h.git_dir = argv[0];
    h.repo = repo;
    h.storage = storage;
    h.id = has_no_id ? NULL : id;
    return code != 0 ? code : hook_install(cli, &h);
}
