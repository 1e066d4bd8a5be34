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
    bool is_pinned;                                               /* they are: a pin says so */
};

/* Texts are the disk's. */
struct pin {
    const char *name, *oid;
    bool is_landing; /* a ref gets its value now */
};

struct work {
    struct copy_sync *sync;
    size_t at; /* next ref of the disk */
    struct difference *list;
    size_t count, capacity;
    struct pin *pins; /* by value */
    size_t pin_count;
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
    while (w->at < w->sync->disk->count) {
        const struct git_ref *disk = &w->sync->disk->refs[w->at];

        if (ref != NULL && strcmp(disk->name, ref) >= 0) {
            return;
        }
        if (tracked_refs_has(w->sync->tracked, disk->name)) {
            add(w, disk->name, disk->oid, "");
        }
        w->at++;
    }
}

static int compare_one(void *context, const char *ref, const char *oid)
{
    struct work *w = context;
    const struct git_refs *disk = w->sync->disk;

    pass_over(w, ref);
    if (w->at == disk->count || strcmp(disk->refs[w->at].name, ref) != 0) {
        add(w, ref, "", oid);
        return 0;
    }
    if (strcmp(disk->refs[w->at].oid, oid) != 0) {
        add(w, ref, disk->refs[w->at].oid, oid);
    }
    w->at++;
    return 0;
}

/* The disk was read first: what a push decides and writes meanwhile is in the cluster's list. */
static enum rk_status compare(struct work *w, struct errmsg *why)
{
    const struct copy_sync *s = w->sync;
    struct rk_error error;
    enum rk_status status = rk_ref_list(s->client, s->path, NULL, NULL, compare_one, w, NULL, NULL,
                                        &error);

    if (status != RK_OK) {
        errmsg_set(why, "%s", error.message);
        return status;
    }
    pass_over(w, NULL);
    return RK_OK;
}

/* ---- Objects ---- */

static bool has_value(const struct difference *d)
{
    return d->cluster[0] != '\0';
}

/* One that is pinned was looked at when its pack came. */
static bool wants_objects(const struct difference *d)
{
    return has_value(d) && !d->is_pinned;
}

/* ---- Pins: few, and next to each other ---- */

static size_t find_pins(const struct git_refs *disk, const struct git_ref **ret_first)
{
    size_t low = 0, high = disk->count, end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(disk->refs[middle].name, COPY_PINS) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (end = low;
         end < disk->count && strncmp(disk->refs[end].name, COPY_PINS, strlen(COPY_PINS)) == 0;
         end++) {
    }
    *ret_first = disk->refs + low;
    return end - low;
}

static int compare_pins(const void *a, const void *b)
{
    return strcmp(((const struct pin *)a)->oid, ((const struct pin *)b)->oid);
}

/* Marks every pin of that value; false when there is none. */
static bool land(struct work *w, const char *oid)
{
    struct pin key = { .oid = oid };
    struct pin *found = bsearch(&key, w->pins, w->pin_count, sizeof *w->pins, compare_pins);

    if (found == NULL) {
        return false;
    }
    for (struct pin *p = found; p >= w->pins && strcmp(p->oid, oid) == 0; p--) {
        p->is_landing = true;
    }
    for (struct pin *p = found; p < w->pins + w->pin_count && strcmp(p->oid, oid) == 0; p++) {
        p->is_landing = true;
    }
    return true;
}

static void find_pinned(struct work *w)
{
    const struct git_ref *first;

    w->pin_count = find_pins(w->sync->disk, &first);
    w->pins = heap_zalloc((w->pin_count + 1) * sizeof *w->pins);
    for (size_t i = 0; i < w->pin_count; i++) {
        w->pins[i] = (struct pin){ .name = first[i].name, .oid = first[i].oid };
    }
    qsort(w->pins, w->pin_count, sizeof *w->pins, compare_pins);
    for (size_t i = 0; i < w->count && w->pin_count > 0; i++) {
        w->list[i].is_pinned = has_value(&w->list[i]) && land(w, w->list[i].cluster);
    }
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
    bool is_complete;

    find_pinned(w);
    is_complete = has_objects(w, w->list, w->count);
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

/* The pins of what lands go with it. */
static void put_landed_pins(const struct work *w, struct buffer *out)
{
    for (size_t i = 0; i < w->pin_count; i++) {
        if (w->pins[i].is_landing) {
            buffer_printf(out, "delete ");
            put(out, w->pins[i].name);
            put(out, w->pins[i].oid);
        }
    }
}

/* Deletions first: a name may become a folder. */
static enum rk_status write_refs(struct work *w, struct errmsg *why)
{
    struct buffer script = BUFFER_INIT;
    enum rk_status status;

    for (size_t i = 0; i < w->count; i++) {
        if (!has_value(&w->list[i])) {
            put_removal(w, &w->list[i], &script);
        }
    }
    status = run_script(w, &script, why);
    for (size_t i = 0; i < w->count && status == RK_OK; i++) {
        if (has_value(&w->list[i]) && !w->list[i].is_missing) {
            put_update(w, &w->list[i], &script);
        }
    }
    if (status == RK_OK) {
        put_landed_pins(w, &script);
        status = run_script(w, &script, why);
    }
    buffer_release(&script);
    return status;
}

enum rk_status copy_write_head(const struct copy_sync *s, struct errmsg *why)
{
    const char *set[] = { "symbolic-ref", "HEAD", s->head, NULL };
    enum rk_status status = RK_OK;
    char *now;

    if (s->head == NULL || s->head[0] == '\0') {
        return RK_OK;
    }
    now = git_read_head(s->git_dir, clock_monotonic_ms() + GIT_MS);
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
    heap_free(w.pins);
    return status;
}
