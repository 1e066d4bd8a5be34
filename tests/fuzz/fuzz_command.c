/* SPDX-License-Identifier: Apache-2.0 */
/* One command.  What decodes is walked to its end, and encodes to the same bytes again. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice *walk_strings(struct slice rest, uint32_t count)
{
    struct slice *strings = heap_zalloc(count * sizeof *strings);
    struct slice s;

    for (uint32_t i = 0; i < count; i++) {
        bool is_there = command_next_string(&rest, &strings[i]);

        INVARIANT(is_there);
    }
    INVARIANT(!command_next_string(&rest, &s) && rest.size == 0);
    return strings;
}

static void encode_set_primary(struct buffer *out, const struct command *c)
{
    struct slice *paths = walk_strings(c->u.set_primary.paths, c->u.set_primary.count);

    command_encode_set_primary(out, c->u.set_primary.storage, paths, c->u.set_primary.count);
    heap_free(paths);
}

static void encode_updates(struct buffer *out, const struct command *c)
{
    uint32_t count = c->u.envelope.count;
    struct ref_update *updates = heap_zalloc(count * sizeof *updates);
    struct ref_update one_more;
    struct slice rest = c->u.envelope.items;

    for (uint32_t i = 0; i < count; i++) {
        bool is_there = command_next_update(&rest, &updates[i]);

        INVARIANT(is_there);
    }
    INVARIANT(!command_next_update(&rest, &one_more) && rest.size == 0);
    command_encode_ref_envelope(out, &c->u.envelope.envelope, c->u.envelope.path, updates, count);
    heap_free(updates);
}

static void encode(struct buffer *out, const struct command *c, struct slice bytes);

static void encode_envelope(struct buffer *out, const struct command *c)
{
    struct buffer inner_bytes = BUFFER_INIT;
    struct command inner;

    if (c->u.envelope.path.size > 0) {
        encode_updates(out, c);
        return;
    }
    INVARIANT(c->u.envelope.count == 1);
    command_inner(c, &inner);
    encode(&inner_bytes, &inner, c->u.envelope.items);
    command_encode_envelope(out, &c->u.envelope.envelope, buffer_slice(&inner_bytes));
    buffer_release(&inner_bytes);
}

static void encode_membership(struct buffer *out, struct slice bytes)
{
    struct membership m;
    enum rk_status status = command_membership(bytes, &m);

    INVARIANT(status == RK_OK);
    command_encode_membership(out, &m);
}

static void encode(struct buffer *out, const struct command *c, struct slice bytes)
{
    switch (c->tag) {
    case COMMAND_REF_UPDATE:
        command_encode_ref_update(out, c->u.ref_update.path, c->u.ref_update.refname,
                                  c->u.ref_update.old_value, c->u.ref_update.new_value);
        break;
    case COMMAND_REGISTER_REPO:
        command_encode_register_repo(out, c->u.register_repo.path, c->u.register_repo.storage);
        break;
    case COMMAND_REMOVE_REPO:
        command_encode_remove_repo(out, c->u.remove_repo.path);
        break;
    case COMMAND_SET_PRIMARY:
        encode_set_primary(out, c);
        break;
    case COMMAND_NOOP:
        command_encode_noop(out);
        break;
    case COMMAND_MEMBERSHIP:
        encode_membership(out, bytes);
        break;
    case COMMAND_ENVELOPE:
        encode_envelope(out, c);
        break;
    default:
        if (c->tag == COMMAND_CREATE_REPO) {
            heap_free(walk_strings(c->u.create_repo.replicas, c->u.create_repo.replica_count));
        }
        command_encode_plain(out, c);
        break;
    }
}

/* Text of any kind is either understood or refused. */
static void interpret(const struct command *c)
{
    struct ref_update u;

    if (c->tag == COMMAND_REF_UPDATE &&
        ref_update_from_text(c->u.ref_update.refname, c->u.ref_update.old_value,
                             c->u.ref_update.new_value, &u) == RK_OK) {
        INVARIANT(u.is_delete || !oid_is_null(&u.new_oid));
        INVARIANT(u.old_value != OLD_OID || !oid_is_null(&u.old_oid));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct buffer again = BUFFER_INIT;
    struct command c;
    uint8_t *copy;

    if (command_decode(input, &c) == RK_OK) {
        encode(&again, &c, input);
        INVARIANT(slice_equal(buffer_slice(&again), input));
        interpret(&c);
    }
    copy = heap_copy(data, size);
    command_stamp(copy, size, 1, 2);
    heap_free(copy);
    buffer_release(&again);
    return 0;
}
