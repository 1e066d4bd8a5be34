/* SPDX-License-Identifier: Apache-2.0 */
/* Plain commands: what is encoded comes back, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>

#include "base/heap.h"
#include "model/command.h"
#include "model/ref_filter.h"

#define T(text) slice_of_text(text)

struct fixture {
    struct buffer b;
    struct command c;
};

static int setup(void **state)
{
    *state = heap_new(struct fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buffer_release(&f->b);
    heap_free(f);
    return 0;
}

static enum rk_status decode(struct fixture *f)
{
    return command_decode(buffer_slice(&f->b), &f->c);
}

/* Every cut and every further byte is refused: a command is walked to its very end. */
static void expect_exact(struct fixture *f)
{
    struct command c = { .tag = COMMAND_NOOP };

    for (size_t size = 0; size < f->b.size; size++) {
        assert_int_not_equal(command_decode(slice_of(f->b.data, size), &c), RK_OK);
        assert_int_equal(c.tag, COMMAND_NOOP); /* untouched */
    }
    buffer_put_u8(&f->b, 0);
    assert_int_equal(command_decode(buffer_slice(&f->b), &c), RK_PROTOCOL);
    f->b.size--;
    assert_int_equal(decode(f), RK_OK);
}

/* command_encode_plain() of what was decoded gives the same bytes. */
static void expect_canonical(struct fixture *f)
{
    struct buffer again = BUFFER_INIT;

    assert_int_equal(decode(f), RK_OK);
    command_encode_plain(&again, &f->c);
    assert_true(slice_equal(buffer_slice(&again), buffer_slice(&f->b)));
    buffer_release(&again);
    expect_exact(f);
}

static void ref_update_comes_back(void **state)
{
    struct fixture *f = *state;

    command_encode_ref_update(&f->b, T("a/b.git"), T("refs/heads/main"), T(""), T("0123"));
    expect_exact(f);
    assert_int_equal(f->c.tag, COMMAND_REF_UPDATE);
    assert_true(slice_equal(f->c.u.ref_update.path, T("a/b.git")));
    assert_true(slice_equal(f->c.u.ref_update.refname, T("refs/heads/main")));
    assert_int_equal(f->c.u.ref_update.old_value.size, 0);
    assert_true(slice_equal(f->c.u.ref_update.new_value, T("0123")));
}

static void register_repo_comes_back(void **state)
{
    struct fixture *f = *state;

    command_encode_register_repo(&f->b, T("a/b.git"), T("s1"));
    expect_exact(f);
    assert_int_equal(f->c.tag, COMMAND_REGISTER_REPO);
    assert_true(slice_equal(f->c.u.register_repo.path, T("a/b.git")));
    assert_true(slice_equal(f->c.u.register_repo.storage, T("s1")));
}

static void remove_repo_comes_back(void **state)
{
    struct fixture *f = *state;

    command_encode_remove_repo(&f->b, T("a/b.git"));
    expect_exact(f);
    assert_int_equal(f->c.tag, COMMAND_REMOVE_REPO);
    assert_true(slice_equal(f->c.u.remove_repo.path, T("a/b.git")));
}

static void set_primary_comes_back(void **state)
{
    struct fixture *f = *state;
    const struct slice paths[] = { T("a"), T(""), T("b/c") };
    struct slice rest, path;

    command_encode_set_primary(&f->b, T("s1"), paths, 3);
    expect_exact(f);
    assert_int_equal(f->c.tag, COMMAND_SET_PRIMARY);
    assert_true(slice_equal(f->c.u.set_primary.storage, T("s1")));
    assert_int_equal(f->c.u.set_primary.count, 3);
    rest = f->c.u.set_primary.paths;
    for (size_t i = 0; i < 3; i++) {
        assert_true(command_next_string(&rest, &path));
        assert_true(slice_equal(path, paths[i]));
    }
    assert_false(command_next_string(&rest, &path));
}

static void set_primary_may_name_no_path(void **state)
{
    struct fixture *f = *state;
    struct slice rest, path;

    command_encode_set_primary(&f->b, T("s1"), NULL, 0);
    expect_exact(f);
    rest = f->c.u.set_primary.paths;
    assert_false(command_next_string(&rest, &path));
}

static void commands_without_fields_are_one_byte(void **state)
{
    struct fixture *f = *state;
    struct command open = { .tag = COMMAND_OPEN_SESSION };

    command_encode_noop(&f->b);
    assert_int_equal(f->b.size, 1);
    expect_exact(f);
    assert_int_equal(f->c.tag, COMMAND_NOOP);
    buffer_clear(&f->b);
    command_encode_plain(&f->b, &open);
    assert_int_equal(f->b.size, 1);
    expect_canonical(f);
    assert_int_equal(f->c.tag, COMMAND_OPEN_SESSION);
}

