/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: a write sent twice is applied once.  [DESIGN 3; thesis 6.3] */
#include "unit/refdb/fixture.h"

#include <stdio.h>

#include "base/limits.h"

#define REPO "r.git"
#define DAY_MS (24LL * 3600 * 1000)

static int setup(void **state)
{
    int rc = fixture_setup(state);

    assert_int_equal(register_repo(*state, REPO, "s1"), RK_OK);
    return rc;
}

static uint64_t opened(struct fixture *f)
{
    assert_int_equal(open_session(f), RK_OK);
    return f->result.index;
}

/* Writes the ref "any -> value" under the session. */
static enum rk_status write_under(struct fixture *f, uint64_t session, uint64_t sequence,
                                  uint64_t lowest, const char *ref, unsigned value)
{
    struct ref_update u = update_of(ref, -1, value);

    f->envelope.flags |= ENVELOPE_HAS_SESSION;
    f->envelope.session = session;
    f->envelope.sequence = sequence;
    f->envelope.lowest_unanswered = lowest;
    return ref_batch(f, REPO, &u, 1, true);
}

static void a_write_sent_twice_is_applied_once_and_answered_alike(void **state)
{
    struct fixture *f = *state;
    uint64_t session = opened(f);
    raft_index first;

    assert_int_equal(write_under(f, session, 1, 0, "refs/heads/a", 1), RK_OK);
    first = f->result.index;
    assert_int_equal(write_under(f, session, 2, 0, "refs/heads/a", 2), RK_OK);
    assert_int_equal(write_under(f, session, 1, 0, "refs/heads/a", 1), RK_OK);
    assert_true(f->result.is_replay);
    assert_int_equal(f->result.replay_index, first);
    assert_int_equal(f->result.change_count, 0);
    assert_int_equal(ref_number(f, REPO, "refs/heads/a"), 2);
}

static void a_refusal_is_replayed_as_it_was(void **state)
{
    struct fixture *f = *state;
    uint64_t session = opened(f);
    struct oid one = oid_number(1);
    struct ref_update u[2] = { update_of("refs/heads/a", 0, 5), update_of("refs/heads/b", 0, 5) };

    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    for (unsigned i = 0; i < 2; i++) {
        f->envelope =
            (struct envelope){ .flags = ENVELOPE_HAS_SESSION, .session = session, .sequence = 3 };
        assert_int_equal(ref_batch(f, REPO, u, 2, false), RK_EXISTS);
        assert_int_equal(f->result.item_count, 2);
        assert_true(oid_equal(&f->result.items[0].current, &one));
        assert_int_equal(f->result.items[1].status, RK_OK);
        assert_int_equal(f->result.is_replay, i == 1);
        assert_int_equal(ref_update(f, REPO, "refs/heads/a", -1, 2 + i), RK_OK);
    }
}

static void an_answered_sequence_is_expired(void **state)
{
    struct fixture *f = *state;
    uint64_t session = opened(f);

    assert_int_equal(write_under(f, session, 1, 0, "refs/heads/a", 1), RK_OK);
    assert_int_equal(write_under(f, session, 5, 5, "refs/heads/a", 2), RK_OK);
    assert_int_equal(write_under(f, session, 1, 0, "refs/heads/a", 3), RK_EXPIRED);
    assert_int_equal(write_under(f, session, 4, 0, "refs/heads/a", 3), RK_EXPIRED);
    assert_int_equal(write_under(f, session, UINT64_MAX, 0, "refs/heads/a", 3), RK_EXPIRED);
    assert_int_equal(write_under(f, session + 1, 9, 0, "refs/heads/a", 3), RK_EXPIRED);
    assert_int_equal(ref_number(f, REPO, "refs/heads/a"), 2);
}

static void the_window_is_bounded(void **state)
{
    struct fixture *f = *state;
    uint64_t session = opened(f);

    for (unsigned i = 0; i <= SESSION_WINDOW_MAX; i++) {
        assert_int_equal(write_under(f, session, i, 0, "refs/heads/a", i + 1), RK_OK);
    }
    assert_int_equal(write_under(f, session, 0, 0, "refs/heads/a", 1), RK_EXPIRED);
    assert_int_equal(write_under(f, session, 1, 0, "refs/heads/a", 1), RK_OK);
    assert_true(f->result.is_replay);
}

