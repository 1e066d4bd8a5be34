/* SPDX-License-Identifier: Apache-2.0 */
/* Whole members in one loop: real sockets, real files, the real core and map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "node/node_internal.h"
#include "support/loop.h"
#include "support/tmpdir.h"
#include "sys/clock.h"

#define MEMBERS 3
#define DEADLINE_MS 20000

struct cluster {
    struct event_base *base;
    struct membership members;
    char *directories[MEMBERS];
    struct node *nodes[MEMBERS];
    uint64_t log_compact_bytes;
    bool is_old; /* members know the lowest feature level only */
};

/* What became of one proposal. */
struct outcome {
    bool is_done;
    enum rk_status status;
    enum rk_status result;
    raft_index index;
};

static void turn(struct cluster *c)
{
    event_base_loop(c->base, EVLOOP_NONBLOCK);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (c->nodes[i] != NULL) {
            node_turn(c->nodes[i]);
        }
    }
}

/* RK_TRACE=1 shows what each member decides. */
static void log_line(void *context, int level, const char *text)
{
    const struct member *m = context;

    (void)level;
    fprintf(stderr, "# %s: %s\n", m->name, text);
}

static void member_open(struct cluster *c, size_t i)
{
    struct errmsg why = ERRMSG_INIT;
    struct node_options options = {
        .name = c->members.members[i].name,
        .data_dir = c->directories[i],
        .listen_peer = c->members.members[i].peer_address,
        .initial_members = c->members,
        .election_timeout_ms = 150,
        .heartbeat_interval_ms = 20,
        .proposal_timeout_ms = 10000,
        .read_timeout_ms = 5000,
        .log_compact_bytes = c->log_compact_bytes,
        .snapshot_interval_ms = SNAPSHOT_INTERVAL_MS_DEFAULT,
        .trailing_entries = 10,
        .holds_back_features = c->is_old,
        .seed = i + 1,
        .is_tracing = true,
        .log = getenv("RK_TRACE") == NULL ? NULL : log_line,
        .log_context = &c->members.members[i],
    };

    if (node_open(c->base, &options, &c->nodes[i], &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
}

static void member_close(struct cluster *c, size_t i)
{
    node_close(c->nodes[i]);
    c->nodes[i] = NULL;
}

static int setup(void **state)
{
    struct cluster *c = heap_new(struct cluster);

    c->base = event_base_new();
    c->log_compact_bytes = LOG_COMPACT_BYTES_DEFAULT;
    c->members.count = MEMBERS;
    for (size_t i = 0; i < MEMBERS; i++) {
        struct member *m = &c->members.members[i];

        m->id = i + 1;
        m->flags = MEMBER_VOTER | MEMBER_VOTER_OLD;
        snprintf(m->name, sizeof m->name, "n%zu", i + 1);
        snprintf(m->peer_address, sizeof m->peer_address, "127.0.0.1:%u", loop_free_port());
        c->directories[i] = tmpdir_make();
    }
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct cluster *c = *state;

    for (size_t i = 0; i < MEMBERS; i++) {
        node_close(c->nodes[i]);
        tmpdir_remove(c->directories[i]);
    }
    event_base_free(c->base);
    heap_free(c);
    return 0;
}

static struct node *leader(const struct cluster *c)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        struct raft_status status;

        if (c->nodes[i] != NULL) {
            raft_get_status(c->nodes[i]->raft, &status);
            if (status.role == RAFT_LEADER && status.can_read) {
                return c->nodes[i];
            }
        }
    }
    return NULL;
}

static struct node *wait_leader(struct cluster *c)
{
    time_ms until_ms = clock_monotonic_ms() + DEADLINE_MS;

    while (leader(c) == NULL) {
        assert_true(clock_monotonic_ms() < until_ms);
        turn(c);
    }
    return leader(c);
}

static struct node *a_follower(struct cluster *c)
{
    struct node *l = wait_leader(c);

