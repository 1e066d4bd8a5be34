/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One copy of a repository on this storage's disk: what it holds, and how it gets to what the
 * cluster decided.  [DESIGN 3, docs/GIT.md]
 *
 *   read the disk -> list the cluster's refs -> objects that are missing: git fetch by id
 *                 -> git update-ref with old values -> HEAD -> read the disk again
 *
 * What belongs to this storage alone, refs/refkeeper/, and what the cluster's filter leaves to git
 * is neither compared nor in the digest; but what the cluster holds is, whatever the filter says
 * now.
 * Nothing is deleted that an event did not delete: a ref only the disk has is moved to
 * refs/refkeeper/kept/INDEX/..., where its objects stay.
 */
#ifndef CLI_COPY_H
#define CLI_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <refkeeper/client.h>

#include "base/errmsg.h"
#include "base/status.h"
#include "cli/git_refs.h"
#include "cli/tracked_refs.h"
#include "refdb/digest.h"

#define COPY_DIGEST_BYTES DIGEST_BYTES
#define COPY_OWN_PREFIX "refs/refkeeper/" /* of the storage, not of the cluster */

/* refs/refkeeper/pin/SECONDS-PUSH-n: values whose push is not decided yet, or has not landed.
 * Everything reachable from a pin was here when it was made. */
#define COPY_PINS COPY_OWN_PREFIX "pin/"

struct copy_state {
    uint8_t digest[COPY_DIGEST_BYTES]; /* as REPO.SHOW has it for equal refs */
    struct digest tracked;             /* of the refs that the filter tracks */
    size_t ref_count;                  /* in that one */
    struct git_refs refs;              /* all that are on disk, in byte order */
};

/*
 * What the disk holds; *state is released first.  Errors: NOT_FOUND (no repository there), IO,
 * TIMED_OUT; *state is then empty.
 */
enum rk_status copy_read(const char *git_dir, const struct tracked_refs *tracked,
                         struct copy_state *state, struct errmsg *why) MUST_USE;
void copy_state_release(struct copy_state *state); /* accepts a zeroed one */

/* Whether the disk has the cluster's digest in hex.  Where a filter is in force the cluster may
 * hold values from before it: then its list decides what the digest is over.  Asks the client only
 * for that; when it gets no answer the two are not equal. */
bool copy_is_equal(struct copy_state *state, const struct tracked_refs *tracked,
                   struct rk_client *client, const char *path, const char *digest);

void copy_format_digest(const uint8_t digest[COPY_DIGEST_BYTES],
                        char ret_hex[2 * COPY_DIGEST_BYTES + 1]);

struct copy_sync {
    struct rk_client *client; /* borrowed, as all texts */
    const char *path, *git_dir;
    const struct tracked_refs *tracked;
    const struct git_refs *disk; /* what copy_read() found */
    const char *head;            /* what HEAD shall point at; NULL = leave it */
    const char *fetch_url;       /* where missing objects come from; NULL = nowhere */
    uint64_t index;              /* names the folder of refs that are kept */
    const char *const *deleted;  /* refs that events deleted, sorted */
    size_t deleted_count;
    bool keeps_strangers; /* a ref only the disk has stays where it is */
    /* results */
    size_t updated, removed, kept, missing; /* refs; missing: without their objects */
};

/*
 * Errors: those of the client; IO, TIMED_OUT: git failed, and everything that was not done is as
 * it was.  RK_OK with `missing` > 0: those refs were left alone.
 */
enum rk_status copy_sync_run(struct copy_sync *sync, struct errmsg *why) MUST_USE;

/* HEAD alone, as copy_sync_run() sets it in the end. */
enum rk_status copy_write_head(const struct copy_sync *sync, struct errmsg *why) MUST_USE;

#endif
