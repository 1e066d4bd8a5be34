/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pusher says with `git push -o`.  [docs/GIT.md, Push options]
 *
 *   refkeeper.reason=TEXT        stands behind the actor in history and events
 *   refkeeper.syncReplicas=N     this push is on N replicas before it is decided, if that is more
 *                                than the repository asks for
 *
 * Another option that begins with "refkeeper." refuses the push: one who asked for something must
 * not believe to have got it.  All others are for other hooks; git hands them on itself.
 */
#ifndef CLI_HOOK_OPTIONS_H
#define CLI_HOOK_OPTIONS_H

#include <stdint.h>

#include "base/errmsg.h"

struct hook_options {
    char *reason; /* NULL = none; owned */
    uint64_t sync_replicas;
    unsigned count;
    struct errmsg refusal; /* "" = none: the first thing that was wrong */
};

/* One option, as git sent it. */
void hook_options_take(struct hook_options *options, const char *text);
void hook_options_release(struct hook_options *options); /* accepts a zeroed one */

#endif
