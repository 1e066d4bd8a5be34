/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hook_targets.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/agent_wire.h"

static void set_address(struct hook_target *t, const char *text, size_t size, const char *port)
{
    const char *colon = memchr(text, ':', size);

    if (colon == NULL) {
        snprintf(t->host, sizeof t->host, "%.*s", (int)size, text);
        snprintf(t->port, sizeof t->port, "%s", port);
    } else {
        snprintf(t->host, sizeof t->host, "%.*s", (int)(colon - text), text);
        snprintf(t->port, sizeof t->port, "%.*s", (int)(size - (size_t)(colon - text) - 1),
                 colon + 1);
    }
}

/* "s2=10.0.0.2:7483,s3=..." */
static bool find_named(const char *list, struct hook_target *t)
{
    size_t name_size = strlen(t->storage);

    while (list != NULL && *list != '\0') {
        size_t size = strcspn(list, ",");

        if (strncmp(list, t->storage, name_size) == 0 && list[name_size] == '=') {
            set_address(t, list + name_size + 1, size - name_size - 1, AGENT_PORT);
            return true;
        }
        list += size + (list[size] == ',' ? 1 : 0);
    }
    return false;
}

static void find_by_http(const struct rk_reply *storages, struct hook_target *t)
{
    for (size_t i = 0; i < storages->count; i++) {
        const char *http = rk_reply_get_text(storages->items[i], "http");
        const char *scheme = strstr(http, "://");

        if (strcmp(rk_reply_get_text(storages->items[i], "name"), t->storage) == 0) {
            http = scheme == NULL ? http : scheme + 3;
            set_address(t, http, strcspn(http, ":/"), AGENT_PORT);
        }
    }
}

static void add_target(struct hook_targets *s, const char *storage)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->list[i].storage, storage) == 0) {
            return;
        }
    }
    if (s->count < HOOK_TARGETS_MAX && strcmp(storage, s->place->storage) != 0) {
        s->list[s->count++] = (struct hook_target){ .storage = heap_copy_text(storage,
                                                                              strlen(storage)) };
    }
}

static void add_targets(struct hook_targets *s, const struct rk_reply *list)
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        add_target(s, list->items[i]->text);
    }
}

/* The cluster is asked for its storages only when one is not named here. */
static enum rk_status set_addresses(struct hook_targets *s, struct rk_error *error)
{
    const char *named = hook_place_find(s->place, "REFKEEPER_AGENTS", "refkeeper.agents");
    struct rk_reply *storages = NULL;
    enum rk_status status = RK_OK;

    for (size_t i = 0; i < s->count && status == RK_OK; i++) {
        if (find_named(named, &s->list[i])) {
            continue;
        }
        if (storages == NULL) {
            status = rk_storage_list(s->place->client, &storages, error);
        }
        if (status == RK_OK) {
            find_by_http(storages, &s->list[i]);
        }
    }
    rk_reply_free(storages);
    return status;
}

bool hook_targets_find(struct hook_targets *s, struct errmsg *why)
{
    struct rk_error error;
    enum rk_status status = hook_place_show(s->place, &error);

    if (status == RK_OK) {
        add_targets(s, rk_reply_get(s->place->repository, "complete"));
        add_targets(s, rk_reply_get(s->place->repository, "replicas"));
        status = set_addresses(s, &error);
    }
    if (status != RK_OK) {
        errmsg_set(why, "%s", error.message);
    }
    return status == RK_OK;
}

void hook_targets_release(struct hook_targets *s)
{
    for (size_t i = 0; i < s->count; i++) {
        heap_free(s->list[i].storage);
    }
    s->count = 0;
}
