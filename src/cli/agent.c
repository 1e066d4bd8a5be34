/* SPDX-License-Identifier: Apache-2.0 */
/* What the threads of the agent share: the table of copies, the queue, the list of reports. */
#include "cli/agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "sys/clock.h"

#define BUCKETS_MIN 1024 /* a power of two */

static size_t hash_path(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (const char *p = path; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3ULL;
    }
    return (size_t)(hash ^ hash >> 32);
}

struct agent_copy *agent_find(const struct agent *a, const char *path)
{
    struct agent_copy *copy = NULL;

    if (a->bucket_count > 0) {
        copy = a->buckets[hash_path(path) & (a->bucket_count - 1)];
    }
    while (copy != NULL && strcmp(copy->path, path) != 0) {
        copy = copy->next;
    }
    return copy;
}

static void grow_table(struct agent *a)
{
    heap_free(a->buckets);
    a->bucket_count = a->bucket_count == 0 ? BUCKETS_MIN : 2 * a->bucket_count;
    a->buckets = heap_zalloc(a->bucket_count * sizeof(*a->buckets));
    for (size_t i = 0; i < a->count; i++) {
        struct agent_copy *copy = a->copies[i];
        struct agent_copy **bucket = &a->buckets[hash_path(copy->path) & (a->bucket_count - 1)];

        copy->next = *bucket;
        *bucket = copy;
    }
}

struct agent_copy *agent_add(struct agent *a, const char *path, uint64_t id)
{
    struct agent_copy *copy = agent_find(a, path);
    struct agent_copy **bucket;

    if (copy != NULL) {
        copy->is_complete = copy->is_complete && copy->id == id;
        copy->id = id;
        copy->is_gone = false;
        return copy;
    }
    if (a->count == a->bucket_count) {
        grow_table(a);
    }
    if (a->count == a->capacity) {
        a->capacity = a->capacity == 0 ? 64 : 2 * a->capacity;
        a->copies = heap_grow(a->copies, a->capacity * sizeof(*a->copies));
    }
    copy = heap_new(struct agent_copy);
    copy->path = heap_copy_text(path, strlen(path));
    copy->id = id;
    bucket = &a->buckets[hash_path(path) & (a->bucket_count - 1)];
    copy->next = *bucket;
    *bucket = copy;
    a->copies[a->count++] = copy;
    return copy;
}

/* ---- The queue ---- */

static void put_ready(struct agent *a, struct agent_copy *copy)
{
    a->waiting -= copy->due_ms > 0 ? 1 : 0;
    copy->due_ms = 0;
    copy->is_ready = true;
    copy->next_ready = NULL;
    if (a->ready_last == NULL) {
        a->ready_first = copy;
    } else {
        a->ready_last->next_ready = copy;
    }
    a->ready_last = copy;
    pthread_cond_broadcast(&a->changed);
}

void agent_mark(struct agent *a, struct agent_copy *copy, int64_t delay_ms)
{
    if (copy->is_busy) {
        copy->is_again = true;
    } else if (!copy->is_ready && delay_ms == 0) {
        put_ready(a, copy);
    } else if (!copy->is_ready && copy->due_ms == 0) {
        copy->due_ms = clock_monotonic_ms() + delay_ms;
        a->waiting++;
    }
}

void agent_wake(struct agent *a)
{
    int64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < a->count && a->waiting > 0; i++) {
        if (a->copies[i]->due_ms > 0 && a->copies[i]->due_ms <= now_ms) {
            put_ready(a, a->copies[i]);
        }
    }
}

void agent_note_deleted(struct agent_copy *copy, const char *ref)
{
    if (copy->deleted_count == copy->deleted_capacity) {
        copy->deleted_capacity = copy->deleted_capacity == 0 ? 8 : 2 * copy->deleted_capacity;
        copy->deleted = heap_grow(copy->deleted, copy->deleted_capacity * sizeof(*copy->deleted));
    }
    copy->deleted[copy->deleted_count++] = heap_copy_text(ref, strlen(ref));
}

/* ---- Reports ---- */

/* Those that every node was told go from the front, when they are most of the list. */
static void trim_reports(struct agent *a)
{
    size_t told = a->report_count;

    for (size_t i = 0; i < a->node_count; i++) {
        told = a->nodes[i].reported < told ? a->nodes[i].reported : told;
    }
    if (told == 0 || told < a->report_count / 2) {
        return;
    }
    memmove(a->reports, a->reports + told, (a->report_count - told) * sizeof(*a->reports));
    a->report_count -= told;
    for (size_t i = 0; i < a->node_count; i++) {
        a->nodes[i].reported -= told;
    }
}

/* A node that is down for long is told everything when it is back: the list has a bound. */
static void forget_the_slow(struct agent *a)
{
    for (size_t i = 0; i < a->node_count; i++) {
        if (a->nodes[i].reported < a->report_count) {
            a->nodes[i].walked = 0;
        }
        a->nodes[i].reported = a->report_count;
    }
}

void agent_report(struct agent *a, struct agent_copy *copy)
{
    if (a->report_count == a->report_capacity) {
        trim_reports(a);
    }
    if (a->report_count > 2 * a->count + 1024) {
        forget_the_slow(a);
        trim_reports(a);
    }
    if (a->report_count == a->report_capacity) {
        a->report_capacity = a->report_capacity == 0 ? 64 : 2 * a->report_capacity;
        a->reports = heap_grow(a->reports, a->report_capacity * sizeof(*a->reports));
    }
    a->reports[a->report_count++] = copy;
    pthread_cond_broadcast(&a->changed);
}

/* ---- Without the lock ---- */

char *agent_place(const struct agent *a, const char *path)
{
    struct buffer out = BUFFER_INIT;
    char *text;

    buffer_printf(&out, "%s/%s", a->root, path);
    text = heap_copy_text(out.data, out.size);
    buffer_release(&out);
    return text;
}

bool agent_make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int rc;

        *slash = '\0';
        rc = mkdir(path, 0777);
        *slash = '/';
        if (rc != 0 && errno != EEXIST) {
            return false;
        }
    }
    return true;
}

void agent_log(const struct agent *a, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "refkeeper agent %s: %s\n", a->storage, text);
}

struct rk_client *agent_client(const struct agent *a, const char *endpoints, int64_t timeout_ms)
{
    struct rk_error error;
    struct cli cli = *a->cli; /* a copy: only the deadline differs */
    struct rk_client *client;

    cli.timeout_ms = timeout_ms;
    client = cli_client_of(&cli, endpoints == NULL ? a->cli->endpoints : endpoints, &error);
    if (client == NULL) {
        agent_log(a, "%s", error.message);
        exit(rk_status_exit_code(error.status));
    }
    return client;
}
