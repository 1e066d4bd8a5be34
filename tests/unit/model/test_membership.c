/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>

#include "model/membership.h"

#define BOTH (MEMBER_VOTER | MEMBER_VOTER_OLD)

static struct member make_member(node_id id, const char *name, unsigned flags)
{
    struct member m = { .id = id, .incarnation = id * 100, .flags = flags };

    snprintf(m.name, sizeof m.name, "%s", name);
    snprintf(m.peer_address, sizeof m.peer_address, "%s.example:7480", name);
    return m;
}

static void add(struct membership *m, node_id id, const char *name, unsigned flags)
{
    struct member member = make_member(id, name, flags);

    assert_int_equal(membership_add(m, &member), RK_OK);
}

static struct membership three_voters(void)
{
    struct membership m = { .cluster_id = { 1, 2, 3 } };

    add(&m, 1, "n1", BOTH);
    add(&m, 2, "n2", BOTH);
    add(&m, 3, "n3", BOTH);
    return m;
}

static void members_stay_in_order_of_id(void **state)
{
    static const node_id ids[] = { 7, 2, 9, 1, 8 };
    struct membership m = { .count = 0 };

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char name[8];

        snprintf(name, sizeof name, "n%u", (unsigned)ids[i]);
        add(&m, ids[i], name, BOTH);
    }
    assert_int_equal(m.count, 5);
    for (unsigned i = 1; i < m.count; i++) {
        assert_true(m.members[i - 1].id < m.members[i].id);
    }
    assert_string_equal(membership_find(&m, 9)->name, "n9");
    assert_int_equal(membership_find_name(&m, "n8")->id, 8);
    assert_null(membership_find(&m, 3));
    assert_null(membership_find_name(&m, "n3"));
}

static void ids_and_names_are_unique(void **state)
{
    struct membership m = three_voters();
    struct member same_id = make_member(2, "n4", BOTH);
    struct member same_name = make_member(4, "n2", BOTH);

    (void)state;
    assert_int_equal(membership_add(&m, &same_id), RK_EXISTS);
    assert_int_equal(membership_add(&m, &same_name), RK_EXISTS);
    assert_int_equal(m.count, 3);
}

static void members_are_at_most_16(void **state)
{
    struct membership m = { .count = 0 };
    struct member one_more = make_member(MEMBERS_MAX + 1, "more", 0);

    (void)state;
    for (node_id id = 1; id <= MEMBERS_MAX; id++) {
        char name[8];

        snprintf(name, sizeof name, "n%u", (unsigned)id);
        add(&m, id, name, id % 2 == 0 ? BOTH : 0);
    }
    assert_int_equal(membership_add(&m, &one_more), RK_TOOLARGE);
    assert_int_equal(m.count, MEMBERS_MAX);
}

static void a_voter_votes_in_either_half(void **state)
{
    struct membership m = three_voters();

    (void)state;
    assert_false(membership_is_joint(&m));
    assert_int_equal(membership_voter_count(&m), 3);
    add(&m, 4, "learner", 0);
    assert_false(membership_is_voter(&m, 4));
    assert_false(membership_is_joint(&m));
    add(&m, 5, "joining", MEMBER_VOTER);
    assert_true(membership_is_voter(&m, 5));
    assert_true(membership_is_joint(&m));
    assert_int_equal(membership_voter_count(&m), 4);
    m.members[0].flags = MEMBER_VOTER_OLD; /* leaving */
    assert_true(membership_is_voter(&m, 1));
    assert_int_equal(membership_voter_count(&m), 3);
    assert_false(membership_is_voter(&m, 6));
}

static void encoded_members_come_back(void **state)
{
    struct membership m = three_voters();
    struct membership back;
    struct buffer b = BUFFER_INIT;
    struct reader in;

    (void)state;
    memset(m.members[1].name, 'n', NODE_NAME_BYTES_MAX);
    memset(m.members[1].peer_address, 'p', ADDRESS_BYTES_MAX);
    memset(m.members[1].client_address, 'c', ADDRESS_BYTES_MAX);
    memset(m.members[1].http_address, 'h', ADDRESS_BYTES_MAX);
    m.members[2].flags = MEMBER_VOTER_OLD;
    membership_encode(&b, &m);
    buffer_put_u8(&b, 77); /* what follows is left alone */
    in = reader_of(buffer_slice(&b));
    assert_int_equal(membership_decode(&in, &back), RK_OK);
    assert_int_equal(reader_left(&in), 1);
    assert_memory_equal(back.cluster_id, m.cluster_id, CLUSTER_ID_BYTES);
    assert_int_equal(back.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(back.members[i].id, m.members[i].id);
        assert_int_equal(back.members[i].incarnation, m.members[i].incarnation);
        assert_int_equal(back.members[i].flags, m.members[i].flags);
        assert_string_equal(back.members[i].name, m.members[i].name);
        assert_string_equal(back.members[i].peer_address, m.members[i].peer_address);
        assert_string_equal(back.members[i].client_address, m.members[i].client_address);
        assert_string_equal(back.members[i].http_address, m.members[i].http_address);
    }
    buffer_release(&b);
}

