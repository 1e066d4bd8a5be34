/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the packs of pushes that a replica must hold before they are decided.  [agent_wire.h]
 *
 *   head       git index-pack is started; rev-list and update-ref, too, while no pack comes
 *   pack       to index-pack --fix-thin, synced, its folder, too; meanwhile the other two start
 *              -> everything reachable from the new values is here
 *              -> each is pinned as refs/refkeeper/pin/PUSH/n -> taken
 *
 * A pin goes when its push has landed (agent_pins.c).  A pack whose push is refused in the end
 * stays as objects nobody refers to.
 */
#include <arpa/inet.h>
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
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/agent.h"
#include "cli/agent_wire.h"
#include "cli/process.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define PEER_S 60             /* without a byte from the hook */
#define PACK_S (30 * 60 + 60) /* while it makes the pack */
#define GIT_MS (10 * 60 * 1000)
#define PIECE_BYTES (256 * 1024)
#define CONNECTIONS_MAX 64 /* more are refused: each is a thread and a git process */
#define PUSH_NAME_BYTES_MAX 64
#define PACK_BYTES_MAX (1ULL << 40)

/* One git command that was started before its input came. */
struct helper {
    struct process process;
    const char *argv[16];
    struct buffer input;
};

struct delivery {
    struct agent *agent;
    int fd; /* of the link, once there is one */
    struct agent_link link;
    struct buffer head;
    char *git_dir;
    struct slice path, push, *ids;
    uint64_t id;
    uint32_t id_count;
    struct helper index, check, pin;
    struct errmsg why;
};

static void set_patience(const struct delivery *d, int seconds)
{
    const struct timeval patience = { seconds, 0 };

    (void)setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(d->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

/* ---- The head ---- */

static bool is_word(struct slice s, const char *allowed)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '\0' || strchr(allowed, s.data[i]) == NULL) {
            return false;
        }
    }
    return s.size > 0;
}

static bool parse_head(struct delivery *d)
{
    static const char hex[] = "0123456789abcdef";
    struct reader r = reader_of(buffer_slice(&d->head));

    d->path = reader_string(&r, PATH_BYTES_MAX);
    d->id = reader_u64(&r);
    d->push = reader_string(&r, PUSH_NAME_BYTES_MAX);
    d->id_count = reader_u32(&r);
    if (r.failed || d->id_count > reader_left(&r) / 4 || !is_word(d->push, hex)) {
        return false;
    }
    d->ids = heap_alloc((d->id_count + 1) * sizeof *d->ids);
    for (uint32_t i = 0; i < d->id_count; i++) {
        d->ids[i] = reader_string(&r, RK_OID_TEXT_MAX);
        if (!r.failed && !is_word(d->ids[i], hex)) {
            return false;
        }
    }
    return reader_done(&r);
}

/* Greets, and takes the head of someone who has the token. */
static bool receive_head(struct delivery *d, struct slice token)
{
    uint8_t hello[AGENT_HELLO_BYTES + AGENT_NONCE_BYTES];
    uint8_t size_bytes[4], theirs[AGENT_MAC_BYTES], ours[AGENT_MAC_BYTES];
    uint32_t size;

    memcpy(hello, AGENT_HELLO, AGENT_HELLO_BYTES);
    entropy_fill(hello + AGENT_HELLO_BYTES, AGENT_NONCE_BYTES);
    if (!agent_send_all(&d->link, hello, sizeof hello) ||
        !agent_receive_all(&d->link, size_bytes, sizeof size_bytes) ||
        !agent_receive_all(&d->link, theirs, sizeof theirs)) {
        return false;
    }
    size = get_be32(size_bytes);
    if (size > AGENT_HEAD_BYTES_MAX || buffer_reserve(&d->head, size) != RK_OK ||
        !agent_receive_all(&d->link, d->head.data, size)) {
        return false;
    }
    d->head.size = size;
    agent_mac(token, hello + AGENT_HELLO_BYTES, buffer_slice(&d->head), ours);
    if (!agent_mac_equal(ours, theirs)) {
        errmsg_set(&d->why, "the token is not this agent's");
        return false;
    }
    if (!parse_head(d)) {
        errmsg_set(&d->why, "a head that cannot be read");
        return false;
    }
    return true;
}

/* ---- The pack ---- */

static bool find_copy(struct delivery *d)
{
    char *path = heap_copy_text(d->path.data, d->path.size);
    const struct agent_copy *copy;
    bool is_ours;

    pthread_mutex_lock(&d->agent->lock);
    copy = agent_find(d->agent, path);
    is_ours = copy != NULL && !copy->is_gone && (d->id == 0 || copy->id == d->id);
    pthread_mutex_unlock(&d->agent->lock);
    d->git_dir = agent_place(d->agent, path);
    if (!is_ours || access(d->git_dir, F_OK) != 0) {
        errmsg_set(&d->why, "this storage has no copy of %s yet", path);
        is_ours = false;
    }
    heap_free(path);
    return is_ours;
}

