/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bare_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/heap.h"
#include "model/refname.h"

#define DEPTH_MAX 64 /* deeper folders count as skipped */

char *bare_tree_place(const char *root, const char *path)
{
    size_t size = strlen(root) + strlen(path) + 2;
    char *place = heap_alloc(size);

    (void)snprintf(place, size, "%s%s%s", root, path[0] == '\0' ? "" : "/", path);
    return place;
}

static int has(const char *place, const char *name, mode_t kind)
{
    char *path = bare_tree_place(place, name);
    struct stat info;
    int is_there = stat(path, &info) == 0 && (info.st_mode & S_IFMT) == kind;

    heap_free(path);
    return is_there;
}

static int is_bare(const char *place)
{
    return has(place, "HEAD", S_IFREG) && has(place, "objects", S_IFDIR) &&
           has(place, "refs", S_IFDIR);
}

static void add(struct bare_tree *tree, const char *path)
{
    if (!repository_path_is_valid(slice_of_text(path))) {
        tree->skipped++;
        return;
    }
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity == 0 ? 256 : 2 * tree->capacity;
        tree->paths = heap_grow(tree->paths, tree->capacity * sizeof *tree->paths);
    }
    tree->paths[tree->count++] = heap_copy_text(path, strlen(path));
}

static void walk(struct bare_tree *tree, const char *root, const char *path, unsigned depth);

static void walk_entry(struct bare_tree *tree, const char *root, const char *path, const char *name,
                       unsigned depth)
{
    char *below = path[0] == '\0' ? heap_copy_text(name, strlen(name))
                                  : bare_tree_place(path, name);
    char *place = bare_tree_place(root, below);
    struct stat info;

    if (lstat(place, &info) == 0 && S_ISDIR(info.st_mode)) {
        if (is_bare(place)) {
            add(tree, below);
        } else {
            walk(tree, root, below, depth + 1);
        }
    }
    heap_free(place);
    heap_free(below);
}

static void walk(struct bare_tree *tree, const char *root, const char *path, unsigned depth)
{
    char *place = bare_tree_place(root, path);
    DIR *folder = depth > DEPTH_MAX ? NULL : opendir(place);
    const struct dirent *entry;

    heap_free(place);
    if (folder == NULL) {
        tree->skipped++;
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            walk_entry(tree, root, path, entry->d_name, depth);
        }
    }
    (void)closedir(folder);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum rk_status bare_tree_read(struct bare_tree *tree, const char *root, struct errmsg *why)
{
    DIR *folder = opendir(root);

    *tree = (struct bare_tree){ 0 };
    if (folder == NULL) {
        errmsg_set(why, "read %s: %s", root, strerror(errno));
        return RK_NOT_FOUND;
    }
    (void)closedir(folder);
    walk(tree, root, "", 0);
    if (tree->count > 0) {
        qsort(tree->paths, tree->count, sizeof *tree->paths, compare);
    }
    return RK_OK;
}

void bare_tree_release(struct bare_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        heap_free(tree->paths[i]);
    }
    heap_free(tree->paths);
    *tree = (struct bare_tree){ 0 };
}

int bare_tree_has(const struct bare_tree *tree, const char *path)
{
    return tree->count > 0 &&
           bsearch(&path, tree->paths, tree->count, sizeof *tree->paths, compare) != NULL;
}
