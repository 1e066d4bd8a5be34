/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's events, from the index the last run came to, mark the copies they concern.
 *
 *   start, COMPACTED, every --rescan   scan (agent_scan.c), then everything is marked
 *   ref, head                          the copy is marked, for a moment later: pushes one after
 *                                      the other are one job; a deleted ref is remembered
 *   setting (the filter)               is read anew, everything is marked
 *   created, replica, primary, renamed the repository is marked, known or not
 *   removed, replica taken away        it is no concern of ours any more; the disk stays
 *
 * The index is saved when all marks are worked off: after a crash some events come again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/agent.h"
#include "cli/git.h"
#include "sys/clock.h"

#define CLUSTER_MS 8000 /* the wait for an event is a fourth of it */
#define WAIT_MS 1000
#define SAVE_MS 5000
#define PAUSE_MS 500
#define PUSH_MS 50 /* more pushes may follow, and a primary's disk is written meanwhile */

struct follow {
    struct agent *agent;
    struct rk_client *client;
    int64_t scanned_ms, saved_ms;
    uint64_t saved_index;
    size_t held; /* as last saved */
};

/* Its folder moves with it, when the new one is free; otherwise it is fetched anew. */
static void rename_copy(struct agent *a, const char *from, const char *to)
{
    char *old_place = agent_place(a, from), *new_place = agent_place(a, to);
    const char *words[] = { "config", "refkeeper.path", to, NULL };

    struct errmsg why = ERRMSG_INIT;

    if (agent_make_folders(new_place) && rename(old_place, new_place) == 0) {
        agent_log(a, "%s is now %s", from, to);
        if (git_run(new_place, words, SLICE_NONE, clock_monotonic_ms() + CLUSTER_MS, NULL, NULL,
                    &why) != RK_OK) {
            agent_log(a, "%s: %s", to, why.text);
        }
    }
    heap_free(old_place);
    heap_free(new_place);
}

static void take_renamed(struct agent *a, const struct rk_event *e)
{
    struct agent_copy *copy = agent_find(a, e->old_value);
    bool is_ours = copy != NULL && !copy->is_gone;
    uint64_t id = is_ours ? copy->id : 0;

    if (!is_ours) {
        return;
    }
    copy->is_gone = true;
    pthread_mutex_unlock(&a->lock);
    rename_copy(a, e->old_value, e->new_value);
    pthread_mutex_lock(&a->lock);
    agent_mark(a, agent_add(a, e->new_value, id), 0);
}

/* The worker finds out whether it is ours at all. */
static void take_change(struct agent *a, const struct rk_event *e)
{
    struct agent_copy *copy = agent_find(a, e->path);

    if (strcmp(e->kind, "ref") == 0 || strcmp(e->kind, "head") == 0) {
        if (copy == NULL || copy->is_gone) {
            return;
        }
        if (e->kind[0] == 'r' && e->new_value == NULL) {
            agent_note_deleted(copy, e->ref);
        }
        agent_mark(a, copy, PUSH_MS);
    } else if (strcmp(e->kind, "removed") == 0) {
        if (copy != NULL) {
            copy->is_gone = true;
        }
    } else if (strcmp(e->kind, "created") == 0 || strcmp(e->kind, "primary") == 0 ||
               strcmp(e->kind, "replica") == 0) {
        agent_mark(a, agent_add(a, e->path, copy == NULL ? 0 : copy->id), 0);
    }
}

static void mark_all(struct agent *a)
{
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++) {
        if (!a->copies[i]->is_gone) {
            agent_mark(a, a->copies[i], 0);
        }
    }
    pthread_mutex_unlock(&a->lock);
}

static int take_event(void *context, const struct rk_event *e)
{
    struct agent *a = context;

    if (strcmp(e->kind, "setting") == 0 && e->ref != NULL && strcmp(e->ref, "filter") == 0) {
        pthread_mutex_lock(&a->lock);
        a->filter_wanted++; /* whoever works on a copy next reads it */
        pthread_mutex_unlock(&a->lock);
        mark_all(a);
    }
    if (e->path == NULL) {
        return 0;
    }
    pthread_mutex_lock(&a->lock);
    if (strcmp(e->kind, "renamed") == 0) {
        take_renamed(a, e);
    } else {
        take_change(a, e);
    }
    pthread_mutex_unlock(&a->lock);
    return 0;
}