    for (size_t i = 0; i < MEMBERS; i++) {
        if (c->nodes[i] != NULL && c->nodes[i] != l) {
            return c->nodes[i];
        }
    }
    return NULL;
}

static void on_done(void *context, enum rk_status status, raft_term term,
                    const struct refdb_result *result)
{
    struct outcome *o = context;

    (void)term;
    assert_false(o->is_done);
    o->is_done = true;
    o->status = status;
    if (result != NULL) {
        o->result = result->status;
        o->index = result->index;
    }
}

static void on_readable(void *context, enum rk_status status)
{
    struct outcome *o = context;

    o->is_done = true;
    o->status = status;
}

static void wait_done(struct cluster *c, const struct outcome *o)
{
    time_ms until_ms = clock_monotonic_ms() + DEADLINE_MS;

    while (!o->is_done) {
        assert_true(clock_monotonic_ms() < until_ms);
        turn(c);
    }
}

static void propose_register(struct node *n, const char *path, struct outcome *o)
{
    struct buffer command = BUFFER_INIT;

    *o = (struct outcome){ 0 };
    command_encode_register_repo(&command, slice_of_text(path), slice_of_text("s1"));
    assert_int_equal(node_propose(n, buffer_slice(&command), on_done, o), RK_OK);
    buffer_release(&command);
}

static void propose_update(struct node *n, const char *path, const char *ref, unsigned value,
                           struct outcome *o)
{
    struct buffer command = BUFFER_INIT;
    char hex[41];

    *o = (struct outcome){ 0 };
    snprintf(hex, sizeof hex, "%040x", value);
    command_encode_ref_update(&command, slice_of_text(path), slice_of_text(ref), SLICE_NONE,
                              slice_of_text(hex));
    assert_int_equal(node_propose(n, buffer_slice(&command), on_done, o), RK_OK);
    buffer_release(&command);
}

static void open_all(struct cluster *c)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        member_open(c, i);
    }
}

static void wait_applied(struct cluster *c, const struct node *n, raft_index index)
{
    time_ms until_ms = clock_monotonic_ms() + DEADLINE_MS;

    while (refdb_applied_index(n->refdb) < index) {
        assert_true(clock_monotonic_ms() < until_ms);
        turn(c);
    }
}

/* A member may apply before or after the leader; digests are compared at one index. */
static bool are_level(const struct cluster *c)
{
    raft_index index = 0;

    for (size_t i = 0; i < MEMBERS; i++) {
        if (c->nodes[i] == NULL) {
            continue;
        }
        if (index == 0) {
            index = refdb_applied_index(c->nodes[i]->refdb);
        }
        if (refdb_applied_index(c->nodes[i]->refdb) != index) {
            return false;
        }
    }
    return true;
}

static void check_equal_digests(struct cluster *c)
{
    time_ms until_ms = clock_monotonic_ms() + DEADLINE_MS;
    uint8_t first[16];
    uint8_t other[16];

    wait_leader(c);
    while (!are_level(c)) {
        assert_true(clock_monotonic_ms() < until_ms);
        turn(c);
    }
    for (size_t i = 0, seen = 0; i < MEMBERS; i++) {
        if (c->nodes[i] != NULL) {
            refdb_digest(c->nodes[i]->refdb, seen++ == 0 ? first : other);
            assert_true(seen == 1 || memcmp(first, other, sizeof first) == 0);
        }
    }
}

static void proposals_are_answered_on_leader_and_follower(void **state)
{
    struct cluster *c = *state;
    struct outcome first, second, third, again;

    open_all(c);
    propose_register(wait_leader(c), "a.git", &first);
    wait_done(c, &first);
    assert_int_equal(first.status, RK_OK);
    assert_int_equal(first.result, RK_OK);
    propose_update(a_follower(c), "a.git", "refs/heads/x", 1, &second);
    propose_update(a_follower(c), "a.git", "refs/heads/x", 2, &third);
    propose_update(a_follower(c), "b.git", "refs/heads/x", 2, &again);
    wait_done(c, &again);
    assert_true(second.is_done && third.is_done);
    assert_int_equal(second.result, RK_OK);
    assert_int_equal(third.result, RK_OK);
    assert_int_equal(third.index, second.index + 1); /* the order of one caller */
    assert_int_equal(again.result, RK_NOREPO);
    check_equal_digests(c);
}

