/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that a node had cut off behind damage, found again in what it set aside of its log.
 */
#ifndef CLI_SALVAGE_H
#define CLI_SALVAGE_H

#include "cli/data_dir.h"

/*
 * Applies to `best` the entries that follow its last one, from the files raft-log-*.damaged of
 * all directories.  Where such a file also holds the last entry itself, with the same term, what
 * follows it there follows it anywhere [thesis 3.5].  Returns how many were found.
 */
uint64_t salvage(struct data_dir *best, const struct data_dir *all, int count);

#endif
