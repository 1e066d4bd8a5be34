/* SPDX-License-Identifier: Apache-2.0 */
/* Transports that find, judge, lose and find each other again; without TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/loop.h"
#include "sys/clock.h"
#include "sys/entropy.h"
#include "unit/node/transport_fixture.h"

static void three_members_connect_pairwise(void **state)
{
    struct fixture *f = *state;

    for (node_id id = 1; id <= 3; id++) {
        end_open(f, id);
    }
    wait_connected(f, 1, 2);
    wait_connected(f, 1, 3);
    wait_connected(f, 2, 3);
    loop_settle(f->base);
    for (node_id id = 1; id <= 3; id++) {
        for (node_id other = 1; other <= 3; other++) {
            assert_int_equal(end_of(f, id)->opened[other], id != other);
            assert_int_equal(end_of(f, id)->closed[other], 0);
        }
    }
    assert_true(transport_port(end_of(f, 1)->transport) == f->ports[0]);
}

static void frames_travel_both_ways(void **state)
{
    struct fixture *f = *state;
    struct transport_peer_status status;

    end_open(f, 1);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    end_send(f, 1, 2, "ping");
    end_send(f, 1, 2, "pong");
    end_send(f, 2, 1, "back");
    wait_received(f, 2, 2);
    wait_received(f, 1, 1);
    assert_memory_equal(end_of(f, 2)->received.data, "pingpong", 8);
    assert_memory_equal(end_of(f, 1)->received.data, "back", 4);
    transport_peer_status(end_of(f, 1)->transport, 2, &status);
    assert_true(status.is_connected);
    assert_true(status.sent_bytes > 2 * (FRAME_HEADER_BYTES + 4));
    assert_true(status.received_bytes > FRAME_HEADER_BYTES + 4);
    assert_int_equal(status.reconnects_total, 0);
    assert_null(transport_output(end_of(f, 1)->transport, 3));
    transport_peer_status(end_of(f, 1)->transport, 9, &status);
    assert_false(status.is_connected);
}

static void count_release(void *owner)
{
    ++*(unsigned *)owner;
}

static void a_tail_is_sent_behind_its_frame(void **state)
{
    static uint8_t chunk[SNAPSHOT_CHUNK_BYTES];
    struct fixture *f = *state;
    struct slice tail = slice_of(chunk, sizeof chunk);
    unsigned released = 0;

    end_open(f, 1);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    for (size_t i = 0; i < sizeof chunk; i++) {
        chunk[i] = (uint8_t)(i * 7);
    }
    for (int i = 0; i < 40; i++) {
        struct buffer *out = transport_output(end_of(f, 1)->transport, 2);
        size_t start = frame_begin(out, FRAME_MESSAGE);

        buffer_put(out, "head", 4);
        frame_end_with_tail(out, start, tail);
        transport_send_shared(end_of(f, 1)->transport, 2, tail, count_release, &released);
    }
    transport_flush(end_of(f, 1)->transport);
    assert_true(transport_output_bytes(end_of(f, 1)->transport, 2) > 0);
    wait_received(f, 2, 40);
    assert_int_equal(released, 40);
    assert_int_equal(end_of(f, 2)->received.size, 40 * (4 + sizeof chunk));
    assert_memory_equal(end_of(f, 2)->received.data + 39 * (4 + sizeof chunk) + 4, chunk,
                        sizeof chunk);
    transport_send_shared(end_of(f, 1)->transport, 3, tail, count_release, &released);
    assert_int_equal(released, 41); /* nobody there: dropped */
}

static void a_lost_peer_is_found_again(void **state)
{
    struct fixture *f = *state;
    struct transport_peer_status status;

    end_open(f, 1);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    end_close(f, 2);
    wait_closed(f, 1, 2, 1);
    assert_true(end_of(f, 1)->by_host);
    assert_null(transport_output(end_of(f, 1)->transport, 2));
    wait_logged(f, 1, "connect: Connection refused; trying again");
    end_open(f, 2);
    wait_connected(f, 1, 2);
    transport_peer_status(end_of(f, 1)->transport, 2, &status);
    assert_int_equal(status.reconnects_total, 1);
    end_send(f, 1, 2, "x");
    wait_received(f, 2, 1);
}