/* ---- The programs ---- */

static bool start(struct delivery *d, struct helper *h, const char *const *words)
{
    static const char *const environment[] = { "LC_ALL=C", NULL };
    size_t n = 0;

    if (h->process.pid != 0) {
        return true;
    }
    h->argv[n++] = "git";
    h->argv[n++] = "--git-dir";
    h->argv[n++] = d->git_dir;
    while (*words != NULL && n + 1 < sizeof h->argv / sizeof h->argv[0]) {
        h->argv[n++] = *words++;
    }
    h->argv[n] = NULL;
    h->process =
        (struct process){ .argv = h->argv, .environment = environment, .awaits_input = true };
    return process_start(&h->process, &d->why) == RK_OK;
}

static bool start_index(struct delivery *d)
{
    static const char *const words[] = { "-c",         "core.fsync=objects,derived-metadata",
                                         "index-pack", "--stdin",
                                         "--fix-thin", NULL };

    return start(d, &d->index, words);
}

/* Pins are no proof that a value is whole: those of another push that comes at the same time may
 * not be checked yet. */
static bool start_check(struct delivery *d)
{
    static const char *const words[] = { "rev-list", "--objects",
                                         "--stdin",  "--exclude=" COPY_PINS "*",
                                         "--not",    "--all",
                                         "--quiet",  NULL };

    return start(d, &d->check, words);
}

static bool start_pin(struct delivery *d)
{
    static const char *const words[] = { "-c", "core.hooksPath=/dev/null", "update-ref", "--stdin",
                                         NULL };

    return start(d, &d->pin, words);
}

static bool is_quiet(const struct delivery *d)
{
    struct pollfd link = { d->fd, POLLIN, 0 };

    return poll(&link, 1, 0) == 0;
}

/* Each reads nothing of the repository before its input has come.  What comes first goes first: a
 * pack that is there does not wait for the start of those that look at it afterwards. */
static bool start_early(struct delivery *d)
{
    return start_index(d) && (!is_quiet(d) || start_check(d)) && (!is_quiet(d) || start_pin(d));
}

static bool start_rest(struct delivery *d)
{
    return start_check(d) && start_pin(d);
}

static void release_helper(struct helper *h)
{
    process_release(&h->process);
    buffer_release(&h->input);
}

static bool finish(struct delivery *d, struct helper *h, const char *name)
{
    h->process.input = buffer_slice(&h->input);
    h->process.deadline_ms = clock_monotonic_ms() + GIT_MS;
    if (process_finish(&h->process, &d->why) != RK_OK) {
        return false;
    }
    if (h->process.exit_code != 0) {
        errmsg_set(&d->why, "git %s: %s", name, process_last_words(&h->process));
        return false;
    }
    return true;
}

/* ---- The pack ---- */

static bool receive_pack(struct delivery *d, uint64_t left)
{
    uint8_t *piece = heap_alloc(PIECE_BYTES);
    bool is_fed = true, is_there = true;

    while (left > 0 && is_there && is_fed) {
        size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;

        is_there = agent_receive_all(&d->link, piece, size);
        d->index.process.deadline_ms = clock_monotonic_ms() + GIT_MS;
        is_fed = is_there && process_feed(&d->index.process, piece, size);
        left -= size;
    }
    heap_free(piece);
    process_end_input(&d->index.process);
    if (!is_there) {
        errmsg_set(&d->why, "the pack was cut short");
    }
    return is_there; /* one that does not read any more says itself why */
}

