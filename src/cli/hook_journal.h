/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a push is about to do, in GIT_DIR/refkeeper/ from before the cluster is asked until the
 * disk has it: a push that died in between leaves its file, and `refkeeper doctor` and
 * `refkeeper resolve` find it.
 *
 * A hint, not a log: it is not synced.  After a power cut `resolve` compares everything anyway.
 *
 *   GIT_DIR/refkeeper/<pid>-<nanoseconds>.push
 *   "old new ref" per line, then "end"
 */
#ifndef CLI_HOOK_JOURNAL_H
#define CLI_HOOK_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

struct hook_push;

/* Writes the file of this push, if it was not yet: making one takes a while, so this is done where
 * something else is waited for.  A disk that takes none is no reason to refuse. */
void hook_journal_write(struct hook_push *push);
/* The outcome is known and the disk has it: removes the file. */
void hook_journal_drop(struct hook_push *push);

/* Pushes that did not come to their end; those still running do not count. */
size_t hook_journal_count(const char *git_dir);
/* Whether one of them meant to delete this ref. */
bool hook_journal_deletes(const char *git_dir, const char *ref);
/* Removes the files of pushes that run no more. */
void hook_journal_clear(const char *git_dir);

#endif
