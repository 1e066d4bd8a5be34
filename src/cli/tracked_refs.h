/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which refs of a repository the cluster decides about.  [model/ref_filter.h, docs/GIT.md]
 *
 * Not refs/refkeeper/, which is the storage's own, and not those that the cluster's filter leaves
 * to git: they are neither compared nor replicated, and who changes them is not asked.
 */
#ifndef CLI_TRACKED_REFS_H
#define CLI_TRACKED_REFS_H

#include <stdbool.h>

#include <refkeeper/client.h>

#include "base/bytes.h"

struct tracked_refs {
    struct buffer rules; /* as the cluster keeps them; empty = all are tracked */
};

/* Asks the cluster, or (`is_stale`) the node that answers, for its filter.  An error leaves
 * `tracked` as it was.  Errors: those of the client; PROTOCOL. */
enum rk_status tracked_refs_read(struct tracked_refs *tracked, struct rk_client *client,
                                 bool is_stale, struct rk_error *error);
/* Takes it from an answer to REPO.SHOW; a node older than that answer's filter is asked for it.
 * Errors: as above. */
enum rk_status tracked_refs_of(struct tracked_refs *tracked, const struct rk_reply *repository,
                               struct rk_client *client, struct rk_error *error);
void tracked_refs_release(struct tracked_refs *tracked); /* accepts a zeroed one */

bool tracked_refs_has(const struct tracked_refs *tracked, const char *ref);
/* Whether some refs are left to git beside the storage's own. */
bool tracked_refs_has_filter(const struct tracked_refs *tracked);

#endif