static void a_follower_reads_what_the_leader_acknowledged(void **state)
{
    struct cluster *c = *state;
    struct outcome write, read = { 0 };
    struct refdb_ref ref;
    struct node *follower;

    open_all(c);
    follower = a_follower(c);
    propose_register(wait_leader(c), "a.git", &write);
    wait_done(c, &write);
    propose_update(wait_leader(c), "a.git", "refs/heads/x", 7, &write);
    wait_done(c, &write);
    assert_int_equal(node_read(follower, NODE_LINEARIZABLE, 0, on_readable, &read), RK_OK);
    wait_done(c, &read);
    assert_int_equal(read.status, RK_OK);
    assert_int_equal(refdb_find_ref(follower->refdb, slice_of_text("a.git"),
                                    slice_of_text("refs/heads/x"), &ref),
                     RK_OK);
    assert_int_equal(ref.oid.bytes[19], 7);
}

static void min_index_waits_and_stale_does_not(void **state)
{
    struct cluster *c = *state;
    struct outcome write, min = { 0 }, stale = { 0 };
    struct node *follower;
    raft_index wanted;

    open_all(c);
    follower = a_follower(c);
    propose_register(wait_leader(c), "a.git", &write);
    wait_done(c, &write);
    /* Further than what members append by themselves: who they are, what they all know. */
    wanted = write.index + 30;
    assert_int_equal(node_read(follower, NODE_MIN_INDEX, wanted, on_readable, &min), RK_OK);
    assert_int_equal(node_read(follower, NODE_STALE, 0, on_readable, &stale), RK_OK);
    wait_done(c, &stale);
    assert_false(min.is_done);
    while (write.index < wanted) {
        propose_register(wait_leader(c), "b.git", &write);
        wait_done(c, &write);
    }
    wait_done(c, &min);
    assert_int_equal(min.status, RK_OK);
    assert_true(refdb_applied_index(follower->refdb) >= wanted);
}

static void proposals_wait_for_the_next_leader(void **state)
{
    struct cluster *c = *state;
    struct outcome write;
    struct node *follower;

    open_all(c);
    propose_register(wait_leader(c), "a.git", &write);
    wait_done(c, &write);
    follower = a_follower(c);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (c->nodes[i] == leader(c)) {
            member_close(c, i);
            break;
        }
    }
    /* The old leader is gone; nobody has told the follower yet. */
    wait_leader(c);
    propose_update(follower, "a.git", "refs/heads/x", 1, &write);
    wait_done(c, &write);
    assert_int_equal(write.status, RK_OK);
    check_equal_digests(c);
}

static void a_restarted_member_finds_its_state_again(void **state)
{
    struct cluster *c = *state;
    struct outcome write;
    struct refdb_ref ref;

    open_all(c);
    propose_register(wait_leader(c), "a.git", &write);
    wait_done(c, &write);
    for (unsigned i = 0; i < 50; i++) {
        propose_update(wait_leader(c), "a.git", "refs/heads/x", i + 1, &write);
        wait_done(c, &write);
        assert_int_equal(write.result, RK_OK);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        member_close(c, i);
    }
    open_all(c);
    wait_leader(c);
    for (size_t i = 0; i < MEMBERS; i++) {
        wait_applied(c, c->nodes[i], write.index);
        assert_int_equal(refdb_find_ref(c->nodes[i]->refdb, slice_of_text("a.git"),
                                        slice_of_text("refs/heads/x"), &ref),
                         RK_OK);
        assert_int_equal(ref.oid.bytes[19], 50);
    }
    check_equal_digests(c);
}

