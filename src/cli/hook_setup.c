/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a push belongs: environment first, then the repository's configuration, then the route.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/hook.h"

static char *copy(const char *text)
{
    return heap_copy_text(text, strlen(text));
}

/* Who pushes: what the front end authenticated, else the account and where it came from. */
static char *find_actor(void)
{
    static const char *const variables[] = { "REFKEEPER_ACTOR", "REMOTE_USER", "GL_USERNAME",
                                             "GL_USER" };
    const struct passwd *entry;
    const char *ssh = getenv("SSH_CONNECTION");
    char text[RK_ACTOR_BYTES_MAX + 1];
    char login[64];

    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i]);

        if (value != NULL && value[0] != '\0') {
            return heap_copy_text(value, strnlen(value, RK_ACTOR_BYTES_MAX));
        }
    }
    entry = getpwuid(getuid());
    if (entry != NULL) {
        snprintf(login, sizeof login, "%s", entry->pw_name);
    } else {
        snprintf(login, sizeof login, "uid %lu", (unsigned long)getuid());
    }
    if (ssh != NULL) {
        snprintf(text, sizeof text, "%s from %.*s", login, (int)strcspn(ssh, " "), ssh);
    } else {
        snprintf(text, sizeof text, "%s", login);
    }
    return copy(text);
}

/* "jane doe (why)": the log has one text for who did it. */
static char *add_reason(char *actor, const char *reason)
{
    char text[RK_ACTOR_BYTES_MAX + 1];
    size_t left = RK_ACTOR_BYTES_MAX - strlen(" ()");

    if (reason == NULL) {
        return actor;
    }
    snprintf(text, sizeof text, "%.*s (%s)", (int)(left - strlen(reason)), actor, reason);
    heap_free(actor);
    return copy(text);
}

/* Epoch and id, from the environment or the cluster.  False: all were refused. */
static bool find_epoch(struct hook_push *push)
{
    const char *id = hook_place_find(&push->place, "REFKEEPER_ID", "refkeeper.id");
    const char *epoch = getenv("REFKEEPER_EPOCH");
    struct rk_error error;

    if (epoch == NULL || epoch[0] == '\0') {
        epoch = getenv("HTTP_X_GIT_EPOCH");
    }
    if (id != NULL && !parse_number(id, &push->write.repository_id)) {
        hook_refuse_all(push, "refkeeper: refkeeper.id is not a number: %s", id);
        return false;
    }
    push->write.has_epoch = 1;
    if (epoch != NULL && epoch[0] != '\0') {
        if (!parse_number(epoch, &push->write.epoch)) {
            hook_refuse_all(push, "refkeeper: the epoch is not a number: %s", epoch);
            return false;
        }
        return true;
    }
    if (hook_place_show(&push->place, &error) != RK_OK) {
        hook_refuse_all(push, "refkeeper: %s%s", error.message, hook_try_again(&error));
        return false;
    }
    push->write.epoch = rk_reply_get_number(push->place.repository, "epoch");
    if (push->write.repository_id == 0) {
        push->write.repository_id = rk_reply_get_number(push->place.repository, "id");
    }
    return true;
}

bool hook_setup(struct hook_push *push)
{
    struct errmsg why = ERRMSG_INIT;

    /* Meanwhile git reads the configuration. */
    heap_free(push->cli->actor);
    push->cli->actor = add_reason(find_actor(), push->options.reason);
    push->write.actor = push->cli->actor;
    if (hook_place_open(&push->place, push->cli, HOOK_CLUSTER_MS, &why) != RK_OK) {
        hook_refuse_all(push, "refkeeper: %s", why.text);
        return false;
    }
    push->write.storage = push->place.storage;
    return find_epoch(push);
}
