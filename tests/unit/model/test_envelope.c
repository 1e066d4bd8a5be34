/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: a batch of ref updates or one other command; who, when, under which session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>

#include "base/heap.h"
#include "base/rng.h"
#include "model/command.h"

#define T(text) slice_of_text(text)
#define FLAGS_ALL 63u
#define FLAGS_OFFSET 1
#define KIND_OFFSET 2
#define ZERO_OFFSET 3
#define BODY_OFFSET 24 /* of an envelope without optional fields, actor and reason */

static struct oid make_oid(uint8_t size, uint8_t fill)
{
    struct oid oid = { .size = size };

    memset(oid.bytes, fill, size);
    return oid;
}

static struct ref_update make_update(const char *refname, enum old_value old_value, bool is_delete,
                                     uint8_t oid_bytes)
{
    struct ref_update u = { .refname = T(refname), .old_value = old_value, .is_delete = is_delete };

    if (old_value == OLD_OID) {
        u.old_oid = make_oid(oid_bytes, 0x11);
    }
    if (!is_delete) {
        u.new_oid = make_oid(oid_bytes, 0x22);
    }
    return u;
}

static struct envelope make_envelope(unsigned flags)
{
    return (struct envelope){
        .flags = flags,
        .session = 88,
        .sequence = 9,
        .lowest_unanswered = 8,
        .epoch = 77,
        .repository_id = 66,
        .storage = T("s1"),
        .actor = T("alice"),
        .reason = T("because"),
        .wall_ms = -5,
        .cluster_ms = INT64_MAX,
    };
}

static void expect_update(const struct ref_update *a, const struct ref_update *b)
{
    assert_true(slice_equal(a->refname, b->refname));
    assert_int_equal(a->old_value, b->old_value);
    assert_int_equal(a->is_delete, b->is_delete);
    assert_true(oid_equal(&a->old_oid, &b->old_oid));
    assert_true(oid_equal(&a->new_oid, &b->new_oid));
}

static void expect_envelope(const struct envelope *e, unsigned flags)
{
    bool has_session = (flags & ENVELOPE_HAS_SESSION) != 0;

    assert_int_equal(e->flags, flags);
    assert_int_equal(e->session, has_session ? 88 : 0);
    assert_int_equal(e->sequence, has_session ? 9 : 0);
    assert_int_equal(e->lowest_unanswered, has_session ? 8 : 0);
    assert_int_equal(e->epoch, (flags & ENVELOPE_HAS_EPOCH) != 0 ? 77 : 0);
    assert_int_equal(e->repository_id, (flags & ENVELOPE_HAS_ID) != 0 ? 66 : 0);
    assert_int_equal(e->storage.size, (flags & ENVELOPE_HAS_STORAGE) != 0 ? 2 : 0);
    assert_true(slice_equal(e->actor, T("alice")));
    assert_true(slice_equal(e->reason, T("because")));
    assert_true(e->wall_ms == -5 && e->cluster_ms == INT64_MAX);
}

static const struct ref_update *every_kind_of_update(uint32_t *ret_count)
{
    static struct ref_update updates[12];
    uint32_t count = 0;

    for (int old = OLD_ANY; old <= OLD_OID; old++) {
        for (int is_delete = 0; is_delete <= 1; is_delete++) {
            updates[count++] = make_update("refs/heads/a", (enum old_value)old, is_delete, 20);
            updates[count++] = make_update("refs/heads/bb", (enum old_value)old, is_delete, 32);
        }
    }
    *ret_count = count;
    return updates;
}

static void every_kind_of_update_comes_back_under_every_flag(void **state)
{
    uint32_t count;
    const struct ref_update *updates = every_kind_of_update(&count);

    (void)state;
    for (unsigned flags = 0; flags <= FLAGS_ALL; flags++) {
        struct envelope e = make_envelope(flags);
        struct buffer b = BUFFER_INIT;
        struct ref_update u;
        struct command c;
        struct slice rest;

        command_encode_ref_envelope(&b, &e, T("a/b.git"), updates, count);
        assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
        assert_int_equal(c.tag, COMMAND_ENVELOPE);
        expect_envelope(&c.u.envelope.envelope, flags);
        assert_true(slice_equal(c.u.envelope.path, T("a/b.git")));
        assert_int_equal(c.u.envelope.count, count);
        rest = c.u.envelope.items;
        for (uint32_t i = 0; i < count; i++) {
            assert_true(command_next_update(&rest, &u));
            expect_update(&u, &updates[i]);
        }
        assert_false(command_next_update(&rest, &u));
        buffer_release(&b);
    }
}

