/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, gauges, and the tracked-ref filter. */
#include "unit/refdb/fixture.h"

#include "model/ref_filter.h"

#define REPO "g/a.git"
#define OTHER "g/b.git"

static enum rk_status set_limit(struct fixture *f, enum limit limit, uint64_t value)
{
    struct command c = { .tag = COMMAND_SET_LIMITS };

    c.u.set_limits.fields = 1U << limit;
    c.u.set_limits.values[limit] = value;
    return plain(f, &c);
}

/* Texts in pairs: "+" or "-", pattern. */
static enum rk_status set_filter(struct fixture *f, const char *const *rules, uint32_t count)
{
    struct command c = { .tag = COMMAND_SET_FILTER };
    struct buffer bytes = BUFFER_INIT;
    enum rk_status status;

    for (uint32_t i = 0; i < count; i++) {
        struct ref_rule rule = { rules[2 * i][0] == '+', TEXT(rules[2 * i + 1]) };

        ref_filter_put(&bytes, &rule);
    }
    c.u.set_filter.count = count;
    c.u.set_filter.rules = buffer_slice(&bytes);
    status = plain(f, &c);
    buffer_release(&bytes);
    return status;
}

static struct refdb_gauges gauges(struct fixture *f)
{
    struct refdb_gauges g;

    refdb_get_gauges(f->db, &g);
    return g;
}

static void expect_too_large(struct fixture *f, enum rk_status status, const char *detail)
{
    assert_int_equal(status, RK_TOOLARGE);
    assert_int_equal(f->result.change_count, 0);
    assert_slice(f->result.items[0].detail, detail);
}

/* ---- Limits ---- */

static void repositories_are_limited(void **state)
{
    struct fixture *f = *state;
    struct command create = { .tag = COMMAND_CREATE_REPO };

    create.u.create_repo.path = TEXT(OTHER);
    create.u.create_repo.primary = TEXT("s1");
    assert_int_equal(set_limit(f, LIMIT_REPOSITORIES, 1), RK_OK);
    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    expect_too_large(f, register_repo(f, OTHER, "s1"), "limited to 1 repositories");
    expect_too_large(f, plain(f, &create), "limited to 1 repositories");
    assert_int_equal(register_repo(f, REPO, "s2"), RK_OK); /* one more replica is no repository */
    assert_int_equal(rename_repo(f, REPO, "g/c.git", false), RK_OK);
    assert_int_equal(remove_repo(f, "g/c.git"), RK_OK);
    assert_int_equal(plain(f, &create), RK_OK);
}

static void refs_are_limited_but_may_move_and_go(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(register_repo(f, OTHER, "s1"), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/b", 0, 1), RK_OK);
    assert_int_equal(set_limit(f, LIMIT_REFS, 2), RK_OK);
    expect_too_large(f, ref_update(f, OTHER, "refs/heads/c", 0, 1), "limited to 2 refs");
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 1, 2), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/b", 1, 0), RK_OK);
    assert_int_equal(ref_update(f, OTHER, "refs/heads/c", 0, 1), RK_OK);
    assert_int_equal(set_limit(f, LIMIT_REFS, 0), RK_OK);
    assert_int_equal(ref_update(f, OTHER, "refs/heads/d", 0, 1), RK_OK);
}

static void a_limit_below_what_is_there_refuses_growth_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    for (unsigned i = 0; i < 4; i++) {
        const char *const names[] = { "refs/heads/a", "refs/heads/b", "refs/heads/c",
                                      "refs/heads/d" };

        assert_int_equal(ref_update(f, REPO, names[i], 0, 1), RK_OK);
    }
    assert_int_equal(set_limit(f, LIMIT_REPOSITORY_REFS, 2), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 1, 2), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 2, 0), RK_OK);
    expect_too_large(f, ref_update(f, REPO, "refs/heads/a", 0, 1),
                     "limited to 2 refs of a repository");
    assert_int_equal(ref_update(f, REPO, "refs/heads/b", 1, 0), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/c", 1, 0), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
}

static void bytes_are_those_of_the_gauges(void **state)
{
    struct fixture *f = *state;
    uint64_t ref_bytes = sizeof "refs/heads/a" - 1 + 20;
    uint64_t repository_bytes = sizeof REPO - 1 + sizeof "refs/heads/main" - 1 + 2;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(gauges(f).repository_bytes, repository_bytes);
    assert_int_equal(set_limit(f, LIMIT_BYTES, repository_bytes + ref_bytes), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    assert_int_equal(gauges(f).ref_bytes, ref_bytes);
    assert_int_equal(repository(f, REPO).ref_bytes, ref_bytes);
    assert_int_equal(ref_update(f, REPO, "refs/heads/b", 0, 1), RK_TOOLARGE);
    assert_int_equal(register_repo(f, OTHER, "s1"), RK_TOOLARGE);
    assert_int_equal(set_limit(f, LIMIT_BYTES, 2 * repository_bytes + ref_bytes - 1), RK_OK);
    assert_int_equal(register_repo(f, OTHER, "s1"), RK_TOOLARGE);
    assert_int_equal(set_limit(f, LIMIT_BYTES, 2 * repository_bytes + ref_bytes), RK_OK);
    assert_int_equal(register_repo(f, OTHER, "s1"), RK_OK);
    assert_int_equal(remove_repo(f, REPO), RK_OK);
    assert_int_equal(gauges(f).ref_bytes, 0);
    assert_int_equal(gauges(f).repository_bytes, repository_bytes);
}

static void an_actor_counts_with_each_of_its_refs(void **state)
{
    struct fixture *f = *state;
    struct ref_update u = update_of("refs/heads/a", 0, 1);

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    f->envelope.actor = TEXT("alice");
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_OK);
    assert_int_equal(gauges(f).ref_bytes, 12 + 20 + 5);
    u = update_of("refs/heads/a", 1, 2);
    f->envelope.actor = TEXT("bo");
    assert_int_equal(ref_batch(f, REPO, &u, 1, true), RK_OK);
    assert_int_equal(gauges(f).ref_bytes, 12 + 20 + 2);
}

