/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

char *tmpdir_make(void)
{
    const char *parent = getenv("TMPDIR");
    char path[512];

    (void)snprintf(path, sizeof path, "%s/refkeeper-test-XXXXXX",
                   parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (mkdtemp(path) == NULL) {
        perror(path);
        abort();
    }
    return heap_copy_text(path, strlen(path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st;
    (void)type;
    (void)walk;
    return remove(path);
}

void tmpdir_remove(char *path)
{
    if (path != NULL) {
        (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        heap_free(path);
    }
}
