/* SPDX-License-Identifier: Apache-2.0 */
/* Freezing, dumping, loading. */
#include "unit/refdb/fixture.h"

#include <stdio.h>

#include "base/heap.h"
#include "base/limits.h"

/* A little of everything. */
static void fill(struct fixture *f)
{
    struct membership m = { .count = 1,
                            .members = { { .id = 1, .flags = MEMBER_VOTER | MEMBER_VOTER_OLD } } };
    struct command c = { .tag = COMMAND_SET_STORAGE };
    char name[64];

    buffer_clear(&f->command);
    (void)snprintf(m.members[0].name, sizeof m.members[0].name, "n1");
    (void)snprintf(m.members[0].peer_address, sizeof m.members[0].peer_address, "h:1");
    command_encode_membership(&f->command, &m);
    assert_int_equal(fixture_apply(f), RK_OK);
    c.u.set_storage.name = TEXT("s2");
    c.u.set_storage.fields = SET_STORAGE_ZONE | SET_STORAGE_HTTP;
    c.u.set_storage.zone = TEXT("north");
    c.u.set_storage.http_address = TEXT("h:80");
    assert_int_equal(plain(f, &c), RK_OK);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "group/p%02u.git", i);
        assert_int_equal(register_repo(f, name, i % 2 == 0 ? "s1" : "s2"), RK_OK);
        assert_int_equal(register_repo(f, name, "s3"), RK_OK);
    }
    assert_int_equal(remove_repo(f, "group/p07.git"), RK_OK);
    assert_int_equal(set_state(f, "group/p08.git", REPOSITORY_RO, "because"), RK_OK);
    assert_int_equal(open_session(f), RK_OK);
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_SESSION,
                                     .session = f->result.index,
                                     .sequence = 4,
                                     .actor = TEXT("bob"),
                                     .cluster_ms = 12345 };
    struct ref_update u = update_of("refs/heads/a", 0, 1);
    assert_int_equal(ref_batch(f, "group/p00.git", &u, 1, true), RK_OK);
    for (unsigned i = 0; i < 9000; i++) {
        snprintf(name, sizeof name, "refs/changes/%02u/%u/1", i % 100, i);
        assert_int_equal(ref_update(f, "group/p01.git", name, 0, i + 1), RK_OK);
    }
}

static void assert_equal_bytes(const struct buffer *a, const struct buffer *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}

static void a_loaded_dump_is_the_state_it_was_taken_from(void **state)
{
    struct fixture *f = *state;
    struct buffer dump, again;
    struct refdb *loaded;
    uint8_t a[16], b[16];
    raft_index at;

    fill(f);
    dump = dump_of(f->db);
    for (size_t piece = 7; piece < 1000000; piece *= 30) {
        loaded = load_of(buffer_slice(&dump), piece);
        assert_non_null(loaded);
        again = dump_of(loaded);
        assert_equal_bytes(&dump, &again);
        refdb_digest(f->db, a);
        refdb_digest(loaded, b);
        assert_memory_equal(a, b, sizeof a);
        refdb_digest_recompute(loaded, b);
        assert_memory_equal(a, b, sizeof a);
        assert_int_equal(refdb_membership(loaded, &at)->count, 1);
        assert_int_equal(at, 1);
        buffer_release(&again);
        refdb_free(loaded);
    }
    buffer_release(&dump);
}

static void an_empty_state_can_be_dumped_and_loaded(void **state)
{
    struct fixture *f = *state;
    struct buffer dump = dump_of(f->db);
    struct refdb *loaded = load_of(buffer_slice(&dump), 1);

    assert_non_null(loaded);
    refdb_free(loaded);
    buffer_release(&dump);
}

static void a_dump_shows_the_state_of_the_freeze(void **state)
{
    struct fixture *f = *state;
    struct buffer before, during = BUFFER_INIT;
    struct refdb_view *view;
    unsigned i = 0;
    char name[64];

    fill(f);
    before = dump_of(f->db);
    view = refdb_freeze(f->db);
    for (;;) {
        size_t size = during.size;

        refdb_dump_next(view, &during);
        if (during.size == size) {
            break;
        }
        for (unsigned k = 0; k < 2000; k++, i++) {
            snprintf(name, sizeof name, "refs/changes/%02u/%u/1", i % 100, i % 9000);
            (void)ref_update(f, "group/p01.git", name, -1, i % 3 == 0 ? 0 : i + 7);
        }
        (void)remove_repo(f, "group/p00.git");
        (void)register_repo(f, "group/p99.git", "s9");
        (void)rename_repo(f, "group/", "team/", true);
        (void)rename_repo(f, "team/", "group/", true);
    }
    refdb_thaw(f->db, view);
    assert_equal_bytes(&before, &during);
    buffer_release(&before);
    buffer_release(&during);
}