static void membership_comes_back(void **state)
{
    struct fixture *f = *state;
    struct membership m = { .count = 1, .members = { { .id = 4, .flags = 3, .name = "n4" } } };
    struct membership back;

    command_encode_membership(&f->b, &m);
    expect_exact(f);
    assert_int_equal(f->c.tag, COMMAND_MEMBERSHIP);
    assert_null(f->c.u.membership);
    assert_int_equal(command_membership(buffer_slice(&f->b), &back), RK_OK);
    assert_int_equal(back.members[0].id, 4);
    f->b.data[0] = COMMAND_NOOP;
    assert_int_equal(command_membership(buffer_slice(&f->b), &back), RK_PROTOCOL);
    assert_int_equal(command_membership(SLICE_NONE, &back), RK_PROTOCOL);
}

static void a_membership_that_cannot_decide_is_refused(void **state)
{
    static const struct {
        unsigned count, first_flags, second_flags;
        enum rk_status expected;
    } rows[] = {
        { 0, 0, 0, RK_PROTOCOL },
        { 2, 0, 0, RK_PROTOCOL },
        { 2, MEMBER_VOTER, MEMBER_VOTER, RK_PROTOCOL },
        { 2, MEMBER_VOTER_OLD, 0, RK_PROTOCOL },
        { 2, MEMBER_VOTER_OLD, MEMBER_VOTER, RK_OK }, /* joint: one goes, one comes */
        { 2, MEMBER_VOTER | MEMBER_VOTER_OLD, 0, RK_OK },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct membership m = { .count = rows[i].count,
                                .members = { { .id = 1, .flags = rows[i].first_flags },
                                             { .id = 2, .flags = rows[i].second_flags } } };

        buffer_clear(&f->b);
        command_encode_membership(&f->b, &m);
        assert_int_equal(decode(f), rows[i].expected);
    }
}

static void create_repo_comes_back(void **state)
{
    struct fixture *f = *state;
    struct buffer replicas = BUFFER_INIT;
    struct command c = { .tag = COMMAND_CREATE_REPO };
    struct slice rest, storage;

    buffer_put_string(&replicas, T("s2"));
    buffer_put_string(&replicas, T("s3"));
    c.u.create_repo.path = T("a.git");
    c.u.create_repo.primary = T("s1");
    c.u.create_repo.replica_count = 2;
    c.u.create_repo.replicas = buffer_slice(&replicas);
    c.u.create_repo.format = OBJECT_FORMAT_SHA256;
    c.u.create_repo.head = T("refs/heads/trunk");
    command_encode_plain(&f->b, &c);
    expect_canonical(f);
    assert_int_equal(f->c.u.create_repo.format, OBJECT_FORMAT_SHA256);
    assert_true(slice_equal(f->c.u.create_repo.head, T("refs/heads/trunk")));
    rest = f->c.u.create_repo.replicas;
    assert_true(command_next_string(&rest, &storage));
    assert_true(slice_equal(storage, T("s2")));
    assert_true(command_next_string(&rest, &storage));
    assert_false(command_next_string(&rest, &storage));
    buffer_release(&replicas);
}

static void rename_repo_comes_back(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_RENAME_REPO };

    c.u.rename_repo.is_prefix = true;
    c.u.rename_repo.from = T("old/");
    c.u.rename_repo.to = T("new/");
    command_encode_plain(&f->b, &c);
    expect_canonical(f);
    assert_true(f->c.u.rename_repo.is_prefix);
    f->b.data[1] = 2;
    assert_int_equal(decode(f), RK_PROTOCOL);
}

static void set_head_and_remove_replica_come_back(void **state)
{
    struct fixture *f = *state;
    struct command head = { .tag = COMMAND_SET_HEAD };
    struct command replica = { .tag = COMMAND_REMOVE_REPLICA };

    head.u.set_head.path = T("a");
    head.u.set_head.refname = T("refs/heads/x");
    command_encode_plain(&f->b, &head);
    expect_canonical(f);
    assert_true(slice_equal(f->c.u.set_head.refname, T("refs/heads/x")));
    buffer_clear(&f->b);
    replica.u.remove_replica.path = T("a");
    replica.u.remove_replica.storage = T("s2");
    command_encode_plain(&f->b, &replica);
    expect_canonical(f);
    assert_true(slice_equal(f->c.u.remove_replica.storage, T("s2")));
}

static void set_state_comes_back(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_SET_STATE };
    char reason[REASON_BYTES_MAX + 1];

    memset(reason, 'r', sizeof reason);
    c.u.set_state.path = T("a");
    c.u.set_state.state = REPOSITORY_FROZEN;
    c.u.set_state.reason = slice_of(reason, REASON_BYTES_MAX);
    command_encode_plain(&f->b, &c);
    expect_canonical(f);
    assert_int_equal(f->c.u.set_state.state, REPOSITORY_FROZEN);
    f->b.data[1 + 4 + 1] = REPOSITORY_FROZEN + 1;
    assert_int_equal(decode(f), RK_PROTOCOL);
    buffer_clear(&f->b);
    c.u.set_state.reason = slice_of(reason, sizeof reason);
    command_encode_plain(&f->b, &c);
    assert_int_equal(decode(f), RK_TOOLARGE);
}