static void the_same_failure_is_logged_once(void **state)
{
    struct fixture *f = *state;

    end_open(f, 1);
    wait_logged(f, 1, "peer n2");
    wait_logged(f, 1, "peer n3");
    loop_for(f->base, 300); /* several attempts */
    assert_int_equal(end_of(f, 1)->log_lines, 2);
}

static void another_cluster_is_refused_with_a_sentence(void **state)
{
    struct fixture *f = *state;

    end_of(f, 1)->cluster = 8;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 2, "refused: another cluster");
    wait_logged(f, 1, "refused by the other side: another cluster");
    assert_int_equal(end_of(f, 1)->opened[2] + end_of(f, 2)->opened[1], 0);
}

static void the_dialling_side_refuses_too(void **state)
{
    struct fixture *f = *state;

    end_of(f, 1)->refuses_all = true;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 1, "refused: another cluster");
    wait_closed(f, 2, 1, 1); /* it had answered in good faith */
    assert_false(end_of(f, 2)->by_host);
    wait_logged(f, 2, "refused by the other side: another cluster");
    assert_int_equal(end_of(f, 1)->opened[2], 0);
}

static void a_wrong_name_is_refused(void **state)
{
    struct fixture *f = *state;

    end_of(f, 1)->says_other_name = true;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 2, "refused: node 1 \"mallory\" is no other member here");
    assert_int_equal(end_of(f, 2)->opened[1], 0);
}

static void a_wrong_target_is_refused(void **state)
{
    struct fixture *f = *state;

    end_of(f, 1)->says_other_target = true;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 2, "refused: this is node 2, not node 3");
    wait_logged(f, 1, "refused by the other side: this is node 2, not node 3");
}

static void another_version_is_refused(void **state)
{
    struct fixture *f = *state;

    end_of(f, 1)->version = 9;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 2, "refused: protocol versions 9 to 9 are not spoken here, only 1");
}

/* ---- Strangers ---- */

static void put_hello(struct buffer *out, node_id sender, const char *name, node_id target)
{
    struct hello hello = { .version_min = 1, .version_max = 1, .sender = sender };
    size_t start = frame_begin(out, FRAME_HELLO);

    hello.target = target;
    hello.cluster_id[0] = 7;
    hello.incarnation = 100 + sender;
    snprintf(hello.sender_name, sizeof hello.sender_name, "%s", name);
    hello_encode(out, &hello);
    frame_end(out, start);
}

static void send_raw(struct fixture *f, struct slice bytes)
{
    struct buffer answer = BUFFER_INIT;
    int fd = dial_raw(f, 2);

    assert_int_equal(send(fd, bytes.data, bytes.size, MSG_NOSIGNAL), bytes.size);
    expect_raw_closed(f, fd, &answer);
    buffer_release(&answer);
}

static void garbage_is_counted_and_closed(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
        { "\x40\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00", 12 }, /* 1 GiB */
        { "\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00", 12 },
        { "\x00\x00\x00\x00\x01\x00\x00\x00\x12\x34\x56\x78", 12 }, /* crc */
        { "\x00\xff\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00", 12 }, /* 16 MB before HELLO */
        { "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", 12 }, /* a TLS client */
    };
    struct transport_stranger_status status;
    struct fixture *f = *state;

    end_open(f, 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        send_raw(f, slice_of(rows[i].bytes, rows[i].size));
        transport_stranger_status(end_of(f, 2)->transport, &status);
        assert_int_equal(status.bad_frames_total, i + 1);
        assert_int_equal(status.pending_count, 0);
    }
    wait_logged(f, 2, "connection from 127.0.0.1: a bad frame");
    wait_logged(f, 2,
                "connection from 127.0.0.1: it speaks TLS, and this side is configured "
                "without");
    /* Refused for node 3, which is down, and two lines for strangers. */
    assert_int_equal(end_of(f, 2)->log_lines, 3);
}

