/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One copy at a time, brought to what the cluster decided.
 *
 *   our copy is     and it differs    then
 *   the primary's   for less than     nothing: a push writes between its decision and its answer
 *                   --patience
 *                   for longer        the push died: what was decided is written, if its objects
 *                                     are here; a ref only the disk has stays
 *   a replica       at all            objects are fetched from the primary, refs written
 *   not there yet                     an empty repository is made, with hooks, then as a replica
 *
 * A copy that could not be brought there is tried again, later and later.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/agent.h"
#include "cli/git.h"
#include "cli/hook_install.h"
#include "cli/stale_locks.h"
#include "cli/url.h"
#include "sys/clock.h"

#define CLUSTER_MS 10000
#define GIT_MS 60000
#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 60000

struct job {
    struct agent *agent;
    struct agent_copy *copy;
    struct rk_client *client;
    struct rk_reply *map; /* REPO.SHOW */
    char *git_dir;
    char *url; /* of the primary's copy; NULL = ours is it */
    char **deleted;
    size_t deleted_count;
    struct tracked_refs tracked; /* the filter as of the begin */
    uint64_t filter_wanted;      /* agent.h; 0 = `tracked` is it */
    struct copy_state state;
    enum rk_status status;
    bool is_complete, is_primary;
    struct errmsg why;
};

static void release(struct job *j)
{
    for (size_t i = 0; i < j->deleted_count; i++) {
        heap_free(j->deleted[i]);
    }
    heap_free(j->deleted);
    heap_free(j->git_dir);
    heap_free(j->url);
    rk_reply_free(j->map);
    copy_state_release(&j->state);
    tracked_refs_release(&j->tracked);
}

static bool is_here(const struct job *j)
{
    const struct rk_reply *replicas = rk_reply_get(j->map, "replicas");

    for (size_t i = 0; replicas != NULL && i < replicas->count; i++) {
        if (strcmp(replicas->items[i]->text, j->agent->storage) == 0) {
            return true;
        }
    }
    return strcmp(rk_reply_get_text(j->map, "primary"), j->agent->storage) == 0;
}

static bool is_equal(struct job *j)
{
    return copy_is_equal(&j->state, &j->tracked, j->client, j->copy->path,
                         rk_reply_get_text(j->map, "digest"));
}

static void read_disk(struct job *j)
{
    j->status = copy_read(j->git_dir, &j->tracked, &j->state, &j->why);
}

/* ---- Where the primary's copy is ---- */

static void put_word(struct buffer *out, const char *word)
{
    buffer_put(out, word, strlen(word));
}

/* In what begins as a URL a path is escaped. */
static void put_path(struct buffer *out, const char *path)
{
    buffer_put_u8(out, '\0');
    out->size--;
    if (url_is_one((const char *)out->data)) {
        url_put_path(out, path);
    } else {
        put_word(out, path);
    }
}

/* {storage}, {http}, {ssh} and {path} stand for what they say. */
static char *fill_template(const char *text, const char *path, const struct rk_reply *route)
{
    static const char path_name[] = "{path}";
    const char *const names[][2] = {
        { "{storage}", rk_reply_get_text(route, "primary") },
        { "{http}", rk_reply_get_text(route, "primary_http") },
        { "{ssh}", rk_reply_get_text(route, "primary_ssh") },
    };
    struct buffer out = BUFFER_INIT;
    char *filled;

    while (*text != '\0') {
        size_t i = 0;

        while (i < 3 && strncmp(text, names[i][0], strlen(names[i][0])) != 0) {
            i++;
        }
        if (i < 3) {
            put_word(&out, names[i][1]);
            text += strlen(names[i][0]);
        } else if (strncmp(text, path_name, strlen(path_name)) == 0) {
            put_path(&out, path);
            text += strlen(path_name);
        } else {
            buffer_put_u8(&out, (uint8_t)*text++);
        }
    }
    filled = heap_copy_text(out.data, out.size);
    buffer_release(&out);
    return filled;
}

static const char *default_template(const struct rk_reply *route)
{
    const char *http = rk_reply_get_text(route, "primary_http");

    if (http[0] == '\0') {
        return "ssh://{ssh}/{path}";
    }
    return url_is_one(http) ? "{http}/{path}" : "http://{http}/{path}";
}

