/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicas of a repository whose agents may take a pack, and where they listen.
 *
 * refkeeper.agents = STORAGE=HOST:PORT,...; one that is not named there is at the host of its http
 * address, port 7483.
 */
#ifndef CLI_HOOK_TARGETS_H
#define CLI_HOOK_TARGETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/errmsg.h"
#include "cli/hook_place.h"

#define HOOK_TARGETS_MAX 32 /* REPLICAS_MAX: more there are not */

struct hook_target {
    char *storage;
    char host[256], port[16];
    bool has_taken;
};

struct hook_targets {
    struct hook_place *place; /* borrowed */
    struct hook_target list[HOOK_TARGETS_MAX];
    size_t count;
};

/* Asks the cluster what the push does not know yet; those that hold everything come first.  False:
 * `why` says what is wrong. */
bool hook_targets_find(struct hook_targets *targets, struct errmsg *why);
void hook_targets_release(struct hook_targets *targets);

#endif
