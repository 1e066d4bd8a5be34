/* SPDX-License-Identifier: Apache-2.0 */
/* What a call does when things go wrong: the table at the head of client/call.c, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <refkeeper/client.h>

#include "unit/client/fake_server.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define SESSION                                                                                    \
    {                                                                                              \
        "SESSION.OPEN", ":7\r\n", false, false                                                     \
    }

static const struct rk_ref_change change = { "refs/heads/x", A, B };

struct fixture {
    struct fake_server *server;
    struct rk_client *client;
    struct rk_error error;
};

static void start(struct fixture *f, const struct fake_step *steps, size_t count,
                  int64_t timeout_ms, int uses_session)
{
    struct rk_options *options = rk_options_new();

    f->server = fake_server_start(steps, count);
    memset(&f->error, 0, sizeof f->error);
    assert_int_equal(rk_options_set_endpoints(options, fake_server_address(f->server), &f->error),
                     RK_OK);
    rk_options_set_timeout_ms(options, timeout_ms);
    rk_options_set_dial_timeout_ms(options, 300);
    rk_options_set_session(options, uses_session);
    assert_int_equal(rk_client_open(options, &f->client, &f->error), RK_OK);
    rk_options_free(options);
}

static void finish(struct fixture *f)
{
    rk_client_close(f->client);
    fake_server_stop(f->server);
    fake_server_free(f->server);
}

#define START(f, steps, session) start(f, steps, sizeof(steps) / sizeof(steps)[0], 5000, session)

static enum rk_status update(struct fixture *f, uint64_t *ret_index)
{
    return rk_ref_update(f->client, "a.git", &change, NULL, ret_index, &f->error);
}

static void a_write_opens_a_session_and_numbers_itself(void **state)
{
    const struct fake_step steps[] = {
        SESSION,
        { "REF.UPDATE a.git refs/heads/x " A " " B " REQID 7 1 1", ":41\r\n", false, false },
        { "REF.UPDATE a.git refs/heads/x " A " " B " REQID 7 2 2", ":42\r\n", false, true },
    };
    struct fixture f;
    uint64_t index = 0;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, &index), RK_OK);
    assert_int_equal(index, 41);
    assert_int_equal(update(&f, &index), RK_OK);
    assert_int_equal(index, 42);
    assert_int_equal(f.error.status, RK_OK); /* untouched */
    finish(&f);
}

static void a_server_without_sessions_gets_plain_writes(void **state)
{
    const struct fake_step steps[] = {
        { "SESSION.OPEN", "-UNSUPPORTED not supported\r\n", false, false },
        { "REF.UPDATE", ":41\r\n", false, false },
    };
    struct fixture f;
    uint64_t index = 0;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, &index), RK_OK);
    assert_null(strstr(fake_server_request(f.server, 1), "REQID"));
    finish(&f);
}

static void a_lost_write_is_sent_again_under_its_number(void **state)
{
    const struct fake_step steps[] = {
        SESSION,
        { "REF.UPDATE", NULL, true, false },
        { "REF.UPDATE", ":4", true, false },
        { "REF.UPDATE", ":41\r\n", false, false },
    };
    struct fixture f;
    uint64_t index = 0;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, &index), RK_OK);
    assert_int_equal(index, 41);
    assert_string_equal(fake_server_request(f.server, 1), fake_server_request(f.server, 2));
    assert_string_equal(fake_server_request(f.server, 1), fake_server_request(f.server, 3));
    finish(&f);
}

static void a_lost_write_without_a_session_is_unknown_and_never_sent_again(void **state)
{
    const struct fake_step steps[] = { { "REF.UPDATE", NULL, true, false } };
    struct fixture f;

    (void)state;
    START(&f, steps, 0);
    assert_int_equal(update(&f, NULL), RK_UNKNOWN);
    assert_int_equal(f.error.reaction, RK_ASK_FIRST);
    finish(&f);
}

static void a_lost_read_is_asked_again(void **state)
{
    const struct fake_step steps[] = {
        { "REF.GET", NULL, true, false },
        { "REF.GET a.git refs/heads/x", "$40\r\n" A "\r\n", false, true },
    };
    char oid[RK_OID_TEXT_MAX + 1];
    struct fixture f;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(rk_ref_get(f.client, "a.git", "refs/heads/x", NULL, oid, &f.error), RK_OK);
    assert_string_equal(oid, A);
    finish(&f);
}

static void no_leader_is_tried_again_until_there_is_one(void **state)
{
    const struct fake_step steps[] = {
        { "SESSION.OPEN", "-NOLEADER no leader is known\r\n", false, false },
        SESSION,
        { "REF.UPDATE", "-NOLEADER no leader is known\r\n", false, false },
        { "REF.UPDATE", "-OVERLOADED a queue is full\r\n", false, false },
        { "REF.UPDATE", ":9\r\n", false, false },
    };
    struct fixture f;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, NULL), RK_OK);
    finish(&f);
}

