/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper haproxy-sync: keeps the two maps of conf/haproxy/ current, for pushes and for fetches.
 *
 * A map has one line per repository: "PATH ok|HOST:PORT|EPOCH", "PATH frozen|REASON" with the
 * reason percent-encoded, or "PATH unavailable".  Both files are written whole, beside and renamed,
 * for a haproxy that starts; a running one is told each change over its runtime socket.
 *
 * Events say which repository changed.  At every --refresh two questions tell whether something
 * changed that no event says:
 *
 *   a storage came, went, fell silent, moved                       all repositories are listed anew
 *   another node answers, or it forgot, or a copy was withdrawn    likewise
 *   it was pushed to, or a replica that lives was not in sync      it is looked at again
 *
 * so a cluster in which nothing happens costs two small answers.  A map may be old for --refresh:
 * the epoch it carries makes the hook refuse what an old one sends to a deposed primary.
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
#define LOOKED_AT_MAX 500 /* repositories singly; more are cheaper by the list */

enum { MAP_WRITE, MAP_READ, MAPS };

static const char *const map_names[MAPS] = { "refkeeper-write.map", "refkeeper-read.map" };

struct entry {
    struct entry *next;
    char *path;
    char *values[MAPS]; /* NULL = the repository is gone */
    bool is_seen;
    bool is_unsettled; /* pushed to, or some replica that lives was not in sync */
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
    size_t unsettled; /* entries */
    char *signature;  /* of what no event tells; NULL = nothing was listed yet */
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

/* A fetch: to one of the fit replicas, always the same while they stay; else to the primary. */
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
    if (count == 0 && is_up) {
        names[count++] = primary;
    }
    if (count == 0) {
        return heap_copy_text("unavailable", 11);
    }
    return value_of_storage(s, map, names[rk_reply_get_number(map, "id") % count]);
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

/* A key ends at a blank, and # begins a comment.  haproxy could not look such a path up anyway: a
 * client sends it escaped. */
static bool is_key(const char *path)
{
    return path[0] != '#' && path[strcspn(path, " \t")] == '\0';
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

/* A replica may come into sync without an event.  One whose storage is silent does not before that
 * is heard, which changes the signature. */
static bool may_settle(const struct sync *s, const struct rk_reply *map)
{
    const struct rk_reply *replicas = rk_reply_get(map, "replicas");

    for (size_t i = 0; replicas != NULL && i < replicas->count; i++) {
        const char *name = replicas->items[i]->text;

        if (strcmp(name, rk_reply_get_text(map, "primary")) != 0 &&
            placement_is_fit(placement_find(&s->placement, name)) &&
            !placement_lists(map, "complete", name)) {
            return true;
        }
    }
    return false;
}

static void set_unsettled(struct sync *s, struct entry *e, bool is_unsettled)
{
    s->unsettled += (is_unsettled ? 1 : 0) - (e->is_unsettled ? 1 : 0);
    e->is_unsettled = is_unsettled;
}

static int take_repository(void *context, const char *path, const struct rk_reply *map)
{
    struct sync *s = context;
    struct entry *e = find_entry(s, path);
    char *values[MAPS];

    find_values(s, map, values);
    set_values(s, e, values);
    e->is_seen = true;
    set_unsettled(s, e, may_settle(s, map));
    return 0;
}

static void drop(struct sync *s, struct entry *e)
{
    char *none[MAPS] = { NULL, NULL };

    set_values(s, e, none);
    set_unsettled(s, e, false);
}

/* ---- haproxy ---- */

static void put_entries(const struct sync *s, int which, FILE *file)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct entry *e = s->buckets[i]; e != NULL; e = e->next) {
            if (e->values[which] != NULL && is_key(e->path)) {
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

/* All repositories. */
static enum rk_status list_all(struct sync *s, struct rk_error *error)
{
    enum rk_status status = rk_repo_list(s->client, NULL, take_repository, s, error);

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

static void look_at_unsettled(struct sync *s)
{
    for (size_t i = 0; i < BUCKETS && s->unsettled > 0; i++) {
        for (struct entry *e = s->buckets[i]; e != NULL; e = e->next) {
            if (e->is_unsettled) {
                look_at(s, e->path);
            }
        }
    }
}

/* Everything that routes depend on and no event tells, as one text. */
static enum rk_status sign(struct sync *s, char **ret_signature, struct rk_error *error)
{
    struct buffer out = BUFFER_INIT;
    struct rk_reply *status_map = NULL;
    enum rk_status status = rk_cluster_status(s->client, &status_map, error);

    if (status != RK_OK) {
        return status;
    }
    buffer_printf(&out, "%s %" PRIu64 " %" PRIu64, rk_reply_get_text(status_map, "node"),
                  rk_reply_get_number(status_map, "reports_generation"),
                  rk_reply_get_number(status_map, "reports_withdrawn"));
    rk_reply_free(status_map);
    for (size_t i = 0; i < s->placement.count; i++) {
        const struct placed_storage *p = &s->placement.storages[i];

        buffer_printf(&out, "\n%s %s %d %s", p->name, p->state, placement_is_fit(p),
                      address_of(s, p->name));
    }
    *ret_signature = take_text(&out);
    return RK_OK;
}

static enum rk_status refresh(struct sync *s, bool is_lost, struct rk_error *error)
{
    char *signature = NULL;
    enum rk_status status = read_storages(s, error);

    if (status == RK_OK) {
        status = sign(s, &signature, error);
    }
    if (status != RK_OK) {
        return status;
    }
    if (is_lost || s->signature == NULL || strcmp(s->signature, signature) != 0 ||
        s->unsettled > LOOKED_AT_MAX) {
        status = list_all(s, error);
    } else {
        look_at_unsettled(s);
    }
    if (status == RK_OK) {
        heap_free(s->signature);
        s->signature = signature;
    } else {
        heap_free(signature);
    }
    return status;
}

/* A push: the replicas follow in a moment, and are looked at with the next refresh. */
static void note_push(struct sync *s, const char *path)
{
    struct entry *e = find_entry(s, path);

    if (!e->is_unsettled) {
        set_unsettled(s, e, true);
    }
}

struct changes {
    struct sync *sync;
    struct buffer paths; /* NUL behind each */
};

/* The paths that changed, one after the other: they are looked at when the page has ended. */
static int note_event(void *context, const struct rk_event *event)
{
    struct changes *changes = context;
    struct buffer *paths = &changes->paths;

    if (event->path != NULL && strcmp(event->kind, "ref") == 0) {
        note_push(changes->sync, event->path);
        return 0;
    }

    if (event->path != NULL && strcmp(event->kind, "head") != 0) {
        buffer_put(paths, event->path, strlen(event->path) + 1);
        if (strcmp(event->kind, "renamed") == 0) {
            buffer_put(paths, event->old_value, strlen(event->old_value) + 1);
        }
    }
    return 0;
}

static enum rk_status follow(struct sync *s, struct rk_events_query *query, struct rk_error *error)
{
    struct changes changes = { .sync = s, .paths = BUFFER_INIT };
    uint64_t next = query->from;
    enum rk_status status = rk_events_read(s->client, query, note_event, &changes, &next, error);

    for (size_t at = 0; status == RK_OK && at < changes.paths.size;) {
        const char *path = (const char *)changes.paths.data + at;

        look_at(s, path);
        at += strlen(path) + 1;
    }
    if (status == RK_OK) {
        query->from = next;
        query->is_from_now = 0;
    } else if (status == RK_COMPACTED) {
        query->is_from_now = 1;
    }
    buffer_release(&changes.paths);
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
            status = refresh(s, status == RK_COMPACTED, &error);
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
