/* SPDX-License-Identifier: Apache-2.0 */
/* All refs of a repository on this machine, in git's order. */
#ifndef CLI_GIT_REFS_H
#define CLI_GIT_REFS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"

struct git_ref {
    const char *name; /* in git_refs.text */
    const char *oid;  /* hex */
};

struct git_refs {
    struct buffer text;
    struct git_ref *refs;
    size_t count;
};

/*
 * Reads what `git for-each-ref` shows, symbolic refs left out: they follow their target.
 * Errors: IO, TIMED_OUT.
 */
enum rk_status git_refs_read(struct git_refs *refs, const char *git_dir, int64_t deadline_ms,
                             struct errmsg *why) MUST_USE;

/* The same for refs named exactly; `names` ends with NULL.  What lies below a name comes too. */
enum rk_status git_refs_read_some(struct git_refs *refs, const char *git_dir,
                                  const char *const *names, int64_t deadline_ms,
                                  struct errmsg *why) MUST_USE;
void git_refs_release(struct git_refs *refs);

/* The object id of a ref in hex, NULL when there is no such ref. */
const char *git_refs_find(const struct git_refs *refs, const char *name);

#endif
