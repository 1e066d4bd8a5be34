/* SPDX-License-Identifier: Apache-2.0 */
/* EVENTS and /v1/events: pages, waiting, streams, what is told when events are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/limits.h"
#include "server_fixture.h"

#define END "\r\n\r\n"
#define HOST " HTTP/1.1\r\nHost: x"
#define UPDATE(ref, old, new) "REF.UPDATE a/b.git refs/heads/" ref " " old " " new

/* An event without envelope: no actor, no time. */
#define EVENT(index, ref, old, new)                                                                \
    "*9\r\n:" index "\r\n:1\r\n$3\r\nref\r\n$7\r\na/b.git\r\n$12\r\nrefs/heads/" ref "\r\n" old    \
    "$40\r\n" new "\r\n$-1\r\n$-1\r\n"
#define NIL "$-1\r\n"
#define HEX(oid) "$40\r\n" oid "\r\n"

static int setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    fixture_open(f, NULL);
    fixture_chat(f, "REPO.REGISTER a/b.git s1", "*2\r\n:1\r\n+CREATED\r\n");
    fixture_chat(f, UPDATE("m", "ABSENT", OID_A), ":2\r\n");
    fixture_chat(f, UPDATE("m", OID_A, OID_B) " ACTOR alice", ":3\r\n");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    heap_free(*state);
    return 0;
}

static void connect_http(struct fixture *f)
{
    close(f->fd);
    f->fd = fixture_connect(f, true);
    f->is_closed = false;
    buffer_clear(&f->seen);
}

/* What came since the last look, as text. */
static const char *take(struct fixture *f)
{
    fixture_settle(f);
    buffer_put_u8(&f->seen, '\0');
    f->seen.size = 0;
    return (const char *)f->seen.data;
}

/* A write that did not come over the watching connection. */
static void change(struct fixture *f, const char *words)
{
    int watching = f->fd;
    struct buffer seen = f->seen;

    f->seen = (struct buffer)BUFFER_INIT;
    f->fd = fixture_connect(f, false);
    fixture_ask(f, words);
    fixture_settle(f);
    close(f->fd);
    buffer_release(&f->seen);
    f->seen = seen;
    f->fd = watching;
}

static void a_page_has_whole_events_and_where_the_next_begins(void **state)
{
    struct fixture *f = *state;

    fixture_chat(f, "EVENTS FROM 2 COUNT 1", "*2\r\n:3\r\n*1\r\n" EVENT("2", "m", NIL, OID_A));
    fixture_chat(f, "EVENTS FROM 3",
                 "*2\r\n:4\r\n*1\r\n*9\r\n:3\r\n:1\r\n$3\r\nref\r\n$7\r\na/b.git\r\n$12\r\n"
                 "refs/heads/m\r\n" HEX(OID_A) HEX(OID_B) "$5\r\nalice\r\n:1700000000000\r\n");
    fixture_chat(f, "EVENTS FROM 4", "*2\r\n:4\r\n*0\r\n");
    fixture_chat(f, "EVENTS FROM 9", "*2\r\n:9\r\n*0\r\n");
    fixture_chat(f, "EVENTS FROM $", "*2\r\n:4\r\n*0\r\n");
    fixture_chat(f, "EVENTS FROM 0 PREFIX b", "*2\r\n:4\r\n*0\r\n");
}

static void an_index_is_never_split(void **state)
{
    struct fixture *f = *state;

    fixture_chat(
        f, "REF.TXN a/b.git ATOMIC 2 refs/heads/x ABSENT " OID_A " refs/heads/y ABSENT " OID_B,
        ":4\r\n");
    fixture_ask(f, "EVENTS FROM 4 COUNT 1");
    assert_non_null(strstr(take(f), "*2\r\n:5\r\n*2\r\n"));
}

static void a_blocked_request_is_answered_by_the_next_change(void **state)
{
    struct fixture *f = *state;

    fixture_ask(f, "EVENTS FROM $ BLOCK 60000");
    fixture_ask(f, "PING");
    assert_string_equal(take(f), "");
    change(f, UPDATE("n", "ABSENT", OID_A));
    fixture_expect(f, "*2\r\n:5\r\n*1\r\n" EVENT("4", "n", NIL, OID_A) "+PONG\r\n");
}