static void a_frame_before_hello_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT;

    end_open(f, 2);
    frame_end(&bytes, frame_begin(&bytes, FRAME_MESSAGE));
    send_raw(f, buffer_slice(&bytes));
    wait_logged(f, 2, "a frame before HELLO");
    buffer_clear(&bytes);
    frame_end(&bytes, frame_begin(&bytes, FRAME_HELLO));
    send_raw(f, buffer_slice(&bytes));
    wait_logged(f, 2, "a malformed HELLO");
    buffer_clear(&bytes);
    put_hello(&bytes, 2, "n2", 2); /* ourselves */
    send_raw(f, buffer_slice(&bytes));
    wait_logged(f, 2, "node 2 \"n2\" is no other member here");
    assert_int_equal(end_of(f, 2)->frames, 0);
    buffer_release(&bytes);
}

static void half_a_hello_waits_and_ends_with_the_connection(void **state)
{
    struct transport_stranger_status status;
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT;
    int fd;

    end_open(f, 2);
    put_hello(&bytes, 1, "n1", 2);
    fd = dial_raw(f, 2);
    for (size_t i = 0; i < bytes.size - 1; i++) { /* one byte at a time */
        assert_int_equal(send(fd, bytes.data + i, 1, 0), 1);
        loop_settle(f->base);
    }
    transport_stranger_status(end_of(f, 2)->transport, &status);
    assert_int_equal(status.pending_count, 1);
    close(fd);
    wait_logged(f, 2, "connection from 127.0.0.1: closed by the other side");
    transport_stranger_status(end_of(f, 2)->transport, &status);
    assert_int_equal(status.pending_count, 0);
    buffer_release(&bytes);
}

static void a_silent_stranger_is_dropped_in_time(void **state)
{
    struct fixture *f = *state;
    struct transport_stranger_status status;
    struct buffer answer = BUFFER_INIT;
    int64_t start_ms;

    end_open(f, 2);
    start_ms = clock_monotonic_ms();
    expect_raw_closed(f, dial_raw(f, 2), &answer);
    assert_in_range(clock_monotonic_ms() - start_ms, HANDSHAKE_TIMEOUT_MS - 100,
                    HANDSHAKE_TIMEOUT_MS + 5000);
    transport_stranger_status(end_of(f, 2)->transport, &status);
    assert_int_equal(status.dropped_total, 1);
    wait_logged(f, 2, "no HELLO in time");
}

static void strangers_are_bounded_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct transport_stranger_status status;
    struct buffer answer = BUFFER_INIT;
    int fds[PEER_PENDING_MAX + 1];

    end_open(f, 2);
    for (int i = 0; i < PEER_PENDING_MAX + 1; i++) {
        fds[i] = dial_raw(f, 2);
        loop_settle(f->base);
    }
    transport_stranger_status(end_of(f, 2)->transport, &status);
    assert_int_equal(status.pending_count, PEER_PENDING_MAX);
    assert_int_equal(status.dropped_total, 1);
    expect_raw_closed(f, fds[0], &answer);
    end_open(f, 1); /* a member still gets in */
    wait_connected(f, 1, 2);
    for (int i = 1; i < PEER_PENDING_MAX + 1; i++) {
        close(fds[i]);
    }
}

