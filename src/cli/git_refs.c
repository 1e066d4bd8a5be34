/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/git_refs.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "cli/git.h"

static void add(struct git_refs *refs, size_t *capacity, const char *oid, const char *name)
{
    if (refs->count == *capacity) {
        *capacity = *capacity == 0 ? 1024 : 2 * *capacity;
        refs->refs = heap_grow(refs->refs, *capacity * sizeof *refs->refs);
    }
    refs->refs[refs->count++] = (struct git_ref){ name, oid };
}

/* Lines are "oid SP name SP symref-target"; the last is empty for a plain ref. */
static void split_lines(struct git_refs *refs)
{
    char *at = (char *)refs->text.data;
    char *end = at + refs->text.size;
    size_t capacity = 0;

    while (at < end) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        char *name = memchr(at, ' ', (size_t)(end - at));
        char *target;

        if (line_end == NULL || name == NULL || name > line_end) {
            break;
        }
        *line_end = '\0';
        *name++ = '\0';
        target = strchr(name, ' ');
        if (target != NULL) {
            *target++ = '\0';
        }
        if (target == NULL || target[0] == '\0') {
            add(refs, &capacity, at, name);
        }
        at = line_end + 1;
    }
}

enum rk_status git_refs_read_some(struct git_refs *refs, const char *git_dir,
                                  const char *const *names, int64_t deadline_ms, struct errmsg *why)
{
    static const char *const ask[] = { "for-each-ref",
                                       "--format=%(objectname) %(refname) %(symref)" };
    size_t count = 0;
    const char **words;
    enum rk_status status;

    while (names[count] != NULL) {
        count++;
    }
    words = heap_alloc((count + 3) * sizeof *words);
    memcpy(words, ask, sizeof ask);
    memcpy(words + 2, names, (count + 1) * sizeof *words);
    *refs = (struct git_refs){ .text = BUFFER_INIT };
    status = git_run(git_dir, words, SLICE_NONE, deadline_ms, &refs->text, NULL, why);
    if (status == RK_OK) {
        split_lines(refs);
    }
    heap_free(words);
    return status;
}

enum rk_status git_refs_read(struct git_refs *refs, const char *git_dir, int64_t deadline_ms,
                             struct errmsg *why)
{
    static const char *const all[] = { NULL };

    return git_refs_read_some(refs, git_dir, all, deadline_ms, why);
}

void git_refs_release(struct git_refs *refs)
{
    buffer_release(&refs->text);
    heap_free(refs->refs);
    refs->refs = NULL;
    refs->count = 0;
}

static int compare(const void *name, const void *ref)
{
    return strcmp(name, ((const struct git_ref *)ref)->name);
}

const char *git_refs_find(const struct git_refs *refs, const char *name)
{
    const struct git_ref *found = refs->count == 0 ? NULL
                                                   : bsearch(name, refs->refs, refs->count,
                                                             sizeof refs->refs[0], compare);

    return found == NULL ? NULL : found->oid;
}