static void an_atomic_batch_may_swap_refs_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct ref_update swap[2] = { update_of("refs/heads/b", 0, 1),
                                  update_of("refs/heads/a", 1, 0) };
    struct ref_update more[3] = { update_of("refs/heads/c", 0, 1), update_of("refs/heads/d", 0, 1),
                                  update_of("refs/heads/b", 1, 0) };

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(set_limit(f, LIMIT_REFS, 1), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    assert_int_equal(ref_batch(f, REPO, swap, 2, true), RK_OK);
    assert_int_equal(ref_batch(f, REPO, more, 3, true), RK_TOOLARGE);
    assert_int_equal(f->result.item_count, 3);
    assert_int_equal(f->result.items[0].status, RK_ABORTED);
    assert_int_equal(f->result.items[1].status, RK_TOOLARGE);
    assert_int_equal(f->result.items[2].status, RK_ABORTED);
    assert_int_equal(ref_number(f, REPO, "refs/heads/b"), 1);
    assert_int_equal(ref_batch(f, REPO, more, 3, false), RK_TOOLARGE); /* deletions come first */
    assert_int_equal(f->result.items[0].status, RK_OK);
    assert_int_equal(f->result.items[1].status, RK_TOOLARGE);
    assert_int_equal(f->result.items[2].status, RK_OK);
}

static void setting_what_is_so_already_changes_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = { "-", "refs/changes/" };
    uint64_t limits[LIMIT_COUNT];

    assert_int_equal(set_limit(f, LIMIT_REFS, 0), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_ALREADY);
    assert_int_equal(set_limit(f, LIMIT_REFS, 7), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_DONE);
    assert_int_equal(f->result.change_count, 1);
    assert_int_equal(f->result.changes[0].kind, REFDB_CHANGE_SETTING);
    assert_slice(f->result.changes[0].name, "limits");
    assert_slice(f->result.changes[0].new_text,
                 "0 repositories, 7 refs, 0 bytes, 0 refs of a repository");
    refdb_get_limits(f->db, limits);
    assert_int_equal(limits[LIMIT_REFS], 7);
    assert_int_equal(set_filter(f, rules, 1), RK_OK);
    assert_slice(f->result.changes[0].new_text, "ignore refs/changes/");
    assert_int_equal(set_filter(f, rules, 1), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_ALREADY);
    assert_int_equal(f->result.change_count, 0);
    assert_int_equal(set_filter(f, rules, 0), RK_OK);
    assert_int_equal(refdb_filter(f->db).size, 0);
}

/* ---- The filter ---- */

