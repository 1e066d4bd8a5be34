/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_refs.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/git.h"
#include "cli/progress.h"
#include "cli/tracked_refs.h"
#include "sys/clock.h"

#define GIT_MS (30 * 60 * 1000)
#define CHUNK_REFS 5000

struct work {
    struct import *import;
    struct rk_write write;
    struct git_refs disk; /* unless they were given */
    const struct git_refs *wanted;
    struct git_refs cluster; /* names and ids owned one by one, sorted as the server sends them */
    size_t cluster_capacity;
    struct tracked_refs tracked;
};

/* ---- The repository itself ---- */

static char *ask_git(const struct work *w, const char *one, const char *two, const char *three)
{
    const char *words[] = { one, two, three, NULL };

    return git_line(w->import->git_dir, words, clock_monotonic_ms() + GIT_MS);
}

/* Adds the storage to a repository that is there; HEAD follows the disk of its primary. */
static enum rk_status adopt(struct work *w, const char *head, struct rk_error *error)
{
    struct import *im = w->import;
    enum rk_registered what;
    struct rk_reply *map = NULL;
    enum rk_status status = rk_repo_register(im->client, im->path, im->storage, &w->write, &what,
                                             &im->index, error);

    if (status != RK_OK || head == NULL) {
        return status;
    }
    status = rk_repo_show(im->client, im->path, &map, error);
    if (status == RK_OK && strcmp(rk_reply_get_text(map, "primary"), im->storage) == 0 &&
        strcmp(rk_reply_get_text(map, "head"), head) != 0) {
        status = rk_repo_set_head(im->client, im->path, head, &w->write, &im->index, error);
    }
    rk_reply_free(map);
    return status;
}

static enum rk_status prepare_repository(struct work *w, struct rk_error *error)
{
    struct import *im = w->import;
    char *head = ask_git(w, "symbolic-ref", "-q", "HEAD");
    char *format = ask_git(w, "rev-parse", "--show-object-format", NULL);
    struct rk_repo_spec spec = { .path = im->path, .primary = im->storage };
    enum rk_status status;

    spec.format = format[0] == '\0' ? NULL : format;
    spec.head = head[0] == '\0' ? NULL : head;
    status = rk_repo_create(im->client, &spec, &w->write, &im->index, error);
    if (status == RK_EXISTS) {
        status = adopt(w, spec.head, error);
    }
    heap_free(head);
    heap_free(format);
    return status;
}

static int keep(void *context, const char *ref, const char *oid)
{
    struct work *w = context;
    struct git_refs *known = &w->cluster;

    if (known->count == w->cluster_capacity) {
        w->cluster_capacity = w->cluster_capacity == 0 ? 1024 : 2 * w->cluster_capacity;
        known->refs = heap_grow(known->refs, w->cluster_capacity * sizeof *known->refs);
    }
    known->refs[known->count++] = (struct git_ref){ heap_copy_text(ref, strlen(ref)),
                                                    heap_copy_text(oid, strlen(oid)) };
    return 0;
}

static void release(struct work *w)
{
    for (size_t i = 0; i < w->cluster.count; i++) {
        heap_free((void *)(uintptr_t)w->cluster.refs[i].name);
        heap_free((void *)(uintptr_t)w->cluster.refs[i].oid);
    }
    git_refs_release(&w->cluster);
    git_refs_release(&w->disk);
    tracked_refs_release(&w->tracked);
}

/* ---- Refs ---- */

static void tell_conflict(struct import *im, const char *ref, const char *text)
{
    im->conflicts++;
    if (im->conflict != NULL) {
        im->conflict(im->context, ref, text);
    }
}

/* One request of independent changes. */
static enum rk_status send_chunk(struct work *w, struct rk_ref_change *changes, size_t *count,
                                 struct rk_error *error)
{
    struct import *im = w->import;
    struct rk_ref_results *results = NULL;
    enum rk_status status;

    if (*count == 0) {
        return RK_OK;
    }
    status = rk_ref_txn(im->client, im->path, false, changes, *count, &w->write, &results, error);
    if (status != RK_OK && results == NULL) {
        return status;
    }
    for (size_t i = 0; i < *count; i++) {
        if (rk_ref_results_get(results, i, error) == RK_OK) {
            im->created++;
        } else {
            tell_conflict(im, changes[i].ref, error->message);
        }
    }
    im->index = rk_ref_results_index(results);
    rk_ref_results_free(results);
    *count = 0;
    return RK_OK;
}

/* True when the ref is to be sent. */
static bool is_wanted(struct import *im, const struct git_ref *ref, const char *known)
{
    char text[200];

    if (known != NULL && strcmp(known, ref->oid) == 0) {
        im->unchanged++;
        return false;
    }
    if (known != NULL && !im->is_force) {
        snprintf(text, sizeof text, "the cluster has %s, the disk %s", known, ref->oid);
        tell_conflict(im, ref->name, text);
        return false;
    }
    return true;
}

static enum rk_status import_refs(struct work *w, struct rk_error *error)
{
    struct import *im = w->import;
    struct rk_ref_change *changes = heap_alloc(CHUNK_REFS * sizeof *changes);
    struct progress progress = { 0 };
    enum rk_status status = RK_OK;
    size_t count = 0;

    if (im->shows_progress) {
        progress_start(&progress, im->path, w->wanted->count);
    }
    for (size_t i = 0; i < w->wanted->count && status == RK_OK; i++) {
        const struct git_ref *ref = &w->wanted->refs[i];
        const char *known = git_refs_find(&w->cluster, ref->name);

        if (!tracked_refs_has(&w->tracked, ref->name)) {
            continue;
        }
        im->refs++;
        if (is_wanted(im, ref, known)) {
            changes[count++] = (struct rk_ref_change){ ref->name, known == NULL ? RK_ABSENT : known,
                                                       ref->oid };
        }
        if (count == CHUNK_REFS) {
            status = send_chunk(w, changes, &count, error);
        }
        progress_set(&progress, i);
    }
    if (status == RK_OK) {
        status = send_chunk(w, changes, &count, error);
    }
    progress_end(&progress);
    heap_free(changes);
    return status;
}

enum rk_status import_run(struct import *im, struct rk_error *error)
{
    struct work w = { .import = im, .write = { .actor = im->actor } };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = RK_OK;

    im->refs = im->created = im->unchanged = im->conflicts = im->index = 0;
    w.wanted = im->given == NULL ? &w.disk : im->given;
    if (im->given == NULL) {
        status = git_refs_read(&w.disk, im->git_dir, clock_monotonic_ms() + GIT_MS, &why);
    }
    if (status != RK_OK) {
        *error = (struct rk_error){ .status = RK_NOT_FOUND };
        snprintf(error->message, sizeof error->message, "read %s: %s", im->git_dir, why.text);
        status = RK_NOT_FOUND;
    } else {
        status = prepare_repository(&w, error);
    }
    if (status == RK_OK) {
        status = tracked_refs_read(&w.tracked, im->client, false, error);
    }
    if (status == RK_OK) {
        status = rk_ref_list(im->client, im->path, NULL, NULL, keep, &w, NULL, NULL, error);
    }
    if (status == RK_OK) {
        status = import_refs(&w, error);
    }
    release(&w);
    return status;
}