static void find_url(struct job *j)
{
    struct rk_reply *route = NULL;
    struct rk_error error;

    j->status = rk_route(j->client, j->copy->path, true, NULL, &route, &error);
    if (j->status != RK_OK) {
        errmsg_set(&j->why, "%s", error.message);
        return;
    }
    j->url = fill_template(j->agent->fetch_url == NULL ? default_template(route)
                                                       : j->agent->fetch_url,
                           j->copy->path, route);
    rk_reply_free(route);
}

/* ---- A copy that is not there yet ---- */

/* It is learned from the first object id, so nothing can be fetched before. */
static bool has_format(const struct job *j)
{
    return strncmp(rk_reply_get_text(j->map, "format"), "sha", 3) == 0;
}

/* Made aside and renamed, so that one half made is never taken for a copy. */
static void make_copy(struct job *j)
{
    char format[64], id[24], aside_name[64];
    char *aside;
    struct hook_installation hooks = { .repo = j->copy->path, .storage = j->agent->storage };
    const char *words[] = { "init", "--quiet", "--bare", format, NULL, NULL };

    snprintf(format, sizeof format, "--object-format=%.32s",
             has_format(j) ? rk_reply_get_text(j->map, "format") : "sha1");
    snprintf(id, sizeof id, "%" PRIu64, rk_reply_get_number(j->map, "id"));
    snprintf(aside_name, sizeof aside_name, AGENT_FOLDER "/new-%s", id);
    aside = agent_place(j->agent, aside_name);
    words[4] = aside;
    hooks.git_dir = aside;
    hooks.id = id;
    j->status = git_run(NULL, words, SLICE_NONE, clock_monotonic_ms() + GIT_MS, NULL, NULL,
                        &j->why);
    if (j->status == RK_OK && hook_install(j->agent->cli, &hooks) != 0) {
        errmsg_set(&j->why, "its hooks could not be installed");
        j->status = RK_IO;
    }
    if (j->status == RK_OK && (!agent_make_folders(j->git_dir) || rename(aside, j->git_dir) != 0)) {
        errmsg_set(&j->why, "make %s: %s", j->git_dir, strerror(errno));
        j->status = RK_IO;
    }
    heap_free(aside);
    if (j->status == RK_OK) {
        read_disk(j);
    }
}

/* ---- The job ---- */

