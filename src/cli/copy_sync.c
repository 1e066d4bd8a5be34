/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "cli/copy.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "cli/hook.h"
#include "cli/process.h"
#include "sys/clock.h"

#define GIT_MS (60 * 60 * 1000)
#define ONE_BY_ONE_MAX 1000 /* refs whose objects are looked for singly when some are missing */

struct difference {
    char *ref;
    char disk[RK_OID_TEXT_MAX + 1], cluster[RK_OID_TEXT_MAX + 1]; /* "" = absent */
    bool is_missing;                                              /* its objects are not here */
};

struct work {
    struct copy_sync *sync;
    struct git_refs disk;
    size_t at; /* next ref of the disk */
    struct difference *list;
    size_t count, capacity;
};

/* ---- Comparing: both sides are in byte order ---- */

static void add(struct work *w, const char *ref, const char *disk, const char *cluster)
{
    struct difference *d;

    if (w->count == w->capacity) {
        w->capacity = w->capacity == 0 ? 64 : 2 * w->capacity;
        w->list = heap_grow(w->list, w->capacity * sizeof *w->list);
    }
    d = &w->list[w->count++];
    *d = (struct difference){ .ref = heap_copy_text(ref, strlen(ref)) };
    snprintf(d->disk, sizeof d->disk, "%s", disk);
    snprintf(d->cluster, sizeof d->cluster, "%s", cluster);
}

/* The disk's refs before `ref` (NULL = all that are left) are only there. */
static void pass_over(struct work *w, const char *ref)
{
    while (w->at < w->disk.count) {
        const struct git_ref *disk = &w->disk.refs[w->at];

        if (ref != NULL && strcmp(disk->name, ref) >= 0) {
            return;
        }
        if (strncmp(disk->name, COPY_OWN_PREFIX, strlen(COPY_OWN_PREFIX)) != 0) {
            add(w, disk->name, disk->oid, "");
        }
        w->at++;
    }
}

static int compare_one(void *context, const char *ref, const char *oid)
{
    struct work *w = context;

    pass_over(w, ref);
    if (w->at == w->disk.count || strcmp(w->disk.refs[w->at].name, ref) != 0) {
        add(w, ref, "", oid);
        return 0;
    }
    if (strcmp(w->disk.refs[w->at].oid, oid) != 0) {
        add(w, ref, w->disk.refs[w->at].oid, oid);
    }
    w->at++;
    return 0;
}

/* The disk first: what a push decides and writes meanwhile is then in the cluster's list. */
static enum rk_status compare(struct work *w, struct errmsg *why)
{
    const struct copy_sync *s = w->sync;
    struct rk_error error;
    enum rk_status status = git_refs_read(&w->disk, s->git_dir, clock_monotonic_ms() + GIT_MS, why);

    if (status != RK_OK) {
        return status;
    }
    status = rk_ref_list(s->client, s->path, NULL, NULL, compare_one, w, NULL, NULL, &error);
    if (status != RK_OK) {
        errmsg_set(why, "%s", error.message);
        return status;
    }
    pass_over(w, NULL);
    return RK_OK;
}

/* ---- Objects ---- */

static bool wants_objects(const struct difference *d)
{
    return d->cluster[0] != '\0';
}

/* Everything reachable from these ids, up to what the refs here have. */
static bool has_objects(const struct work *w, const struct difference *list, size_t count)
{
    static const char *const words[] = { "rev-list", "--objects", "--stdin", "--not",
                                         "--all",    "--quiet",   NULL };
    struct buffer ids = BUFFER_INIT;
    int exit_code = 0;

    for (size_t i = 0; i < count; i++) {
        if (wants_objects(&list[i])) {
            buffer_printf(&ids, "%s\n", list[i].cluster);
        }
    }
    if (ids.size > 0 && git_run(w->sync->git_dir, words, buffer_slice(&ids),
                                clock_monotonic_ms() + GIT_MS, NULL, &exit_code, NULL) != RK_OK) {
        exit_code = 1;
    }
    buffer_release(&ids);
    return exit_code == 0;
}

/* By id: what was decided may not be a ref of the primary yet.  git checks that nothing lacks. */
static enum rk_status fetch(const struct work *w, struct errmsg *why)
{
    const char *words[] = { "-c",
                            "core.fsync=objects,derived-metadata",
                            "-c",
                            "core.fsyncMethod=batch",
                            "fetch",
                            "--quiet",
                            "--no-tags",
                            "--no-write-fetch-head",
                            "--no-auto-maintenance",
                            "--stdin",
                            w->sync->fetch_url,
                            NULL };
    struct buffer ids = BUFFER_INIT;
    enum rk_status status;

    for (size_t i = 0; i < w->count; i++) {
        if (wants_objects(&w->list[i])) {
            buffer_printf(&ids, "%s\n", w->list[i].cluster);
        }
    }
    status = git_run(w->sync->git_dir, words, buffer_slice(&ids), clock_monotonic_ms() + GIT_MS,
                     NULL, NULL, why);
    buffer_release(&ids);
    return status;
}

