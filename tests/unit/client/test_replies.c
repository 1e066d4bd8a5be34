/* SPDX-License-Identifier: Apache-2.0 */
/* Replies, batches, pages, pipelines, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <refkeeper/client.h>

#include "client/failure.h"
#include "client/options.h"
#include "client/reply.h"
#include "unit/client/fake_server.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"

static struct rk_client *connect_to(const struct fake_server *server)
{
    struct rk_options *options = rk_options_new();
    struct rk_client *client = NULL;
    struct rk_error error;

    assert_int_equal(rk_options_set_endpoints(options, fake_server_address(server), &error), RK_OK);
    rk_options_set_session(options, 0);
    assert_int_equal(rk_client_open(options, &client, &error), RK_OK);
    rk_options_free(options);
    return client;
}

static void finish(struct fake_server *server, struct rk_client *client)
{
    rk_client_close(client);
    fake_server_stop(server);
    fake_server_free(server);
}

static struct rk_reply *parse(const char *bytes)
{
    redisReader *reader = reply_reader_new();
    void *reply = NULL;

    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    return reply;
}

static void replies_become_trees(void **state)
{
    struct rk_reply *r = parse(
        "*6\r\n$2\r\nid\r\n:12\r\n$4\r\nname\r\n$0\r\n\r\n$4\r\nlist\r\n*2\r\n$-1\r\n-NOREF x\r\n");
    struct rk_error error;

    (void)state;
    assert_non_null(r);
    assert_int_equal(rk_reply_get_number(r, "id"), 12);
    assert_string_equal(rk_reply_get_text(r, "name"), "");
    assert_null(rk_reply_get(r, "nothing"));
    assert_int_equal(rk_reply_get(r, "list")->count, 2);
    assert_int_equal(rk_reply_get(r, "list")->items[0]->type, RK_REPLY_NIL);
    assert_int_equal(rk_reply_error(rk_reply_get(r, "list")->items[1], &error), RK_NOREF);
    rk_reply_free(r);
}

static void an_announced_count_reserves_nothing(void **state)
{
    (void)state;
    /* A reply that never comes to its end is no reply, and is freed with the reader. */
    assert_null(parse("*2147483647\r\n:1\r\n:2\r\n"));
}

static void an_independent_batch_answers_per_ref(void **state)
{
    const struct fake_step steps[] = {
        { "REF.TXN a.git INDEPENDENT 3 refs/heads/x ABSENT " A " refs/heads/y ANY "
          "0000000000000000000000000000000000000000 refs/heads/z " A " " B " BY s1 ACTOR me",
          "*3\r\n:5\r\n-NOREF no such ref\r\n-EXISTS current=" B " index=3 actor=%2f y\r\n", false,
          false },
    };
    const struct rk_ref_change changes[] = { { "refs/heads/x", RK_ABSENT, A },
                                             { "refs/heads/y", NULL, NULL },
                                             { "refs/heads/z", A, B } };
    const struct rk_write write = { .actor = "me", .storage = "s1" };
    struct fake_server *server = fake_server_start(steps, 1);
    struct rk_client *client = connect_to(server);
    struct rk_ref_results *results = NULL;
    struct rk_error error;

    (void)state;
    assert_int_equal(rk_ref_txn(client, "a.git", 0, changes, 3, &write, &results, &error),
                     RK_NOREF);
    assert_non_null(results);
    assert_int_equal(rk_ref_results_count(results), 3);
    assert_int_equal(rk_ref_results_index(results), 5);
    assert_int_equal(rk_ref_results_get(results, 0, &error), RK_OK);
    assert_int_equal(rk_ref_results_get(results, 2, &error), RK_EXISTS);
    assert_string_equal(error.current_oid, B);
    assert_string_equal(error.current_actor, "/");
    rk_ref_results_free(results);
    finish(server, client);
}