static void write_many(struct cluster *c, unsigned from, unsigned count)
{
    struct outcome *outcomes = heap_zalloc(count * sizeof outcomes[0]);

    for (unsigned i = 0; i < count; i++) {
        char ref[64];

        snprintf(ref, sizeof ref, "refs/heads/b%u", from + i);
        propose_update(wait_leader(c), "a.git", ref, i + 1, &outcomes[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        wait_done(c, &outcomes[i]);
        assert_int_equal(outcomes[i].status, RK_OK);
        assert_int_equal(outcomes[i].result, RK_OK);
    }
    heap_free(outcomes);
}

/* On each member that runs: whoever comes to lead has cut its log. */
static void take_snapshots(struct cluster *c)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        time_ms until_ms = clock_monotonic_ms() + DEADLINE_MS;
        struct node *n = c->nodes[i];
        uint64_t before;

        if (n == NULL) {
            continue;
        }
        wait_applied(c, n, refdb_applied_index(wait_leader(c)->refdb));
        before = n->snapshots.taken_total;
        assert_true(node_take_snapshot(n));
        while (n->snapshots.taken_total == before || n->snapshots.is_taking) {
            assert_true(clock_monotonic_ms() < until_ms);
            turn(c);
        }
    }
}

/* Two snapshots, because the log is never cut beyond the older of the two kept. */
static void a_member_left_behind_catches_up_by_snapshot(void **state)
{
    struct cluster *c = *state;
    struct outcome write;
    struct node *l;
    size_t away;

    open_all(c);
    l = wait_leader(c);
    propose_register(l, "a.git", &write);
    wait_done(c, &write);
    away = c->nodes[0] == l ? 1 : 0;
    wait_applied(c, c->nodes[away], write.index);
    member_close(c, away);
    for (unsigned round = 0; round < 3; round++) {
        write_many(c, round * 500, 500);
        take_snapshots(c);
    }
    l = wait_leader(c);
    while (l->log_first_index <= write.index) {
        turn(c);
    }
    member_open(c, away);
    wait_applied(c, c->nodes[away], refdb_applied_index(l->refdb));
    assert_int_equal(c->nodes[away]->snapshots.installed_total, 1);
    check_equal_digests(c);
    member_close(c, away);
    member_open(c, away); /* and it starts from what it installed */
    write_many(c, 5000, 10);
    check_equal_digests(c);
}

static void a_wiped_member_is_refused_under_its_old_name(void **state)
{
    struct cluster *c = *state;
    struct outcome write;
    size_t away;

    open_all(c);
    propose_register(wait_leader(c), "a.git", &write);
    wait_done(c, &write);
    away = c->nodes[0] == leader(c) ? 1 : 0;
    member_close(c, away);
    tmpdir_remove(c->directories[away]);
    c->directories[away] = tmpdir_make();
    member_open(c, away);
    write_many(c, 0, 200);
    assert_int_equal(refdb_applied_index(c->nodes[away]->refdb), 0);
    assert_false(transport_is_connected(leader(c)->transport, away + 1));
}

static void what_waits_is_told_when_the_node_closes(void **state)
{
    struct cluster *c = *state;
    struct outcome write, read = { 0 };

    member_open(c, 0); /* alone: no leader, nothing can be decided */
    propose_register(c->nodes[0], "a.git", &write);
    assert_int_equal(node_read(c->nodes[0], NODE_LINEARIZABLE, 0, on_readable, &read), RK_OK);
    turn(c);
    assert_false(write.is_done);
    member_close(c, 0);
    assert_true(write.is_done && read.is_done);
    assert_int_equal(write.status, RK_STOPPED);
    assert_int_equal(read.status, RK_STOPPED);
}

static void malformed_commands_are_refused_at_once(void **state)
{
    struct cluster *c = *state;
    struct outcome o = { 0 };
    struct buffer command = BUFFER_INIT;

    member_open(c, 0);
    buffer_put_u8(&command, 250);
    assert_int_equal(node_propose(c->nodes[0], buffer_slice(&command), on_done, &o),
                     RK_UNSUPPORTED);
    buffer_clear(&command);
    command_encode_noop(&command);
    assert_int_equal(node_propose(c->nodes[0], buffer_slice(&command), on_done, &o), RK_PROTOCOL);
    buffer_release(&command);
    assert_false(o.is_done);
}