static void a_damaged_dump_is_refused(void **state)
{
    struct fixture *f = *state;
    struct refdb *loaded;
    struct buffer dump;

    fill(f);
    dump = dump_of(f->db);
    for (size_t at = 0; at < dump.size; at += 1 + at / 40) {
        dump.data[at] ^= 0x10;
        loaded = load_of(buffer_slice(&dump), dump.size);
        assert_null(loaded);
        dump.data[at] ^= 0x10;
    }
    for (size_t size = 0; size < dump.size; size += 1 + size / 20) {
        assert_null(load_of(slice_of(dump.data, size), dump.size));
    }
    buffer_put_u8(&dump, 0);
    assert_null(load_of(buffer_slice(&dump), dump.size));
    buffer_release(&dump);
}

static void a_newer_dump_is_told_apart_from_a_damaged_one(void **state)
{
    struct fixture *f = *state;
    struct buffer dump = dump_of(f->db);
    struct refdb_loader *loader = refdb_loader_new();

    dump.data[12] = 99; /* the version */
    assert_int_equal(refdb_loader_put(loader, buffer_slice(&dump)), RK_UNSUPPORTED);
    refdb_loader_free(loader);
    buffer_release(&dump);
}

/* A chunk is closed behind the record that passes its size, whichever bytes that falls on. */
static void a_chunk_may_be_full_at_any_byte(void **state)
{
    struct fixture *f = *state;
    char path[400], longer[400];
    unsigned repositories = 0;
    struct ref_update u;

    while (refdb_applied_index(f->db) < 2400) { /* more than a chunk of 120 KiB */
        snprintf(path, sizeof path, "group-with-a-name/project-%05u.git", repositories++);
        assert_int_equal(register_repo(f, path, "s1"), RK_OK);
        u = update_of("refs/heads/main", 0, repositories);
        assert_int_equal(ref_batch(f, path, &u, 1, true), RK_OK);
    }
    memset(path, 'x', sizeof path);
    memcpy(path, "a", 2);
    assert_int_equal(register_repo(f, path, "s1"), RK_OK);
    for (size_t size = 2; size < 360; size++) {
        struct buffer dump;
        struct refdb *loaded;

        memset(longer, 'x', size);
        longer[0] = 'a';
        longer[size] = '\0';
        assert_int_equal(rename_repo(f, path, longer, false), RK_OK);
        memcpy(path, longer, size + 1);
        dump = dump_of(f->db);
        loaded = load_of(buffer_slice(&dump), dump.size);
        if (loaded == NULL) {
            fail_msg("refused with a path of %zu bytes", size);
        }
        refdb_free(loaded);
        buffer_release(&dump);
    }
}

/* Members compare at these indexes, wherever each of them is by then. */
static void digests_of_earlier_indexes_are_known(void **state)
{
    struct fixture *f = *state;
    uint8_t then[3][16], found[16];
    char name[64];

    assert_int_equal(register_repo(f, "a.git", "s1"), RK_OK);
    while (refdb_applied_index(f->db) < (DIGESTS_KEPT + 3) * DIGEST_INTERVAL + 5) {
        raft_index at = refdb_applied_index(f->db);

        snprintf(name, sizeof name, "refs/heads/%u", (unsigned)(at % 50));
        (void)ref_update(f, "a.git", name, -1, (unsigned)at + 1);
        if ((at + 1) % DIGEST_INTERVAL == 0) {
            refdb_digest(f->db, then[(at + 1) / DIGEST_INTERVAL % 3]);
        }
    }
    for (raft_index mark = DIGESTS_KEPT + 1; mark <= DIGESTS_KEPT + 3; mark++) {
        assert_true(refdb_digest_at(f->db, mark * DIGEST_INTERVAL, found));
        assert_memory_equal(found, then[mark % 3], sizeof found);
    }
    assert_true(refdb_digest_at(f->db, refdb_applied_index(f->db), found));
    assert_true(refdb_digest_at(f->db, 4ULL * DIGEST_INTERVAL, found)); /* the oldest kept */
    assert_false(refdb_digest_at(f->db, 3ULL * DIGEST_INTERVAL, found));
    assert_false(refdb_digest_at(f->db, 4ULL * DIGEST_INTERVAL + 1, found));
    assert_false(refdb_digest_at(f->db, refdb_applied_index(f->db) + 1, found));
    assert_false(refdb_digest_at(f->db, 0, found));
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_loaded_dump_is_the_state_it_was_taken_from),
        RULE(an_empty_state_can_be_dumped_and_loaded),
        RULE(a_dump_shows_the_state_of_the_freeze),
        RULE(a_damaged_dump_is_refused),
        RULE(a_chunk_may_be_full_at_any_byte),
        RULE(digests_of_earlier_indexes_are_known),
        RULE(a_newer_dump_is_told_apart_from_a_damaged_one),
    };

    return cmocka_run_group_tests_name("refdb/dump", tests, NULL, NULL);
}
