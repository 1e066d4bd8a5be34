/* SPDX-License-Identifier: Apache-2.0 */
/* Streams on real sockets, plain and with TLS. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/limits.h"
#include "node/stream.h"
#include "support/certs.h"
#include "support/loop.h"

struct side {
    struct stream *stream; /* NULL once closed */
    struct buffer received;
    size_t consumes;  /* per call at most; 0 = everything */
    size_t closes_at; /* closes itself when it holds this much; 0 = never */
    bool pauses;      /* after each input */
    bool keeps_all;   /* consumes nothing */
    bool is_opened, is_closed, by_host;
    size_t calls, largest;
    char cause[128];
};

struct fixture {
    struct event_base *base;
    struct side a, b;
    size_t wanted;
    SSL_CTX *tls_a, *tls_b; /* NULL = plain */
};

static size_t on_input(void *context, struct slice input)
{
    struct side *side = context;
    size_t size = side->consumes > 0 && side->consumes < input.size ? side->consumes : input.size;

    side->calls++;
    side->largest = input.size > side->largest ? input.size : side->largest;
    if (side->keeps_all) {
        return 0;
    }
    buffer_put(&side->received, input.data, size);
    if (side->closes_at > 0 && side->received.size >= side->closes_at) {
        stream_close(side->stream, false);
        side->stream = NULL;
    } else if (side->pauses) {
        stream_pause(side->stream);
    }
    return size;
}

static void on_opened(void *context)
{
    ((struct side *)context)->is_opened = true;
}

static void on_closed(void *context, const char *cause, bool by_host)
{
    struct side *side = context;

    side->is_closed = true;
    side->by_host = by_host;
    side->stream = NULL;
    snprintf(side->cause, sizeof side->cause, "%s", cause);
}

static const struct stream_callbacks callbacks = { on_input, on_opened, on_closed };
static const struct stream_options roomy = { 64 * MIB, 64 * MIB, 0 };

static void side_open(struct fixture *f, struct side *side, int fd, bool is_server,
                      const struct stream_options *options)
{
    side->stream = stream_new(f->base, fd, is_server ? f->tls_b : f->tls_a, is_server, options,
                              &callbacks, side);
}

static int setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    signal(SIGPIPE, SIG_IGN);
    f->base = event_base_new();
    *state = f;
    return 0;
}

static struct certs certs;

