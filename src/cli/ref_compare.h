/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every ref whose value on this disk is not the cluster's.
 *
 * Refs that only the disk has and the cluster does not decide about are none of them.
 * Both sides are in byte order, so one walk finds every difference.  A push may be under way:
 * each difference is looked at once more before it is told.
 */
#ifndef CLI_REF_COMPARE_H
#define CLI_REF_COMPARE_H

#include <stdint.h>

#include "cli/cli.h"

/* One difference; `disk` or `cluster` is NULL where there is no such ref. */
typedef void ref_difference(void *context, const char *ref, const char *disk, const char *cluster);

struct ref_compare {
    struct rk_client *client; /* borrowed */
    const char *path, *git_dir;
    struct rk_read read;
    ref_difference *each;
    void *context;
    /* results */
    uint64_t same, different;
};

/* Errors: those of the client, and NOT_FOUND: not a repository. */
enum rk_status ref_compare_run(struct ref_compare *c, struct rk_error *error);

#endif
