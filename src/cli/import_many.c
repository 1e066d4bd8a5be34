/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_many.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "cli/import_refs.h"
#include "cli/progress.h"

#define JOBS_DEFAULT 4
#define JOBS_MAX 64
#define CONFLICTS_SAID 20 /* of one repository, on stderr */

struct pool {
    struct import_many *many;
    const char *actor;
    pthread_mutex_t lock; /* of what follows, and of stderr */
    size_t next, done;
    struct progress progress;
};

struct said {
    struct pool *pool;
    const struct import_item *item;
    unsigned count;
};

static void tell_conflict(void *context, const char *ref, const char *text)
{
    struct said *said = context;

    if (said->count++ < CONFLICTS_SAID) {
        pthread_mutex_lock(&said->pool->lock);
        progress_end(&said->pool->progress);
        fprintf(stderr, "refkeeper import: %s %s: %s\n", said->item->path, ref, text);
        pthread_mutex_unlock(&said->pool->lock);
    }
}

/* Creates it as the list says, or adds the storages that are not there yet. */
static enum rk_status create_item(struct rk_client *client, const struct import_item *item,
                                  const char *actor, struct rk_error *error)
{
    struct rk_repo_spec spec = { .path = item->path,
                                 .primary = item->primary,
                                 .replicas = item->replicas,
                                 .replica_count = item->replica_count };
    struct rk_write write = { .actor = actor };
    enum rk_registered what;
    uint64_t index;
    enum rk_status status = rk_repo_create(client, &spec, &write, &index, error);

    if (status != RK_EXISTS) {
        return status;
    }
    status = RK_OK;
    for (size_t i = 0; i < item->replica_count && status == RK_OK; i++) {
        status = rk_repo_register(client, item->path, item->replicas[i], &write, &what, &index,
                                  error);
    }
    return status;
}

static enum rk_status import_item(struct pool *p, struct rk_client *client,
                                  struct import_item *item, struct rk_error *error)
{
    struct said said = { p, item, 0 };
    struct import im = { .client = client,
                         .path = item->path,
                         .storage = item->storage,
                         .git_dir = item->place,
                         .actor = p->actor,
                         .is_force = p->many->is_force,
                         .conflict = tell_conflict,
                         .context = &said };
    enum rk_status status = RK_OK;

    if (item->primary != NULL) {
        status = create_item(client, item, p->actor, error);
    }
    if (status == RK_OK && item->place != NULL) {
        status = import_run(&im, error);
        item->refs = im.refs;
        item->created = im.created;
        item->unchanged = im.unchanged;
        item->conflicts = im.conflicts;
    }
    return status;
}

static void do_item(struct pool *p, struct rk_client *client, struct import_item *item)
{
    struct rk_error error = { .message = "" };

    if (p->many->is_dry_run) {
        snprintf(item->outcome, sizeof item->outcome, "would import");
    } else if (import_item(p, client, item, &error) != RK_OK) {
        item->has_failed = true;
        snprintf(item->outcome, sizeof item->outcome, "failed: %.180s", error.message);
    } else {
        snprintf(item->outcome, sizeof item->outcome, "%s",
                 item->conflicts > 0   ? "conflicts"
                 : item->place == NULL ? "registered"
                                       : "imported");
    }
}

static void *work(void *context)
{
    struct pool *p = context;
    struct import_many *m = p->many;
    struct rk_error error;
    struct rk_client *client = cli_client_of(m->cli, m->cli->endpoints, &error);
    struct import_item *item;

    do {
        item = NULL;
        pthread_mutex_lock(&p->lock);
        if (client != NULL && p->next < m->count) {
            item = &m->items[p->next++];
        }
        pthread_mutex_unlock(&p->lock);
        if (item != NULL) {
            do_item(p, client, item);
            pthread_mutex_lock(&p->lock);
            progress_set(&p->progress, ++p->done);
            pthread_mutex_unlock(&p->lock);
        }
    } while (item != NULL);
    rk_client_close(client);
    return NULL;
}

static void run_workers(struct pool *p)
{
    pthread_t threads[JOBS_MAX];
    uint64_t jobs = p->many->jobs == 0 ? JOBS_DEFAULT : p->many->jobs;
    size_t count = 0;

    for (; count < jobs && count < JOBS_MAX && count < p->many->count; count++) {
        int rc = pthread_create(&threads[count], NULL, work, p);

        INVARIANT(rc == 0);
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

static int print(const struct import_many *m)
{
    static const char *const columns[] = { "path",      "refs",   "imported", "unchanged",
                                           "conflicts", "behind", "outcome" };
    struct output *o = output_open(m->cli->format, OUTPUT_ROWS, columns, 7);
    uint64_t refs = 0;
    size_t failed = 0, conflicting = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct import_item *item = &m->items[i];

        output_text(o, item->path);
        output_number(o, item->refs);
        output_number(o, item->created);
        output_number(o, item->unchanged);
        output_number(o, item->conflicts);
        output_number(o, item->behind);
        output_text(o, item->outcome[0] == '\0' ? "failed: no node answers" : item->outcome);
        output_end_row(o);
        refs += item->refs;
        failed += item->has_failed || item->outcome[0] == '\0' ? 1 : 0;
        conflicting += item->conflicts > 0 ? 1 : 0;
    }
    if (output_close(o) != 0) {
        return EXIT_OTHER;
    }
    fprintf(stderr, "%zu repositories, %llu refs; %zu with conflicts, %zu failed\n", m->count,
            (unsigned long long)refs, conflicting, failed);
    return failed > 0 ? EXIT_OTHER : conflicting > 0 ? EXIT_REFUSED : 0;
}

int import_many_run(struct import_many *m)
{
    struct pool p = { .many = m, .actor = cli_actor(m->cli) };
    int code = 0;

    if (cli_client(m->cli, &code) == NULL) { /* says what is wrong, once */
        return code;
    }
    pthread_mutex_init(&p.lock, NULL);
    progress_start(&p.progress, "import", m->count);
    run_workers(&p);
    progress_end(&p.progress);
    pthread_mutex_destroy(&p.lock);
    return print(m);
}
