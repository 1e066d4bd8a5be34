/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the packs of pushes that a replica must hold before they are decided.  [agent_wire.h]
 *
 *   the pack goes to a file -> git index-pack --fix-thin, synced -> everything reachable from
 *   the new values is here -> each is pinned as refs/refkeeper/pin/PUSH/n -> taken
 *
 * A pin goes when its push has landed (agent_pins.c).  A pack whose push is refused in the end
 * stays as objects nobody refers to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
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
#include "cli/git.h"
#include "cli/process.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define PEER_S 60 /* without a byte from the hook */
#define GIT_MS (10 * 60 * 1000)
#define CONNECTIONS_MAX 64 /* more are refused: each is a thread and a git process */
#define PUSH_NAME_BYTES_MAX 64
#define PACK_BYTES_MAX (1ULL << 40)

struct delivery {
    struct agent *agent;
    int fd;
    struct buffer head;
    char *git_dir;
    struct slice path, push, *ids;
    uint64_t id, pack_bytes;
    uint32_t id_count;
    struct errmsg why;
};

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
    d->pack_bytes = reader_u64(&r);
    d->id_count = reader_u32(&r);
    if (r.failed || d->id_count > reader_left(&r) / 4 || d->pack_bytes > PACK_BYTES_MAX ||
        !is_word(d->push, hex)) {
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
    if (!agent_send_all(d->fd, hello, sizeof hello) ||
        !agent_receive_all(d->fd, size_bytes, sizeof size_bytes) ||
        !agent_receive_all(d->fd, theirs, sizeof theirs)) {
        return false;
    }
    size = get_be32(size_bytes);
    if (size > AGENT_HEAD_BYTES_MAX || buffer_reserve(&d->head, size) != RK_OK ||
        !agent_receive_all(d->fd, d->head.data, size)) {
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

/* The pack goes to an unnamed file: git wants all of it or nothing. */
static int spool(struct delivery *d)
{
    static const size_t piece_bytes = 256 * 1024;
    char *name = agent_place(d->agent, AGENT_FOLDER);
    int fd = open(name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    uint8_t *piece = heap_alloc(piece_bytes);
    uint64_t left = d->pack_bytes;

    while (fd >= 0 && left > 0) {
        size_t size = left < piece_bytes ? (size_t)left : piece_bytes;

        if (!agent_receive_all(d->fd, piece, size) || write(fd, piece, size) != (ssize_t)size) {
            (void)close(fd);
            fd = -1;
        }
        left -= size;
    }
    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0) {
        errmsg_set(&d->why, "take the pack: %s", strerror(errno));
    }
    heap_free(piece);
    heap_free(name);
    return fd;
}

static bool index_pack(struct delivery *d, int pack)
{
    const char *argv[] = {
        "git",        "--git-dir", d->git_dir,   "-c", "core.fsync=objects,derived-metadata",
        "index-pack", "--stdin",   "--fix-thin", NULL
    };
    struct process p = { .argv = argv,
                         .input_fd = pack,
                         .has_input_fd = true,
                         .deadline_ms = clock_monotonic_ms() + GIT_MS };
    bool is_ok = process_run(&p, &d->why) == RK_OK;

    if (is_ok && p.exit_code != 0) {
        errmsg_set(&d->why, "git index-pack: %s", process_last_words(&p));
        is_ok = false;
    }
    process_release(&p);
    return is_ok;
}

/* Nothing reachable from the new values is missing, up to what the refs here have. */
static bool check_objects(struct delivery *d)
{
    static const char *const words[] = { "rev-list", "--objects", "--stdin", "--not",
                                         "--all",    "--quiet",   NULL };
    struct buffer ids = BUFFER_INIT;
    enum rk_status status;

    for (uint32_t i = 0; i < d->id_count; i++) {
        buffer_printf(&ids, "%.*s\n", (int)d->ids[i].size, (const char *)d->ids[i].data);
    }
    status = git_run(d->git_dir, words, buffer_slice(&ids), clock_monotonic_ms() + GIT_MS, NULL,
                     NULL, &d->why);
    buffer_release(&ids);
    return status == RK_OK;
}

/* Not synced: after a power cut the objects are too young to be pruned, pinned or not. */
static bool pin(struct delivery *d)
{
    static const char *const words[] = { "-c", "core.hooksPath=/dev/null", "update-ref", "--stdin",
                                         NULL };
    struct buffer script = BUFFER_INIT;
    enum rk_status status;

    for (uint32_t i = 0; i < d->id_count; i++) {
        buffer_printf(&script, "update " AGENT_PINS "%" PRId64 "-%.*s/%" PRIu32 " %.*s\n",
                      clock_wall_ms() / 1000, (int)d->push.size, (const char *)d->push.data, i,
                      (int)d->ids[i].size, (const char *)d->ids[i].data);
    }
    status = git_run(d->git_dir, words, buffer_slice(&script), clock_monotonic_ms() + GIT_MS, NULL,
                     NULL, &d->why);
    buffer_release(&script);
    return status == RK_OK;
}

static bool take(struct delivery *d)
{
    bool is_ok = find_copy(d);
    int pack = is_ok ? spool(d) : -1;

    is_ok = pack >= 0 && (d->pack_bytes == 0 || index_pack(d, pack));
    if (pack >= 0) {
        (void)close(pack);
    }
    return is_ok && check_objects(d) && pin(d);
}

static void answer(struct delivery *d, bool is_taken)
{
    struct buffer out = BUFFER_INIT;

    buffer_put_u8(&out, is_taken ? 0 : 1);
    buffer_put_string(&out, is_taken ? SLICE_NONE : slice_of_text(d->why.text));
    (void)agent_send_all(d->fd, out.data, out.size);
    buffer_release(&out);
}

static void *serve(void *delivery)
{
    struct delivery *d = delivery;
    struct agent *a = d->agent;

    if (receive_head(d, buffer_slice(&a->token))) {
        answer(d, take(d));
    } else if (d->why.text[0] != '\0') {
        answer(d, false);
    }
    if (d->why.text[0] != '\0') {
        agent_log(a, "a pack for %.*s: %s", (int)d->path.size, (const char *)d->path.data,
                  d->why.text);
    }
    (void)close(d->fd);
    buffer_release(&d->head);
    heap_free(d->git_dir);
    heap_free(d->ids);
    heap_free(d);
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
    const struct timeval patience = { PEER_S, 0 };
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
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    d = heap_new(struct delivery);
    d->agent = a;
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
