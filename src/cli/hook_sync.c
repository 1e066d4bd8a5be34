/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With refkeeper.syncReplicas = N a push is decided only when N replicas hold its objects, synced
 * and pinned: an acknowledged push survives the loss of its primary's disk.  [agent_wire.h]
 *
 *   git pack-objects --thin, new values without what the old ones have, into a file
 *   meanwhile: who the replicas are -> N at a time, those that hold everything first, each on a
 *   thread: connect, say who we are and what will come -> when the pack is ready: send it
 *   -> fewer took it: others, and again for refkeeper.syncWait, a replica may be catching up; then
 *   all is refused
 *
 * Only what the cluster decides about is brought there: refs that its filter leaves to git are
 * this storage's alone.  The agents' token: the file refkeeper.agentTokenFile names; with
 * refkeeper.agentCacert packs travel through TLS.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/agent_link.h"
#include "cli/agent_wire.h"
#include "cli/hook.h"
#include "cli/hook_journal.h"
#include "cli/hook_pack.h"
#include "cli/hook_targets.h"
#include "cli/tracked_refs.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define WAIT_MS_DEFAULT                                                                            \
    5000                  /* for replicas that are behind; a transfer under way may take longer */
#define WAIT_MS_MAX 60000 /* pushers and proxies wait, too */
#define PEER_S 60         /* for a piece of the pack to leave */
#define ANSWER_S 660      /* for an agent to take it; one whose host died is noticed earlier */
#define DIAL_S 2
#define PAUSE_MS 200
#define PIECE_BYTES (64 * 1024)
#define LOCKED_MS 1000 /* the refs of a small one meanwhile */

enum pack_state {
    PACK_COMES,
    PACK_READY,
    PACK_FAILED,
};

struct sync {
    struct hook_push *push;
    struct hook_targets targets;
    struct tracked_refs tracked;
    uint64_t wanted, taken;
    int64_t wait_ms;
    struct buffer token, head;
    struct agent_tls *tls; /* NULL = plain */
    /* the pack; `state` is set by the main thread and waited for by the deliveries */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* and when a delivery is done */
    enum pack_state state;
    off_t pack_bytes; /* 0 = no object is new */
    struct errmsg why;
};

/* One try with one agent, on a thread of its own. */
struct delivery {
    struct sync *sync;
    struct hook_target *target;
    struct agent_link link;
    pthread_t thread;
    bool has_thread;
    bool is_done; /* under the lock; its thread only ends now */
    struct errmsg why;
};

static bool has_news(const struct sync *s)
{
    for (size_t i = 0; i < s->push->count; i++) {
        if (hook_pack_has(&s->tracked, &s->push->refs[i])) {
            return true;
        }
    }
    return false;
}

