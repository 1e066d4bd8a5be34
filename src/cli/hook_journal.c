/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hook_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/hook.h"
#include "sys/clock.h"

#define FOLDER "refkeeper"
#define SUFFIX ".push"

void hook_journal_write(struct hook_push *push)
{
    char path[PATH_MAX];
    FILE *file;

    if (push->journal != NULL) {
        return;
    }
    snprintf(path, sizeof path, "%s/" FOLDER, hook_git_dir());
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return;
    }
    snprintf(path, sizeof path, "%s/" FOLDER "/%ld-%" PRId64 SUFFIX, hook_git_dir(), (long)getpid(),
             clock_monotonic_us());
    file = fopen(path, "wx");
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < push->count; i++) {
        const struct hook_ref *ref = &push->refs[i];

        if (ref->state == HOOK_ASKED) {
            fprintf(file, "%s %s %s\n", ref->old_oid, ref->new_oid, ref->name);
        }
    }
    fprintf(file, "end\n");
    (void)fclose(file);
    push->journal = heap_copy_text(path, strlen(path));
}

void hook_journal_drop(struct hook_push *push)
{
    if (push->journal != NULL) {
        (void)unlink(push->journal);
        heap_free(push->journal);
        push->journal = NULL;
    }
}

/* A push whose process is gone; false for names that are not ours. */
static bool is_left_over(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);
    size_t size = strlen(name);

    if (pid <= 0 || pid > INT_MAX || *end != '-' || size < strlen(SUFFIX) ||
        strcmp(name + size - strlen(SUFFIX), SUFFIX) != 0) {
        return false;
    }
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Visits each left-over file until `visit` returns true; returns whether one did. */
static bool visit_left_over(const char *git_dir, bool (*visit)(void *context, const char *path),
                            void *context)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    bool is_done = false;
    DIR *folder;

    snprintf(path, sizeof path, "%s/" FOLDER, git_dir);
    folder = opendir(path);
    while (folder != NULL && !is_done && (entry = readdir(folder)) != NULL) {
        if (is_left_over(entry->d_name)) {
            char file[PATH_MAX];

            if (snprintf(file, sizeof file, "%s/" FOLDER "/%s", git_dir, entry->d_name) <
                (int)sizeof file) {
                is_done = visit(context, file);
            }
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return is_done;
}

static bool count_one(void *context, const char *path)
{
    (void)path;
    ++*(size_t *)context;
    return false;
}

size_t hook_journal_count(const char *git_dir)
{
    size_t count = 0;

    (void)visit_left_over(git_dir, count_one, &count);
    return count;
}

static bool deletes(void *context, const char *path)
{
    const char *ref = context;
    char line[2 * RK_OID_TEXT_MAX + REFNAME_BYTES_MAX + 8];
    FILE *file = fopen(path, "r");
    bool is_found = false;

    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
        const char *new_oid = strchr(line, ' ');
        const char *name = new_oid == NULL ? NULL : strchr(new_oid + 1, ' ');

        line[strcspn(line, "\n")] = '\0';
        is_found = name != NULL && strcmp(name + 1, ref) == 0 &&
                   strspn(new_oid + 1, "0") == (size_t)(name - new_oid - 1);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_found;
}

bool hook_journal_deletes(const char *git_dir, const char *ref)
{
    return visit_left_over(git_dir, deletes, (char *)(uintptr_t)ref);
}

static bool remove_one(void *context, const char *path)
{
    (void)context;
    (void)unlink(path);
    return false;
}

void hook_journal_clear(const char *git_dir)
{
    (void)visit_left_over(git_dir, remove_one, NULL);
}
