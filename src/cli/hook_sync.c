/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With refkeeper.syncReplicas = N a push is decided only when N replicas hold its objects, synced
 * and pinned: an acknowledged push survives the loss of its primary's disk.  [agent_wire.h]
 *
 *   git pack-objects --thin, new values without what the old ones have, into a file
 *   -> to the agents of the replicas, those that hold everything first, until N have taken it
 *   -> not enough: tried again until SYNC_MS, a replica may be catching up; then all is refused
 *
 * Agents: refkeeper.agents = STORAGE=HOST:PORT,...; one that is not named there is at the host of
 * its http address, port 7483.  Their token: the file refkeeper.agentTokenFile names.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/agent_wire.h"
#include "cli/git_refs.h"
#include "cli/hook.h"
#include "cli/process.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define SYNC_MS 5000 /* for replicas that are behind; a transfer under way may take longer */
#define PACK_MS (30 * 60 * 1000)
#define PEER_S 60 /* without a sign of the agent */
#define PAUSE_MS 200
#define REPLICAS_TRIED_MAX 32

struct target {
    char *storage;
    char host[256], port[16];
    bool has_taken;
};

struct sync {
    struct hook_push *push;
    struct target targets[REPLICAS_TRIED_MAX];
    size_t count;
    uint64_t wanted, taken;
    struct buffer token, head;
    int pack;
    off_t pack_bytes;
    struct errmsg why;
};

/* ---- Where the agents are ---- */

static void set_address(struct target *t, const char *text, size_t size, const char *port)
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
static bool find_named(const char *list, struct target *t)
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

static void find_by_http(const struct rk_reply *storages, struct target *t)
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

static void add_target(struct sync *s, const char *storage)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->targets[i].storage, storage) == 0) {
            return;
        }
    }
    if (s->count < REPLICAS_TRIED_MAX && strcmp(storage, s->push->place.storage) != 0) {
        s->targets[s->count++] = (struct target){ .storage = heap_copy_text(storage,
                                                                            strlen(storage)) };
    }
}

static void add_targets(struct sync *s, const struct rk_reply *list)
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        add_target(s, list->items[i]->text);
    }
}

static bool find_targets(struct sync *s)
{
    const struct hook_place *place = &s->push->place;
    const char *named = hook_place_find(place, "REFKEEPER_AGENTS", "refkeeper.agents");
    struct rk_reply *map = NULL, *storages = NULL;
    struct rk_error error;
    bool is_ok = rk_repo_show(place->client, place->path, &map, &error) == RK_OK &&
                 rk_storage_list(place->client, &storages, &error) == RK_OK;

    if (is_ok) {
        add_targets(s, rk_reply_get(map, "complete"));
        add_targets(s, rk_reply_get(map, "replicas"));
    } else {
        errmsg_set(&s->why, "%s", error.message);
    }
    for (size_t i = 0; i < s->count; i++) {
        if (!find_named(named, &s->targets[i])) {
            find_by_http(storages, &s->targets[i]);
        }
    }
    rk_reply_free(map);
    rk_reply_free(storages);
    return is_ok;
}

/* ---- The pack ---- */

static bool brings_objects(const struct hook_ref *ref)
{
    return ref->state == HOOK_ASKED && !ref->is_delete;
}

/* What a replica has: the old values; where refs are new, all branches and tags. */
static void put_known(const struct sync *s, struct buffer *out)
{
    static const char *const folders[] = { "refs/heads", "refs/tags", NULL };
    struct git_refs refs = { .count = 0 };
    bool has_creation = false;

    for (size_t i = 0; i < s->push->count; i++) {
        const struct hook_ref *ref = &s->push->refs[i];

        has_creation = has_creation || (brings_objects(ref) && ref->is_create);
        if (brings_objects(ref) && !ref->is_create) {
            buffer_printf(out, "^%s\n", ref->old_oid);
        }
    }
    /* Without them the pack is only larger. */
    if (has_creation &&
        git_refs_read_some(&refs, NULL, folders, clock_monotonic_ms() + PACK_MS, NULL) == RK_OK) {
        for (size_t i = 0; i < refs.count; i++) {
            buffer_printf(out, "^%s\n", refs.refs[i].oid);
        }
    }
    git_refs_release(&refs);
}

