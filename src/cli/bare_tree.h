/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bare repository below a folder: one that has HEAD, objects/ and refs/.  Nothing below a
 * repository is looked into, symbolic links are not followed, folders that begin with a dot are
 * left out.
 */
#ifndef CLI_BARE_TREE_H
#define CLI_BARE_TREE_H

#include <stddef.h>

#include "base/errmsg.h"
#include "base/status.h"

struct bare_tree {
    char **paths; /* below the root, in order of bytes */
    size_t count, capacity;
    size_t skipped; /* folders that could not be read, and names that are no canonical path */
};

/* Errors: NOT_FOUND: the root is not a folder that can be read. */
enum rk_status bare_tree_read(struct bare_tree *tree, const char *root,
                              struct errmsg *why) MUST_USE;
void bare_tree_release(struct bare_tree *tree);

/* Whether the path is among them. */
int bare_tree_has(const struct bare_tree *tree, const char *path);

/* root/path; owned by the caller. */
char *bare_tree_place(const char *root, const char *path);

#endif
