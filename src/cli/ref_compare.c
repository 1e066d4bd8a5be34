/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ref_compare.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "cli/progress.h"
#include "cli/tracked_refs.h"
#include "sys/clock.h"

#define GIT_MS (30 * 60 * 1000)
#define LOOKS_MAX 200

struct walk {
    struct ref_compare *compare;
    struct git_refs disk;
    struct tracked_refs tracked;
    size_t at; /* next ref of the disk */
    uint64_t looks;
    struct progress progress;
};

/*
 * Asks both sides once more.  Many differences are no push under way: after LOOKS_MAX they are
 * told as they were read.
 */
static bool is_still_different(struct walk *w, const char *ref)
{
    const struct ref_compare *c = w->compare;
    const char *words[] = { "rev-parse", "--verify", "-q", ref, NULL };
    char cluster[RK_OID_TEXT_MAX + 1] = "";
    struct rk_error error;
    bool is_different;
    char *disk;

    if (w->looks++ > LOOKS_MAX) {
        return true;
    }
    if (rk_ref_get(c->client, c->path, ref, &c->read, cluster, &error) != RK_OK &&
        error.status != RK_NOREF) {
        return true;
    }
    disk = git_line(c->git_dir, words, clock_monotonic_ms() + GIT_MS);
    is_different = strcmp(disk, cluster) != 0;
    heap_free(disk);
    return is_different;
}

static void tell(struct walk *w, const char *ref, const char *disk, const char *cluster)
{
    struct ref_compare *c = w->compare;

    if (!is_still_different(w, ref)) {
        c->same++;
        return;
    }
    c->different++;
    c->each(c->context, ref, disk, cluster);
}

/* A ref that only the disk has; one that the cluster does not decide about is no difference. */
static void tell_only_on_disk(struct walk *w, const struct git_ref *ref)
{
    if (tracked_refs_has(&w->tracked, ref->name)) {
        tell(w, ref->name, ref->oid, NULL);
    }
}

/* One ref of the cluster: everything on disk before it is only there. */
static int step(void *context, const char *ref, const char *oid)
{
    struct walk *w = context;
    const struct git_ref *disk = NULL;
    int order = 1;

    while (w->at < w->disk.count) {
        disk = &w->disk.refs[w->at];
        order = strcmp(disk->name, ref);
        if (order >= 0) {
            break;
        }
        tell_only_on_disk(w, disk);
        w->at++;
    }
    if (w->at == w->disk.count || order > 0) {
        tell(w, ref, NULL, oid);
        return 0;
    }
    if (strcmp(disk->oid, oid) != 0) {
        tell(w, ref, disk->oid, oid);
    } else {
        w->compare->same++;
    }
    w->at++;
    progress_set(&w->progress, w->at);
    return 0;
}

enum rk_status ref_compare_run(struct ref_compare *c, struct rk_error *error)
{
    struct walk w = { .compare = c };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status;

    if (git_refs_read(&w.disk, c->git_dir, clock_monotonic_ms() + GIT_MS, &why) != RK_OK) {
        git_refs_release(&w.disk);
        *error = (struct rk_error){ .status = RK_NOT_FOUND };
        snprintf(error->message, sizeof error->message, "read %s: %s", c->git_dir, why.text);
        return RK_NOT_FOUND;
    }
    status = tracked_refs_read(&w.tracked, c->client, c->read.consistency == RK_READ_STALE, error);
    if (status != RK_OK) {
        git_refs_release(&w.disk);
        return status;
    }
    progress_start(&w.progress, c->path, w.disk.count);
    status = rk_ref_list(c->client, c->path, NULL, &c->read, step, &w, NULL, NULL, error);
    for (; status == RK_OK && w.at < w.disk.count; w.at++) {
        tell_only_on_disk(&w, &w.disk.refs[w.at]);
    }
    progress_end(&w.progress);
    git_refs_release(&w.disk);
    tracked_refs_release(&w.tracked);
    return status;
}
