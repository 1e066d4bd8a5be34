/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/placement.h"

#include <string.h>

#include "base/heap.h"
#include "base/limits.h"

#define MOVES_AT_ONCE 1000

static char *copy(const char *text)
{
    return heap_copy_text(text, strlen(text));
}

enum rk_status placement_read(struct placement *p, struct rk_client *client, struct rk_error *error)
{
    struct rk_reply *maps = NULL;
    enum rk_status status = rk_storage_list(client, &maps, error);

    if (status != RK_OK) {
        return status;
    }
    p->count = maps->count;
    p->storages = heap_zalloc((maps->count + 1) * sizeof *p->storages);
    for (size_t i = 0; i < maps->count; i++) {
        const struct rk_reply *silent = rk_reply_get(maps->items[i], "silent_ms");

        p->storages[i] = (struct placed_storage){
            .name = copy(rk_reply_get_text(maps->items[i], "name")),
            .state = copy(rk_reply_get_text(maps->items[i], "state")),
            .silent_ms = silent != NULL && silent->type == RK_REPLY_INTEGER ? silent->integer : -1,
            .primaries = rk_reply_get_number(maps->items[i], "primaries"),
        };
    }
    rk_reply_free(maps);
    return RK_OK;
}

void placement_release(struct placement *p)
{
    for (size_t i = 0; i < p->count; i++) {
        heap_free(p->storages[i].name);
        heap_free(p->storages[i].state);
    }
    heap_free(p->storages);
    *p = (struct placement){ NULL, 0 };
}

struct placed_storage *placement_find(const struct placement *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->storages[i].name, name) == 0) {
            return &p->storages[i];
        }
    }
    return NULL;
}

bool placement_is_fit(const struct placed_storage *storage)
{
    return storage != NULL && strcmp(storage->state, "active") == 0 && storage->silent_ms >= 0 &&
           storage->silent_ms <= STORAGE_HEARD_MS;
}

bool placement_is_up(const struct placed_storage *storage)
{
    return storage != NULL && strcmp(storage->state, "down") != 0 &&
           storage->silent_ms <= STORAGE_HEARD_MS;
}

bool placement_lists(const struct rk_reply *map, const char *key, const char *name)
{
    const struct rk_reply *list = rk_reply_get(map, key);

    for (size_t i = 0; list != NULL && i < list->count; i++) {
        if (list->items[i]->type == RK_REPLY_TEXT && strcmp(list->items[i]->text, name) == 0) {
            return true;
        }
    }
    return false;
}

struct placed_storage *placement_choose(const struct placement *p, const struct rk_reply *map)
{
    struct placed_storage *best = NULL;

    for (size_t i = 0; i < p->count; i++) {
        struct placed_storage *s = &p->storages[i];

        if (placement_is_fit(s) && placement_lists(map, "complete", s->name) &&
            strcmp(s->name, rk_reply_get_text(map, "primary")) != 0 &&
            (best == NULL || s->primaries < best->primaries)) {
            best = s;
        }
    }
    return best;
}

/* ---- Moves ---- */

void moves_add(struct moves *m, const char *path, const char *from, const char *to)
{
    if (m->count == m->capacity) {
        m->capacity = m->capacity == 0 ? 256 : 2 * m->capacity;
        m->list = heap_grow(m->list, m->capacity * sizeof *m->list);
    }
    m->list[m->count++] = (struct move){ .path = copy(path), .from = from, .to = to };
}

void moves_release(struct moves *m)
{
    for (size_t i = 0; i < m->count; i++) {
        heap_free(m->list[i].path);
    }
    heap_free(m->list);
    *m = (struct moves){ NULL, 0, 0 };
}

static enum rk_status status_of(const struct rk_reply *reply)
{
    return reply->type == RK_REPLY_ERROR ? rk_reply_error(reply, NULL) : RK_OK;
}

/* One request: moves to one storage. */
static enum rk_status send(struct move **some, size_t count, struct rk_client *client,
                           const char *actor, struct rk_error *error)
{
    const char *paths[MOVES_AT_ONCE];
    struct rk_write write = { .actor = actor };
    struct rk_reply *results = NULL;
    enum rk_status status;

    for (size_t i = 0; i < count; i++) {
        paths[i] = some[i]->path;
    }
    status = rk_primary_set(client, some[0]->to, paths, count, NULL, &write, &results, error);
    for (size_t i = 0; i < count; i++) {
        some[i]->status = status == RK_OK ? status_of(results->items[i]) : status;
    }
    rk_reply_free(results);
    return status;
}

/* Those from `first` on that go where it goes, at most MOVES_AT_ONCE. */
static size_t gather(struct moves *m, size_t first, bool *is_sent, struct move **some)
{
    size_t count = 0;

    for (size_t i = first; i < m->count && count < MOVES_AT_ONCE; i++) {
        if (!is_sent[i] && m->list[i].to == m->list[first].to) {
            is_sent[i] = true;
            some[count++] = &m->list[i];
        }
    }
    return count;
}

enum rk_status moves_send(struct moves *m, struct rk_client *client, const char *actor,
                          struct rk_error *error)
{
    bool *is_sent = heap_zalloc(m->count + 1);
    enum rk_status status = RK_OK;

    for (size_t i = 0; i < m->count; i++) {
        m->list[i].status = RK_ABORTED; /* until it is sent */
    }
    for (size_t i = 0; i < m->count && status == RK_OK; i++) {
        struct move *some[MOVES_AT_ONCE];

        if (!is_sent[i]) {
            status = send(some, gather(m, i, is_sent, some), client, actor, error);
        }
    }
    heap_free(is_sent);
    return status;
}
