/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at every file of a data directory and tells all that is wrong, not only the first thing:
 * both copies of the state, each entry, each index record, each snapshot.  Changes nothing.
 *
 * storage_open() judges what a member may go on with; this is for people, who want to know what
 * their disk did, also where it did no harm.
 */
#ifndef STORAGE_VERIFY_H
#define STORAGE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "base/status.h"
#include "sys/fs.h"

struct storage_finding {
    const char *file; /* its name in the directory */
    uint64_t offset;
    const char *text; /* what is wrong there, and what becomes of it */
};

/*
 * Calls `each` for every finding, in the order of files and offsets, at most FINDINGS_MAX times;
 * what it gets is valid during the call.  None: the files are sound.
 * Errors: NOT_FOUND (no such directory), IO, NOMEM.
 */
enum rk_status storage_verify(struct fs *fs, const char *data_dir,
                              void (*each)(void *context, const struct storage_finding *finding),
                              void *context, struct errmsg *why) MUST_USE;

#endif
