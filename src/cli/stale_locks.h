/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock files that a killed git left behind.
 *
 * git makes REF.lock, packed-refs.lock and the like, and renames or removes them when it is done.
 * One that stays makes every later change of what it locks fail, for ever.  Nobody but a person can
 * know that the git which made it is gone, on whatever machine: they are named and never removed.
 */
#ifndef CLI_STALE_LOCKS_H
#define CLI_STALE_LOCKS_H

#include <stddef.h>
#include <stdint.h>

#define STALE_LOCK_S 60 /* younger ones may be of a git that works */

#define STALE_LOCK_ADVICE "if no git works on it, remove it: until then what it locks cannot change"

typedef void stale_lock_each(void *context, const char *path, int64_t age_s);

/* Names those older than STALE_LOCK_S in git_dir and below its refs/ and reftable/.  Returns how
 * many there are. */
size_t stale_locks_visit(const char *git_dir, stale_lock_each *each, void *context);

#endif
