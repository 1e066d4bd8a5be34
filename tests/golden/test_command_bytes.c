/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, byte by byte [docs/DISK_FORMAT.md]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "model/command.h"
#include "model/entry.h"
#include "model/ref_filter.h"
#include "support/golden.h"

#define T(text) slice_of_text(text)
#define ONES "1111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222"
#define ZEROS "0000000000000000000000000000000000000000"

/* The bytes are the golden ones, and one decoder takes them all. */
static void expect(const char *name, struct buffer *b)
{
    struct command c;

    golden_expect(name, buffer_slice(b));
    assert_int_equal(command_decode(buffer_slice(b), &c), RK_OK);
    assert_int_equal(c.tag, b->data[0]);
    buffer_release(b);
}

static void the_seeds_commands(void **state)
{
    const struct slice paths[] = { T("a/b.git"), T("c.git") };
    struct buffer b = BUFFER_INIT;

    (void)state;
    command_encode_ref_update(&b, T("a/b.git"), T("refs/heads/main"), T(ONES), T(TWOS));
    expect("command/ref_update", &b);
    command_encode_ref_update(&b, T("a/b.git"), T("refs/heads/new"), T(ZEROS), T(TWOS));
    expect("command/ref_update_create", &b);
    command_encode_ref_update(&b, T("a/b.git"), T("refs/heads/old"), T(""), T(ZEROS));
    expect("command/ref_update_delete", &b);
    command_encode_register_repo(&b, T("a/b.git"), T("s1"));
    expect("command/register_repo", &b);
    command_encode_remove_repo(&b, T("a/b.git"));
    expect("command/remove_repo", &b);
    command_encode_set_primary(&b, T("s2"), paths, 2);
    expect("command/set_primary", &b);
}

/* The bytes that the contract states in hex [DESIGN 4]. */
static void the_entry_of_the_contract(void **state)
{
    static const uint8_t stated[] = {
        0,    0,    0,    0,    0,   0,   0,   1,    0,    0, 0, 0, 0,   0,   0, 1,
        0x23, 0x79, 0x3a, 0x59, 0,   0,   0,   0x16, 0x01, 0, 0, 0, 2,   0,   0, 0,
        7,    'a',  '/',  'b',  '.', 'g', 'i', 't',  0,    0, 0, 2, 's', '1',
    };
    struct buffer command = BUFFER_INIT, b = BUFFER_INIT;
    struct entry e, back;
    struct command c;
    size_t need;

    (void)state;
    command_encode_register_repo(&command, T("a/b.git"), T("s1"));
    e = (struct entry){ .term = 1, .index = 1, .command = buffer_slice(&command) };
    entry_encode(&b, &e);
    assert_int_equal(b.size, sizeof stated);
    assert_memory_equal(b.data, stated, sizeof stated);
    golden_expect("command/entry", buffer_slice(&b));
    assert_int_equal(entry_decode(buffer_slice(&b), &back, &need), ENTRY_GOOD);
    assert_int_equal(command_decode(back.command, &c), RK_OK);
    assert_true(slice_equal(c.u.register_repo.path, T("a/b.git")));
    assert_true(slice_equal(c.u.register_repo.storage, T("s1")));
    buffer_release(&command);
    buffer_release(&b);
}

static struct membership make_membership(void)
{
    struct membership m = {
        .feature_level = 1,
        .count = 3,
        .members = {
            { 1, 0x0102030405060708, MEMBER_VOTER | MEMBER_VOTER_OLD, "n1", "10.0.0.1:7480",
              "10.0.0.1:7481", "10.0.0.1:7482" },
            { 2, 2, MEMBER_VOTER_OLD, "n2", "10.0.0.2:7480", "", "" },
            { 7, 0, 0, "n7", "[::1]:7480", "", "" },
        },
    };

    for (unsigned i = 0; i < CLUSTER_ID_BYTES; i++) {
        m.cluster_id[i] = (uint8_t)(0xc0 + i);
    }
    return m;
}