static void an_unknown_outcome_is_asked_for_under_its_number(void **state)
{
    const struct fake_step steps[] = {
        SESSION,
        { "REQID 7 1 1", "-UNKNOWN the outcome could not be learned\r\n", false, false },
        { "REQID 7 1 1", ":41\r\n", false, false },
    };
    struct fixture f;
    uint64_t index = 0;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, &index), RK_OK);
    assert_int_equal(index, 41);
    finish(&f);
}

static void an_expired_session_is_replaced_when_nothing_is_open(void **state)
{
    const struct fake_step steps[] = {
        SESSION,
        { "REQID 7 1 1", "-EXPIRED the session is unknown\r\n", false, false },
        { "SESSION.OPEN", ":8\r\n", false, false },
        { "REQID 8 1 1", ":41\r\n", false, false },
    };
    struct fixture f;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, NULL), RK_OK);
    finish(&f);
}

static void an_expired_session_behind_a_lost_write_is_unknown(void **state)
{
    const struct fake_step steps[] = {
        SESSION,
        { "REQID 7 1 1", NULL, true, false },
        { "REQID 7 1 1", "-EXPIRED the session is unknown\r\n", false, false },
    };
    struct fixture f;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, NULL), RK_UNKNOWN);
    finish(&f);
}

static void a_refusal_after_a_lost_write_is_final(void **state)
{
    const struct fake_step steps[] = {
        SESSION,
        { "REQID 7 1 1", NULL, true, false },
        { "REQID 7 1 1",
          "-CONFLICT current=" B " index=12 actor=jane%20doe the ref does not have the expected "
          "value\r\n",
          false, false },
    };
    struct fixture f;

    (void)state;
    START(&f, steps, 1);
    assert_int_equal(update(&f, NULL), RK_CONFLICT);
    assert_string_equal(f.error.current_oid, B);
    assert_int_equal(f.error.current_index, 12);
    assert_string_equal(f.error.current_actor, "jane doe");
    assert_string_equal(f.error.message,
                        "CONFLICT: the ref does not have the expected value: it is at " B
                        " since log index 12, set by jane doe");
    finish(&f);
}

static void a_silent_server_costs_the_deadline_and_no_more(void **state)
{
    const struct fake_step steps[] = { { "REF.GET", NULL, false, false } };
    char oid[RK_OID_TEXT_MAX + 1];
    struct fixture f;

    (void)state;
    start(&f, steps, 1, 200, 1);
    assert_int_equal(rk_ref_get(f.client, "a.git", "refs/heads/x", NULL, oid, &f.error),
                     RK_TIMED_OUT);
    finish(&f);
}

static void a_silent_server_leaves_a_write_unknown(void **state)
{
    const struct fake_step steps[] = { SESSION, { "REF.UPDATE", NULL, false, false } };
    struct fixture f;

    (void)state;
    start(&f, steps, 2, 200, 1);
    assert_int_equal(update(&f, NULL), RK_UNKNOWN);
    finish(&f);
}

static void nobody_there_is_unreachable(void **state)
{
    struct rk_options *options = rk_options_new();
    struct rk_client *client;
    struct rk_error error;
    char oid[RK_OID_TEXT_MAX + 1];

    (void)state;
    /* Port 1 of loopback: nothing listens there. */
    assert_int_equal(rk_options_set_endpoints(options, "127.0.0.1:1", &error), RK_OK);
    rk_options_set_dial_timeout_ms(options, 50);
    assert_int_equal(rk_client_open(options, &client, &error), RK_OK);
    assert_int_equal(rk_ref_get(client, "a", "refs/heads/x", NULL, oid, &error), RK_UNREACHABLE);
    assert_string_equal(error.endpoint, "127.0.0.1:1");
    rk_client_close(client);
    rk_options_free(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_opens_a_session_and_numbers_itself),
        cmocka_unit_test(a_server_without_sessions_gets_plain_writes),
        cmocka_unit_test(a_lost_write_is_sent_again_under_its_number),
        cmocka_unit_test(a_lost_write_without_a_session_is_unknown_and_never_sent_again),
        cmocka_unit_test(a_lost_read_is_asked_again),
        cmocka_unit_test(no_leader_is_tried_again_until_there_is_one),
        cmocka_unit_test(an_unknown_outcome_is_asked_for_under_its_number),
        cmocka_unit_test(an_expired_session_is_replaced_when_nothing_is_open),
        cmocka_unit_test(an_expired_session_behind_a_lost_write_is_unknown),
        cmocka_unit_test(a_refusal_after_a_lost_write_is_final),
        cmocka_unit_test(a_silent_server_costs_the_deadline_and_no_more),
        cmocka_unit_test(a_silent_server_leaves_a_write_unknown),
        cmocka_unit_test(nobody_there_is_unreachable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