static void every_cut_and_every_tail_is_refused(void **state)
{
    uint32_t count;
    const struct ref_update *updates = every_kind_of_update(&count);
    struct envelope e = make_envelope(FLAGS_ALL);
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    command_encode_ref_envelope(&b, &e, T("a/b.git"), updates, count);
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(command_decode(slice_of(b.data, size), &c), RK_PROTOCOL);
    }
    buffer_put_u8(&b, 0);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_PROTOCOL);
    buffer_release(&b);
}

static void another_command_comes_back(void **state)
{
    struct envelope e = make_envelope(FLAGS_ALL);
    struct buffer inner = BUFFER_INIT, b = BUFFER_INIT;
    struct command c, got;

    (void)state;
    command_encode_register_repo(&inner, T("a/b.git"), T("s1"));
    command_encode_envelope(&b, &e, buffer_slice(&inner));
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    expect_envelope(&c.u.envelope.envelope, FLAGS_ALL);
    assert_int_equal(c.u.envelope.path.size, 0);
    assert_int_equal(c.u.envelope.count, 1);
    assert_true(slice_equal(c.u.envelope.items, buffer_slice(&inner)));
    command_inner(&c, &got);
    assert_int_equal(got.tag, COMMAND_REGISTER_REPO);
    assert_true(slice_equal(got.u.register_repo.storage, T("s1")));
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(command_decode(slice_of(b.data, size), &c), RK_PROTOCOL);
    }
    buffer_put_u8(&b, 0);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_PROTOCOL);
    buffer_release(&inner);
    buffer_release(&b);
}

static enum rk_status decode_around(struct slice inner)
{
    struct envelope e = make_envelope(0);
    struct buffer b = BUFFER_INIT;
    struct command c;
    enum rk_status status;

    command_encode_envelope(&b, &e, inner);
    status = command_decode(buffer_slice(&b), &c);
    buffer_release(&b);
    return status;
}

static void what_does_not_belong_inside_is_refused(void **state)
{
    struct membership m = { .count = 0 };
    struct envelope e = make_envelope(0);
    struct ref_update u = make_update("refs/heads/a", OLD_ANY, false, 20);
    struct buffer b = BUFFER_INIT;

    (void)state;
    command_encode_noop(&b);
    assert_int_equal(decode_around(buffer_slice(&b)), RK_PROTOCOL);
    buffer_clear(&b);
    command_encode_membership(&b, &m);
    assert_int_equal(decode_around(buffer_slice(&b)), RK_PROTOCOL);
    buffer_clear(&b);
    command_encode_ref_envelope(&b, &e, T("p"), &u, 1);
    assert_int_equal(decode_around(buffer_slice(&b)), RK_PROTOCOL);
    assert_int_equal(decode_around(SLICE_NONE), RK_PROTOCOL);
    assert_int_equal(decode_around(slice_of("\x0f", 1)), RK_UNSUPPORTED);
    assert_int_equal(decode_around(slice_of("\xff", 1)), RK_UNSUPPORTED);
    buffer_release(&b);
}

/* A small envelope whose bytes lie at known places. */
static void make_small(struct buffer *b, enum old_value old_value, bool is_delete)
{
    struct envelope e = { .flags = 0 };
    struct ref_update u = make_update("r", old_value, is_delete, 20);

    buffer_clear(b);
    command_encode_ref_envelope(b, &e, T("p"), &u, 1);
}

#define SMALL_PATH_OFFSET BODY_OFFSET
#define SMALL_COUNT_OFFSET (BODY_OFFSET + 3)
#define SMALL_ITEM_OFFSET (BODY_OFFSET + 7)

static enum rk_status decode_with(struct buffer *b, size_t offset, uint8_t value)
{
    uint8_t before = b->data[offset];
    struct command c;
    enum rk_status status;

    b->data[offset] = value;
    status = command_decode(buffer_slice(b), &c);
    b->data[offset] = before;
    return status;
}

static void flags_and_kinds_of_a_newer_binary_are_unsupported(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    make_small(&b, OLD_ANY, false);
    assert_int_equal(decode_with(&b, FLAGS_OFFSET, ENVELOPE_ATOMIC), RK_OK);
    assert_int_equal(decode_with(&b, FLAGS_OFFSET, 1 << 6), RK_UNSUPPORTED);
    assert_int_equal(decode_with(&b, FLAGS_OFFSET, 1 << 7), RK_UNSUPPORTED);
    assert_int_equal(decode_with(&b, KIND_OFFSET, 2), RK_UNSUPPORTED);
    assert_int_equal(decode_with(&b, ZERO_OFFSET, 1), RK_PROTOCOL);
    buffer_release(&b);
}