static void a_filter_does_not_wake_for_others(void **state)
{
    struct fixture *f = *state;

    fixture_ask(f, "EVENTS FROM $ BLOCK 60000 PREFIX c");
    change(f, UPDATE("n", "ABSENT", OID_A));
    assert_string_equal(take(f), "");
    change(f, "REPO.REGISTER c/d.git s1");
    assert_non_null(strstr(take(f), "*2\r\n:6\r\n*1\r\n*9\r\n:5\r\n:1\r\n$7\r\ncreated\r\n"));
}

static void the_time_of_a_blocked_request_ends(void **state)
{
    struct fixture *f = *state;

    fixture_ask(f, "EVENTS FROM $ BLOCK 1");
    for (int i = 0; i < 1000 && f->seen.size == 0; i++) {
        fixture_settle(f);
    }
    fixture_expect(f, "*2\r\n:4\r\n*0\r\n");
}

static void a_gone_client_is_forgotten(void **state)
{
    struct fixture *f = *state;

    fixture_ask(f, "EVENTS FROM $ BLOCK 60000");
    fixture_settle(f);
    close(f->fd);
    f->fd = fixture_connect(f, false);
    change(f, UPDATE("n", "ABSENT", OID_A));
    fixture_chat(f, "PING", "+PONG\r\n");
}

static void events_that_are_gone_are_refused_with_the_oldest(void **state)
{
    struct fixture *f = *state;

    fixture_ask(f, "EVENTS FROM $ BLOCK 60000");
    fixture_settle(f);
    f->node->last_index = 100; /* as after a snapshot was installed */
    events_reset(f->node->events, 100);
    assert_non_null(strstr(take(f), "-COMPACTED oldest=101 "));
    fixture_ask(f, "EVENTS FROM 3");
    assert_non_null(strstr(take(f), "-COMPACTED oldest=101 "));
    fixture_chat(f, "EVENTS FROM 0", "*2\r\n:101\r\n*0\r\n");
}

static void wrong_arguments_are_refused(void **state)
{
    static const char *const rows[] = {
        "EVENTS FROM x",
        "EVENTS FROM 1 COUNT 0",
        "EVENTS FROM 1 COUNT 100001",
        "EVENTS FROM 1 BLOCK 600001",
        "EVENTS FROM 1 BLOCK 1 STALE",
        "EVENTS 1",
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_ask(*state, rows[i]);
        assert_memory_equal(take(*state), "-BADARG", 7);
    }
}

/* ---- HTTP ---- */

