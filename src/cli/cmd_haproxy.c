/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper haproxy-sync: keeps the two maps of conf/haproxy/ current, for pushes and for fetches.
 *
 * A map has one line per repository: "PATH ok|HOST:PORT|EPOCH", "PATH frozen|REASON" with the
 * reason percent-encoded, or "PATH unavailable".  Both files are written whole, beside and renamed,
 * for a haproxy that starts; a running one is told each change over its runtime socket.
 *
 * Events say which repository changed; what no event says (who is in sync, alive, down) is looked
 * at every --refresh.  A map may be old for that long: the epoch it carries makes the hook refuse
 * what an old one sends to a deposed primary.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "cli/cli.h"
#include "cli/placement.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define BUCKETS 65536
#define REFRESH_MS_DEFAULT 2000
#define WAIT_MS 1000
#define SOCKET_S 5

enum { MAP_WRITE, MAP_READ, MAPS };

static const char *const map_names[MAPS] = { "refkeeper-write.map", "refkeeper-read.map" };

struct entry {
    struct entry *next;
    char *path;
    char *values[MAPS]; /* NULL = the repository is gone */
    bool is_seen;
};

struct sync {
    struct cli *cli;
    struct rk_client *client;
    const char *folder, *socket;
    struct entry *buckets[BUCKETS];
    struct placement placement;
    struct rk_reply *storages; /* for their addresses */
    struct buffer commands;    /* for the runtime socket */
    bool is_changed;
    uint64_t turn;
};

/* ---- What a line says ---- */

static const char *address_of(const struct sync *s, const char *name)
{
    for (size_t i = 0; i < s->storages->count; i++) {
        if (strcmp(rk_reply_get_text(s->storages->items[i], "name"), name) == 0) {
            const char *http = rk_reply_get_text(s->storages->items[i], "http");
            const char *scheme = strstr(http, "://");

            return scheme == NULL ? http : scheme + 3;
        }
    }
    return "";
}

static char *take_text(struct buffer *out)
{
    char *text = heap_copy_text(out->data, out->size);

    buffer_release(out);
    return text;
}

static char *value_of_storage(const struct sync *s, const struct rk_reply *map, const char *name)
{
    struct buffer out = BUFFER_INIT;
    const char *address = address_of(s, name);

    if (address[0] == '\0') {
        buffer_printf(&out, "unavailable");
    } else {
        buffer_printf(&out, "ok|%s|%" PRIu64, address, rk_reply_get_number(map, "epoch"));
    }
    return take_text(&out);
}

