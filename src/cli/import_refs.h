/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Teaching the cluster the refs of one repository on this machine.
 *
 * Idempotent: what is there already with the same value is left alone, so that an import that was
 * cut short is simply started again.  A ref with another value in the cluster is a conflict and
 * kept, unless forced; refs only the cluster has are kept.  Names below refs/refkeeper/ are the
 * storage's own and stay out, as does what the cluster's filter leaves to git.
 */
#ifndef CLI_IMPORT_REFS_H
#define CLI_IMPORT_REFS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "cli/git_refs.h"

struct import {
    struct rk_client *client; /* borrowed */
    const char *path, *storage, *git_dir;
    const struct git_refs *given; /* instead of what is on disk; NULL = the disk */
    const char *actor;
    bool is_force;
    bool shows_progress;
    /* A ref that was not taken, and why; may be NULL. */
    void (*conflict)(void *context, const char *ref, const char *text);
    void *context;
    /* results */
    uint64_t refs, created, unchanged, conflicts;
    uint64_t index; /* of the last change */
};

/*
 * Creates the repository with the storage as its primary, or adds the storage to the one of that
 * path; then its refs.  HEAD follows the disk of the primary.
 * Errors: those of the client, and NOT_FOUND: not a repository.
 */
enum rk_status import_run(struct import *im, struct rk_error *error);

#endif