static void an_atomic_batch_names_its_culprit(void **state)
{
    const struct fake_step steps[] = {
        { "ATOMIC 2", "*2\r\n-ABORTED other\r\n-NAMECONFLICT with=refs/heads/a x\r\n", false,
          false },
        { "ATOMIC 2", ":9\r\n", false, false },
    };
    const struct rk_ref_change changes[] = { { "refs/heads/x", RK_ABSENT, A },
                                             { "refs/heads/a/b", RK_ABSENT, A } };
    struct fake_server *server = fake_server_start(steps, 2);
    struct rk_client *client = connect_to(server);
    struct rk_ref_results *results = NULL;
    struct rk_error error;

    (void)state;
    assert_int_equal(rk_ref_txn(client, "a.git", 1, changes, 2, NULL, &results, &error),
                     RK_NAMECONFLICT);
    assert_non_null(strstr(error.message, "refs/heads/a"));
    rk_ref_results_free(results);
    assert_int_equal(rk_ref_txn(client, "a.git", 1, changes, 2, NULL, &results, &error), RK_OK);
    assert_int_equal(rk_ref_results_index(results), 9);
    assert_int_equal(rk_ref_results_get(results, 1, &error), RK_OK);
    rk_ref_results_free(results);
    finish(server, client);
}

static int count_refs(void *context, const char *ref, const char *oid)
{
    assert_string_equal(oid, A);
    assert_true(strncmp(ref, "refs/heads/", 11) == 0);
    return ++*(int *)context == 100;
}

static void pages_are_walked_and_a_torn_walk_is_told(void **state)
{
    const struct fake_step steps[] = {
        { "REF.LIST a.git PREFIX refs/ LIMIT 2 STALE",
          "*4\r\n:9\r\n:7\r\n$12\r\nrefs/heads/b\r\n*4\r\n$12\r\nrefs/heads/a\r\n$40\r\n" A
          "\r\n$12\r\nrefs/heads/b\r\n$40\r\n" A "\r\n",
          false, false },
        { "AFTER refs/heads/b LIMIT 2",
          "*4\r\n:10\r\n:8\r\n$-1\r\n*2\r\n$12\r\nrefs/heads/c\r\n$40\r\n" A "\r\n", false, false },
    };
    const struct rk_page page = { .prefix = "refs/", .limit = 2 };
    const struct rk_read read = { RK_READ_STALE, 0 };
    struct fake_server *server = fake_server_start(steps, 2);
    struct rk_client *client = connect_to(server);
    struct rk_error error;
    uint64_t last_index = 0;
    int count = 0, is_torn = 0;

    (void)state;
    assert_int_equal(rk_ref_list(client, "a.git", &page, &read, count_refs, &count, &last_index,
                                 &is_torn, &error),
                     RK_OK);
    assert_int_equal(count, 3);
    assert_int_equal(last_index, 8);
    assert_true(is_torn);
    finish(server, client);
}

static void a_pipeline_keeps_order_and_breaks_honestly(void **state)
{
    /* The first step ends the client's own connection: the script serves one at a time. */
    const struct fake_step steps[] = {
        { "REF.GET", "$-1\r\n", true, false },
        { "GET 1", ":1\r\n", false, true },
        { "GET 2", ":2\r\n", false, false },
        { "GET 3", NULL, true, false },
    };
    const char *requests[][2] = { { "GET", "1" }, { "GET", "2" }, { "GET", "3" }, { "GET", "4" } };
    struct fake_server *server = fake_server_start(steps, 4);
    struct rk_client *client = connect_to(server);
    struct rk_pipeline *pipeline = NULL;
    char oid[RK_OID_TEXT_MAX + 1];
    struct rk_reply *reply = NULL;
    struct rk_error error;

    (void)state;
    assert_int_equal(rk_ref_get(client, "a", "refs/heads/x", NULL, oid, &error), RK_NOREF);
    assert_int_equal(rk_pipeline_open(client, &pipeline, &error), RK_OK);
    for (int i = 0; i < 4; i++) {
        rk_pipeline_append(pipeline, 2, requests[i], NULL);
    }
    assert_int_equal(rk_pipeline_pending(pipeline), 4);
    assert_int_equal(rk_pipeline_flush(pipeline, &error), RK_OK);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(rk_pipeline_next(pipeline, &reply, &error), RK_OK);
        assert_int_equal(reply->integer, i);
        rk_reply_free(reply);
    }
    assert_int_equal(rk_pipeline_next(pipeline, &reply, &error), RK_UNKNOWN);
    assert_int_equal(rk_pipeline_pending(pipeline), 2);
    assert_int_equal(rk_pipeline_flush(pipeline, &error), RK_UNKNOWN);
    rk_pipeline_close(pipeline);
    finish(server, client);
}

