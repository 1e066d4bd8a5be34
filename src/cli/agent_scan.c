/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan: everything the cluster says is on this storage against its disk.
 *
 * First workers look, and change nothing.  A copy that was complete once and is now absent, or has
 * less than half of its refs, is lost.  When at least QUARANTINE_COPIES_MIN copies and more than
 * QUARANTINE_PERCENT of those held are lost, something is wrong with the disk and not with them:
 * the storage is set down, the reason is written, and the agent ends.  Otherwise each copy is
 * marked, and the second half is the workers' usual work.  Nothing is deleted by a scan.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/agent.h"

#define QUARANTINE_COPIES_MIN 3
#define QUARANTINE_PERCENT 10
#define TELL_S 5

static int list_one(void *context, const char *path, const struct rk_reply *map)
{
    struct agent *a = context;
    struct agent_copy *copy;

    pthread_mutex_lock(&a->lock);
    copy = agent_add(a, path, rk_reply_get_number(map, "id"));
    copy->refs_wanted = rk_reply_get_number(map, "refs");
    copy->is_listed = true;
    pthread_mutex_unlock(&a->lock);
    return 0;
}

static int list(struct agent *a, struct rk_client *client)
{
    struct rk_page page = { .storage = a->storage };
    struct rk_error error;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++) {
        a->copies[i]->is_listed = false;
    }
    pthread_mutex_unlock(&a->lock);
    if (rk_repo_list(client, &page, list_one, a, &error) != RK_OK) {
        return cli_fail(a->cli, &error);
    }
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++) {
        a->copies[i]->is_gone = !a->copies[i]->is_listed;
    }
    pthread_mutex_unlock(&a->lock);
    return 0;
}

/* Nobody works: then all are looked at, and nothing else is done. */
static void look(struct agent *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->busy > 0 || a->ready_first != NULL) {
        pthread_cond_wait(&a->changed, &a->lock);
    }
    a->is_looking = true;
    a->looks_left = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (!a->copies[i]->is_gone) {
            a->looks_left++;
            agent_mark(a, a->copies[i], 0);
        }
    }
    while (a->looks_left > 0) {
        pthread_cond_wait(&a->changed, &a->lock);
    }
    a->is_looking = false;
    pthread_mutex_unlock(&a->lock);
}

/* What is lost was put on the reporters' list: each node has a moment to hear of it. */
static void wait_until_told(struct agent *a)
{
    struct timespec until;
    size_t told = 0;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TELL_S;
    pthread_mutex_lock(&a->lock);
    while (rc == 0 && told < a->node_count) {
        told = 0;
        for (size_t i = 0; i < a->node_count; i++) {
            const struct agent_node *n = &a->nodes[i];

            told += n->reported == a->report_count && n->again_count == 0 && !n->is_telling;
        }
        if (told < a->node_count) {
            rc = pthread_cond_timedwait(&a->changed, &a->lock, &until);
        }
    }
    pthread_mutex_unlock(&a->lock);
}

static int quarantine(struct agent *a, struct rk_client *client, size_t lost, size_t held)
{
    const char *const fields[] = { "STATE", "down" };
    struct rk_write write = { .actor = a->cli->actor };
    struct rk_error error;
    char reason[200];

    snprintf(reason, sizeof reason,
             "%zu of the %zu copies it held are absent or have lost most of their refs", lost,
             held);
    agent_state_quarantine(a, reason);
    wait_until_told(a);
    agent_log(a, "quarantine: %s", reason);
    if (rk_storage_set(client, a->storage, fields, 2, &write, NULL, &error) != RK_OK) {
        agent_log(a, "set the storage down: %s", error.message);
    }
    return cli_fail_text(a->cli, RK_STALE, "storage %s is in quarantine: %s", a->storage, reason);
}

int agent_scan(struct agent *a, struct rk_client *client)
{
    size_t lost = 0, held = 0;
    int code = list(a, client);

    if (code != 0) {
        return code;
    }
    look(a);
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++) {
        const struct agent_copy *copy = a->copies[i];

        if (copy->is_held && !copy->is_gone) {
            held++;
            lost += copy->look == COPY_THERE ? 0 : 1;
        }
    }
    pthread_mutex_unlock(&a->lock);
    if (lost >= QUARANTINE_COPIES_MIN && 100 * lost > QUARANTINE_PERCENT * held) {
        return quarantine(a, client, lost, held);
    }
    return 0;
}
