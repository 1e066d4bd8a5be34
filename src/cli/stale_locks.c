/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stale_locks.h"

#include <fts.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/clock.h"

static const char suffix[] = ".lock";

/* Objects are many, and no lock there blocks a ref. */
static bool is_walked(const FTSENT *entry)
{
    return entry->fts_level != 1 || strcmp(entry->fts_name, "refs") == 0 ||
           strcmp(entry->fts_name, "reftable") == 0;
}

static bool is_lock(const FTSENT *entry)
{
    size_t size = entry->fts_namelen;

    return entry->fts_info == FTS_F && size >= strlen(suffix) &&
           strcmp(entry->fts_name + size - strlen(suffix), suffix) == 0;
}

size_t stale_locks_visit(const char *git_dir, stale_lock_each *each, void *context)
{
    char path[PATH_MAX];
    char *const roots[] = { path, NULL };
    int64_t now_s = clock_wall_ms() / 1000;
    FTSENT *entry;
    size_t count = 0;
    FTS *walk;

    if (snprintf(path, sizeof path, "%s", git_dir) >= (int)sizeof path) {
        return 0;
    }
    walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    while (walk != NULL && (entry = fts_read(walk)) != NULL) {
        if (entry->fts_info == FTS_D && !is_walked(entry)) {
            (void)fts_set(walk, entry, FTS_SKIP);
        } else if (is_lock(entry) && now_s - entry->fts_statp->st_mtime > STALE_LOCK_S) {
            each(context, entry->fts_path, now_s - entry->fts_statp->st_mtime);
            count++;
        }
    }
    if (walk != NULL) {
        (void)fts_close(walk);
    }
    return count;
}