static void addresses_are_parsed(void **state)
{
    static const struct {
        const char *text, *host, *port; /* host NULL = refused */
    } rows[] = {
        { "n1:7481", "n1", "7481" },
        { "n1", "n1", "7481" },
        { "[::1]:80", "::1", "80" },
        { "[fe80::1]", "fe80::1", "7481" },
        { "n1:", NULL, NULL },
        { "n1:0", NULL, NULL },
        { "n1:65536", NULL, NULL },
        { "n1:x", NULL, NULL },
        { "", NULL, NULL },
        { ":7481", NULL, NULL },
        { "[::1", NULL, NULL },
        { "[::1]x", NULL, NULL },
        { "10.0.0.1:1", "10.0.0.1", "1" },
        { "n1:123456", NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct endpoint e;
        enum rk_status status = endpoint_parse(rows[i].text, strlen(rows[i].text), &e);

        if (rows[i].host == NULL) {
            assert_int_equal(status, RK_BADARG);
        } else {
            assert_int_equal(status, RK_OK);
            assert_string_equal(e.host, rows[i].host);
            assert_string_equal(e.port, rows[i].port);
        }
    }
}

static void error_texts_are_understood(void **state)
{
    static const struct {
        const char *text;
        enum rk_status status;
        const char *message; /* a part of it */
    } rows[] = {
        { "NOREPO no such repository", RK_NOREPO, "NOREPO: no such repository" },
        { "FROZEN reason=moving%20house the repository is frozen", RK_FROZEN,
          "reason: moving house" },
        { "RENAMED path=b/c.git the repository was renamed", RK_RENAMED, "path: b/c.git" },
        { "ERR unknown command", RK_PROTOCOL, "ERR unknown command" },
        { "CONFLICT", RK_CONFLICT, "CONFLICT: the ref does not have the expected value" },
        { "CONFLICT current=ABSENT index=4 actor= x", RK_CONFLICT, "it does not exist since" },
        { "BADARG item=3 a malformed argument", RK_BADARG, "item: 3" },
        { "FROZEN reason=a%0ab%7f", RK_FROZEN, "a?b?" },
        { "FROZEN reason=100%", RK_FROZEN, "reason: 100%" },
        /* The server's words stand for the general ones, and no fact is lost. */
        { "CONFLICT reason=it%20is%20the%20primary not while this is so", RK_CONFLICT,
          "CONFLICT: not while this is so; reason: it is the primary" },
        { "EXISTS path=a.git a repository has that path already", RK_EXISTS,
          "EXISTS: a repository has that path already; path: a.git" },
        { "BADREF ref: not a valid ref name below refs/", RK_BADREF,
          "BADREF: ref: not a valid ref name below refs/" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rk_error error;

        assert_int_equal(failure_parse(&error, rows[i].text, strlen(rows[i].text), "h:1"),
                         rows[i].status);
        assert_int_equal(error.reaction, rk_status_reaction(rows[i].status));
        if (strstr(error.message, rows[i].message) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", rows[i].message, error.message);
        }
    }
}

/* ---- Events ---- */

struct seen {
    unsigned count;
    uint64_t indexes[4];
    char text[256];
};

static int keep_event(void *context, const struct rk_event *event)
{
    struct seen *s = context;

    s->indexes[s->count++] = event->index;
    snprintf(s->text, sizeof s->text, "%s %s %s %s %s %s %lld", event->kind,
             event->path == NULL ? "-" : event->path, event->ref == NULL ? "-" : event->ref,
             event->old_value == NULL ? "-" : event->old_value,
             event->new_value == NULL ? "-" : event->new_value,
             event->actor == NULL ? "-" : event->actor, (long long)event->time_ms);
    return 0;
}

static void a_page_of_events_is_given_in_order(void **state)
{
    static const struct fake_step steps[] = {
        { "EVENTS FROM 7 COUNT 2 PREFIX a",
          "*2\r\n:9\r\n*2\r\n"
          "*9\r\n:7\r\n:1\r\n$7\r\ncreated\r\n$1\r\na\r\n$-1\r\n$-1\r\n$1\r\ns\r\n"
          "$-1\r\n$-1\r\n"
          "*9\r\n:8\r\n:1\r\n$3\r\nref\r\n$1\r\na\r\n$1\r\nr\r\n$-1\r\n$1\r\nn\r\n"
          "$2\r\nme\r\n:5\r\n",
          false, false },
        { "EVENTS FROM $ COUNT 1000 BLOCK ", "*2\r\n:9\r\n*0\r\n", false, false },
        { "EVENTS FROM 1 COUNT 1000", "-COMPACTED oldest=5 gone\r\n", false, false },
        { "EVENTS FROM 1 COUNT 1000", "*2\r\n:9\r\n*1\r\n:3\r\n", false, false },
    };
    struct fake_server *server = fake_server_start(steps, 4);
    struct rk_client *client = connect_to(server);
    struct rk_events_query query = { .from = 7, .prefix = "a", .limit = 2 };
    struct seen seen = { 0 };
    struct rk_error error;
    uint64_t next = 0;

    (void)state;
    assert_int_equal(rk_events_read(client, &query, keep_event, &seen, &next, &error), RK_OK);
    assert_int_equal(next, 9);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.indexes[0], 7);
    assert_string_equal(seen.text, "ref a r - n me 5");
    query = (struct rk_events_query){ .is_from_now = 1, .wait_ms = 60000 };
    assert_int_equal(rk_events_read(client, &query, keep_event, &seen, &next, &error), RK_OK);
    assert_int_equal(seen.count, 2);
    query = (struct rk_events_query){ .from = 1 };
    assert_int_equal(rk_events_read(client, &query, keep_event, &seen, &next, &error),
                     RK_COMPACTED);
    assert_non_null(strstr(error.message, "5"));
    assert_int_equal(rk_events_read(client, &query, keep_event, &seen, &next, &error), RK_PROTOCOL);
    finish(server, client);
}

static void events_that_are_gone_here_are_asked_for_elsewhere(void **state)
{
    static const struct fake_step gone[] = {
        { "EVENTS FROM 1", "-COMPACTED oldest=5 gone\r\n", false, false },
    };
    static const struct fake_step kept[] = {
        { "EVENTS FROM 1", "*2\r\n:9\r\n*0\r\n", false, false },
    };
    struct fake_server *one = fake_server_start(gone, 1);
    struct fake_server *two = fake_server_start(kept, 1);
    struct rk_options *options = rk_options_new();
    const struct rk_events_query query = { .from = 1 };
    struct rk_client *client = NULL;
    struct rk_error error;
    struct seen seen = { 0 };
    char endpoints[128];
    uint64_t next = 0;

    (void)state;
    snprintf(endpoints, sizeof endpoints, "%s,%s", fake_server_address(one),
             fake_server_address(two));
    assert_int_equal(rk_options_set_endpoints(options, endpoints, &error), RK_OK);
    assert_int_equal(rk_client_open(options, &client, &error), RK_OK);
    rk_options_free(options);
    assert_int_equal(rk_events_read(client, &query, keep_event, &seen, &next, &error), RK_OK);
    assert_int_equal(next, 9);
    finish(one, client);
    fake_server_stop(two);
    fake_server_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_become_trees),
        cmocka_unit_test(an_announced_count_reserves_nothing),
        cmocka_unit_test(an_independent_batch_answers_per_ref),
        cmocka_unit_test(an_atomic_batch_names_its_culprit),
        cmocka_unit_test(pages_are_walked_and_a_torn_walk_is_told),
        cmocka_unit_test(a_pipeline_keeps_order_and_breaks_honestly),
        cmocka_unit_test(addresses_are_parsed),
        cmocka_unit_test(error_texts_are_understood),
        cmocka_unit_test(a_page_of_events_is_given_in_order),
        cmocka_unit_test(events_that_are_gone_here_are_asked_for_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