static char *value_of_reason(const struct rk_reply *map)
{
    struct buffer out = BUFFER_INIT;

    buffer_printf(&out, "%s|", rk_reply_get_text(map, "state"));
    for (const char *p = rk_reply_get_text(map, "reason"); *p != '\0'; p++) {
        bool is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                        (*p >= '0' && *p <= '9');

        buffer_printf(&out, is_plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
    return take_text(&out);
}

/* A fetch: the fit replicas and the primary take turns, from refresh to refresh. */
static char *value_of_read(const struct sync *s, const struct rk_reply *map, bool is_up)
{
    const char *primary = rk_reply_get_text(map, "primary");
    const struct rk_reply *complete = rk_reply_get(map, "complete");
    const char *names[33];
    size_t count = 0;

    for (size_t i = 0; complete != NULL && i < complete->count && count < 32; i++) {
        const char *name = complete->items[i]->text;

        if (strcmp(name, primary) != 0 && placement_is_fit(placement_find(&s->placement, name))) {
            names[count++] = name;
        }
    }
    if (is_up) {
        names[count++] = primary;
    }
    if (count == 0) {
        return heap_copy_text("unavailable", 11);
    }
    return value_of_storage(s, map, names[(rk_reply_get_number(map, "id") + s->turn) % count]);
}

static void find_values(const struct sync *s, const struct rk_reply *map, char *ret_values[MAPS])
{
    const char *primary = rk_reply_get_text(map, "primary");
    const struct placed_storage *storage = placement_find(&s->placement, primary);
    bool is_up = storage != NULL && strcmp(storage->state, "down") != 0;

    if (strcmp(rk_reply_get_text(map, "state"), "rw") != 0) {
        ret_values[MAP_WRITE] = value_of_reason(map);
    } else if (is_up) {
        ret_values[MAP_WRITE] = value_of_storage(s, map, primary);
    } else {
        ret_values[MAP_WRITE] = heap_copy_text("unavailable", 11);
    }
    ret_values[MAP_READ] = value_of_read(s, map, is_up);
}

/* ---- The table, and what changes in it ---- */

static struct entry *find_entry(struct sync *s, const char *path)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    struct entry **bucket, *entry;

    for (const char *p = path; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3ULL;
    }
    bucket = &s->buckets[(hash ^ hash >> 32) % BUCKETS];
    for (entry = *bucket; entry != NULL; entry = entry->next) {
        if (strcmp(entry->path, path) == 0) {
            return entry;
        }
    }
    entry = heap_new(struct entry);
    entry->path = heap_copy_text(path, strlen(path));
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

/* A key with a byte that haproxy's command line would take apart is in the files only. */
static bool is_plain_key(const char *path)
{
    return path[strcspn(path, " \t;\\\"'#")] == '\0';
}

static void put_command(struct sync *s, int which, const struct entry *e, const char *value)
{
    const char *verb = value == NULL ? "del" : e->values[which] == NULL ? "add" : "set";

    buffer_printf(&s->commands, "%s map %s/%s %s%s%s;", verb, s->folder, map_names[which], e->path,
                  value == NULL ? "" : " ", value == NULL ? "" : value);
}

/* Takes the values; NULL = the repository is gone. */
static void set_values(struct sync *s, struct entry *e, char *values[MAPS])
{
    for (int i = 0; i < MAPS; i++) {
        const char *old = e->values[i], *new = values[i];
        bool is_same = old == new || (old != NULL && new != NULL &&strcmp(old, new) == 0);

        if (!is_same) {
            s->is_changed = true;
            if (is_plain_key(e->path)) {
                put_command(s, i, e, values[i]);
            }
        }
        heap_free(e->values[i]);
        e->values[i] = values[i];
    }
}

static int take_repository(void *context, const char *path, const struct rk_reply *map)
{
    struct sync *s = context;
    struct entry *e = find_entry(s, path);
    char *values[MAPS];

    find_values(s, map, values);
    set_values(s, e, values);
    e->is_seen = true;
    return 0;
}

static void drop(struct sync *s, struct entry *e)
{
    char *none[MAPS] = { NULL, NULL };

    set_values(s, e, none);
}

/* ---- haproxy ---- */

static void put_entries(const struct sync *s, int which, FILE *file)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct entry *e = s->buckets[i]; e != NULL; e = e->next) {
            if (e->values[which] != NULL) {
                fprintf(file, "%s %s\n", e->path, e->values[which]);
            }
        }
    }
}

static bool write_map(const struct sync *s, int which)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    FILE *file;
    bool is_ok;

    snprintf(path, sizeof path, "%s/%s", s->folder, map_names[which]);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    file = fopen(temporary, "w");
    if (file == NULL) {
        return false;
    }
    put_entries(s, which, file);
    is_ok = fflush(file) == 0;
    return fclose(file) == 0 && is_ok && rename(temporary, path) == 0;
}