static void set_storage_carries_only_the_fields_to_change(void **state)
{
    struct fixture *f = *state;

    for (unsigned fields = 0; fields < 16; fields++) {
        struct command c = { .tag = COMMAND_SET_STORAGE };

        c.u.set_storage.name = T("s1");
        c.u.set_storage.fields = fields;
        c.u.set_storage.http_address = T("h:80");
        c.u.set_storage.ssh_address = T("h:22");
        c.u.set_storage.zone = T("z");
        c.u.set_storage.state = STORAGE_DRAINING;
        buffer_clear(&f->b);
        command_encode_plain(&f->b, &c);
        expect_canonical(f);
        assert_int_equal(f->c.u.set_storage.fields, fields);
        assert_int_equal(f->c.u.set_storage.zone.size, (fields & SET_STORAGE_ZONE) != 0);
        assert_int_equal(f->c.u.set_storage.state,
                         (fields & SET_STORAGE_STATE) != 0 ? STORAGE_DRAINING : STORAGE_ACTIVE);
    }
    f->b.data[1 + 4 + 2] = 16;
    assert_int_equal(decode(f), RK_PROTOCOL);
}

static void an_address_over_its_bound_is_too_large(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_SET_STORAGE };
    char address[ADDRESS_BYTES_MAX + 1];

    memset(address, 'a', sizeof address);
    c.u.set_storage.name = T("s1");
    for (unsigned field = SET_STORAGE_HTTP; field <= SET_STORAGE_ZONE; field <<= 1) {
        for (size_t size = ADDRESS_BYTES_MAX; size <= ADDRESS_BYTES_MAX + 1; size++) {
            struct slice text = slice_of(address, size);

            c.u.set_storage.fields = field;
            c.u.set_storage.http_address = text;
            c.u.set_storage.ssh_address = text;
            c.u.set_storage.zone = text;
            buffer_clear(&f->b);
            command_encode_plain(&f->b, &c);
            assert_int_equal(decode(f), size > ADDRESS_BYTES_MAX ? RK_TOOLARGE : RK_OK);
        }
    }
}

static void set_limits_carries_only_those_to_change(void **state)
{
    struct fixture *f = *state;

    for (unsigned fields = 0; fields < 1U << LIMIT_COUNT; fields++) {
        struct command c = { .tag = COMMAND_SET_LIMITS };

        c.u.set_limits.fields = fields;
        for (unsigned i = 0; i < LIMIT_COUNT; i++) {
            c.u.set_limits.values[i] = UINT64_MAX - i;
        }
        buffer_clear(&f->b);
        command_encode_plain(&f->b, &c);
        expect_canonical(f);
        for (unsigned i = 0; i < LIMIT_COUNT; i++) {
            assert_int_equal(f->c.u.set_limits.values[i],
                             (fields & 1U << i) != 0 ? UINT64_MAX - i : 0);
        }
    }
    f->b.data[1] = 1U << LIMIT_COUNT;
    assert_int_equal(decode(f), RK_PROTOCOL);
}

static void set_filter_has_bounded_rules(void **state)
{
    struct fixture *f = *state;
    char pattern[FILTER_PATTERN_BYTES_MAX + 1];

    memset(pattern, 'p', sizeof pattern);
    for (uint32_t count = 0; count <= FILTER_RULES_MAX + 1; count++) {
        struct command c = { .tag = COMMAND_SET_FILTER };
        struct buffer rules = BUFFER_INIT;
        struct ref_rule rule = { count % 2 == 0, slice_of(pattern, count) };

        for (uint32_t i = 0; i < count; i++) {
            ref_filter_put(&rules, &rule);
        }
        c.u.set_filter.count = count;
        c.u.set_filter.rules = buffer_slice(&rules);
        buffer_clear(&f->b);
        command_encode_plain(&f->b, &c);
        if (count <= FILTER_RULES_MAX) {
            expect_canonical(f);
        } else {
            assert_int_equal(decode(f), RK_TOOLARGE);
        }
        buffer_release(&rules);
    }
}