static int make_certs(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int remove_certs(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

static int setup_tls(void **state)
{
    struct fixture *f;

    setup(state);
    f = *state;
    f->tls_a = certs_peer_context(&certs, "good", "n1");
    f->tls_b = certs_peer_context(&certs, "good", "n2");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    SSL_CTX_free(f->tls_a);
    SSL_CTX_free(f->tls_b);

    for (int i = 0; i < 2; i++) {
        struct side *side = i == 0 ? &f->a : &f->b;

        if (side->stream != NULL) {
            stream_close(side->stream, false);
        }
        buffer_release(&side->received);
    }
    event_base_free(f->base);
    heap_free(f);
    return 0;
}

static void open_pair(struct fixture *f, const struct stream_options *options)
{
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->a, fds[0], false, options);
    side_open(f, &f->b, fds[1], true, options);
}

static bool both_open(void *argument)
{
    struct fixture *f = argument;

    return f->a.is_opened && f->b.is_opened;
}

static bool b_has_wanted(void *argument)
{
    struct fixture *f = argument;

    if (f->b.stream != NULL && f->b.pauses) {
        stream_resume(f->b.stream);
    }
    return f->b.received.size >= f->wanted;
}

static bool a_is_closed(void *argument)
{
    return ((struct fixture *)argument)->a.is_closed;
}

static bool b_is_closed(void *argument)
{
    return ((struct fixture *)argument)->b.is_closed;
}

static void put_pattern(struct buffer *out, size_t from, size_t size)
{
    for (size_t i = from; i < from + size; i++) {
        buffer_put_u8(out, (uint8_t)(i * 131 >> 3));
    }
}

static void check_pattern(const struct buffer *in, size_t size)
{
    assert_int_equal(in->size, size);
    for (size_t i = 0; i < size; i++) {
        if (in->data[i] != (uint8_t)(i * 131 >> 3)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

static void wait_for(struct fixture *f, bool (*is_true)(void *))
{
    assert_true(loop_until(f->base, is_true, f));
}

/* ---- Tests ---- */

static void bytes_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    uint64_t sent = 0, received = 0;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    put_pattern(stream_output(f->a.stream), 0, 100);
    stream_flush(f->a.stream);
    put_pattern(stream_output(f->a.stream), 100, 5);
    stream_flush(f->a.stream);
    f->wanted = 105;
    wait_for(f, b_has_wanted);
    check_pattern(&f->b.received, 105);
    stream_transferred(f->a.stream, &sent, &received);
    assert_int_equal(sent, 105);
    assert_int_equal(received, 0);
    stream_transferred(f->b.stream, &sent, &received);
    assert_int_equal(received, 105);
}

static void output_before_the_stream_is_open_is_kept(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    put_pattern(stream_output(f->a.stream), 0, 10);
    stream_flush(f->a.stream);
    f->wanted = 10;
    wait_for(f, b_has_wanted);
    check_pattern(&f->b.received, 10);
}

static void count_release(void *owner)
{
    ++*(unsigned *)owner;
}

static void shared_segments_keep_their_place(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT;
    unsigned released = 0;
    size_t at = 0;

    put_pattern(&bytes, 0, 8 * MIB);
    open_pair(f, &roomy);
    wait_for(f, both_open);
    /* More pieces than one system call takes, small and large, some without own bytes between. */
    for (unsigned i = 0; i < 200; i++) {
        size_t own = i % 3 == 0 ? 0 : 17 + i, shared = i % 5 == 0 ? 100 : 30000 + i;

        buffer_put(stream_output(f->a.stream), bytes.data + at, own);
        at += own;
        stream_send_shared(f->a.stream, slice_of(bytes.data + at, shared), count_release,
                           &released);
        at += shared;
    }
    assert_int_equal(stream_output_bytes(f->a.stream), at);
    stream_flush(f->a.stream);
    f->wanted = at;
    wait_for(f, b_has_wanted);
    check_pattern(&f->b.received, at);
    assert_int_equal(released, 200);
    assert_int_equal(stream_output_bytes(f->a.stream), 0);
    buffer_release(&bytes);
}

static void shared_segments_are_released_when_dropped(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT;
    unsigned released = 0;

    put_pattern(&bytes, 0, 16 * MIB);
    open_pair(f, &roomy);
    wait_for(f, both_open);
    stream_pause(f->b.stream);
    for (int i = 0; i < 4; i++) {
        stream_send_shared(f->a.stream, buffer_slice(&bytes), count_release, &released);
    }
    stream_flush(f->a.stream);
    loop_settle(f->base);
    assert_true(released < 4);
    stream_close(f->a.stream, true);
    f->a.stream = NULL;
    assert_int_equal(released, 4);
    buffer_release(&bytes);
}

static void a_slow_reader_gets_everything(void **state)
{
    struct fixture *f = *state;
    size_t at = 0;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    f->b.consumes = 100000;
    f->b.pauses = true;
    while (at < 20 * MIB) {
        put_pattern(stream_output(f->a.stream), at, 300000);
        at += 300000;
        stream_flush(f->a.stream);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
    }
    f->wanted = at;
    wait_for(f, b_has_wanted);
    check_pattern(&f->b.received, at);
}

static void unconsumed_input_is_shown_again_with_the_next(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    f->b.keeps_all = true;
    for (size_t at = 0; at < 1000; at += 100) {
        put_pattern(stream_output(f->a.stream), at, 100);
        stream_flush(f->a.stream);
        loop_settle(f->base);
    }
    assert_int_equal(f->b.received.size, 0);
    f->b.keeps_all = false;
    put_pattern(stream_output(f->a.stream), 1000, 1);
    stream_flush(f->a.stream);
    f->wanted = 1001;
    wait_for(f, b_has_wanted);
    check_pattern(&f->b.received, 1001);
}

static void a_paused_stream_does_not_read(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    stream_pause(f->b.stream);
    put_pattern(stream_output(f->a.stream), 0, 10);
    stream_flush(f->a.stream);
    loop_settle(f->base);
    assert_int_equal(f->b.calls, 0);
    stream_resume(f->b.stream);
    f->wanted = 10;
    wait_for(f, b_has_wanted);
}

static void input_over_the_limit_closes(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &(struct stream_options){ .input_bytes_max = 1000, .output_bytes_max = MIB });
    wait_for(f, both_open);
    f->b.keeps_all = true;
    put_pattern(stream_output(f->a.stream), 0, 1000);
    stream_flush(f->a.stream);
    loop_settle(f->base);
    assert_false(f->b.is_closed);
    put_pattern(stream_output(f->a.stream), 0, 1);
    stream_flush(f->a.stream);
    wait_for(f, b_is_closed);
    assert_string_equal(f->b.cause, "more than 1000 bytes of input wait");
    assert_false(f->b.by_host);
    wait_for(f, a_is_closed);
    assert_true(f->a.by_host);
}

static void output_over_the_limit_closes_later_not_inside_flush(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &(struct stream_options){ .input_bytes_max = MIB, .output_bytes_max = MIB });
    wait_for(f, both_open);
    stream_pause(f->b.stream);
    put_pattern(stream_output(f->a.stream), 0, 32 * MIB);
    stream_flush(f->a.stream);
    assert_false(f->a.is_closed);
    stream_flush(f->a.stream);
    put_pattern(stream_output(f->a.stream), 0, 10); /* harmless */
    wait_for(f, a_is_closed);
    assert_string_equal(f->a.cause, "more than 1048576 bytes of output wait");
    assert_false(f->a.by_host);
}

static void a_stream_may_be_closed_inside_its_callback(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    f->b.closes_at = 50;
    put_pattern(stream_output(f->a.stream), 0, 100);
    stream_flush(f->a.stream);
    wait_for(f, a_is_closed);
    assert_true(f->a.by_host);
    assert_false(f->b.is_closed); /* no callback follows one's own close */
    assert_null(f->b.stream);
}

static void close_that_drains_delivers_what_the_socket_takes(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    put_pattern(stream_output(f->a.stream), 0, 1000);
    stream_close(f->a.stream, true);
    f->a.stream = NULL;
    wait_for(f, b_is_closed);
    check_pattern(&f->b.received, 1000);
    assert_string_equal(f->b.cause, "closed by the other side");
    assert_true(f->b.by_host);
}

static void a_reset_is_by_host(void **state)
{
    struct fixture *f = *state;
    struct linger reset = { 1, 0 };
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->a, fds[0], false, &roomy);
    loop_settle(f->base);
    assert_true(f->a.is_opened);
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fds[1]);
    wait_for(f, a_is_closed);
    assert_true(f->a.by_host);
    assert_string_equal(f->a.cause, "read: Connection reset by peer");
}