/* Waits for the pack, once, and tells the deliveries. */
static void settle_pack(struct sync *s)
{
    bool is_ok;

    if (s->state != PACK_COMES) {
        return;
    }
    is_ok = hook_pack_finish(s->push, &s->pack_bytes, &s->why) == RK_OK;
    pthread_mutex_lock(&s->lock);
    s->state = is_ok ? PACK_READY : PACK_FAILED;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static bool wait_for_pack(struct sync *s)
{
    enum pack_state state;

    pthread_mutex_lock(&s->lock);
    while (s->state == PACK_COMES) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    state = s->state;
    pthread_mutex_unlock(&s->lock);
    return state == PACK_READY;
}

/* ---- What an agent is told ---- */

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
        if (hook_pack_has(&s->tracked, &s->push->refs[i])) {
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
    buffer_put_u32(&s->head, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_string(&s->head, slice_of_text(values[i]));
    }
    heap_free(values);
}

/* ---- One agent ---- */

static void set_patience(int fd, int seconds)
{
    const struct timeval patience = { seconds, 0 };

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

/* A host that died is noticed while its answer is waited for. */
static void watch_over(int fd)
{
    const int one = 1, idle_s = 10, interval_s = 10, probes = 3;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static int dial(const struct hook_target *t, struct errmsg *why)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(t->host, t->port, &hints, &found);
    int fd = rc == 0 ? socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0) {
        set_patience(fd, DIAL_S);
        watch_over(fd);
    }
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        errmsg_set(why, "%s at %s:%s: %s", t->storage, t->host, t->port, strerror(errno));
        (void)close(fd);
        fd = -1;
    } else if (fd < 0) {
        errmsg_set(why, "%s at %s:%s: %s", t->storage, t->host, t->port,
                   rc != 0 ? gai_strerror(rc) : strerror(errno));
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return fd;
}

static bool greet(struct delivery *d)
{
    struct sync *s = d->sync;
    const struct hook_target *t = d->target;
    uint8_t hello[AGENT_HELLO_BYTES + AGENT_NONCE_BYTES], mac[AGENT_MAC_BYTES];
    struct buffer out = BUFFER_INIT;
    struct errmsg why = ERRMSG_INIT;
    int fd = dial(t, &d->why);
    bool is_sent;

    d->link.fd = -1;
    if (fd < 0) {
        return false;
    }
    set_patience(fd, AGENT_HELLO_S);
    if (!agent_link_start(&d->link, fd, s->tls, t->host, &why)) {
        errmsg_set(&d->why, "%s at %s:%s: %s", t->storage, t->host, t->port, why.text);
        return false;
    }
    if (!agent_receive_all(&d->link, hello, sizeof hello) ||
        memcmp(hello, AGENT_HELLO, AGENT_HELLO_BYTES) != 0) {
        errmsg_set(&d->why, "%s: no agent of this version answers at %s:%s%s", t->storage, t->host,
                   t->port, s->tls == NULL ? " without TLS" : "");
        return false;
    }
    agent_mac(buffer_slice(&s->token), hello + AGENT_HELLO_BYTES, buffer_slice(&s->head), mac);
    buffer_put_u32(&out, (uint32_t)s->head.size);
    buffer_put(&out, mac, sizeof mac);
    buffer_put_slice(&out, buffer_slice(&s->head));
    set_patience(fd, PEER_S);
    /* One that refuses says why. */
    is_sent = agent_send_all(&d->link, out.data, out.size);
    (void)is_sent;
    buffer_release(&out);
    return true;
}

static bool send_by_pieces(struct delivery *d)
{
    uint8_t *piece = heap_alloc(PIECE_BYTES);
    off_t offset = 0;
    bool is_ok = true;

    while (is_ok && offset < d->sync->pack_bytes) {
        ssize_t got = pread(d->sync->push->pack, piece, PIECE_BYTES, offset);

        is_ok = got > 0 && agent_send_all(&d->link, piece, (size_t)got);
        offset += got > 0 ? got : 0;
    }
    heap_free(piece);
    return is_ok;
}

static bool send_pack(struct delivery *d)
{
    struct pollfd answer = { d->link.fd, POLLIN, 0 };
    const struct sync *s = d->sync;
    uint8_t size[8];
    off_t offset = 0;

    put_be64(size, (uint64_t)s->pack_bytes);
    /* Who answers already has refused: it would not read, and its reason would be lost. */
    if (poll(&answer, 1, 0) > 0 || !agent_send_all(&d->link, size, sizeof size)) {
        return false;
    }
    if (d->link.ssl != NULL) {
        return send_by_pieces(d);
    }
    while (offset < s->pack_bytes) {
        ssize_t sent = sendfile(d->link.fd, s->push->pack, &offset,
                                (size_t)(s->pack_bytes - offset));

        if (sent == 0 || (sent < 0 && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

static bool receive_answer(struct delivery *d)
{
    const struct hook_target *t = d->target;
    uint8_t bytes[5];
    char text[AGENT_ANSWER_BYTES_MAX + 1] = "";
    uint32_t size;

    set_patience(d->link.fd, ANSWER_S);
    if (!agent_receive_all(&d->link, bytes, sizeof bytes)) {
        errmsg_set(&d->why, "%s: its agent did not answer", t->storage);
        return false;
    }
    size = get_be32(bytes + 1);
    if (size > AGENT_ANSWER_BYTES_MAX || !agent_receive_all(&d->link, text, size)) {
        size = 0;
    }
    text[size] = '\0';
    if (bytes[0] != 0) {
        errmsg_set(&d->why, "%s: %.400s", t->storage, text);
    }
    return bytes[0] == 0;
}

static void *deliver(void *delivery)
{
    struct delivery *d = delivery;

    if (greet(d) && wait_for_pack(d->sync)) {
        (void)send_pack(d);
        d->target->has_taken = receive_answer(d);
    }
    agent_link_close(&d->link);
    pthread_mutex_lock(&d->sync->lock);
    d->is_done = true;
    pthread_cond_broadcast(&d->sync->changed);
    pthread_mutex_unlock(&d->sync->lock);
    return NULL;
}

/* ---- As many as are wanted ---- */

/* What fails now is tried again by the decision, which says so. */
static void *open_session(void *sync)
{
    (void)rk_client_prepare_write(((struct sync *)sync)->push->place.client, NULL);
    return NULL;
}

/* Gets this storage and the cluster ready while the agents do. */
static void prepare_rest(struct sync *s)
{
    pthread_t session;
    bool has_thread = pthread_create(&session, NULL, open_session, s) == 0;

    settle_pack(s);
    if (has_thread) {
        (void)pthread_join(session, NULL);
    } else {
        (void)open_session(s);
    }
    if (s->pack_bytes <= AGENT_SMALL_PACK_BYTES) {
        hook_apply_prepare(s->push);
    }
    hook_journal_write(s->push);
}

/* Others who want the refs do not wait as long as an agent may take. */
static void join(struct sync *s, const struct delivery *d, int64_t patience_ms)
{
    const struct timespec until = { patience_ms / 1000, patience_ms % 1000 * 1000000 };
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (!d->is_done && rc == 0) {
        rc = pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc != 0) {
        hook_apply_let_go(s->push);
    }
    (void)pthread_join(d->thread, NULL);
}

/* One round of those that have not taken it, from `*next` on; the others have their turn later. */
static void deliver_to_some(struct sync *s, size_t *next)
{
    struct delivery *some = heap_zalloc(s->wanted * sizeof *some);
    int64_t patience_ms;
    size_t count = 0;

    for (; *next < s->targets.count && count < s->wanted - s->taken; ++*next) {
        struct delivery *d = &some[count];

        if (s->targets.list[*next].has_taken) {
            continue;
        }
        *d = (struct delivery){ .sync = s, .target = &s->targets.list[*next] };
        d->has_thread = pthread_create(&d->thread, NULL, deliver, d) == 0;
        count++;
    }
    prepare_rest(s);
    patience_ms = clock_monotonic_ms() + LOCKED_MS;
    for (size_t i = 0; i < count; i++) {
        if (some[i].has_thread) {
            join(s, &some[i], patience_ms);
        } else {
            (void)deliver(&some[i]);
        }
        if (some[i].target->has_taken) {
            s->taken++;
        } else if (s->state == PACK_READY) {
            s->why = some[i].why;
        }
    }
    if (s->taken < s->wanted) {
        hook_apply_let_go(s->push);
    }
    heap_free(some);
}

static void deliver_to_enough(struct sync *s)
{
    int64_t deadline_ms = clock_monotonic_ms() + s->wait_ms;

    for (;;) {
        size_t next = 0;

        while (next < s->targets.count && s->taken < s->wanted && s->state != PACK_FAILED) {
            deliver_to_some(s, &next);
        }
        if (s->taken >= s->wanted || s->state == PACK_FAILED ||
            clock_monotonic_ms() >= deadline_ms) {
            return;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
}

/* ---- The step ---- */

static bool read_settings(struct sync *s)
{
    const struct hook_place *place = &s->push->place;
    const char *token = hook_place_find(place, "REFKEEPER_AGENT_TOKEN_FILE",
                                        "refkeeper.agenttokenfile");
    const char *ca = hook_place_find(place, "REFKEEPER_AGENT_CACERT", "refkeeper.agentcacert");

    const char *wait = hook_place_find(place, "REFKEEPER_SYNC_WAIT", "refkeeper.syncwait");

    if (token == NULL) {
        errmsg_set(&s->why, "refkeeper.agentTokenFile is not set");
        return false;
    }
    s->wait_ms = WAIT_MS_DEFAULT;
    if (wait != NULL && (!parse_duration(wait, &s->wait_ms) || s->wait_ms > WAIT_MS_MAX)) {
        errmsg_set(&s->why, "refkeeper.syncWait is not a duration up to %d s: %s",
                   WAIT_MS_MAX / 1000, wait);
        return false;
    }
    return agent_token_read(token, &s->token, &s->why) == RK_OK &&
           (ca == NULL || agent_tls_client(ca, &s->tls, &s->why) == RK_OK);
}

static bool prepare(struct sync *s)
{
    s->targets.place = &s->push->place;
    if (!read_settings(s) || hook_pack_start(s->push, &s->why) != RK_OK) {
        return false;
    }
    hook_pack_feed(s->push, &s->tracked);
    make_head(s);
    if (!hook_targets_find(&s->targets, &s->why)) {
        return false;
    }
    if (s->targets.count < s->wanted) {
        errmsg_set(&s->why, "the repository has %zu replicas", s->targets.count);
        return false;
    }
    return true;
}

static void release(struct sync *s)
{
    hook_targets_release(&s->targets);
    tracked_refs_release(&s->tracked);
    agent_tls_free(s->tls);
    buffer_release(&s->token);
    buffer_release(&s->head);
}

static void sync_push(struct sync *s)
{
    if (prepare(s)) {
        deliver_to_enough(s);
    }
    if (s->taken < s->wanted) {
        hook_refuse_all(s->push,
                        "refkeeper: %" PRIu64 " of the %" PRIu64 " replicas that must hold it "
                        "first could take it (%s); nothing was changed",
                        s->taken, s->wanted, s->why.text);
    }
}

static bool find_tracked(struct sync *s, struct rk_error *error)
{
    struct hook_place *place = &s->push->place;

    return hook_place_show(place, error) == RK_OK &&
           tracked_refs_of(&s->tracked, place->repository, place->client, error) == RK_OK;
}

void hook_sync(struct hook_push *push)
{
    const char *wanted = hook_place_find(&push->place, "REFKEEPER_SYNC_REPLICAS",
                                         "refkeeper.syncreplicas");
    struct sync s = { .push = push,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER };
    struct rk_error error;

    if ((wanted == NULL && push->options.sync_replicas == 0) || !has_news(&s)) {
        return;
    }
    if (wanted != NULL && (!parse_number(wanted, &s.wanted) || s.wanted > HOOK_TARGETS_MAX)) {
        hook_refuse_all(push, "refkeeper: refkeeper.syncReplicas is not a number up to %d: %s",
                        HOOK_TARGETS_MAX, wanted);
        return;
    }
    if (s.wanted < push->options.sync_replicas) {
        s.wanted = push->options.sync_replicas;
    }
    if (s.wanted > 0 && !find_tracked(&s, &error)) {
        hook_refuse_all(push, "refkeeper: %s", error.message);
    } else if (s.wanted > 0 && has_news(&s)) {
        sync_push(&s);
    }
    release(&s);
}
