/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of repositories as other systems write them.
 *
 *   praefect   CSV with a header line, a JSON array, or JSON lines.  Columns, in any order:
 *                relative_path                        needed
 *                primary or authoritative_storage     the primary
 *                storage                              one copy; a row for each
 *                storages or replicas                 copies: {a,b} or a;b or a b, JSON: a list
 *                replica_path                         where the copies are on disk
 *                generation                           of the copy of this row
 *                virtual_storage                      other than the first one is refused
 *              A copy of a lower generation than the newest of its path is behind: left out,
 *              and counted.  As `track-repositories` reads them, or as its tables are exported.
 *   gerrit     `gerrit ls-projects`: a name a line, or with --format json an object whose keys
 *              are the names.  ".git" is added.
 */
#ifndef CLI_SITE_LIST_H
#define CLI_SITE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "base/status.h"

#define SITE_COPIES_MAX 32

struct site_copy {
    char *storage;
    long long generation;
};

struct site_repository {
    char *path;
    char *place;   /* on disk, below a storage's root; NULL = path */
    char *primary; /* NULL = not said */
    struct site_copy copies[SITE_COPIES_MAX];
    size_t copy_count;
    size_t behind; /* copies left out */
};

struct site_list {
    struct site_repository *items; /* in order of path, each path once */
    size_t count, capacity;
    char *virtual_storage; /* NULL = none was named */
};

/* `format` is "praefect" or "gerrit".  Errors: BADARG, with the line or item. */
enum rk_status site_list_parse(struct site_list *list, const char *format, struct slice text,
                               struct errmsg *why) MUST_USE;
void site_list_release(struct site_list *list);

#endif