static void last_words_are_read_when_writing_fails(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->a, fds[0], false, &roomy);
    loop_settle(f->base);
    assert_int_equal(send(fds[1], "sorry", 5, 0), 5);
    shutdown(fds[0], SHUT_WR); /* every write fails from now on */
    put_pattern(stream_output(f->a.stream), 0, 10);
    stream_flush(f->a.stream);
    wait_for(f, a_is_closed);
    assert_int_equal(f->a.received.size, 5);
    close(fds[1]);
}

static void a_refused_connect_is_told(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in address = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)loop_free_port());
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, EINPROGRESS);
    side_open(f, &f->a, fd, false, &roomy);
    wait_for(f, a_is_closed);
    assert_string_equal(f->a.cause, "connect: Connection refused");
    assert_false(f->a.is_opened);
}

static void a_steady_stream_keeps_no_memory(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    put_pattern(stream_output(f->a.stream), 0, 4 * MIB);
    stream_flush(f->a.stream);
    f->wanted = 4 * MIB;
    wait_for(f, b_has_wanted);
    assert_int_equal(stream_output(f->a.stream)->capacity, 0);
    assert_true(f->b.largest <= STREAM_READ_BYTES_MAX);
}

/* ---- TLS ---- */

static void tls_without_close_notify_is_by_host(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->a, fds[0], false, &roomy);
    side_open(f, &f->b, fds[1], true, &roomy);
    wait_for(f, both_open);
    shutdown(fds[1], SHUT_RDWR); /* behind the back of its stream */
    wait_for(f, a_is_closed);
    assert_string_equal(f->a.cause, "closed by the other side without a TLS close_notify");
    assert_true(f->a.by_host);
}

