/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of one connection take effect and are answered in order, whatever the node does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/heap.h"
#include "server_fixture.h"

#define UPDATE "REF.UPDATE a.git refs/heads/m "
#define GET "REF.GET a.git refs/heads/m"
#define BULK(oid) "$40\r\n" oid "\r\n"

static int setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    fixture_open(f, NULL);
    fixture_chat(f, "REPO.REGISTER a.git s1", "*2\r\n:1\r\n+CREATED\r\n");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    heap_free(*state);
    return 0;
}

static void writes_that_follow_each_other_are_proposed_together(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_ask(f, UPDATE OID_A " " OID_B);
    fixture_expect(f, "");
    assert_int_equal(f->node->proposal_count, 2);
    f->node->holds_writes = false;
    fixture_expect(f, ":2\r\n:3\r\n");
}

static void a_read_behind_a_write_waits_for_it(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_ask(f, GET);
    fixture_expect(f, "");
    assert_int_equal(f->node->read_total, 0);
    f->node->holds_writes = false;
    fixture_expect(f, ":2\r\n" BULK(OID_A));
}

static void a_write_behind_a_read_waits_for_it(void **state)
{
    struct fixture *f = *state;

    f->node->holds_reads = true;
    fixture_ask(f, GET);
    fixture_ask(f, GET " STALE"); /* another consistency: another group */
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_ask(f, "PING");
    fixture_expect(f, "");
    assert_int_equal(f->node->proposed_total, 1);
    assert_int_equal(f->node->read_total, 1);
    f->node->holds_reads = false;
    fixture_expect(f, "$-1\r\n$-1\r\n:2\r\n+PONG\r\n");
}

static void reads_that_follow_each_other_share_one_question(void **state)
{
    struct fixture *f = *state;

    fixture_send(f, "*3\r\n$7\r\nREF.GET\r\n$5\r\na.git\r\n$6\r\nrefs/x\r\n", 40);
    fixture_expect(f, "$-1\r\n");
    f->node->holds_reads = true;
    f->node->read_total = 0;
    fixture_send(f,
                 "*3\r\n$7\r\nREF.GET\r\n$5\r\na.git\r\n$6\r\nrefs/x\r\n"
                 "*3\r\n$7\r\nREF.GET\r\n$5\r\nb.git\r\n$6\r\nrefs/x\r\n",
                 80);
    fixture_expect(f, "");
    assert_int_equal(f->node->read_total, 1);
    f->node->holds_reads = false;
    fixture_expect(f, "$-1\r\n-NOREPO no such repository\r\n");
}

static void answers_that_come_out_of_order_leave_in_order(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_ask(f, UPDATE OID_A " " OID_B);
    fixture_ask(f, UPDATE OID_B " nonsense"); /* refused here, answered behind the others */
    fixture_expect(f, "");
    fake_node_end_write(f->node, 1, RK_NOLEADER);
    fixture_expect(f, "");
    fake_node_end_write(f->node, 0, RK_OK);
    fixture_expect(f, ":2\r\n-NOLEADER no leader is known\r\n"
                      "-BADOID 40 or 64 hex digits were expected, of old and new alike\r\n");
}

static void a_change_of_the_members_is_answered_when_it_is_made(void **state)
{
    struct fixture *f = *state;

    fixture_ask(f, "MEMBER.ADD n4 10.0.0.4:7480 LEARNER");
    fixture_ask(f, "PING");
    fixture_expect(f, "");
    assert_int_equal(f->node->change.kind, MEMBER_CHANGE_ADD_LEARNER);
    assert_string_equal(f->node->change.name, "n4");
    assert_string_equal(f->node->change.peer_address, "10.0.0.4:7480");
    fake_node_end_change(f->node, RK_OK, 77, NULL);
    fixture_expect(f, ":77\r\n+PONG\r\n");
    fixture_ask(f, "MEMBER.REPLACE n3");
    fixture_expect(f, "");
    assert_int_equal(f->node->change.kind, MEMBER_CHANGE_REPLACE);
    assert_string_equal(f->node->change.peer_address, "");
    fake_node_end_change(f->node, RK_REFUSED, 0, "no voter would be left");
    fixture_expect(f, "-REFUSED no voter would be left\r\n");
    fixture_ask(f, "LEADER.MOVE");
    fixture_expect(f, "");
    assert_string_equal(f->node->change.name, "");
    fake_node_end_change(f->node, RK_OK, 0, NULL);
    fixture_expect(f, "+OK\r\n");
    fixture_chat(f, "MEMBER.ADD a/b 10.0.0.4:7480", "-BADARG member: not the name of a member\r\n");
    fixture_chat(f, "MEMBER.REMOVE", "-BADARG usage: MEMBER.REMOVE name\r\n");
    f->node->change_status = RK_BADARG;
    fixture_chat(f, "MEMBER.UPDATE n3 nowhere", "-BADARG a malformed argument\r\n");
}