static void an_ignored_ref_is_neither_checked_nor_stored(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = { "+", "refs/changes/*/*/meta", "-", "refs/changes/" };

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(set_filter(f, rules, 2), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/changes/01/1/1", 9, 1), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_UNTRACKED);
    assert_int_equal(f->result.change_count, 0);
    assert_int_equal(ref_update(f, REPO, "refs/changes/01/1/1", -1, 0), RK_OK);
    assert_int_equal(gauges(f).refs, 0);
    assert_int_equal(ref_update(f, REPO, "refs/changes/01/1/meta", 9, 1), RK_NOREF);
    assert_int_equal(ref_update(f, REPO, "refs/changes/01/1/meta", 0, 1), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_DONE);
    assert_int_equal(ref_update(f, REPO, "refs/changes/bad..name", 0, 1), RK_BADREF);
}

static void a_ref_stored_before_goes_with_its_next_update(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = { "-", "refs/changes/" };

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/changes/01/1/1", 0, 1), RK_OK);
    assert_int_equal(set_filter(f, rules, 1), RK_OK);
    assert_int_equal(ref_number(f, REPO, "refs/changes/01/1/1"), 1);
    assert_int_equal(ref_update(f, REPO, "refs/changes/01/1/1", 5, 6), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_UNTRACKED);
    assert_int_equal(f->result.change_count, 1);
    assert_int_equal(f->result.changes[0].old_oid.size, 20);
    assert_int_equal(f->result.changes[0].new_oid.size, 0);
    assert_int_equal(gauges(f).refs, 0);
    assert_int_equal(gauges(f).ref_bytes, 0);
}

static void an_atomic_batch_is_decided_by_its_tracked_refs(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = { "-", "refs/changes/" };
    struct ref_update good[2] = { update_of("refs/changes/01/1/1", 7, 8),
                                  update_of("refs/heads/a", 0, 1) };
    struct ref_update bad[2] = { update_of("refs/changes/01/1/1", 7, 8),
                                 update_of("refs/heads/a", 5, 6) };

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(set_filter(f, rules, 1), RK_OK);
    assert_int_equal(ref_batch(f, REPO, good, 2, true), RK_OK);
    assert_int_equal(f->result.items[0].outcome, REFDB_DONE);
    assert_int_equal(f->result.change_count, 1);
    assert_int_equal(ref_batch(f, REPO, bad, 2, true), RK_CONFLICT);
    assert_int_equal(ref_number(f, REPO, "refs/heads/a"), 1);
}

static void a_bad_pattern_is_refused_whole(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = { "-", "refs/changes/", "-", "heads/" };

    assert_int_equal(set_filter(f, rules, 2), RK_BADARG);
    assert_int_equal(refdb_filter(f->db).size, 0);
}

static void settings_demand_no_repository(void **state)
{
    struct fixture *f = *state;
    struct command limits = { .tag = COMMAND_SET_LIMITS }, filter = { .tag = COMMAND_SET_FILTER };

    limits.u.set_limits.fields = 1;
    limits.u.set_limits.values[0] = 5;
    for (unsigned i = 0; i < 2; i++) {
        f->envelope.flags = ENVELOPE_HAS_EPOCH;
        buffer_clear(&f->command);
        command_encode_plain(&f->command, i == 0 ? &limits : &filter);
        assert_int_equal(fixture_apply_enveloped(f), RK_BADARG);
    }
}

static void settings_and_gauges_are_in_the_dump(void **state)
{
    struct fixture *f = *state;
    static const char *const rules[] = { "-", "refs/changes/" };
    struct refdb_gauges before, after;
    uint64_t limits[LIMIT_COUNT];
    struct refdb *loaded;
    struct buffer dump;

    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    assert_int_equal(ref_update(f, REPO, "refs/heads/a", 0, 1), RK_OK);
    assert_int_equal(set_filter(f, rules, 1), RK_OK);
    assert_int_equal(set_limit(f, LIMIT_BYTES, 12345), RK_OK);
    before = gauges(f);
    dump = dump_of(f->db);
    loaded = load_of(buffer_slice(&dump), dump.size);
    assert_non_null(loaded);
    refdb_get_limits(loaded, limits);
    assert_int_equal(limits[LIMIT_BYTES], 12345);
    assert_true(slice_equal(refdb_filter(loaded), refdb_filter(f->db)));
    refdb_get_gauges(loaded, &after);
    assert_int_equal(before.ref_bytes, after.ref_bytes);
    assert_int_equal(before.repository_bytes, after.repository_bytes);
    buffer_release(&dump);
    refdb_free(loaded);
}

static void a_refusal_by_a_limit_is_replayed(void **state)
{
    struct fixture *f = *state;
    uint64_t session;

    assert_int_equal(open_session(f), RK_OK);
    session = f->result.index;
    assert_int_equal(set_limit(f, LIMIT_REPOSITORIES, 1), RK_OK);
    assert_int_equal(register_repo(f, REPO, "s1"), RK_OK);
    for (unsigned i = 0; i < 2; i++) {
        f->envelope = (struct envelope){
            .flags = ENVELOPE_HAS_SESSION, .session = session, .sequence = 1, .lowest_unanswered = 1
        };
        buffer_clear(&f->command);
        command_encode_register_repo(&f->command, TEXT(OTHER), TEXT("s1"));
        assert_int_equal(fixture_apply_enveloped(f), RK_TOOLARGE);
        assert_int_equal(f->result.is_replay, i == 1);
        assert_slice(f->result.items[0].detail, "limited to 1 repositories");
        assert_int_equal(set_limit(f, LIMIT_REPOSITORIES, 0), RK_OK);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(repositories_are_limited),
        TEST(refs_are_limited_but_may_move_and_go),
        TEST(a_limit_below_what_is_there_refuses_growth_alone),
        TEST(bytes_are_those_of_the_gauges),
        TEST(an_actor_counts_with_each_of_its_refs),
        TEST(an_atomic_batch_may_swap_refs_at_the_limit),
        TEST(setting_what_is_so_already_changes_nothing),
        TEST(an_ignored_ref_is_neither_checked_nor_stored),
        TEST(a_ref_stored_before_goes_with_its_next_update),
        TEST(an_atomic_batch_is_decided_by_its_tracked_refs),
        TEST(a_bad_pattern_is_refused_whole),
        TEST(settings_demand_no_repository),
        TEST(settings_and_gauges_are_in_the_dump),
        TEST(a_refusal_by_a_limit_is_replayed),
    };

    return cmocka_run_group_tests_name("refdb/settings", tests, NULL, NULL);
}
