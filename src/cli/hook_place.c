/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hook_place.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "sys/clock.h"

#define CONFIG_MS 10000 /* for git to print it */

static char *copy(const char *text)
{
    return heap_copy_text(text, strlen(text));
}

const char *hook_place_find(const struct hook_place *place, const char *variable, const char *key)
{
    const char *value = getenv(variable);

    return value != NULL && value[0] != '\0' ? value : git_config_get(&place->config, key);
}

static enum rk_status open_client(struct hook_place *place, struct cli *cli, struct errmsg *why)
{
    static const struct {
        const char *variable, *key;
    } files[] = {
        { "REFKEEPER_CACERT", "refkeeper.cacert" },
        { "REFKEEPER_CERT", "refkeeper.cert" },
        { "REFKEEPER_KEY", "refkeeper.key" },
    };
    char **places[] = { &cli->ca_file, &cli->cert_file, &cli->key_file };
    const char *endpoints = hook_place_find(place, "REFKEEPER_ENDPOINTS", "refkeeper.endpoints");
    struct rk_error error;

    if (endpoints == NULL) {
        errmsg_set(why, "not configured: set refkeeper.endpoints");
        return RK_CONFIG;
    }
    for (size_t i = 0; i < 3; i++) {
        const char *value = hook_place_find(place, files[i].variable, files[i].key);

        heap_free(*places[i]);
        *places[i] = value == NULL ? NULL : copy(value);
    }
    cli->client = cli_client_of(cli, endpoints, &error);
    place->client = cli->client;
    if (place->client == NULL) {
        errmsg_set(why, "%s", error.message);
        return error.status;
    }
    return RK_OK;
}

enum rk_status hook_place_open(struct hook_place *place, struct cli *cli, int64_t timeout_ms,
                               struct errmsg *why)
{
    enum rk_status status = git_config_read(&place->config, NULL, clock_monotonic_ms() + CONFIG_MS,
                                            why);
    const char *path, *storage;

    if (status != RK_OK) {
        return status;
    }
    path = hook_place_find(place, "REFKEEPER_REPO", "refkeeper.path");
    storage = hook_place_find(place, "REFKEEPER_STORAGE", "refkeeper.storage");
    if (path == NULL || storage == NULL) {
        errmsg_set(why, "not configured: set %s (`refkeeper hook install` does it)",
                   path == NULL ? "refkeeper.path" : "refkeeper.storage");
        return RK_CONFIG;
    }
    place->path = copy(path);
    place->storage = copy(storage);
    cli->timeout_ms = timeout_ms;
    return open_client(place, cli, why);
}

enum rk_status hook_place_show(struct hook_place *place, struct rk_error *error)
{
    if (place->repository != NULL) {
        return RK_OK;
    }
    return rk_repo_show(place->client, place->path, &place->repository, error);
}

void hook_place_release(struct hook_place *place)
{
    git_config_release(&place->config);
    rk_reply_free(place->repository);
    place->repository = NULL;
    heap_free(place->path);
    heap_free(place->storage);
    place->path = NULL;
    place->storage = NULL;
}

/* ---- The repository ---- */

const char *hook_git_dir(void)
{
    const char *git_dir = getenv("GIT_DIR");

    return git_dir == NULL || git_dir[0] == '\0' ? "." : git_dir;
}

static char *place_here(const char *name)
{
    struct buffer path = BUFFER_INIT;
    char *text;

    buffer_printf(&path, "%s/%s", hook_git_dir(), name);
    text = heap_copy_text(path.data, path.size);
    buffer_release(&path);
    return text;
}

char *hook_file(const char *name, const struct git_config *config, int64_t deadline_ms)
{
    struct buffer relative = BUFFER_INIT;
    const char *words[] = { "rev-parse", "--git-path", NULL, NULL };
    char *linked = place_here("commondir"); /* of a work tree elsewhere: git knows better */
    char *path;

    buffer_printf(&relative, "hooks/%s", name);
    buffer_put_u8(&relative, '\0');
    words[2] = (const char *)relative.data;
    if (git_config_get(config, "core.hookspath") == NULL && access(linked, F_OK) != 0) {
        path = place_here(words[2]);
    } else {
        path = git_line(NULL, words, deadline_ms);
    }
    buffer_release(&relative);
    heap_free(linked);
    return path;
}

bool hook_is_ours(const char *path, const char *name)
{
    static const char program[] = "/refkeeper";
    char text[PATH_MAX + 1], wanted[64];
    ssize_t size = readlink(path, text, sizeof text - 1);
    FILE *file;

    if (size >= 0) {
        text[size] = '\0';
        return (size_t)size >= strlen(program) &&
               strcmp(text + size - strlen(program), program) == 0;
    }
    file = fopen(path, "r");
    size = file == NULL ? 0 : (ssize_t)fread(text, 1, sizeof text - 1, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    text[size] = '\0';
    snprintf(wanted, sizeof wanted, " hook %s", name);
    return strstr(text, wanted) != NULL;
}