static void counts_are_held_against_bound_and_bytes(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    make_small(&b, OLD_ANY, false);
    assert_int_equal(decode_with(&b, SMALL_COUNT_OFFSET + 3, 0), RK_PROTOCOL);
    assert_int_equal(decode_with(&b, SMALL_COUNT_OFFSET + 3, 2), RK_PROTOCOL);
    assert_int_equal(decode_with(&b, SMALL_COUNT_OFFSET, 0xff), RK_TOOLARGE);
    buffer_release(&b);
}

static void one_meaning_has_one_encoding(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    make_small(&b, OLD_ANY, false);
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 0), RK_OK);
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 3), RK_PROTOCOL);      /* old value 3 */
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 1 << 3), RK_PROTOCOL); /* old size alone */
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 1 << 5), RK_PROTOCOL);
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 1 << 7), RK_PROTOCOL);
    make_small(&b, OLD_ANY, true);
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 1 << 2), RK_OK);
    assert_int_equal(decode_with(&b, SMALL_ITEM_OFFSET, 1 << 2 | 1 << 4), RK_PROTOCOL);
    buffer_release(&b);
}

/* "No object" is said by OLD_ABSENT and is_delete; a ref never points to zeros. */
static void an_oid_of_zeros_is_refused(void **state)
{
    struct envelope e = { .flags = 0 };
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    for (int which = 0; which < 2; which++) {
        struct ref_update u = make_update("r", OLD_OID, false, 20);

        memset(which == 0 ? u.old_oid.bytes : u.new_oid.bytes, 0, 20);
        buffer_clear(&b);
        command_encode_ref_envelope(&b, &e, T("p"), &u, 1);
        assert_int_equal(command_decode(buffer_slice(&b), &c), RK_PROTOCOL);
    }
    buffer_release(&b);
}

static void updates_need_a_path(void **state)
{
    struct envelope e = { .flags = 0 };
    struct ref_update u = make_update("r", OLD_ANY, false, 20);
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    command_encode_ref_envelope(&b, &e, SLICE_NONE, &u, 1);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_PROTOCOL);
    buffer_release(&b);
}

static enum rk_status decode_sized(size_t actor, size_t reason, size_t storage)
{
    static const char text[1000];
    struct envelope e = { .flags = ENVELOPE_HAS_STORAGE };
    struct ref_update u = make_update("r", OLD_ANY, false, 20);
    struct buffer b = BUFFER_INIT;
    struct command c;
    enum rk_status status;

    e.actor = slice_of(text, actor);
    e.reason = slice_of(text, reason);
    e.storage = slice_of(text, storage);
    command_encode_ref_envelope(&b, &e, T("p"), &u, 1);
    status = command_decode(buffer_slice(&b), &c);
    buffer_release(&b);
    return status;
}

static void who_and_why_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(decode_sized(ACTOR_BYTES_MAX, REASON_BYTES_MAX, STORAGE_NAME_BYTES_MAX),
                     RK_OK);
    assert_int_equal(decode_sized(ACTOR_BYTES_MAX + 1, 0, 0), RK_TOOLARGE);
    assert_int_equal(decode_sized(0, REASON_BYTES_MAX + 1, 0), RK_TOOLARGE);
    assert_int_equal(decode_sized(0, 0, STORAGE_NAME_BYTES_MAX + 1), RK_TOOLARGE);
}

/* A text of 64 KiB does not fit its length field: it must not become another text. */
static void a_text_that_does_not_fit_is_refused(void **state)
{
    static char text[70000];
    static const size_t sizes[] = { 65534, 65535, 65536, 65540, 70000 };
    struct envelope e = { .flags = 0 };
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ref_update u = make_update("r", OLD_ANY, false, 20);
        enum rk_status expected = sizes[i] == 65534 ? RK_OK : RK_TOOLARGE;

        buffer_clear(&b);
        command_encode_ref_envelope(&b, &e, slice_of(text, sizes[i]), &u, 1);
        assert_int_equal(command_decode(buffer_slice(&b), &c), expected);
        u.refname = slice_of(text, sizes[i]);
        buffer_clear(&b);
        command_encode_ref_envelope(&b, &e, T("p"), &u, 1);
        assert_int_equal(command_decode(buffer_slice(&b), &c), expected);
    }
    buffer_release(&b);
}

