/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listens for the packs of pushes that a replica must hold before they are decided, [agent_wire.h]
 * and hands each to an intake.  [agent_intake.h]
 *
 * A pin goes when its push has landed (agent_pins.c).  A pack whose push is refused in the end
 * stays as objects nobody refers to.
 */
#include <errno.h>
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
#include "cli/agent_intake.h"
#include "cli/agent_wire.h"
#include "sys/entropy.h"

#define PEER_S 60             /* without a byte from the hook */
#define PACK_S (30 * 60 + 60) /* while it makes the pack */
#define PIECE_BYTES (256 * 1024)
#define CONNECTIONS_MAX 64 /* more are refused: each is a thread and a git process */
#define PUSH_NAME_BYTES_MAX 64
#define IDLE_LOOK_MS 1000
#define PACK_BYTES_MAX (1ULL << 40)

struct delivery {
    struct agent *agent;
    int fd; /* of the link, once there is one */
    struct agent_link link;
    struct buffer head;
    char *git_dir;
    struct slice path, push, *ids;
    uint64_t id;
    uint32_t id_count;
    struct intake *intake;
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

/* ---- The pack ---- */

static bool receive_pack(struct delivery *d, uint64_t left)
{
    uint8_t *piece = heap_alloc(PIECE_BYTES);
    bool is_fed = true, is_there = true;

    while (left > 0 && is_there && is_fed) {
        size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;

        is_there = agent_receive_all(&d->link, piece, size);
        is_fed = is_there && intake_feed(d->intake, piece, size);
        left -= size;
    }
    heap_free(piece);
    if (!is_there) {
        errmsg_set(&d->why, "the pack was cut short");
    }
    return is_there; /* one that does not read any more says itself why */
}

static bool take(struct delivery *d)
{
    uint8_t size_bytes[8];
    uint64_t size;

    if (!find_copy(d)) {
        return false;
    }
    d->intake = intake_open(d->agent, d->git_dir, &d->why);
    if (d->intake == NULL) {
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
    return intake_expect(d->intake, size, &d->why) && (size == 0 || receive_pack(d, size)) &&
           intake_take(d->intake, d->ids, d->id_count, d->push, &d->why);
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
    buffer_release(&d->head);
    heap_free(d->git_dir);
    heap_free(d->ids);
    heap_free(d);
}

static void *serve(void *delivery)
{
    struct delivery *d = delivery;
    struct agent *a = d->agent;
    bool is_taken = false;

    set_patience(d, AGENT_HELLO_S);
    if (agent_link_start(&d->link, d->fd, a->tls, NULL, &d->why)) {
        if (receive_head(d, buffer_slice(&a->token))) {
            is_taken = take(d);
            answer(d, is_taken);
        } else if (d->why.text[0] != '\0') {
            answer(d, false);
        }
    }
    if (d->why.text[0] != '\0') {
        agent_log(a, "a pack for %.*s: %s", (int)d->path.size,
                  d->path.size == 0 ? "" : (const char *)d->path.data, d->why.text);
    }
    agent_link_close(&d->link);
    intake_close(d->intake);
    pthread_mutex_lock(&a->lock);
    a->deliveries--;
    pthread_mutex_unlock(&a->lock);
    if (is_taken) {
        intake_prepare(a, d->git_dir);
    }
    release(d);
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
    struct agent *a = agent;

    for (;;) {
        struct pollfd listener = { a->listener, POLLIN, 0 };

        if (poll(&listener, 1, IDLE_LOOK_MS) > 0) {
            accept_one(a);
        }
        intake_drop_idle(a);
    }
    return NULL;
}