/* Where events are now, when there is no place to go on from. */
static int find_now(struct follow *f, uint64_t *ret_index)
{
    struct rk_events_query query = { .is_from_now = 1 };
    struct rk_error error;

    if (rk_events_read(f->client, &query, take_event, f->agent, ret_index, &error) != RK_OK) {
        return cli_fail(f->agent->cli, &error);
    }
    return 0;
}

/* All there is: what was deleted meanwhile is known before anything is written. */
static enum rk_status catch_up(struct follow *f, struct rk_error *error)
{
    struct agent *a = f->agent;
    enum rk_status status = RK_OK;
    uint64_t next = a->next_index, from;

    do {
        struct rk_events_query query = { .from = next };

        from = next;
        status = rk_events_read(f->client, &query, take_event, a, &next, error);
    } while (status == RK_OK && next != from);
    a->next_index = next;
    return status;
}

static int scan(struct follow *f)
{
    struct agent *a = f->agent;
    struct rk_error error;
    enum rk_status status = RK_COMPACTED;
    int code = 0;

    if (a->next_index == 0) {
        code = find_now(f, &a->next_index);
    }
    if (code == 0) {
        code = agent_scan(a, f->client);
    }
    if (code == 0) {
        status = catch_up(f, &error);
    }
    if (code == 0 && status == RK_COMPACTED) {
        agent_log(a, "events before the present are gone: what they deleted is kept");
        a->next_index = 0;
        code = find_now(f, &a->next_index);
    } else if (code == 0 && status != RK_OK) {
        code = cli_fail(a->cli, &error);
    }
    mark_all(a);
    f->scanned_ms = clock_monotonic_ms();
    return code;
}

/* What is saved was worked off. */
static void save(struct follow *f)
{
    struct agent *a = f->agent;
    int64_t now_ms = clock_monotonic_ms();
    bool is_idle;
    size_t held = 0;

    if (now_ms - f->saved_ms < SAVE_MS) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    is_idle = a->busy == 0 && a->ready_first == NULL && a->waiting == 0;
    for (size_t i = 0; i < a->count; i++) {
        held += a->copies[i]->is_held && !a->copies[i]->is_gone ? 1 : 0;
    }
    if (held != f->held) {
        agent_state_save_held(a);
        f->held = held;
    }
    pthread_mutex_unlock(&a->lock);
    if (is_idle && f->saved_index != a->next_index) {
        agent_state_save_index(a, a->next_index);
        f->saved_index = a->next_index;
    }
    f->saved_ms = now_ms;
}

static bool has_waiting(struct agent *a)
{
    bool has;

    pthread_mutex_lock(&a->lock);
    has = a->waiting > 0;
    pthread_mutex_unlock(&a->lock);
    return has;
}

static int follow_once(struct follow *f)
{
    struct agent *a = f->agent;
    struct rk_events_query query = { .from = a->next_index,
                                     .wait_ms = has_waiting(a) ? PUSH_MS : WAIT_MS };
    struct rk_error error;
    enum rk_status status = rk_events_read(f->client, &query, take_event, a, &a->next_index,
                                           &error);

    if (status == RK_COMPACTED) {
        a->next_index = 0;
        return scan(f);
    }
    if (status != RK_OK && error.reaction != RK_RETRY) {
        return cli_fail(a->cli, &error);
    }
    pthread_mutex_lock(&a->lock);
    agent_wake(a);
    pthread_mutex_unlock(&a->lock);
    if (clock_monotonic_ms() - f->scanned_ms >= a->rescan_ms) {
        return scan(f);
    }
    save(f);
    return 0;
}

int agent_follow(struct agent *a)
{
    struct follow f = { .agent = a, .client = agent_client(a, NULL, CLUSTER_MS) };
    int code = scan(&f);

    while (code == 0) {
        code = follow_once(&f);
    }
    rk_client_close(f.client);
    return code;
}