static void read_both(struct job *j)
{
    struct rk_error error;

    read_disk(j);
    if (j->status != RK_OK && j->status != RK_NOT_FOUND) {
        return;
    }
    if (rk_repo_show(j->client, j->copy->path, &j->map, &error) != RK_OK) {
        errmsg_set(&j->why, "%s", error.message);
        j->status = error.status;
        return;
    }
    j->is_primary = strcmp(rk_reply_get_text(j->map, "primary"), j->agent->storage) == 0;
    j->is_complete = j->status == RK_OK && is_equal(j);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sync_copy(struct job *j)
{
    struct copy_sync sync = {
        .client = j->client,
        .path = j->copy->path,
        .git_dir = j->git_dir,
        .tracked = &j->tracked,
        .disk = &j->state.refs,
        .head = rk_reply_get_text(j->map, "head"),
        .fetch_url = j->url,
        .index = rk_reply_get_number(j->map, "last_index"),
        .deleted = (const char *const *)j->deleted,
        .deleted_count = j->deleted_count,
        .keeps_strangers = j->is_primary,
    };
    struct rk_error error;

    if (j->deleted_count > 0) {
        qsort(j->deleted, j->deleted_count, sizeof *j->deleted, compare_texts);
    }
    j->status = copy_sync_run(&sync, &j->why);
    if (sync.kept > 0) {
        agent_log(j->agent, "%s: %zu refs that only this disk had are kept below %skept/%" PRIu64,
                  j->copy->path, sync.kept, COPY_OWN_PREFIX, sync.index);
    }
    if (j->status == RK_OK && sync.missing > 0 && j->why.text[0] == '\0') {
        errmsg_set(&j->why, "objects of %zu refs are missing", sync.missing);
    }
    if (j->status == RK_OK) {
        read_disk(j);
    }
    /* What it was compared with may have moved on: that is what counts. */
    rk_reply_free(j->map);
    j->map = NULL;
    if (j->status == RK_OK && rk_repo_show(j->client, j->copy->path, &j->map, &error) != RK_OK) {
        errmsg_set(&j->why, "%s", error.message);
        j->status = error.status;
    }
    j->is_complete = j->status == RK_OK && is_equal(j);
}

/* A push that is under way has its time. */
static bool is_too_early(struct job *j)
{
    int64_t now_ms = clock_monotonic_ms();

    if (!j->is_primary) {
        return false;
    }
    if (j->copy->differs_since_ms == 0) {
        j->copy->differs_since_ms = now_ms;
    }
    return now_ms - j->copy->differs_since_ms < j->agent->patience_ms;
}

static void set_head(struct job *j)
{
    struct copy_sync sync = { .client = j->client,
                              .path = j->copy->path,
                              .git_dir = j->git_dir,
                              .head = rk_reply_get_text(j->map, "head") };

    j->status = copy_write_head(&sync, &j->why);
}

static void run(struct job *j)
{
    bool is_absent;

    read_both(j);
    if (j->map == NULL || !is_here(j)) {
        return;
    }
    is_absent = j->status == RK_NOT_FOUND;
    if (j->is_complete) {
        set_head(j);
        return;
    }
    if (j->status == RK_NOT_FOUND && j->is_primary && rk_reply_get_number(j->map, "refs") > 0) {
        errmsg_set(&j->why, "the primary's copy is not on this disk");
        return;
    }
    if (j->status == RK_NOT_FOUND && !j->is_primary && !has_format(j)) {
        j->is_complete = true; /* of nothing; the first push makes it */
        return;
    }
    if (is_too_early(j)) {
        return;
    }
    if (!j->is_primary) {
        find_url(j);
        if (j->url == NULL) {
            return;
        }
    }
    j->status = RK_OK;
    if (is_absent) {
        make_copy(j);
    }
    if (j->status == RK_OK) {
        sync_copy(j);
    }
}

/* ---- Under the lock: before and after ---- */

static void begin(struct job *j, struct agent *a, struct agent_copy *copy)
{
    a->ready_first = copy->next_ready;
    if (a->ready_first == NULL) {
        a->ready_last = NULL;
    }
    copy->is_ready = false;
    copy->is_busy = true;
    a->busy++;
    j->deleted = copy->deleted;
    j->deleted_count = copy->deleted_count;
    copy->deleted = NULL;
    copy->deleted_count = 0;
    copy->deleted_capacity = 0;
    buffer_put_slice(&j->tracked.rules, buffer_slice(&a->tracked.rules));
    j->filter_wanted = a->filter_wanted == a->filter_known ? 0 : a->filter_wanted;
}

/* What could not be deleted now is remembered. */
static void give_back_deleted(struct job *j)
{
    for (size_t i = 0; i < j->deleted_count; i++) {
        agent_note_deleted(j->copy, j->deleted[i]);
    }
}

static int64_t retry_ms(const struct agent_copy *copy)
{
    unsigned doublings = copy->failures < 10 ? copy->failures : 10;
    int64_t ms = (int64_t)RETRY_MS_MIN << doublings;

    return ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX;
}

static void note(struct job *j)
{
    struct agent_copy *copy = j->copy;
    uint64_t id = rk_reply_get_number(j->map, "id");
    bool is_new = id != copy->id || j->is_complete != copy->is_complete || !copy->has_digest ||
                  memcmp(copy->digest, j->state.digest, sizeof copy->digest) != 0;

    copy->id = id;
    copy->index = rk_reply_get_number(j->map, "last_index");
    memcpy(copy->digest, j->state.digest, sizeof copy->digest);
    copy->has_digest = true;
    copy->is_complete = j->is_complete;
    copy->is_held = copy->is_held || j->is_complete;
    if (is_new || j->is_complete) {
        agent_report(j->agent, copy);
    }
}

/* Once, until something else is wrong. */
static void say(const struct job *j)
{
    struct agent_copy *copy = j->copy;

    if (j->why.text[0] != '\0' && (copy->said == NULL || strcmp(copy->said, j->why.text) != 0)) {
        agent_log(j->agent, "%s: %s; trying again", copy->path, j->why.text);
        heap_free(copy->said);
        copy->said = heap_copy_text(j->why.text, strlen(j->why.text));
    }
}

static void end(struct job *j)
{
    struct agent *a = j->agent;
    struct agent_copy *copy = j->copy;
    bool is_again = copy->is_again;

    a->busy--;
    copy->is_busy = false;
    copy->is_again = false;
    copy->is_gone = j->status == RK_NOREPO || j->status == RK_REMOVED ||
                    (j->map != NULL && !is_here(j));
    if ((j->status == RK_OK || j->status == RK_NOT_FOUND) && j->map != NULL && !copy->is_gone) {
        note(j); /* one that is absent holds no refs */
    }
    if (j->is_complete) {
        copy->failures = 0;
        copy->has_told_locks = false;
        heap_free(copy->said);
        copy->said = NULL;
        copy->differs_since_ms = 0;
    } else if (!copy->is_gone) {
        give_back_deleted(j);
        say(j);
        copy->failures += copy->failures < 20 ? 1 : 0;
    }
    if (is_again) {
        agent_mark(a, copy, 0);
    } else if (!j->is_complete && !copy->is_gone) {
        agent_mark(a, copy, retry_ms(copy));
    }
    pthread_cond_broadcast(&a->changed);
}

/* ---- Locks of a git that was killed ---- */

static void tell_lock(void *context, const char *path, int64_t age_s)
{
    const struct job *j = context;

    agent_log(j->agent, "%s: lock file %s is %lld s old: " STALE_LOCK_ADVICE, j->copy->path, path,
              (long long)age_s);
}

/* With each scan, and once where a job fails on one. */
static void tell_locks(struct job *j)
{
    (void)stale_locks_visit(j->git_dir, tell_lock, j);
}

static void tell_locks_in_the_way(struct job *j)
{
    if (!j->is_complete && !j->copy->has_told_locks && strstr(j->why.text, ".lock") != NULL) {
        j->copy->has_told_locks = stale_locks_visit(j->git_dir, tell_lock, j) > 0;
    }
}

/* ---- Looking: the first half of a scan ---- */

static void look(struct job *j)
{
    read_disk(j);
    if (j->status == RK_OK) {
        tell_locks(j);
    }
}

static void end_look(struct job *j)
{
    struct agent *a = j->agent;
    struct agent_copy *copy = j->copy;

    a->busy--;
    a->looks_left--;
    copy->is_busy = false;
    give_back_deleted(j);
    if (j->status != RK_OK) {
        copy->look = COPY_ABSENT;
    } else if (2 * j->state.refs.count < copy->refs_wanted) {
        copy->look = COPY_HOLLOW;
    } else {
        copy->look = COPY_THERE;
    }
    if (copy->look != COPY_THERE) {
        /* Nodes may still believe what was told before. */
        memcpy(copy->digest, j->state.digest, sizeof copy->digest);
        copy->has_digest = true;
        copy->is_complete = false;
        agent_report(a, copy);
    }
    pthread_cond_broadcast(&a->changed);
}

/* The filter, anew where it changed.  False: it cannot be had now. */
static bool read_filter(struct job *j)
{
    struct agent *a = j->agent;
    struct rk_error error;

    if (j->filter_wanted == 0) {
        return true;
    }
    j->status = tracked_refs_read(&j->tracked, j->client, false, &error);
    if (j->status != RK_OK) {
        errmsg_set(&j->why, "%s", error.message);
        return false;
    }
    pthread_mutex_lock(&a->lock);
    if (a->filter_known < j->filter_wanted) {
        buffer_clear(&a->tracked.rules);
        buffer_put_slice(&a->tracked.rules, buffer_slice(&j->tracked.rules));
        a->filter_known = j->filter_wanted;
    }
    pthread_mutex_unlock(&a->lock);
    return true;
}

void *agent_worker(void *agent)
{
    struct agent *a = agent;
    struct rk_client *client = agent_client(a, NULL, CLUSTER_MS);

    for (;;) {
        struct job j = { .agent = a, .client = client };
        bool is_look;

        pthread_mutex_lock(&a->lock);
        while (a->ready_first == NULL) {
            pthread_cond_wait(&a->changed, &a->lock);
        }
        j.copy = a->ready_first;
        begin(&j, a, j.copy);
        is_look = a->is_looking;
        pthread_mutex_unlock(&a->lock);
        j.git_dir = agent_place(a, j.copy->path);
        if (is_look) {
            look(&j);
        } else if (read_filter(&j)) {
            run(&j);
            tell_locks_in_the_way(&j);
        }
        if (!is_look && j.is_complete && a->listener >= 0) {
            agent_drop_pins(a, j.git_dir, &j.state.refs);
        }
        pthread_mutex_lock(&a->lock);
        if (is_look) {
            end_look(&j);
        } else {
            end(&j);
        }
        pthread_mutex_unlock(&a->lock);
        release(&j);
    }
    return NULL;
}