static bool make_pack(struct sync *s)
{
    static const char *const argv[] = { "git",      "pack-objects",        "--revs",  "--thin",
                                        "--stdout", "--delta-base-offset", "--quiet", NULL };
    struct buffer revisions = BUFFER_INIT;
    struct process p = { .argv = argv,
                         .has_output_fd = true,
                         .deadline_ms = clock_monotonic_ms() + PACK_MS };
    struct stat st;
    bool is_ok;

    s->pack = open(hook_git_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->pack < 0) {
        errmsg_set(&s->why, "make a file for the pack: %s", strerror(errno));
        return false;
    }
    for (size_t i = 0; i < s->push->count; i++) {
        if (brings_objects(&s->push->refs[i])) {
            buffer_printf(&revisions, "%s\n", s->push->refs[i].new_oid);
        }
    }
    put_known(s, &revisions);
    p.input = buffer_slice(&revisions);
    p.output_fd = s->pack;
    is_ok = process_run(&p, &s->why) == RK_OK;
    if (is_ok && p.exit_code != 0) {
        errmsg_set(&s->why, "git pack-objects: %s", process_last_words(&p));
        is_ok = false;
    }
    process_release(&p);
    buffer_release(&revisions);
    is_ok = is_ok && fstat(s->pack, &st) == 0;
    s->pack_bytes = is_ok ? st.st_size : 0;
    return is_ok;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each new value once, whatever refs have it.  Owned by the caller. */
static const char **list_values(const struct sync *s, uint32_t *ret_count)
{
    const char **values = heap_alloc((s->push->count + 1) * sizeof *values);
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < s->push->count; i++) {
        if (brings_objects(&s->push->refs[i])) {
            values[count++] = s->push->refs[i].new_oid;
        }
    }
    qsort(values, count, sizeof *values, compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(values[kept - 1], values[i]) != 0) {
            values[kept++] = values[i];
        }
    }
    *ret_count = (uint32_t)kept;
    return values;
}

static void make_head(struct sync *s)
{
    char name[33];
    uint32_t count = 0;
    const char **values = list_values(s, &count);

    snprintf(name, sizeof name, "%016" PRIx64 "%016" PRIx64, entropy_u64(), entropy_u64());
    buffer_put_string(&s->head, slice_of_text(s->push->place.path));
    buffer_put_u64(&s->head, s->push->write.repository_id);
    buffer_put_string(&s->head, slice_of_text(name));
    buffer_put_u64(&s->head, (uint64_t)s->pack_bytes);
    buffer_put_u32(&s->head, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_string(&s->head, slice_of_text(values[i]));
    }
    heap_free(values);
}

/* ---- One agent ---- */

static int dial(const struct target *t, struct errmsg *why)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    const struct timeval patience = { PEER_S, 0 }, quick = { 2, 0 };
    const int one = 1;
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(t->host, t->port, &hints, &found);
    int fd = rc == 0 ? socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &quick, sizeof quick);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        errmsg_set(why, "%s at %s:%s: %s", t->storage, t->host, t->port, strerror(errno));
        (void)close(fd);
        fd = -1;
    } else if (fd < 0) {
        errmsg_set(why, "%s at %s:%s: %s", t->storage, t->host, t->port,
                   rc != 0 ? gai_strerror(rc) : strerror(errno));
    }
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return fd;
}