static void an_idle_session_expires_by_replicated_time_alone(void **state)
{
    struct fixture *f = *state;
    uint64_t idle, busy;
    struct refdb_gauges gauges;

    f->envelope.cluster_ms = 1000;
    assert_int_equal(write_under(f, 0, 1, 0, "refs/heads/a", 1), RK_EXPIRED);
    idle = opened(f);
    busy = opened(f);
    f->envelope.cluster_ms = DAY_MS;
    assert_int_equal(write_under(f, busy, 1, 0, "refs/heads/a", 1), RK_OK);
    f->envelope.cluster_ms = 500; /* never backwards */
    assert_int_equal(write_under(f, busy, 2, 0, "refs/heads/a", 2), RK_OK);
    assert_int_equal(refdb_cluster_ms(f->db), DAY_MS);
    f->envelope.cluster_ms = DAY_MS + 5000;
    assert_int_equal(write_under(f, idle, 1, 0, "refs/heads/a", 3), RK_EXPIRED);
    refdb_get_gauges(f->db, &gauges);
    assert_int_equal(gauges.sessions, 1);
    assert_int_equal(write_under(f, busy, 3, 0, "refs/heads/a", 3), RK_OK);
}

static void one_session_too_many_evicts_the_one_idle_longest(void **state)
{
    struct fixture *f = *state;
    uint64_t first = opened(f), second = opened(f);
    struct refdb_gauges gauges;

    for (unsigned i = 2; i < SESSIONS_MAX; i++) {
        (void)opened(f);
    }
    assert_int_equal(write_under(f, first, 1, 0, "refs/heads/a", 1), RK_OK);
    (void)opened(f);
    refdb_get_gauges(f->db, &gauges);
    assert_int_equal(gauges.sessions, SESSIONS_MAX);
    assert_int_equal(write_under(f, second, 1, 0, "refs/heads/a", 1), RK_EXPIRED);
    assert_int_equal(write_under(f, first, 1, 0, "refs/heads/a", 1), RK_OK);
}

static void results_survive_a_dump(void **state)
{
    struct fixture *f = *state;
    uint64_t session = opened(f);
    struct buffer dump;

    assert_int_equal(write_under(f, session, 8, 3, "refs/heads/a", 1), RK_OK);
    dump = dump_of(f->db);
    refdb_free(f->db);
    f->db = load_of(buffer_slice(&dump), 100);
    buffer_release(&dump);
    assert_non_null(f->db);
    assert_int_equal(write_under(f, session, 8, 3, "refs/heads/a", 1), RK_OK);
    assert_true(f->result.is_replay);
    assert_int_equal(write_under(f, session, 2, 0, "refs/heads/a", 1), RK_EXPIRED);
}

/* The kept form is bounded; what does not fit loses its details, never its status. */
static void a_huge_result_keeps_every_status(void **state)
{
    static struct ref_update updates[5000];
    static char names[5000][256];
    struct fixture *f = *state;
    uint64_t session = opened(f);

    for (unsigned i = 0; i < 5000; i++) {
        snprintf(names[i], sizeof names[i], "refs/heads/%0230u", i);
        updates[i] = update_of(names[i], 0, 1);
    }
    assert_int_equal(ref_batch(f, REPO, updates, 5000, true), RK_OK);
    for (unsigned i = 0; i < 2; i++) {
        f->envelope =
            (struct envelope){ .flags = ENVELOPE_HAS_SESSION, .session = session, .sequence = 1 };
        assert_int_equal(ref_batch(f, REPO, updates, 5000, false), RK_EXISTS);
        assert_int_equal(f->result.item_count, 5000);
        assert_int_equal(f->result.items[4999].status, RK_EXISTS);
        assert_int_equal(f->result.items[0].current.size, 20);
        assert_int_equal(f->result.items[4999].current.size, i == 0 ? 20 : 0);
    }
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_write_sent_twice_is_applied_once_and_answered_alike),
        RULE(a_refusal_is_replayed_as_it_was),
        RULE(an_answered_sequence_is_expired),
        RULE(the_window_is_bounded),
        RULE(an_idle_session_expires_by_replicated_time_alone),
        RULE(one_session_too_many_evicts_the_one_idle_longest),
        RULE(results_survive_a_dump),
        RULE(a_huge_result_keeps_every_status),
    };

    return cmocka_run_group_tests_name("refdb/sessions", tests, NULL, NULL);
}