static void stamping_sets_both_clocks_in_place(void **state)
{
    struct envelope e = make_envelope(FLAGS_ALL);
    struct buffer inner = BUFFER_INIT, b = BUFFER_INIT, before = BUFFER_INIT;
    struct command c;

    (void)state;
    command_encode_remove_repo(&inner, T("a"));
    command_encode_envelope(&b, &e, buffer_slice(&inner));
    command_stamp(b.data, b.size, 1700000000000, -1);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    assert_true(c.u.envelope.envelope.wall_ms == 1700000000000);
    assert_true(c.u.envelope.envelope.cluster_ms == -1);
    buffer_put_slice(&before, buffer_slice(&inner));
    command_stamp(inner.data, inner.size, 1, 2); /* not an envelope */
    assert_true(slice_equal(buffer_slice(&before), buffer_slice(&inner)));
    command_stamp(b.data, 3, 1, 2); /* not a whole one */
    command_stamp(NULL, 0, 1, 2);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    assert_true(c.u.envelope.envelope.cluster_ms == -1);
    buffer_release(&inner);
    buffer_release(&b);
    buffer_release(&before);
}

/* A name as long as those of hosted repositories are. */
static void put_batch(struct buffer *b, uint32_t count)
{
    struct ref_update *updates = heap_zalloc(count * sizeof *updates);
    char(*names)[48] = heap_zalloc(count * sizeof *names);
    struct envelope e = make_envelope(FLAGS_ALL);

    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof *names, "refs/heads/team-%03u/feature/work-item-%06u", i % 1000,
                 (unsigned)i);
        updates[i] = make_update(names[i], OLD_OID, false, 20);
    }
    command_encode_ref_envelope(b, &e, T("group/project.git"), updates, count);
    heap_free(updates);
    heap_free(names);
}

static void ten_thousand_updates_fit_in_a_mebibyte(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    put_batch(&b, 10000);
    assert_in_range(b.size, 1, MIB);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    assert_int_equal(c.u.envelope.count, 10000);
    buffer_release(&b);
}

static void a_batch_has_at_most_20000_items(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    put_batch(&b, BATCH_ITEMS_MAX);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    buffer_clear(&b);
    put_batch(&b, BATCH_ITEMS_MAX + 1);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_TOOLARGE);
    buffer_release(&b);
}

static void damaged_envelopes_are_walked_or_refused(void **state)
{
    uint32_t count;
    const struct ref_update *updates = every_kind_of_update(&count);
    struct envelope e = make_envelope(FLAGS_ALL);
    struct buffer b = BUFFER_INIT;
    struct rng r;

    (void)state;
    rng_init(&r, 4);
    for (int round = 0; round < 20000; round++) {
        struct command c;

        buffer_clear(&b);
        command_encode_ref_envelope(&b, &e, T("a/b.git"), updates, count);
        for (int i = 0; i < 3; i++) {
            b.data[rng_below(&r, b.size)] = (uint8_t)rng_next(&r);
        }
        if (command_decode(buffer_slice(&b), &c) == RK_OK && c.tag == COMMAND_ENVELOPE &&
            c.u.envelope.path.size > 0) {
            struct slice rest = c.u.envelope.items;
            struct ref_update u;
            uint32_t walked = 0;

            while (command_next_update(&rest, &u)) {
                walked++;
            }
            assert_int_equal(walked, c.u.envelope.count);
            assert_int_equal(rest.size, 0);
        }
    }
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_update_comes_back_under_every_flag),
        cmocka_unit_test(every_cut_and_every_tail_is_refused),
        cmocka_unit_test(another_command_comes_back),
        cmocka_unit_test(what_does_not_belong_inside_is_refused),
        cmocka_unit_test(flags_and_kinds_of_a_newer_binary_are_unsupported),
        cmocka_unit_test(counts_are_held_against_bound_and_bytes),
        cmocka_unit_test(one_meaning_has_one_encoding),
        cmocka_unit_test(an_oid_of_zeros_is_refused),
        cmocka_unit_test(updates_need_a_path),
        cmocka_unit_test(who_and_why_are_bounded),
        cmocka_unit_test(a_text_that_does_not_fit_is_refused),
        cmocka_unit_test(stamping_sets_both_clocks_in_place),
        cmocka_unit_test(ten_thousand_updates_fit_in_a_mebibyte),
        cmocka_unit_test(a_batch_has_at_most_20000_items),
        cmocka_unit_test(damaged_envelopes_are_walked_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