static enum rk_status decode(const struct buffer *b, size_t size)
{
    struct reader in = reader_of(slice_of(b->data, size));
    struct membership m;

    return membership_decode(&in, &m);
}

static void every_cut_is_refused(void **state)
{
    struct membership m = three_voters();
    struct buffer b = BUFFER_INIT;

    (void)state;
    membership_encode(&b, &m);
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(decode(&b, size), RK_PROTOCOL);
    }
    assert_int_equal(decode(&b, b.size), RK_OK);
    buffer_release(&b);
}

#define COUNT_OFFSET 16
#define FIRST_ID_OFFSET 17
#define FIRST_FLAGS_OFFSET 33
#define FIRST_NAME_OFFSET 34

static void expect_refused_with(size_t offset, uint8_t value)
{
    struct membership m = three_voters();
    struct buffer b = BUFFER_INIT;

    membership_encode(&b, &m);
    assert_int_not_equal(b.data[offset], value);
    b.data[offset] = value;
    assert_int_equal(decode(&b, b.size), RK_PROTOCOL);
    buffer_release(&b);
}

static void impossible_members_are_refused(void **state)
{
    (void)state;
    expect_refused_with(COUNT_OFFSET, MEMBERS_MAX + 1);
    expect_refused_with(COUNT_OFFSET, 255);
    expect_refused_with(FIRST_ID_OFFSET + 7, 0); /* no id */
    expect_refused_with(FIRST_ID_OFFSET + 7, 2); /* the id of the next */
    expect_refused_with(FIRST_ID_OFFSET + 7, 9); /* out of order */
    expect_refused_with(FIRST_FLAGS_OFFSET, 16);
    expect_refused_with(FIRST_FLAGS_OFFSET, 255);
    expect_refused_with(FIRST_NAME_OFFSET, NODE_NAME_BYTES_MAX + 1);
    expect_refused_with(FIRST_NAME_OFFSET + 1, '\0');
    expect_refused_with(FIRST_NAME_OFFSET + 2, '2'); /* the name of the next */
}

static void who_leaves_may_share_its_name_with_its_replacement(void **state)
{
    struct membership m = three_voters();
    struct member again = make_member(9, m.members[1].name, MEMBER_PROMOTE);
    struct buffer b = BUFFER_INIT;

    (void)state;
    assert_int_equal(membership_add(&m, &again), RK_EXISTS);
    m.members[1].flags |= MEMBER_LEAVING;
    assert_int_equal(membership_add(&m, &again), RK_OK);
    assert_int_equal(membership_find_name(&m, again.name)->id, 9); /* the one that stays */
    assert_true(membership_is_valid(&m));
    membership_encode(&b, &m);
    assert_int_equal(decode(&b, b.size), RK_OK);
    m.members[1].flags &= ~(unsigned)MEMBER_LEAVING;
    assert_false(membership_is_valid(&m));
    assert_true(membership_remove(&m, m.members[1].id));
    assert_false(membership_remove(&m, 77));
    assert_true(membership_is_valid(&m));
    assert_int_equal(m.count, 3);
    buffer_release(&b);
}

static void a_membership_may_be_empty(void **state)
{
    struct membership m = { .count = 0 };
    struct buffer b = BUFFER_INIT;

    (void)state;
    membership_encode(&b, &m);
    assert_int_equal(b.size, CLUSTER_ID_BYTES + 1 + 4);
    assert_int_equal(decode(&b, b.size), RK_OK);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stay_in_order_of_id),
        cmocka_unit_test(ids_and_names_are_unique),
        cmocka_unit_test(members_are_at_most_16),
        cmocka_unit_test(a_voter_votes_in_either_half),
        cmocka_unit_test(encoded_members_come_back),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(impossible_members_are_refused),
        cmocka_unit_test(who_leaves_may_share_its_name_with_its_replacement),
        cmocka_unit_test(a_membership_may_be_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