/* False when haproxy does not listen: it will read the files when it starts. */
static bool tell_haproxy(struct sync *s)
{
    const struct timeval patience = { SOCKET_S, 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t sent = 0;
    char answer[4096];
    bool is_ok;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", s->socket);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    is_ok = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    buffer_put_u8(&s->commands, '\n');
    while (is_ok && sent < s->commands.size) {
        ssize_t size = send(fd, s->commands.data + sent, s->commands.size - sent, MSG_NOSIGNAL);

        is_ok = size > 0;
        sent += size > 0 ? (size_t)size : 0;
    }
    while (is_ok && recv(fd, answer, sizeof answer, 0) > 0) {
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    buffer_clear(&s->commands);
    return is_ok;
}

static int publish(struct sync *s)
{
    if (!s->is_changed) {
        return 0;
    }
    s->is_changed = false;
    for (int i = 0; i < MAPS; i++) {
        if (!write_map(s, i)) {
            return cli_fail_text(s->cli, RK_IO, "write %s/%s: %s", s->folder, map_names[i],
                                 strerror(errno));
        }
    }
    if (s->socket != NULL && s->commands.size > 0) {
        (void)tell_haproxy(s);
    }
    buffer_clear(&s->commands);
    return 0;
}

/* ---- The cluster ---- */

static enum rk_status read_storages(struct sync *s, struct rk_error *error)
{
    struct rk_reply *storages = NULL;
    struct placement placement = { NULL, 0 };
    enum rk_status status = rk_storage_list(s->client, &storages, error);

    if (status == RK_OK) {
        status = placement_read(&placement, s->client, error);
    }
    if (status != RK_OK) {
        rk_reply_free(storages);
        return status;
    }
    placement_release(&s->placement);
    rk_reply_free(s->storages);
    s->placement = placement;
    s->storages = storages;
    return RK_OK;
}

static enum rk_status refresh(struct sync *s, struct rk_error *error)
{
    enum rk_status status = read_storages(s, error);

    s->turn++;
    if (status == RK_OK) {
        status = rk_repo_list(s->client, NULL, take_repository, s, error);
    }
    for (size_t i = 0; i < BUCKETS && status == RK_OK; i++) {
        for (struct entry *e = s->buckets[i]; e != NULL; e = e->next) {
            if (!e->is_seen) {
                drop(s, e);
            }
            e->is_seen = false;
        }
    }
    return status;
}

static void look_at(struct sync *s, const char *path)
{
    struct rk_reply *map = NULL;
    struct rk_error error;
    enum rk_status status = rk_repo_show(s->client, path, &map, &error);

    if (status == RK_OK) {
        (void)take_repository(s, path, map);
    } else if (status == RK_NOREPO || status == RK_REMOVED) {
        drop(s, find_entry(s, path));
    }
    rk_reply_free(map);
}

/* The paths that changed, one after the other: they are looked at when the page has ended. */
static int note_event(void *context, const struct rk_event *event)
{
    struct buffer *paths = context;

    if (event->path != NULL && strcmp(event->kind, "ref") != 0 &&
        strcmp(event->kind, "head") != 0) {
        buffer_put(paths, event->path, strlen(event->path) + 1);
        if (strcmp(event->kind, "renamed") == 0) {
            buffer_put(paths, event->old_value, strlen(event->old_value) + 1);
        }
    }
    return 0;
}

static enum rk_status follow(struct sync *s, struct rk_events_query *query, struct rk_error *error)
{
    struct buffer paths = BUFFER_INIT;
    uint64_t next = query->from;
    enum rk_status status = rk_events_read(s->client, query, note_event, &paths, &next, error);

    for (size_t at = 0; status == RK_OK && at < paths.size;) {
        const char *path = (const char *)paths.data + at;

        look_at(s, path);
        at += strlen(path) + 1;
    }
    if (status == RK_OK) {
        query->from = next;
        query->is_from_now = 0;
    } else if (status == RK_COMPACTED) {
        query->is_from_now = 1;
    }
    buffer_release(&paths);
    return status;
}

static int run(struct sync *s, int64_t refresh_ms, bool is_once)
{
    struct rk_events_query query = { .is_from_now = 1 };
    struct rk_error error;
    int64_t refreshed_ms = 0;
    enum rk_status status;

    s->is_changed = true; /* the files are made also when there is nothing to say */
    do {
        int64_t now_ms = clock_monotonic_ms();
        int code = 0;

        status = follow(s, &query, &error);
        if (status == RK_COMPACTED ||
            (status == RK_OK && (refreshed_ms == 0 || now_ms - refreshed_ms >= refresh_ms))) {
            status = refresh(s, &error);
            refreshed_ms = now_ms;
        }
        query.wait_ms = WAIT_MS < refresh_ms ? WAIT_MS : refresh_ms;
        if (status == RK_OK) {
            code = publish(s);
        } else if (error.reaction != RK_RETRY || is_once) {
            code = cli_fail(s->cli, &error);
        } else {
            (void)poll(NULL, 0, WAIT_MS); /* what haproxy has stays as it is */
        }
        if (code != 0) {
            return code;
        }
    } while (!is_once);
    return 0;
}

int cmd_haproxy_sync(struct cli *cli, int argc, char **argv)
{
    static struct sync s; /* large */
    char *folder = NULL, *socket_path = NULL;
    int64_t refresh_ms = REFRESH_MS_DEFAULT;
    bool is_once = false;
    const struct flag flags[] = { { "maps", FLAG_TEXT, &folder },
                                  { "socket", FLAG_TEXT, &socket_path },
                                  { "refresh", FLAG_DURATION, &refresh_ms },
                                  { "once", FLAG_BOOL, &is_once } };
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 4, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    if (folder == NULL) {
        return cli_usage_error(cli, "--maps is needed");
    }
    s.cli = cli;
    s.folder = folder;
    s.socket = socket_path;
    s.client = cli_client(cli, &code);
    return s.client == NULL ? code : run(&s, refresh_ms, is_once);
}