/* Puts a command into the queue of a follower as if its own checks had let it pass, and has it
 * sent in a frame of its own. */
static void forward_unchecked(struct node *n, const struct buffer *command, struct outcome *o)
{
    *o = (struct outcome){ 0 };
    assert_int_equal(proposals_add(&n->proposals, buffer_slice(command), on_done, o), RK_OK);
    node_turn(n);
}

static void encode_limits(struct buffer *command)
{
    struct command limits = { .tag = COMMAND_SET_LIMITS };

    limits.u.set_limits.fields = 1U << LIMIT_REFS;
    limits.u.set_limits.values[LIMIT_REFS] = 1000;
    command_encode_plain(command, &limits);
}

/* One after the other, in one turn of the leader: each is answered for itself, and in order. */
static void forwarded_commands_are_judged_again(void **state)
{
    struct cluster *c = *state;
    struct outcome good[2], above, unknown;
    struct buffer command = BUFFER_INIT;
    struct node *follower;

    c->is_old = true;
    open_all(c);
    follower = a_follower(c);
    assert_int_equal(raft_membership(wait_leader(c)->raft)->feature_level, 0);
    command_encode_register_repo(&command, slice_of_text("a/b.git"), slice_of_text("s1"));
    forward_unchecked(follower, &command, &good[0]);
    buffer_clear(&command);
    encode_limits(&command);
    forward_unchecked(follower, &command, &above);
    buffer_clear(&command);
    command_encode_register_repo(&command, slice_of_text("a/c.git"), slice_of_text("s1"));
    forward_unchecked(follower, &command, &good[1]);
    buffer_clear(&command);
    buffer_put_u8(&command, 250); /* of a version that is still to come */
    forward_unchecked(follower, &command, &unknown);
    wait_done(c, &good[0]);
    wait_done(c, &above);
    wait_done(c, &good[1]);
    wait_done(c, &unknown);
    assert_int_equal(good[0].status, RK_OK);
    assert_int_equal(above.status, RK_UNSUPPORTED);
    assert_int_equal(good[1].status, RK_OK);
    assert_int_equal(unknown.status, RK_UNSUPPORTED);
    buffer_release(&command);
}

/* Appended, it would stop every member that applies it. */
static void forwarded_rubbish_ends_the_connection_and_nothing_else(void **state)
{
    struct cluster *c = *state;
    struct outcome rubbish, good = { 0 };
    struct buffer command = BUFFER_INIT;
    struct node *follower;

    open_all(c);
    follower = a_follower(c);
    buffer_put_u8(&command, COMMAND_REMOVE_REPO);
    buffer_put_u32(&command, 7); /* fields: it has one */
    forward_unchecked(follower, &command, &rubbish);
    wait_done(c, &rubbish);
    assert_int_equal(rubbish.status, RK_UNKNOWN);
    propose_register(follower, "a/b.git", &good);
    wait_done(c, &good);
    assert_int_equal(good.status, RK_OK);
    buffer_release(&command);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(proposals_are_answered_on_leader_and_follower),
        CASE(a_follower_reads_what_the_leader_acknowledged),
        CASE(min_index_waits_and_stale_does_not),
        CASE(proposals_wait_for_the_next_leader),
        CASE(a_restarted_member_finds_its_state_again),
        CASE(a_member_left_behind_catches_up_by_snapshot),
        CASE(a_wiped_member_is_refused_under_its_old_name),
        CASE(what_waits_is_told_when_the_node_closes),
        CASE(malformed_commands_are_refused_at_once),
        CASE(forwarded_commands_are_judged_again),
        CASE(forwarded_rubbish_ends_the_connection_and_nothing_else),
    };
#undef CASE

    return cmocka_run_group_tests(tests, NULL, NULL);
}