static void commands_of_raft(void **state)
{
    struct membership m = make_membership();
    struct buffer b = BUFFER_INIT;

    (void)state;
    command_encode_noop(&b);
    expect("command/noop", &b);
    command_encode_membership(&b, &m);
    expect("command/membership", &b);
}

static struct ref_update make_update(const char *refname, const char *old_text,
                                     const char *new_text)
{
    struct ref_update u;

    assert_int_equal(ref_update_from_text(T(refname), T(old_text), T(new_text), &u), RK_OK);
    return u;
}

static void a_batch_of_updates(void **state)
{
    const struct ref_update updates[] = {
        make_update("refs/heads/main", ONES, TWOS),
        make_update("refs/heads/new", ZEROS, TWOS),
        make_update("refs/heads/old", "", ZEROS),
        make_update("refs/tags/v1", ONES, ZEROS),
        make_update("refs/x", "3333333333333333333333333333333333333333333333333333333333333333",
                    "4444444444444444444444444444444444444444444444444444444444444444"),
    };
    struct envelope e = {
        .flags = ENVELOPE_ATOMIC | ENVELOPE_HAS_EPOCH | ENVELOPE_HAS_STORAGE | ENVELOPE_HAS_ID |
                 ENVELOPE_HAS_SESSION,
        .session = 40,
        .sequence = 7,
        .lowest_unanswered = 5,
        .epoch = 30,
        .repository_id = 20,
        .storage = T("s1"),
        .actor = T("alice"),
        .reason = T("drill"),
    };
    struct buffer b = BUFFER_INIT;

    (void)state;
    command_encode_ref_envelope(&b, &e, T("a/b.git"), updates, 5);
    command_stamp(b.data, b.size, 1700000000123, 456);
    expect("command/envelope_updates", &b);
}

static void the_smallest_batch(void **state)
{
    const struct ref_update update = make_update("refs/heads/main", "", TWOS);
    struct envelope e = { .wall_ms = 1700000000123, .cluster_ms = 456 };
    struct buffer b = BUFFER_INIT;

    (void)state;
    command_encode_ref_envelope(&b, &e, T("a/b.git"), &update, 1);
    expect("command/envelope_least", &b);
}

static void an_envelope_around_another_command(void **state)
{
    const struct slice path = T("a/b.git");
    struct envelope e = { .flags = ENVELOPE_FORCE, .actor = T("alice"), .reason = T("drill") };
    struct buffer b = BUFFER_INIT, inner = BUFFER_INIT;

    (void)state;
    command_encode_set_primary(&inner, T("s2"), &path, 1);
    command_encode_envelope(&b, &e, buffer_slice(&inner));
    command_stamp(b.data, b.size, 1700000000123, 456);
    expect("command/envelope_command", &b);
    buffer_release(&inner);
}

static void expect_plain(const char *name, const struct command *c)
{
    struct buffer b = BUFFER_INIT;

    command_encode_plain(&b, c);
    expect(name, &b);
}

static void commands_about_repositories(void **state)
{
    struct buffer replicas = BUFFER_INIT;
    struct command create = { .tag = COMMAND_CREATE_REPO };
    struct command rename = { .tag = COMMAND_RENAME_REPO };
    struct command head = { .tag = COMMAND_SET_HEAD };
    struct command freeze = { .tag = COMMAND_SET_STATE };
    struct command replica = { .tag = COMMAND_REMOVE_REPLICA };

    (void)state;
    buffer_put_string(&replicas, T("s2"));
    buffer_put_string(&replicas, T("s3"));
    create.u.create_repo.path = T("a/b.git");
    create.u.create_repo.primary = T("s1");
    create.u.create_repo.replica_count = 2;
    create.u.create_repo.replicas = buffer_slice(&replicas);
    create.u.create_repo.format = OBJECT_FORMAT_SHA256;
    create.u.create_repo.head = T("refs/heads/trunk");
    expect_plain("command/create_repo", &create);
    rename.u.rename_repo.is_prefix = true;
    rename.u.rename_repo.from = T("old/");
    rename.u.rename_repo.to = T("new/");
    expect_plain("command/rename_repo", &rename);
    head.u.set_head.path = T("a/b.git");
    head.u.set_head.refname = T("refs/heads/trunk");
    expect_plain("command/set_head", &head);
    freeze.u.set_state.path = T("a/b.git");
    freeze.u.set_state.state = REPOSITORY_FROZEN;
    freeze.u.set_state.reason = T("moving");
    expect_plain("command/set_state", &freeze);
    replica.u.remove_replica.path = T("a/b.git");
    replica.u.remove_replica.storage = T("s3");
    expect_plain("command/remove_replica", &replica);
    buffer_release(&replicas);
}

