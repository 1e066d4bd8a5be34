/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper doctor: is a repository on this machine set up so that the cluster decides? */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/hook_journal.h"
#include "cli/stale_locks.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define GIT_MS 30000
#define GIT_MAJOR 2  /* there is no other since 2014; a third counts as newer */
#define GIT_MINOR 29 /* the first with proc-receive */

struct doctor {
    struct cli *cli;
    const char *git_dir;
    struct git_config config;
    struct output *output;
    int findings;
};

static void tell(struct doctor *d, const char *check, bool is_ok, const char *found,
                 const char *advice)
{
    output_text(d->output, check);
    output_text(d->output, is_ok ? "ok" : "wrong");
    output_text(d->output, found);
    output_text(d->output, is_ok ? NULL : advice);
    output_end_row(d->output);
    d->findings += is_ok ? 0 : 1;
}

static bool is_repository(const char *git_dir)
{
    static const char *const words[] = { "rev-parse", "--git-dir", NULL };
    char *line = git_line(git_dir, words, clock_monotonic_ms() + GIT_MS);
    bool is_one = line[0] != '\0';

    heap_free(line);
    return is_one;
}

static bool is_at_least(int major, int minor, int wanted)
{
    return major > GIT_MAJOR || (major == GIT_MAJOR && minor >= wanted);
}

/* What a newer git would bring; nothing of it is needed.  [docs/GIT.md, Versions of git] */
static const struct {
    int minor;
    const char *what;
} newer[] = {
    { 46, "2.46 shows symbolic refs to the guard; not needed" },
    { 51, "2.51 writes a push without us at once; not needed" },
    { 54, "2.54 tells hooks before it locks; not needed" },
};

static void check_version(struct doctor *d)
{
    static const char *const words[] = { "version", NULL };
    char *line = git_line(NULL, words, clock_monotonic_ms() + GIT_MS);
    int major = 0, minor = 0;
    bool is_ok = sscanf(line, "git version %d.%d", &major, &minor) == 2 &&
                 is_at_least(major, minor, GIT_MINOR);

    tell(d, "git version", is_ok, line, "proc-receive needs git 2.29 or newer");
    for (size_t i = 0; is_ok && i < sizeof newer / sizeof newer[0]; i++) {
        if (!is_at_least(major, minor, newer[i].minor)) {
            tell(d, "newer git", true, newer[i].what, NULL);
        }
    }
    heap_free(line);
}

/* git ignores a hook that is not executable; what follows from that differs. */
static void check_hooks(struct doctor *d)
{
    static const struct {
        const char *name, *advice;
    } hooks[] = {
        { "hooks/proc-receive",
          "missing or not executable, so every push is refused: run `refkeeper hook install`" },
        { "hooks/reference-transaction",
          "missing or not executable, so anything may change refs: run `refkeeper hook install`" },
        { "hooks/post-receive",
          "missing or not executable, so nobody confirms: run `refkeeper hook install`" },
    };

    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        const char *words[] = { "rev-parse", "--git-path", hooks[i].name, NULL };
        char *path = git_line(d->git_dir, words, clock_monotonic_ms() + GIT_MS);

        tell(d, hooks[i].name, path[0] != '\0' && access(path, X_OK) == 0, path, hooks[i].advice);
        heap_free(path);
    }
}

static void check_pushes(struct doctor *d)
{
    size_t count = hook_journal_count(d->git_dir);
    char found[64];

    snprintf(found, sizeof found, "%zu died half way", count);
    tell(d, "pushes", count == 0, found, "run `refkeeper resolve`");
}

static void tell_lock(void *context, const char *path, int64_t age_s)
{
    char found[PATH_MAX + 64];

    snprintf(found, sizeof found, "%s, %lld s old", path, (long long)age_s);
    tell(context, "lock file", false, found, STALE_LOCK_ADVICE);
}

static void check_locks(struct doctor *d)
{
    if (stale_locks_visit(d->git_dir, tell_lock, d) == 0) {
        tell(d, "lock files", true, "none left behind", NULL);
    }
}

static void check_value(struct doctor *d, const char *key, const char *wanted, const char *advice)
{
    const char *value = git_config_get(&d->config, key);

    tell(d, key, value != NULL && (wanted == NULL || strcasecmp(value, wanted) == 0), value,
         advice);
}

static void check_cluster(struct doctor *d)
{
    const char *endpoints = git_config_get(&d->config, "refkeeper.endpoints");
    const char *path = git_config_get(&d->config, "refkeeper.path");
    const char *storage = git_config_get(&d->config, "refkeeper.storage");
    struct rk_reply *map = NULL;
    struct rk_error error;
    struct rk_client *client;

    if (endpoints == NULL || path == NULL) {
        return;
    }
    client = cli_client_of(d->cli, endpoints, &error);
    if (client == NULL || rk_route(client, path, 1, NULL, &map, &error) != RK_OK) {
        tell(d, "cluster", false, error.message,
             client != NULL && rk_status_reaction(error.status) != RK_RETRY
                 ? "the cluster must know the repository"
                 : "see `refkeeper status --cluster`");
    } else {
        const char *primary = rk_reply_get_text(map, "primary");

        tell(d, "cluster", true, endpoints, NULL);
        tell(d, "primary", storage != NULL && strcmp(primary, storage) == 0, primary,
             "this storage is not the primary: pushes here are FENCED");
    }
    rk_reply_free(map);
    rk_client_close(client);
}

int cmd_doctor(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "check", "verdict", "found", "advice" };
    static const char maintenance[] =
        "automatic maintenance rewrites refs behind the cluster's back: set it so";
    struct doctor d = { .cli = cli };
    struct errmsg why = ERRMSG_INIT;
    int code;

    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    d.git_dir = argv[0];
    if (!is_repository(d.git_dir)) {
        return cli_fail_text(cli, RK_NOT_FOUND, "%s: not a git repository", d.git_dir);
    }
    if (git_config_read(&d.config, d.git_dir, clock_monotonic_ms() + GIT_MS, &why) != RK_OK) {
        git_config_release(&d.config);
        return cli_fail_text(cli, RK_NOT_FOUND, "%s: %s", d.git_dir, why.text);
    }
    d.output = output_open(cli->format, OUTPUT_ROWS, columns, 4);
    check_version(&d);
    check_hooks(&d);
    check_pushes(&d);
    check_locks(&d);
    check_value(&d, "receive.procreceiverefs", "refs/",
                "pushes bypass the cluster: set it to refs/");
    check_value(&d, "receive.autogc", "false", maintenance);
    check_value(&d, "gc.auto", "0", maintenance);
    check_value(&d, "refkeeper.path", NULL, "or let the router set REFKEEPER_REPO");
    check_value(&d, "refkeeper.id", NULL, "without it a renamed repository is not noticed");
    check_value(&d, "refkeeper.storage", NULL, "the name of this storage in the cluster");
    check_value(&d, "refkeeper.endpoints", NULL, "or let the router set REFKEEPER_ENDPOINTS");
    check_cluster(&d);
    git_config_release(&d.config);
    code = output_close(d.output) != 0 ? EXIT_OTHER : d.findings > 0 ? EXIT_REFUSED : 0;
    return code;
}