static void a_stream_tells_what_was_and_what_comes(void **state)
{
    struct fixture *f = *state;
    const char *seen;

    connect_http(f);
    fixture_send(f, "GET /v1/events?from=3" HOST END, strlen("GET /v1/events?from=3" HOST END));
    seen = take(f);
    assert_non_null(strstr(seen, "200 OK"));
    assert_non_null(strstr(seen, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(seen, "\r\nb\r\n{\"next\":3}\n\r\n"));
    assert_non_null(strstr(seen, "{\"index\":3,\"term\":1,\"time_ms\":1700000000000,"
                                 "\"actor\":\"alice\",\"events\":[{\"kind\":\"ref\","
                                 "\"path\":\"a/b.git\",\"ref\":\"refs/heads/m\",\"old\":\"" OID_A
                                 "\",\"new\":\"" OID_B "\"}]}\n"));
    change(f, UPDATE("n", "ABSENT", OID_A));
    seen = take(f);
    assert_non_null(strstr(seen, "{\"index\":4,\"term\":1,\"time_ms\":null,\"actor\":null,"
                                 "\"events\":[{\"kind\":\"ref\",\"path\":\"a/b.git\","
                                 "\"ref\":\"refs/heads/n\",\"old\":null,\"new\":\"" OID_A "\"}]}"));
    events_reset(f->node->events, 100);
    seen = take(f);
    assert_non_null(strstr(seen, "\"code\":\"COMPACTED\""));
    assert_non_null(strstr(seen, "\"oldest\":101},\"next\":5}\n\r\n0\r\n\r\n"));
    assert_true(f->is_closed);
}

static void an_old_client_gets_plain_lines(void **state)
{
    struct fixture *f = *state;
    const char *seen;

    connect_http(f);
    fixture_send(f, "GET /v1/events HTTP/1.0" END, strlen("GET /v1/events HTTP/1.0" END));
    seen = take(f);
    assert_null(strstr(seen, "chunked"));
    assert_non_null(strstr(seen, END "{\"next\":4}\n"));
}

static void one_blocking_query_has_one_answer(void **state)
{
    struct fixture *f = *state;
    const char *seen;

    connect_http(f);
    fixture_send(f, "GET /v1/events?wait=60000&prefix=a/" HOST END "GET /livez" HOST END,
                 strlen("GET /v1/events?wait=60000&prefix=a/" HOST END "GET /livez" HOST END));
    assert_string_equal(take(f), "");
    change(f, UPDATE("n", "ABSENT", OID_A));
    seen = take(f);
    assert_non_null(strstr(seen, "\"applied_index\":4,\"next\":5,\"entries\":[{\"index\":4,"));
    assert_non_null(strstr(seen, END "ok\n"));
}

static void gone_events_are_410(void **state)
{
    struct fixture *f = *state;
    const char *seen;

    events_reset(f->node->events, 100);
    connect_http(f);
    fixture_send(f, "GET /v1/events?from=7" HOST END, strlen("GET /v1/events?from=7" HOST END));
    seen = take(f);
    assert_memory_equal(seen, "HTTP/1.1 410 Gone", 17);
    assert_non_null(strstr(seen, "\"oldest\":101"));
}

static void a_stopping_server_ends_streams(void **state)
{
    struct fixture *f = *state;

    connect_http(f);
    fixture_send(f, "GET /v1/events" HOST END, strlen("GET /v1/events" HOST END));
    (void)take(f);
    server_drain(f->server);
    assert_non_null(strstr(take(f), "{\"next\":4}\n\r\n0\r\n\r\n"));
    assert_true(f->is_closed);
    assert_true(server_is_drained(f->server));
}

/*
 * It reads nothing: what waits for it stays bounded, others are served, and in the end it is
 * closed with a word.
 */
static void a_client_that_does_not_read_is_closed(void **state)
{
    struct fixture *f = *state;
    int other = f->fd;
    int slow;

    f->fd = fixture_connect(f, true);
    fixture_send(f, "GET /v1/events?from=1" HOST END, strlen("GET /v1/events?from=1" HOST END));
    slow = f->fd;
    f->fd = other;
    fixture_settle(f);
    for (unsigned i = 0; i < 30000; i++) {
        struct refdb_change c = { .kind = REFDB_CHANGE_HEAD, .path = slice_of_text("a/b.git") };
        char head[600];

        memset(head, 'h', sizeof head);
        c.new_text = slice_of(head, sizeof head);
        events_add(f->node->events, 1,
                   &(struct refdb_result){
                       .index = events_next(f->node->events), .changes = &c, .change_count = 1 });
    }
    fixture_settle(f);
    fixture_chat(f, "PING", "+PONG\r\n");
    f->node->now_ms += CLIENT_OUTPUT_MS;
    for (int i = 0; i < 3000; i++) { /* the sweep comes once a second */
        const char *head = "refkeeper_event_watchers_slow_total 1\n";

        f->fd = fixture_connect(f, true);
        fixture_send(f, "GET /metrics" HOST END, strlen("GET /metrics" HOST END));
        if (strstr(take(f), head) != NULL) {
            close(f->fd);
            break;
        }
        assert_true(i < 2999);
        close(f->fd);
    }
    close(slow);
    f->fd = other;
    f->is_closed = false;
    fixture_chat(f, "PING", "+PONG\r\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_page_has_whole_events_and_where_the_next_begins),
        CASE(an_index_is_never_split),
        CASE(a_blocked_request_is_answered_by_the_next_change),
        CASE(a_filter_does_not_wake_for_others),
        CASE(the_time_of_a_blocked_request_ends),
        CASE(a_gone_client_is_forgotten),
        CASE(events_that_are_gone_are_refused_with_the_oldest),
        CASE(wrong_arguments_are_refused),
        CASE(a_stream_tells_what_was_and_what_comes),
        CASE(an_old_client_gets_plain_lines),
        CASE(one_blocking_query_has_one_answer),
        CASE(gone_events_are_410),
        CASE(a_stopping_server_ends_streams),
        CASE(a_client_that_does_not_read_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