static bool send_pack(const struct sync *s, int fd)
{
    off_t offset = 0;

    while (offset < s->pack_bytes) {
        ssize_t sent = sendfile(fd, s->pack, &offset, (size_t)(s->pack_bytes - offset));

        if (sent <= 0 && errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* 0 = taken; else the agent's reason is in `why`, or nothing when it did not say. */
static bool receive_answer(int fd, const struct target *t, struct errmsg *why)
{
    uint8_t bytes[5];
    char text[AGENT_ANSWER_BYTES_MAX + 1] = "";
    uint32_t size;

    if (!agent_receive_all(fd, bytes, sizeof bytes)) {
        errmsg_set(why, "%s: its agent did not answer", t->storage);
        return false;
    }
    size = get_be32(bytes + 1);
    if (size > AGENT_ANSWER_BYTES_MAX || !agent_receive_all(fd, text, size)) {
        size = 0;
    }
    text[size] = '\0';
    if (bytes[0] != 0) {
        errmsg_set(why, "%s: %.400s", t->storage, text);
    }
    return bytes[0] == 0;
}

static bool deliver(struct sync *s, struct target *t)
{
    uint8_t hello[AGENT_HELLO_BYTES + AGENT_NONCE_BYTES], mac[AGENT_MAC_BYTES];
    struct buffer out = BUFFER_INIT;
    int fd = dial(t, &s->why);
    bool is_sent;

    if (fd < 0) {
        return false;
    }
    is_sent = agent_receive_all(fd, hello, sizeof hello) &&
              memcmp(hello, AGENT_HELLO, AGENT_HELLO_BYTES) == 0;
    if (is_sent) {
        agent_mac(buffer_slice(&s->token), hello + AGENT_HELLO_BYTES, buffer_slice(&s->head), mac);
        buffer_put_u32(&out, (uint32_t)s->head.size);
        buffer_put(&out, mac, sizeof mac);
        buffer_put_slice(&out, buffer_slice(&s->head));
        /* One that refuses says why before all has been sent. */
        (void)(agent_send_all(fd, out.data, out.size) && send_pack(s, fd));
        t->has_taken = receive_answer(fd, t, &s->why);
    } else {
        errmsg_set(&s->why, "%s: no agent answers at %s:%s", t->storage, t->host, t->port);
    }
    buffer_release(&out);
    (void)close(fd);
    return t->has_taken;
}

static void deliver_to_enough(struct sync *s)
{
    int64_t deadline_ms = clock_monotonic_ms() + SYNC_MS;

    for (;;) {
        for (size_t i = 0; i < s->count && s->taken < s->wanted; i++) {
            if (!s->targets[i].has_taken && deliver(s, &s->targets[i])) {
                s->taken++;
            }
        }
        if (s->taken >= s->wanted || clock_monotonic_ms() >= deadline_ms) {
            return;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
}

static bool prepare(struct sync *s)
{
    const char *file = hook_place_find(&s->push->place, "REFKEEPER_AGENT_TOKEN_FILE",
                                       "refkeeper.agenttokenfile");

    if (file == NULL) {
        errmsg_set(&s->why, "refkeeper.agentTokenFile is not set");
        return false;
    }
    if (agent_token_read(file, &s->token, &s->why) != RK_OK || !find_targets(s)) {
        return false;
    }
    if (s->count < s->wanted) {
        errmsg_set(&s->why, "the repository has %zu replicas", s->count);
        return false;
    }
    if (!make_pack(s)) {
        return false;
    }
    make_head(s);
    return true;
}

void hook_sync(struct hook_push *push)
{
    const char *wanted = hook_place_find(&push->place, "REFKEEPER_SYNC_REPLICAS",
                                         "refkeeper.syncreplicas");
    struct sync s = { .push = push, .pack = -1 };
    bool has_news = false;

    for (size_t i = 0; i < push->count; i++) {
        has_news = has_news || brings_objects(&push->refs[i]);
    }
    if (wanted == NULL || !has_news) {
        return;
    }
    if (!parse_number(wanted, &s.wanted)) {
        hook_refuse_all(push, "refkeeper: refkeeper.syncReplicas is not a number: %s", wanted);
        return;
    }
    if (s.wanted > 0 && prepare(&s)) {
        deliver_to_enough(&s);
    }
    if (s.taken < s.wanted) {
        hook_refuse_all(push,
                        "refkeeper: %" PRIu64 " of the %" PRIu64 " replicas that must hold it "
                        "first could take it (%s); nothing was changed",
                        s.taken, s.wanted, s.why.text);
    }
    for (size_t i = 0; i < s.count; i++) {
        heap_free(s.targets[i].storage);
    }
    buffer_release(&s.token);
    buffer_release(&s.head);
    if (s.pack >= 0) {
        (void)close(s.pack);
    }
}
