/* SPDX-License-Identifier: Apache-2.0 */
/* Where a hook stands: which repository, on which storage, under which cluster.  [DESIGN 9] */
#ifndef CLI_HOOK_PLACE_H
#define CLI_HOOK_PLACE_H

#include <stdio.h>

#include "cli/cli.h"
#include "cli/git.h"

struct hook_place {
    struct git_config config;
    struct rk_client *client; /* belongs to the cli */
    char *path, *storage;
    struct rk_reply *repository; /* hook_place_show: REPO.SHOW; NULL = not asked yet */
};

/*
 * Reads the environment and the repository's configuration and opens a client whose calls end
 * after `timeout_ms`.  Errors: CONFIG (says what to set), IO, TIMED_OUT.
 */
enum rk_status hook_place_open(struct hook_place *place, struct cli *cli, int64_t timeout_ms,
                               struct errmsg *why) MUST_USE;
void hook_place_release(struct hook_place *place);

/* What the cluster says about the repository, asked once.  PRE: the place is open.  Errors: those
 * of rk_repo_show, with `error` set. */
enum rk_status hook_place_show(struct hook_place *place, struct rk_error *error) MUST_USE;

/* The environment's word, else the configuration's, else NULL. */
const char *hook_place_find(const struct hook_place *place, const char *variable, const char *key);

/* ---- The repository git started the hook in; most of it without a process ---- */

/* GIT_DIR, or where we are. */
const char *hook_git_dir(void);
/* Where git looks for a hook, whether there is one or not; "" = git could not say.  Owned by the
 * caller. */
char *hook_file(const char *name, const struct git_config *config, int64_t deadline_ms);
/* Whether the hook there is this program's: a link to it, or a script that calls it. */
bool hook_is_ours(const char *path, const char *name);

#endif