/* Brings objects here, and marks the refs whose objects are not to be had. */
static void get_objects(struct work *w, struct errmsg *why)
{
    bool is_complete = has_objects(w, w->list, w->count);

    if (!is_complete && w->sync->fetch_url != NULL) {
        is_complete = fetch(w, why) == RK_OK;
    }
    for (size_t i = 0; i < w->count && !is_complete; i++) {
        struct difference *d = &w->list[i];

        d->is_missing = wants_objects(d) && (w->count > ONE_BY_ONE_MAX || !has_objects(w, d, 1));
        w->sync->missing += d->is_missing ? 1 : 0;
    }
}

/* ---- Refs ---- */

static void put(struct buffer *out, const char *text)
{
    buffer_put(out, text, strlen(text) + 1);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool was_deleted(const struct copy_sync *s, const char *ref)
{
    return s->deleted_count > 0 &&
           bsearch(ref, s->deleted, s->deleted_count, sizeof *s->deleted, compare_texts) != NULL;
}

static void put_removal(struct work *w, const struct difference *d, struct buffer *out)
{
    struct copy_sync *s = w->sync;
    bool is_deleted = was_deleted(s, d->ref);

    if (!is_deleted && s->keeps_strangers) {
        return;
    }
    if (!is_deleted) {
        buffer_printf(out, "update " COPY_OWN_PREFIX "kept/%" PRIu64 "/%s", s->index,
                      d->ref + strlen("refs/"));
        buffer_put_u8(out, '\0');
        put(out, d->disk);
        put(out, "");
    }
    buffer_printf(out, "delete ");
    put(out, d->ref);
    put(out, d->disk);
    s->kept += is_deleted ? 0 : 1;
    s->removed += is_deleted ? 1 : 0;
}

static void put_update(struct work *w, const struct difference *d, struct buffer *out)
{
    buffer_printf(out, d->disk[0] == '\0' ? "create " : "update ");
    put(out, d->ref);
    put(out, d->cluster);
    if (d->disk[0] != '\0') {
        put(out, d->disk);
    }
    w->sync->updated++;
}

/* One transaction.  Hooks are not run: this is what they would ask the cluster about.  Refs are
 * not synced, as git does not: what a power cut takes of them the next scan writes again. */
static enum rk_status run_script(const struct work *w, struct buffer *script, struct errmsg *why)
{
    static const char *const words[] = {
        "-c", "core.hooksPath=/dev/null", "update-ref", "--no-deref", "-z", "--stdin", NULL
    };
    enum rk_status status = RK_OK;

    if (script->size > 0) {
        status = git_run(w->sync->git_dir, words, buffer_slice(script),
                         clock_monotonic_ms() + GIT_MS, NULL, NULL, why);
    }
    buffer_clear(script);
    return status;
}

/* Deletions first: a name may become a folder. */
static enum rk_status write_refs(struct work *w, struct errmsg *why)
{
    struct buffer script = BUFFER_INIT;
    enum rk_status status;

    for (size_t i = 0; i < w->count; i++) {
        if (!wants_objects(&w->list[i])) {
            put_removal(w, &w->list[i], &script);
        }
    }
    status = run_script(w, &script, why);
    for (size_t i = 0; i < w->count && status == RK_OK; i++) {
        if (wants_objects(&w->list[i]) && !w->list[i].is_missing) {
            put_update(w, &w->list[i], &script);
        }
    }
    if (status == RK_OK) {
        status = run_script(w, &script, why);
    }
    buffer_release(&script);
    return status;
}

enum rk_status copy_write_head(const struct copy_sync *s, struct errmsg *why)
{
    static const char *const ask[] = { "symbolic-ref", "-q", "HEAD", NULL };
    const char *set[] = { "symbolic-ref", "HEAD", s->head, NULL };
    enum rk_status status = RK_OK;
    char *now;

    if (s->head == NULL || s->head[0] == '\0') {
        return RK_OK;
    }
    now = git_line(s->git_dir, ask, clock_monotonic_ms() + GIT_MS);
    if (strcmp(now, s->head) != 0) {
        status = git_run(s->git_dir, set, SLICE_NONE, clock_monotonic_ms() + GIT_MS, NULL, NULL,
                         why);
    }
    heap_free(now);
    return status;
}

enum rk_status copy_sync_run(struct copy_sync *sync, struct errmsg *why)
{
    struct work w = { .sync = sync };
    enum rk_status status = compare(&w, why);

    if (status == RK_OK && w.count > 0) {
        get_objects(&w, why);
        status = write_refs(&w, why);
    }
    if (status == RK_OK) {
        status = copy_write_head(sync, why);
    }
    for (size_t i = 0; i < w.count; i++) {
        heap_free(w.list[i].ref);
    }
    heap_free(w.list);
    git_refs_release(&w.disk);
    return status;
}