/* A pack has its final name by a rename, which git does not sync. */
static bool sync_folder(struct delivery *d)
{
    struct buffer path = BUFFER_INIT;
    bool is_ok;
    int fd;

    buffer_printf(&path, "%s/objects/pack", d->git_dir);
    buffer_put_u8(&path, '\0');
    fd = open((const char *)path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_ok = fd >= 0 && fsync(fd) == 0;
    if (!is_ok) {
        errmsg_set(&d->why, "sync %s: %s", (const char *)path.data, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    buffer_release(&path);
    return is_ok;
}

/* ---- What counts as taken ---- */

/* Nothing reachable from the new values is missing, up to what the refs here have. */
static bool check_objects(struct delivery *d, bool has_pack)
{
    bool is_synced;

    for (uint32_t i = 0; i < d->id_count; i++) {
        buffer_printf(&d->check.input, "%.*s\n", (int)d->ids[i].size, (const char *)d->ids[i].data);
    }
    /* It walks while the disk works. */
    d->check.process.deadline_ms = clock_monotonic_ms() + GIT_MS;
    if (!process_feed(&d->check.process, d->check.input.data, d->check.input.size)) {
        (void)finish(d, &d->check, "rev-list");
        return false;
    }
    buffer_clear(&d->check.input);
    process_end_input(&d->check.process);
    is_synced = !has_pack || sync_folder(d);
    return finish(d, &d->check, "rev-list") && is_synced;
}

/* Not synced: after a power cut the objects are too young to be pruned, pinned or not. */
static bool pin(struct delivery *d)
{
    for (uint32_t i = 0; i < d->id_count; i++) {
        buffer_printf(&d->pin.input, "update " COPY_PINS "%" PRId64 "-%.*s/%" PRIu32 " %.*s\n",
                      clock_wall_ms() / 1000, (int)d->push.size, (const char *)d->push.data, i,
                      (int)d->ids[i].size, (const char *)d->ids[i].data);
    }
    return finish(d, &d->pin, "update-ref");
}

static bool take(struct delivery *d)
{
    uint8_t size_bytes[8];
    uint64_t size;

    if (!find_copy(d) || !start_early(d)) {
        return false;
    }
    set_patience(d, PACK_S);
    if (!agent_receive_all(&d->link, size_bytes, sizeof size_bytes)) {
        errmsg_set(&d->why, "the hook went away");
        return false;
    }
    set_patience(d, PEER_S);
    size = get_be64(size_bytes);
    if (size > PACK_BYTES_MAX) {
        errmsg_set(&d->why, "a pack of %" PRIu64 " bytes", size);
        return false;
    }
    if (size > 0 && !receive_pack(d, size)) {
        return false;
    }
    if (!start_rest(d) || (size > 0 && !finish(d, &d->index, "index-pack"))) {
        return false;
    }
    return check_objects(d, size > 0) && pin(d);
}

static void answer(struct delivery *d, bool is_taken)
{
    struct buffer out = BUFFER_INIT;

    buffer_put_u8(&out, is_taken ? 0 : 1);
    buffer_put_string(&out, is_taken ? SLICE_NONE : slice_of_text(d->why.text));
    (void)agent_send_all(&d->link, out.data, out.size);
    buffer_release(&out);
}

static void release(struct delivery *d)
{
    release_helper(&d->index);
    release_helper(&d->check);
    release_helper(&d->pin);
    buffer_release(&d->head);
    heap_free(d->git_dir);
    heap_free(d->ids);
    heap_free(d);
}

static void *serve(void *delivery)
{
    struct delivery *d = delivery;
    struct agent *a = d->agent;

    set_patience(d, AGENT_HELLO_S);
    if (agent_link_start(&d->link, d->fd, a->tls, NULL, &d->why)) {
        if (receive_head(d, buffer_slice(&a->token))) {
            answer(d, take(d));
        } else if (d->why.text[0] != '\0') {
            answer(d, false);
        }
    }
    if (d->why.text[0] != '\0') {
        agent_log(a, "a pack for %.*s: %s", (int)d->path.size,
                  d->path.size == 0 ? "" : (const char *)d->path.data, d->why.text);
    }
    agent_link_close(&d->link);
    release(d);
    pthread_mutex_lock(&a->lock);
    a->deliveries--;
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- Listening ---- */

int agent_listen(const char *address, struct errmsg *why)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    const int one = 1;
    int fd = -1, rc;

    snprintf(host, sizeof host, "%.*s",
             (int)(colon == NULL ? strlen(address) : (size_t)(colon - address)), address);
    rc = getaddrinfo(host[0] == '\0' ? NULL : host, colon == NULL ? AGENT_PORT : colon + 1, &hints,
                     &found);
    if (rc == 0) {
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
                    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 64) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    if (fd < 0) {
        errmsg_set(why, "listen on %s: %s", address, rc != 0 ? gai_strerror(rc) : strerror(errno));
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return fd;
}

static void accept_one(struct agent *a)
{
    const int one = 1;
    int fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC);
    struct delivery *d;
    pthread_t thread;
    bool has_room;

    if (fd < 0) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    has_room = a->deliveries < CONNECTIONS_MAX;
    a->deliveries += has_room ? 1 : 0;
    pthread_mutex_unlock(&a->lock);
    if (!has_room) {
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    d = heap_new(struct delivery);
    d->agent = a;
    d->link.fd = -1;
    d->fd = fd;
    if (pthread_create(&thread, NULL, serve, d) == 0) {
        (void)pthread_detach(thread);
    } else {
        (void)serve(d);
    }
}

void *agent_receiver(void *agent)
{
    for (;;) {
        accept_one(agent);
    }
    return NULL;
}
