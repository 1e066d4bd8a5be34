/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pack of a push for its replicas: git pack-objects --thin, new values without what the old
 * ones have, into a file without name.  [hook_sync.c]
 */
#ifndef CLI_HOOK_PACK_H
#define CLI_HOOK_PACK_H

#include <sys/types.h>

#include "cli/hook.h"
#include "cli/tracked_refs.h"

/* Whether a ref's new value goes to the replicas. */
bool hook_pack_has(const struct tracked_refs *tracked, const struct hook_ref *ref);

/* Starts the git that makes it, if it was not yet.  Errors: IO. */
enum rk_status hook_pack_start(struct hook_push *push, struct errmsg *why) MUST_USE;
/* The same before the configuration is read, where its file looks as if a pack were needed: a
 * guess that costs nothing.  Returns whether it runs. */
bool hook_pack_start_early(struct hook_push *push);
/* PRE: it was started. */
void hook_pack_feed(struct hook_push *push, const struct tracked_refs *tracked);
/* Waits for it.  0 bytes: no object is new.  Errors: IO, TIMED_OUT. */
enum rk_status hook_pack_finish(struct hook_push *push, off_t *ret_bytes,
                                struct errmsg *why) MUST_USE;

#endif
