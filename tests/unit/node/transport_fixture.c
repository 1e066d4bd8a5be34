/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/node/transport_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/heap.h"
#include "support/loop.h"

struct end *end_of(struct fixture *f, node_id id)
{
    return &f->ends[id - 1];
}

/* ---- Callbacks ---- */

static void on_fill_hello(void *context, struct hello *hello)
{
    struct end *end = context;

    assert_int_equal(hello->sender, end->id);
    hello->cluster_id[0] = end->cluster;
    hello->incarnation = 100 + end->id;
    if (end->says_other_name) {
        snprintf(hello->sender_name, sizeof hello->sender_name, "mallory");
    }
    if (end->says_other_target) {
        hello->target = 3;
    }
    if (end->version > 0) {
        hello->version_min = hello->version_max = end->version;
    }
}

static enum rk_status on_check_hello(void *context, const struct hello *hello, struct errmsg *why)
{
    struct end *end = context;

    if (end->refuses_all || hello->cluster_id[0] != end->cluster) {
        errmsg_set(why, "another cluster");
        return RK_FOREIGN;
    }
    return RK_OK;
}

static void on_opened(void *context, node_id peer, const struct hello *hello)
{
    struct end *end = context;

    assert_int_equal(hello->sender, peer);
    assert_int_equal(hello->incarnation, 100 + peer);
    end->opened[peer]++;
}

static void on_closed(void *context, node_id peer, bool by_host)
{
    struct end *end = context;

    end->closed[peer]++;
    end->by_host = by_host;
}

static void on_received(void *context, node_id peer, const struct frame *frame)
{
    struct end *end = context;

    (void)peer;
    end->frames++;
    buffer_put_slice(&end->received, frame->payload);
    if (end->drops_members) {
        struct membership alone = { .count = 0 };

        assert_int_equal(membership_add(&alone, membership_find(&end->fixture->members, end->id)),
                         RK_OK);
        transport_set_members(end->transport, &alone);
    }
}

static void on_refused(void *context, node_id peer, enum rk_status status, const char *text)
{
    struct end *end = context;

    (void)text;
    end->refused[peer]++;
    end->refusal = status;
}

static void on_log(void *context, int level, const char *text)
{
    struct end *end = context;
    size_t used = strlen(end->log);

    (void)level;
    end->log_lines++;
    snprintf(end->log + used, sizeof end->log - used, "%s\n", text);
    if (getenv("RK_TEST_LOG") != NULL) {
        fprintf(stderr, "# node %u: %s\n", (unsigned)end->id, text);
    }
}

static const struct transport_callbacks callbacks = { on_fill_hello, on_check_hello, on_opened,
                                                      on_closed,     on_received,    on_refused,
                                                      on_log };

/* ---- Life ---- */

void end_open(struct fixture *f, node_id id)
{
    struct end *end = end_of(f, id);
    struct errmsg why = ERRMSG_INIT;
    char listen[32];
    struct transport_options options = {
        .listen = listen, .tls = f->tls[id - 1], .self = id, .seed = id
    };

    snprintf(listen, sizeof listen, "127.0.0.1:%u", f->ports[id - 1]);
    if (transport_open(f->base, &options, &callbacks, end, &end->transport, &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
    transport_set_members(end->transport, &f->members);
}

void end_close(struct fixture *f, node_id id)
{
    transport_close(end_of(f, id)->transport);
    end_of(f, id)->transport = NULL;
}

int transports_setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    signal(SIGPIPE, SIG_IGN);
    f->base = event_base_new();
    for (unsigned i = 0; i < TRANSPORTS_MAX; i++) {
        struct member member = { .id = i + 1, .flags = MEMBER_VOTER | MEMBER_VOTER_OLD };

        f->ends[i].id = i + 1;
        f->ends[i].fixture = f;
        f->ends[i].cluster = 7;
        f->ports[i] = loop_free_port();
        snprintf(member.name, sizeof member.name, "n%u", i + 1);
        snprintf(member.peer_address, sizeof member.peer_address, "127.0.0.1:%u", f->ports[i]);
        assert_int_equal(membership_add(&f->members, &member), RK_OK);
    }
    *state = f;
    return 0;
}

int transports_teardown(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < TRANSPORTS_MAX; i++) {
        transport_close(f->ends[i].transport);
        buffer_release(&f->ends[i].received);
        SSL_CTX_free(f->tls[i]);
    }
    loop_settle(f->base);
    event_base_free(f->base);
    heap_free(f);
    return 0;
}

/* ---- Waiting ---- */

static bool are_connected(void *argument)
{
    struct fixture *f = argument;

    return transport_is_connected(f->ends[f->watched - 1].transport, f->other) &&
           transport_is_connected(f->ends[f->other - 1].transport, f->watched);
}

void wait_connected(struct fixture *f, node_id a, node_id b)
{
    f->watched = (unsigned)a;
    f->other = b;
    if (!loop_until(f->base, are_connected, f)) {
        fail_msg("not connected; %s%s", end_of(f, a)->log, end_of(f, b)->log);
    }
}

struct log_wait {
    struct end *end;
    const char *text;
};

static bool is_logged(void *argument)
{
    struct log_wait *wait = argument;

    return strstr(wait->end->log, wait->text) != NULL;
}

void wait_logged(struct fixture *f, node_id id, const char *text)
{
    struct log_wait wait = { end_of(f, id), text };

    if (!loop_until(f->base, is_logged, &wait)) {
        fail_msg("no line with \"%s\" in:\n%s", text, wait.end->log);
    }
}

static bool has_frames(void *argument)
{
    struct fixture *f = argument;

    return f->ends[f->watched - 1].frames >= f->wanted;
}

void wait_received(struct fixture *f, node_id id, unsigned frames)
{
    f->watched = (unsigned)id;
    f->wanted = frames;
    assert_true(loop_until(f->base, has_frames, f));
}

static bool has_closed(void *argument)
{
    struct fixture *f = argument;

    return f->ends[f->watched - 1].closed[f->other] >= f->wanted;
}

void wait_closed(struct fixture *f, node_id id, node_id peer, unsigned times)
{
    f->watched = (unsigned)id;
    f->other = peer;
    f->wanted = times;
    assert_true(loop_until(f->base, has_closed, f));
}

/* ---- Traffic ---- */

void end_send(struct fixture *f, node_id from, node_id to, const char *payload)
{
    struct transport *t = end_of(f, from)->transport;
    struct buffer *out = transport_output(t, to);
    size_t start;

    assert_non_null(out);
    start = frame_begin(out, FRAME_MESSAGE);
    buffer_put_slice(out, slice_of_text(payload));
    frame_end(out, start);
    transport_flush(t);
}

int dial_raw(struct fixture *f, node_id id)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)f->ports[id - 1]);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    evutil_make_socket_nonblocking(fd);
    return fd;
}

struct raw_wait {
    int fd;
    struct buffer *out;
};

static bool is_raw_closed(void *argument)
{
    struct raw_wait *wait = argument;
    uint8_t bytes[1024];
    ssize_t got = recv(wait->fd, bytes, sizeof bytes, 0);

    if (got > 0) {
        buffer_put(wait->out, bytes, (size_t)got);
        return false;
    }
    return got == 0 || errno != EAGAIN;
}

void expect_raw_closed(struct fixture *f, int fd, struct buffer *out)
{
    struct raw_wait wait = { fd, out };

    assert_true(loop_until(f->base, is_raw_closed, &wait));
    close(fd);
}