static void plaintext_against_tls_is_closed(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->b, fds[1], true, &roomy);
    assert_int_equal(send(fds[0], "*1\r\n$4\r\nPING\r\n", 14, 0), 14);
    wait_for(f, b_is_closed);
    assert_false(f->b.is_opened);
    assert_string_equal(f->b.cause, "tls: wrong version number");
    close(fds[0]);
}

static void tls_against_plaintext_is_closed(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->a, fds[0], false, &roomy);
    assert_int_equal(send(fds[1], "-ERR what is this\r\n", 19, 0), 19);
    wait_for(f, a_is_closed);
    assert_false(f->a.is_opened);
    assert_string_equal(f->a.cause, "tls: wrong version number");
    close(fds[1]);
}

static void a_connection_cut_during_the_handshake_is_told(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    loop_tcp_pair(fds);
    side_open(f, &f->b, fds[1], true, &roomy);
    loop_settle(f->base);
    close(fds[0]);
    wait_for(f, b_is_closed);
    assert_false(f->b.is_opened);
}

static void the_owner_sees_the_certificate(void **state)
{
    struct fixture *f = *state;

    open_pair(f, &roomy);
    wait_for(f, both_open);
    assert_non_null(stream_tls(f->a.stream));
    assert_true(tls_peer_is_named(stream_tls(f->a.stream), "n2"));
    assert_false(tls_peer_is_named(stream_tls(f->a.stream), "n1"));
    assert_true(tls_peer_is_named(stream_tls(f->b.stream), "n1"));
    assert_string_equal(SSL_get_version(stream_tls(f->b.stream)), "TLSv1.3");
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TLS(name)                                                                                  \
    {                                                                                              \
        "tls_" #name, name, setup_tls, teardown, NULL                                              \
    }
    const struct CMUnitTest tests[] = {
        PLAIN(bytes_arrive_in_order),
        TLS(bytes_arrive_in_order),
        PLAIN(output_before_the_stream_is_open_is_kept),
        TLS(output_before_the_stream_is_open_is_kept),
        PLAIN(shared_segments_keep_their_place),
        TLS(shared_segments_keep_their_place),
        PLAIN(shared_segments_are_released_when_dropped),
        TLS(shared_segments_are_released_when_dropped),
        PLAIN(a_slow_reader_gets_everything),
        TLS(a_slow_reader_gets_everything),
        PLAIN(unconsumed_input_is_shown_again_with_the_next),
        TLS(unconsumed_input_is_shown_again_with_the_next),
        PLAIN(a_paused_stream_does_not_read),
        TLS(a_paused_stream_does_not_read),
        PLAIN(input_over_the_limit_closes),
        TLS(input_over_the_limit_closes),
        PLAIN(output_over_the_limit_closes_later_not_inside_flush),
        TLS(output_over_the_limit_closes_later_not_inside_flush),
        PLAIN(a_stream_may_be_closed_inside_its_callback),
        TLS(a_stream_may_be_closed_inside_its_callback),
        PLAIN(close_that_drains_delivers_what_the_socket_takes),
        TLS(close_that_drains_delivers_what_the_socket_takes),
        PLAIN(a_reset_is_by_host),
        PLAIN(last_words_are_read_when_writing_fails),
        PLAIN(a_refused_connect_is_told),
        TLS(a_refused_connect_is_told),
        PLAIN(a_steady_stream_keeps_no_memory),
        TLS(a_steady_stream_keeps_no_memory),
        TLS(tls_without_close_notify_is_by_host),
        TLS(plaintext_against_tls_is_closed),
        TLS(tls_against_plaintext_is_closed),
        TLS(a_connection_cut_during_the_handshake_is_told),
        TLS(the_owner_sees_the_certificate),
    };

    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