static void a_rule_is_bounded_and_is_one_of_two_kinds(void **state)
{
    struct fixture *f = *state;
    char pattern[FILTER_PATTERN_BYTES_MAX + 1];

    memset(pattern, 'p', sizeof pattern);
    for (size_t size = FILTER_PATTERN_BYTES_MAX; size <= sizeof pattern; size++) {
        struct ref_rule rule = { true, slice_of(pattern, size) };

        buffer_clear(&f->b);
        buffer_put_u8(&f->b, COMMAND_SET_FILTER);
        buffer_put_u32(&f->b, 1);
        ref_filter_put(&f->b, &rule);
        assert_int_equal(decode(f), size > FILTER_PATTERN_BYTES_MAX ? RK_TOOLARGE : RK_OK);
    }
    f->b.data[5] = 2;
    assert_int_equal(decode(f), RK_PROTOCOL);
}

static void move_primary_comes_back(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_MOVE_PRIMARY };
    struct buffer moves = BUFFER_INIT;
    struct slice path, rest;
    raft_index seen_index;

    command_put_move(&moves, T("a/b.git"), 7);
    command_put_move(&moves, T("c.git"), UINT64_MAX);
    c.u.move_primary.storage = T("s2");
    c.u.move_primary.count = 2;
    c.u.move_primary.moves = buffer_slice(&moves);
    buffer_clear(&f->b);
    command_encode_plain(&f->b, &c);
    expect_canonical(f);
    assert_int_equal(decode(f), RK_OK);
    rest = f->c.u.move_primary.moves;
    assert_true(command_next_move(&rest, &path, &seen_index));
    assert_true(slice_equal(path, T("a/b.git")) && seen_index == 7);
    assert_true(command_next_move(&rest, &path, &seen_index));
    assert_true(slice_equal(path, T("c.git")) && seen_index == UINT64_MAX);
    assert_false(command_next_move(&rest, &path, &seen_index));
    buffer_release(&moves);
}

static void remove_storage_comes_back(void **state)
{
    struct fixture *f = *state;
    struct command c = { .tag = COMMAND_REMOVE_STORAGE };

    c.u.remove_storage.name = T("s1");
    command_encode_plain(&f->b, &c);
    expect_canonical(f);
    assert_true(slice_equal(f->c.u.remove_storage.name, T("s1")));
}

static void replicas_are_at_most_32(void **state)
{
    struct fixture *f = *state;
    struct buffer replicas = BUFFER_INIT;
    struct command c = { .tag = COMMAND_CREATE_REPO };

    for (uint32_t count = 1; count <= REPLICAS_MAX + 1; count++) {
        buffer_put_string(&replicas, T("s"));
        c.u.create_repo.replica_count = count;
        c.u.create_repo.replicas = buffer_slice(&replicas);
        buffer_clear(&f->b);
        command_encode_plain(&f->b, &c);
        assert_int_equal(decode(f), count > REPLICAS_MAX ? RK_TOOLARGE : RK_OK);
    }
    buffer_release(&replicas);
}

static void tags_nobody_knows_are_unsupported(void **state)
{
    (void)state;
    for (unsigned tag = 0; tag < 256; tag++) {
        bool is_known = tag <= COMMAND_SET_PRIMARY ||
                        (tag >= COMMAND_NOOP && tag <= COMMAND_MOVE_PRIMARY);
        uint8_t bytes[2] = { (uint8_t)tag, 7 };
        struct command c;

        assert_int_equal(command_decode(slice_of(bytes, 2), &c),
                         is_known ? RK_PROTOCOL : RK_UNSUPPORTED);
    }
}

/* What a ref name may be is the state machine's answer to the client, not damage. */
static void text_is_not_judged_here(void **state)
{
    struct fixture *f = *state;
    char name[REFNAME_BYTES_MAX + 1];

    memset(name, '\n', sizeof name);
    command_encode_ref_update(&f->b, SLICE_NONE, slice_of(name, sizeof name), T("xyz"), T("\xff"));
    assert_int_equal(decode(f), RK_OK);
    assert_int_equal(f->c.u.ref_update.refname.size, sizeof name);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ref_update_comes_back),
        TEST(register_repo_comes_back),
        TEST(remove_repo_comes_back),
        TEST(set_primary_comes_back),
        TEST(set_primary_may_name_no_path),
        TEST(commands_without_fields_are_one_byte),
        TEST(membership_comes_back),
        TEST(a_membership_that_cannot_decide_is_refused),
        TEST(create_repo_comes_back),
        TEST(rename_repo_comes_back),
        TEST(set_head_and_remove_replica_come_back),
        TEST(set_state_comes_back),
        TEST(set_storage_carries_only_the_fields_to_change),
        TEST(an_address_over_its_bound_is_too_large),
        TEST(remove_storage_comes_back),
        TEST(set_limits_carries_only_those_to_change),
        TEST(set_filter_has_bounded_rules),
        TEST(move_primary_comes_back),
        TEST(a_rule_is_bounded_and_is_one_of_two_kinds),
        TEST(replicas_are_at_most_32),
        TEST(tags_nobody_knows_are_unsupported),
        TEST(text_is_not_judged_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