/* A good opening of a connection with a few bytes changed, cut, or added. */
static void mutate(struct buffer *out, struct rng *rng)
{
    size_t start;

    put_hello(out, 1, "n1", 2);
    start = frame_begin(out, FRAME_MESSAGE);
    buffer_put(out, "payload", 7);
    frame_end(out, start);
    for (uint64_t i = rng_below(rng, 4); i > 0; i--) {
        out->data[rng_below(rng, out->size)] = (uint8_t)rng_next(rng);
    }
    if (rng_below(rng, 4) == 0) {
        out->size = rng_below(rng, out->size) + 1;
    }
    for (uint64_t i = rng_below(rng, 40); i > 0; i--) {
        buffer_put_u8(out, (uint8_t)rng_next(rng));
    }
}

static void random_bytes_never_hurt(void **state)
{
    const char *given = getenv("RK_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : entropy_u64();
    struct transport_stranger_status status;
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT;
    struct rng rng;

    print_message("# RK_SEED=%llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    end_open(f, 2);
    for (int i = 0; i < 2000; i++) {
        int fd = dial_raw(f, 2);

        buffer_clear(&bytes);
        mutate(&bytes, &rng);
        assert_int_equal(send(fd, bytes.data, bytes.size, MSG_NOSIGNAL), bytes.size);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        close(fd);
    }
    buffer_release(&bytes);
    loop_settle(f->base);
    transport_stranger_status(end_of(f, 2)->transport, &status);
    assert_int_equal(status.pending_count, 0);
    assert_int_equal(status.accepted_total, 2000);
    assert_true(status.bad_frames_total > 0);
    end_open(f, 1);
    wait_connected(f, 1, 2);
}

static void running_out_of_descriptors_does_not_spin(void **state)
{
    struct fixture *f = *state;
    struct transport_stranger_status status;
    struct rlimit limit, tight;
    int fd, free_fd;

    end_open(f, 2);
    wait_logged(f, 2, "peer n3"); /* its dials would take descriptors, too */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    fd = dial_raw(f, 2);
    free_fd = dup(fd);
    close(free_fd);
    tight = (struct rlimit){ (rlim_t)free_fd, limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    wait_logged(f, 2, "accept a peer: Too many open files; trying again");
    loop_for(f->base, 2 * LISTENER_RETRY_MS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(end_of(f, 2)->log_lines <= 4); /* not one for each attempt */
    close(fd);
    wait_logged(f, 2, "closed by the other side"); /* it was accepted in the end */
    transport_stranger_status(end_of(f, 2)->transport, &status);
    assert_int_equal(status.accepted_total, 1);
    end_open(f, 1);
    wait_connected(f, 1, 2);
}

static void the_newest_authenticated_connection_wins(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT, answer = BUFFER_INIT;
    int first, second;

    end_open(f, 2);
    put_hello(&bytes, 1, "n1", 2);
    first = dial_raw(f, 2);
    assert_int_equal(send(first, bytes.data, bytes.size, 0), bytes.size);
    wait_logged(f, 2, "peer n1: connected");
    second = dial_raw(f, 2);
    assert_int_equal(send(second, bytes.data, bytes.size, 0), bytes.size);
    wait_logged(f, 2, "peer n1: connected; the older connection is closed");
    assert_int_equal(end_of(f, 2)->opened[1], 2);
    assert_int_equal(end_of(f, 2)->closed[1], 1);
    expect_raw_closed(f, first, &answer);
    buffer_clear(&bytes);
    frame_end(&bytes, frame_begin(&bytes, FRAME_MESSAGE));
    assert_int_equal(send(second, bytes.data, bytes.size, 0), bytes.size);
    wait_received(f, 2, 1);
    close(second);
    buffer_release(&bytes);
    buffer_release(&answer);
}

static void a_bad_frame_of_a_peer_closes_and_counts(void **state)
{
    struct fixture *f = *state;
    struct transport_peer_status status;
    struct buffer *out;
    size_t start;

    end_open(f, 1);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    out = transport_output(end_of(f, 1)->transport, 2);
    start = frame_begin(out, FRAME_MESSAGE);
    buffer_put(out, "payload", 7);
    frame_end(out, start);
    out->data[out->size - 1] ^= 1;
    transport_flush(end_of(f, 1)->transport);
    wait_closed(f, 2, 1, 1);
    assert_false(end_of(f, 2)->by_host);
    wait_connected(f, 1, 2);
    transport_peer_status(end_of(f, 2)->transport, 1, &status);
    assert_int_equal(status.bad_frames_total, 1);
    assert_int_equal(status.reconnects_total, 1);
    assert_int_equal(end_of(f, 2)->frames, 0);
}

static void a_peer_that_never_reads_is_dropped(void **state)
{
    static uint8_t chunk[4 * MIB];
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_INIT;
    unsigned released = 0;
    int fd;

    end_open(f, 2);
    put_hello(&bytes, 1, "n1", 2);
    fd = dial_raw(f, 2);
    assert_int_equal(send(fd, bytes.data, bytes.size, 0), bytes.size);
    wait_logged(f, 2, "peer n1: connected");
    for (int i = 0; i < 20; i++) {
        struct buffer *out = transport_output(end_of(f, 2)->transport, 1);
        size_t start = frame_begin(out, FRAME_MESSAGE);

        frame_end_with_tail(out, start, slice_of(chunk, sizeof chunk));
        transport_send_shared(end_of(f, 2)->transport, 1, slice_of(chunk, sizeof chunk),
                              count_release, &released);
        transport_flush(end_of(f, 2)->transport);
    }
    wait_closed(f, 2, 1, 1);
    assert_int_equal(released, 20);
    assert_false(end_of(f, 2)->by_host);
    wait_logged(f, 2, "bytes of output wait");
    close(fd);
    buffer_release(&bytes);
}

/* ---- Members ---- */

static void a_removed_member_is_disconnected_without_a_call(void **state)
{
    struct fixture *f = *state;
    struct membership two = { .count = 0 };

    end_open(f, 1);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    assert_int_equal(membership_add(&two, &f->members.members[0]), RK_OK);
    assert_int_equal(membership_add(&two, &f->members.members[2]), RK_OK);
    transport_set_members(end_of(f, 1)->transport, &two);
    assert_false(transport_is_connected(end_of(f, 1)->transport, 2));
    wait_closed(f, 2, 1, 1);
    assert_int_equal(end_of(f, 1)->closed[2], 0);
    transport_set_members(end_of(f, 1)->transport, &f->members);
    wait_connected(f, 1, 2);
}

static void members_may_change_inside_received(void **state)
{
    struct fixture *f = *state;

    end_open(f, 1);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    end_of(f, 2)->drops_members = true;
    end_send(f, 1, 2, "one");
    end_send(f, 1, 2, "two");
    wait_closed(f, 1, 2, 1);
    assert_int_equal(end_of(f, 2)->frames, 1);
    assert_int_equal(end_of(f, 2)->closed[1], 0);
}

static void a_member_that_moved_is_dialled_at_its_new_place(void **state)
{
    struct fixture *f = *state;
    struct member *second = &f->members.members[1];

    end_open(f, 1);
    wait_logged(f, 1, "peer n2");
    f->ports[1] = loop_free_port();
    snprintf(second->peer_address, sizeof second->peer_address, "localhost:%u", f->ports[1]);
    transport_set_members(end_of(f, 1)->transport, &f->members);
    end_open(f, 2);
    wait_connected(f, 1, 2); /* by a name this time: through the resolver */
}

/* Who was away while the other one moved, or came, does not know where to dial. */
static void who_is_not_dialled_dials_back(void **state)
{
    struct fixture *f = *state;
    struct membership known = f->members;

    known.members[1].peer_address[0] = '\0';
    end_open(f, 1);
    transport_set_members(end_of(f, 1)->transport, &known);
    end_open(f, 2);
    wait_connected(f, 1, 2);
    end_send(f, 1, 2, "hello");
    wait_received(f, 2, 1);
}

static void who_is_refused_is_told_why(void **state)
{
    struct fixture *f = *state;

    end_of(f, 2)->refuses_all = true;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 1, "refused by the other side: another cluster");
    assert_true(end_of(f, 1)->refused[2] > 0);
    assert_int_equal(end_of(f, 1)->refusal, RK_FOREIGN);
}

static void a_name_that_does_not_resolve_is_told(void **state)
{
    struct fixture *f = *state;

    snprintf(f->members.members[1].peer_address, ADDRESS_BYTES_MAX, "no-such-host.invalid:7480");
    snprintf(f->members.members[2].peer_address, ADDRESS_BYTES_MAX, "no-such-host.invalid");
    end_open(f, 1);
    wait_logged(f, 1, "peer n2 at no-such-host.invalid:7480: ");
    wait_logged(f, 1, "peer n3 at no-such-host.invalid: \"no-such-host.invalid\" is not host:port");
    end_close(f, 1); /* with lookups under way or not */
}

static void a_bad_listen_address_is_an_error(void **state)
{
    static const struct {
        const char *address;
        enum rk_status status;
        const char *text;
    } rows[] = {
        { "7480", RK_CONFIG, "\"7480\" is not host:port" },
        { "127.0.0.1:x", RK_CONFIG, "\"127.0.0.1:x\": the port must be a number from 0 to 65535" },
        { "127.0.0.1:65536", RK_CONFIG, NULL },
        { "127.0.0.1:-1", RK_CONFIG, NULL },
        { "::1:7480", RK_CONFIG, "\"::1:7480\": an IPv6 address needs brackets, as in [::1]:7480" },
        { "[]:7480", RK_CONFIG, NULL },
        { "a b:7480", RK_CONFIG, NULL },
        { "no-such-host.invalid:7480", RK_CONFIG, NULL },
        { "192.0.2.1:7480", RK_IO, "listen on 192.0.2.1:7480: Cannot assign requested address" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_options options = { .listen = rows[i].address, .self = 1 };
        struct transport_callbacks none = { .log = NULL };
        struct transport *t = NULL;
        struct errmsg why = ERRMSG_INIT;

        assert_int_equal(transport_open(f->base, &options, &none, NULL, &t, &why), rows[i].status);
        if (rows[i].text != NULL) {
            assert_string_equal(why.text, rows[i].text);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, transports_setup, transports_teardown)
    const struct CMUnitTest tests[] = {
        TEST(three_members_connect_pairwise),
        TEST(frames_travel_both_ways),
        TEST(a_tail_is_sent_behind_its_frame),
        TEST(a_lost_peer_is_found_again),
        TEST(the_same_failure_is_logged_once),
        TEST(another_cluster_is_refused_with_a_sentence),
        TEST(the_dialling_side_refuses_too),
        TEST(a_wrong_name_is_refused),
        TEST(a_wrong_target_is_refused),
        TEST(another_version_is_refused),
        TEST(garbage_is_counted_and_closed),
        TEST(a_frame_before_hello_is_refused),
        TEST(half_a_hello_waits_and_ends_with_the_connection),
        TEST(a_silent_stranger_is_dropped_in_time),
        TEST(strangers_are_bounded_oldest_first),
        TEST(random_bytes_never_hurt),
        TEST(running_out_of_descriptors_does_not_spin),
        TEST(the_newest_authenticated_connection_wins),
        TEST(a_bad_frame_of_a_peer_closes_and_counts),
        TEST(a_peer_that_never_reads_is_dropped),
        TEST(a_removed_member_is_disconnected_without_a_call),
        TEST(members_may_change_inside_received),
        TEST(a_member_that_moved_is_dialled_at_its_new_place),
        TEST(who_is_not_dialled_dials_back),
        TEST(who_is_refused_is_told_why),
        TEST(a_name_that_does_not_resolve_is_told),
        TEST(a_bad_listen_address_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