static void writes_behind_an_unknown_are_not_executed(void **state)
{
    struct fixture *f = *state;
    static const char refused[] = "-ABORTED not executed: the outcome of a write before it on "
                                  "this connection is unknown\r\n";
    char both[600];

    f->node->holds_writes = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_ask(f, GET);
    fixture_ask(f, UPDATE "ABSENT " OID_B); /* behind a read: not proposed yet */
    fixture_expect(f, "");
    fake_node_end_write(f->node, 0, RK_UNKNOWN);
    (void)snprintf(both, sizeof both, "-UNKNOWN the outcome could not be learned in time\r\n%s%s",
                   "$-1\r\n", refused);
    f->node->holds_writes = false;
    fixture_expect(f, both);
    assert_int_equal(f->node->proposed_total, 2);
    fixture_chat(f, UPDATE "ABSENT " OID_B, ":2\r\n"); /* the client knows by now */
}

static void a_lone_unknown_refuses_nothing(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_expect(f, "");
    fake_node_end_write(f->node, 0, RK_UNKNOWN);
    f->node->holds_writes = false;
    fixture_expect(f, "-UNKNOWN the outcome could not be learned in time\r\n");
    fixture_chat(f, UPDATE "ABSENT " OID_A, ":2\r\n");
}

static void a_write_the_node_refuses_is_answered_at_once(void **state)
{
    struct fixture *f = *state;

    f->node->propose_status = RK_OVERLOADED;
    fixture_chat(f, UPDATE "ABSENT " OID_A, "-OVERLOADED a queue is full\r\n");
}

static void outcomes_for_a_closed_connection_are_dropped(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = f->node->holds_reads = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_ask(f, UPDATE "ABSENT wrong");
    fixture_expect(f, "");
    fixture_chat(f, "QUIT", "");
    shutdown(f->fd, 1);
    fixture_settle(f);
    assert_int_equal(f->node->proposal_count, 1);
    f->node->holds_writes = f->node->holds_reads = false;
    fixture_settle(f);
}

static void a_closed_server_lets_the_node_end_what_it_owes(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = f->node->holds_reads = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_expect(f, ""); /* teardown closes the server before the node answers */
}

static void draining_answers_what_was_asked_and_closes(void **state)
{
    struct fixture *f = *state;

    f->node->holds_writes = true;
    fixture_ask(f, UPDATE "ABSENT " OID_A);
    fixture_expect(f, "");
    server_drain(f->server);
    fixture_ask(f, "PING");
    fixture_expect(f, "");
    assert_false(server_is_drained(f->server));
    f->node->holds_writes = false;
    fixture_expect(f, ":2\r\n");
    assert_true(f->is_closed);
    assert_true(server_is_drained(f->server));
}

static void a_deep_pipeline_is_answered_whole(void **state)
{
    struct fixture *f = *state;
    char words[128];
    size_t lines = 0;

    for (int i = 0; i < 20000; i++) {
        (void)snprintf(words, sizeof words, "REF.UPDATE a.git refs/h/%d ANY %s", i, OID_A);
        fixture_ask(f, words);
    }
    fixture_settle(f);
    for (size_t i = 0; i < f->seen.size; i++) {
        lines += f->seen.data[i] == '\n';
    }
    assert_int_equal(lines, 20000);
    buffer_clear(&f->seen);
}

static void a_client_that_does_not_read_costs_little(void **state)
{
    struct fixture *f = *state;
    char words[128];
    struct buffer out = BUFFER_INIT;

    for (int i = 0; i < 2000; i++) {
        (void)snprintf(words, sizeof words, "REF.UPDATE a.git refs/h/%d ANY %s", i, OID_A);
        fixture_ask(f, words);
    }
    fixture_settle(f);
    buffer_clear(&f->seen);
    for (int i = 0; i < 1000; i++) { /* about 100 MB of answers */
        buffer_printf(&out, "*2\r\n$8\r\nREF.LIST\r\n$5\r\na.git\r\n");
    }
    assert_int_equal(send(f->fd, out.data, out.size, 0), (ssize_t)out.size);
    buffer_release(&out);
    for (int i = 0; i < 200; i++) {
        fake_node_turn(f->node);
    }
    assert_true(f->node->read_total == 1); /* the rest waits, no memory grows */
    fixture_settle(f);
    assert_true(f->seen.size > 50 * MIB);
    assert_false(f->is_closed);
    buffer_clear(&f->seen);
    fixture_chat(f, "PING", "+PONG\r\n");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(writes_that_follow_each_other_are_proposed_together),
        ROW(a_read_behind_a_write_waits_for_it),
        ROW(a_write_behind_a_read_waits_for_it),
        ROW(reads_that_follow_each_other_share_one_question),
        ROW(answers_that_come_out_of_order_leave_in_order),
        ROW(a_change_of_the_members_is_answered_when_it_is_made),
        ROW(writes_behind_an_unknown_are_not_executed),
        ROW(a_lone_unknown_refuses_nothing),
        ROW(a_write_the_node_refuses_is_answered_at_once),
        ROW(outcomes_for_a_closed_connection_are_dropped),
        ROW(a_closed_server_lets_the_node_end_what_it_owes),
        ROW(draining_answers_what_was_asked_and_closes),
        ROW(a_deep_pipeline_is_answered_whole),
        ROW(a_client_that_does_not_read_costs_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
