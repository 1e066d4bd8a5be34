/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to git about a repository on this machine. */
#ifndef CLI_GIT_H
#define CLI_GIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "cli/process.h"

/* The configuration of a repository, read once; zeroed before.  Keys are in lower case. */
struct git_config {
    struct buffer text;    /* of git config --null --list */
    struct process reader; /* git_config_start: it runs */
};

/* Starts what git_config_read(config, NULL, ...) waits for: something else is done meanwhile. */
void git_config_start(struct git_config *config);

/* `git_dir` NULL = the one in the environment.  Errors: IO, TIMED_OUT. */
enum rk_status git_config_read(struct git_config *config, const char *git_dir, int64_t deadline_ms,
                               struct errmsg *why) MUST_USE;
void git_config_release(struct git_config *config);
/* The last value; NULL when there is none.  Valid until release. */
const char *git_config_get(const struct git_config *config, const char *key);
/* Whether the repository's own file mentions the word: a guess, without a process. */
bool git_config_may_have(const char *git_dir, const char *word);
/* As git understands booleans; `otherwise` when not set. */
bool git_config_get_bool(const struct git_config *config, const char *key, bool otherwise);

/*
 * Runs `git [--git-dir=DIR] words...`; `words` ends with NULL.  Appends stdout to `out` (may be
 * NULL).  *ret_exit is the exit code.  Errors: IO, TIMED_OUT; and IO with its last words when it
 * exits with another code than 0 and ret_exit is NULL.
 */
enum rk_status git_run(const char *git_dir, const char *const *words, struct slice input,
                       int64_t deadline_ms, struct buffer *out, int *ret_exit,
                       struct errmsg *why) MUST_USE;

/* One line of output without its end; "" when git failed.  Owned by the caller. */
char *git_line(const char *git_dir, const char *const *words, int64_t deadline_ms);

/* What HEAD points at, "" = nothing: from its file, without a process, where that says it plainly.
 * Owned by the caller. */
char *git_read_head(const char *git_dir, int64_t deadline_ms);
/* The value of a ref that has a loose file with an object id; false: ask git. */
bool git_read_loose(const char *git_dir, const char *ref, char ret_oid[65]);

#endif