static void commands_about_storages_and_sessions(void **state)
{
    struct command set = { .tag = COMMAND_SET_STORAGE };
    struct command remove = { .tag = COMMAND_REMOVE_STORAGE };
    struct command open = { .tag = COMMAND_OPEN_SESSION };

    (void)state;
    set.u.set_storage.name = T("s1");
    set.u.set_storage.fields = SET_STORAGE_HTTP | SET_STORAGE_SSH | SET_STORAGE_ZONE |
                               SET_STORAGE_STATE;
    set.u.set_storage.http_address = T("10.1.0.1:8080");
    set.u.set_storage.ssh_address = T("10.1.0.1:22");
    set.u.set_storage.zone = T("hall-2");
    set.u.set_storage.state = STORAGE_DRAINING;
    expect_plain("command/set_storage", &set);
    set.u.set_storage.fields = SET_STORAGE_ZONE;
    set.u.set_storage.zone = SLICE_NONE;
    expect_plain("command/set_storage_zone", &set);
    remove.u.remove_storage.name = T("s1");
    expect_plain("command/remove_storage", &remove);
    expect_plain("command/open_session", &open);
}

static void commands_about_the_whole_cluster(void **state)
{
    struct command limits = { .tag = COMMAND_SET_LIMITS };
    struct command filter = { .tag = COMMAND_SET_FILTER };
    const struct ref_rule metas = { true, T("refs/changes/*/*/meta") };
    const struct ref_rule changes = { false, T("refs/changes/") };
    struct command move = { .tag = COMMAND_MOVE_PRIMARY };
    struct buffer rules = BUFFER_INIT, moves = BUFFER_INIT;

    (void)state;
    command_put_move(&moves, T("a/b.git"), 7);
    command_put_move(&moves, T("c.git"), 300);
    move.u.move_primary.storage = T("s2");
    move.u.move_primary.count = 2;
    move.u.move_primary.moves = buffer_slice(&moves);
    expect_plain("command/move_primary", &move);
    buffer_release(&moves);
    limits.u.set_limits.fields = (1U << LIMIT_COUNT) - 1;
    limits.u.set_limits.values[LIMIT_REPOSITORIES] = 1000000;
    limits.u.set_limits.values[LIMIT_REFS] = 10000000;
    limits.u.set_limits.values[LIMIT_BYTES] = 1 << 30;
    expect_plain("command/set_limits", &limits);
    limits.u.set_limits.fields = 1U << LIMIT_REFS;
    limits.u.set_limits.values[LIMIT_REFS] = 100;
    expect_plain("command/set_limits_refs", &limits);
    expect_plain("command/set_filter_empty", &filter);
    ref_filter_put(&rules, &metas);
    ref_filter_put(&rules, &changes);
    filter.u.set_filter.count = 2;
    filter.u.set_filter.rules = buffer_slice(&rules);
    expect_plain("command/set_filter", &filter);
    buffer_release(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeds_commands),
        cmocka_unit_test(the_entry_of_the_contract),
        cmocka_unit_test(commands_of_raft),
        cmocka_unit_test(a_batch_of_updates),
        cmocka_unit_test(the_smallest_batch),
        cmocka_unit_test(an_envelope_around_another_command),
        cmocka_unit_test(commands_about_repositories),
        cmocka_unit_test(commands_about_storages_and_sessions),
        cmocka_unit_test(commands_about_the_whole_cluster),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
