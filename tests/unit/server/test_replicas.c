/* SPDX-License-Identifier: Apache-2.0 */
/* REPLICA.REPORT, and what follows from it: routes and moves of primaries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "server_fixture.h"

#define NOTHING "00000000000000000000000000000000" /* the digest of no refs */
#define OTHER "00000000000000000000000000000001"

static int setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    fixture_open(f, NULL);
    fixture_chat(f, "STORAGE.SET s1 HTTP 10.0.0.1:80", ":1\r\n");
    fixture_chat(f, "STORAGE.SET s2 HTTP 10.0.0.2:80", ":2\r\n");
    fixture_chat(f, "REPO.CREATE a/b.git s1 REPLICAS 1 s2", ":3\r\n");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    heap_free(*state);
    return 0;
}

static const char *ask(struct fixture *f, const char *words)
{
    f->seen.size = 0;
    fixture_ask(f, words);
    fixture_settle(f);
    buffer_put_u8(&f->seen, '\0');
    f->seen.size = 0;
    return (const char *)f->seen.data;
}

static void reports_are_judged_one_by_one(void **state)
{
    struct fixture *f = *state;
    const char *text = ask(f, "REPLICA.REPORT s2 a/b.git 3 " NOTHING " a/b.git 3 " OTHER
                              " a/b.git 9 " NOTHING " no.git 0 " NOTHING " a/b.git x " NOTHING);

    assert_non_null(strstr(text, "*5\r\n+COMPLETE\r\n+DIFFERENT\r\n-REMOVED"));
    assert_non_null(strstr(text, "-NOREPO"));
    assert_non_null(strstr(text, "-BADARG"));
    fixture_chat(f, "REPLICA.REPORT s2", "*0\r\n");
    assert_non_null(strstr(ask(f, "REPLICA.REPORT s9 a/b.git 3 " NOTHING), "-NOSTORAGE"));
    assert_non_null(strstr(ask(f, "REPLICA.REPORT s2 a/b.git 3"), "-BADARG"));
    fixture_chat(f, "STORAGE.SET s3", ":4\r\n");
    assert_non_null(strstr(ask(f, "REPLICA.REPORT s3 a/b.git 3 " NOTHING), "-NOTREPLICA"));
}

static void a_primary_moves_to_a_replica_that_reported_all(void **state)
{
    struct fixture *f = *state;
    const char *text = ask(f, "PRIMARY.SET s2 a/b.git");

    assert_non_null(strstr(text, "-STALE"));
    assert_non_null(strstr(text, "last_index=3"));
    fixture_chat(f, "REPLICA.REPORT s2 a/b.git 3 " OTHER, "*1\r\n+DIFFERENT\r\n");
    assert_non_null(strstr(ask(f, "PRIMARY.SET s2 a/b.git"), "-STALE"));
    fixture_chat(f, "REPLICA.REPORT s2 a/b.git 3 " NOTHING, "*1\r\n+COMPLETE\r\n");
    fixture_chat(f, "PRIMARY.SET s2 a/b.git", "*1\r\n+OK\r\n");
}

static void a_change_makes_a_report_old(void **state)
{
    struct fixture *f = *state;

    fixture_chat(f, "REPLICA.REPORT s2 a/b.git 3 " NOTHING, "*1\r\n+COMPLETE\r\n");
    fixture_chat(f, "REF.UPDATE a/b.git refs/heads/m ABSENT " OID_A, ":4\r\n");
    assert_non_null(strstr(ask(f, "PRIMARY.SET s2 a/b.git"), "last_index=4"));
    fixture_chat(f, "PRIMARY.SET s2 a/b.git FORCE lost", "*1\r\n+OK\r\n");
}

static void fetches_go_to_whoever_is_in_sync_and_pushes_never(void **state)
{
    struct fixture *f = *state;
    int at_s2 = 0;

    assert_null(strstr(ask(f, "ROUTE a/b.git"), "target\r\n$2\r\ns2"));
    fixture_chat(f, "REPLICA.REPORT s2 a/b.git 3 " NOTHING, "*1\r\n+COMPLETE\r\n");
    for (int i = 0; i < 4; i++) {
        f->node->now_ms += 1000;
        at_s2 += strstr(ask(f, "ROUTE a/b.git READ"), "target\r\n$2\r\ns2") != NULL;
        assert_non_null(strstr(ask(f, "ROUTE a/b.git WRITE"), "target\r\n$2\r\ns1"));
    }
    assert_int_equal(at_s2, 2);
    fixture_chat(f, "STORAGE.SET s1 STATE down", ":4\r\n");
    assert_non_null(strstr(ask(f, "ROUTE a/b.git READ"), "target\r\n$2\r\ns2"));
    assert_null(strstr(ask(f, "ROUTE a/b.git WRITE"), "target\r\n$2"));
    /* A storage that says nothing any more gets no reads. */
    f->node->now_ms += 60000;
    assert_null(strstr(ask(f, "ROUTE a/b.git READ"), "target\r\n$2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reports_are_judged_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_primary_moves_to_a_replica_that_reported_all, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_change_makes_a_report_old, setup, teardown),
        cmocka_unit_test_setup_teardown(fetches_go_to_whoever_is_in_sync_and_pushes_never, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
