/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding of commands.
 *
 * Sizes are not judged here: what is over a bound is written as bytes that the decoder
 * refuses as TOOLARGE, and every proposal passes the decoder first.
 */
#include "base/assert.h"
#include "model/command.h"
#include "model/command_bytes.h"

void command_encode_ref_update(struct buffer *out, struct slice path, struct slice refname,
                               struct slice old_text, struct slice new_text)
{
    buffer_put_u8(out, COMMAND_REF_UPDATE);
    buffer_put_u32(out, 4);
    buffer_put_string(out, path);
    buffer_put_string(out, refname);
    buffer_put_string(out, old_text);
    buffer_put_string(out, new_text);
}

void command_encode_register_repo(struct buffer *out, struct slice path, struct slice storage)
{
    buffer_put_u8(out, COMMAND_REGISTER_REPO);
    buffer_put_u32(out, 2);
    buffer_put_string(out, path);
    buffer_put_string(out, storage);
}

void command_encode_remove_repo(struct buffer *out, struct slice path)
{
    buffer_put_u8(out, COMMAND_REMOVE_REPO);
    buffer_put_u32(out, 1);
    buffer_put_string(out, path);
}

void command_encode_set_primary(struct buffer *out, struct slice storage, const struct slice *paths,
                                uint32_t count)
{
    buffer_put_u8(out, COMMAND_SET_PRIMARY);
    buffer_put_string(out, storage);
    buffer_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_string(out, paths[i]);
    }
}

void command_encode_noop(struct buffer *out)
{
    buffer_put_u8(out, COMMAND_NOOP);
}

void command_encode_membership(struct buffer *out, const struct membership *m)
{
    buffer_put_u8(out, COMMAND_MEMBERSHIP);
    membership_encode(out, m);
}

/* ---- Plain commands of ours ---- */

static void put_create_repo(struct buffer *out, const struct command *command)
{
    buffer_put_string(out, command->u.create_repo.path);
    buffer_put_string(out, command->u.create_repo.primary);
    buffer_put_u8(out, (uint8_t)command->u.create_repo.format);
    buffer_put_string(out, command->u.create_repo.head);
    buffer_put_u32(out, command->u.create_repo.replica_count);
    buffer_put_slice(out, command->u.create_repo.replicas);
}

static void put_set_storage(struct buffer *out, const struct command *command)
{
    unsigned fields = command->u.set_storage.fields;

    PRE((fields & ~(unsigned)SET_STORAGE_FIELDS_ALL) == 0);
    buffer_put_string(out, command->u.set_storage.name);
    buffer_put_u8(out, (uint8_t)fields);
    if ((fields & SET_STORAGE_HTTP) != 0) {
        buffer_put_string(out, command->u.set_storage.http_address);
    }
    if ((fields & SET_STORAGE_SSH) != 0) {
        buffer_put_string(out, command->u.set_storage.ssh_address);
    }
    if ((fields & SET_STORAGE_ZONE) != 0) {
        buffer_put_string(out, command->u.set_storage.zone);
    }
    if ((fields & SET_STORAGE_STATE) != 0) {
        buffer_put_u8(out, (uint8_t)command->u.set_storage.state);
    }
}

static void put_set_limits(struct buffer *out, const struct command *command)
{
    buffer_put_u8(out, (uint8_t)command->u.set_limits.fields);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if ((command->u.set_limits.fields & 1U << i) != 0) {
            buffer_put_u64(out, command->u.set_limits.values[i]);
        }
    }
}

void command_put_move(struct buffer *moves, struct slice path, raft_index seen_index)
{
    buffer_put_string(moves, path);
    buffer_put_u64(moves, seen_index);
}

void command_encode_plain(struct buffer *out, const struct command *command)
{
    PRE(command->tag >= COMMAND_CREATE_REPO && command->tag <= COMMAND_MOVE_PRIMARY);
    buffer_put_u8(out, (uint8_t)command->tag);
    switch (command->tag) {
    case COMMAND_CREATE_REPO:
        put_create_repo(out, command);
        break;
    case COMMAND_RENAME_REPO:
        buffer_put_u8(out, command->u.rename_repo.is_prefix);
        buffer_put_string(out, command->u.rename_repo.from);
        buffer_put_string(out, command->u.rename_repo.to);
        break;
    case COMMAND_SET_HEAD:
        buffer_put_string(out, command->u.set_head.path);
        buffer_put_string(out, command->u.set_head.refname);
        break;
    case COMMAND_SET_STATE:
        buffer_put_string(out, command->u.set_state.path);
        buffer_put_u8(out, (uint8_t)command->u.set_state.state);
        buffer_put_string(out, command->u.set_state.reason);
        break;
    case COMMAND_REMOVE_REPLICA:
        buffer_put_string(out, command->u.remove_replica.path);
        buffer_put_string(out, command->u.remove_replica.storage);
        break;
    case COMMAND_SET_STORAGE:
        put_set_storage(out, command);
        break;
    case COMMAND_REMOVE_STORAGE:
        buffer_put_string(out, command->u.remove_storage.name);
        break;
    case COMMAND_SET_LIMITS:
        put_set_limits(out, command);
        break;
    case COMMAND_SET_FILTER:
        buffer_put_u32(out, command->u.set_filter.count);
        buffer_put_slice(out, command->u.set_filter.rules);
        break;
    case COMMAND_MOVE_PRIMARY:
        buffer_put_string(out, command->u.move_primary.storage);
        buffer_put_u32(out, command->u.move_primary.count);
        buffer_put_slice(out, command->u.move_primary.moves);
        break;
    default: /* COMMAND_OPEN_SESSION has no fields */
        break;
    }
}

/* ---- Envelopes ---- */

static void put_short(struct buffer *out, struct slice s)
{
    if (s.size >= SHORT_STRING_REFUSED) {
        buffer_put_u16(out, SHORT_STRING_REFUSED);
        return;
    }
    buffer_put_u16(out, (uint16_t)s.size);
    buffer_put_slice(out, s);
}

static void put_envelope(struct buffer *out, const struct envelope *e, enum envelope_kind kind)
{
    PRE((e->flags & ~(unsigned)ENVELOPE_FLAGS_ALL) == 0);
    buffer_put_u8(out, COMMAND_ENVELOPE);
    buffer_put_u8(out, (uint8_t)e->flags);
    buffer_put_u8(out, (uint8_t)kind);
    buffer_put_u8(out, 0);
    buffer_put_u64(out, (uint64_t)e->wall_ms);
    buffer_put_u64(out, (uint64_t)e->cluster_ms);
    if ((e->flags & ENVELOPE_HAS_SESSION) != 0) {
        buffer_put_u64(out, e->session);
        buffer_put_u64(out, e->sequence);
        buffer_put_u64(out, e->lowest_unanswered);
    }
    if ((e->flags & ENVELOPE_HAS_EPOCH) != 0) {
        buffer_put_u64(out, e->epoch);
    }
    if ((e->flags & ENVELOPE_HAS_ID) != 0) {
        buffer_put_u64(out, e->repository_id);
    }
    if ((e->flags & ENVELOPE_HAS_STORAGE) != 0) {
        put_short(out, e->storage);
    }
    put_short(out, e->actor);
    put_short(out, e->reason);
}

static void put_item(struct buffer *out, const struct ref_update *update)
{
    bool has_old = update->old_value == OLD_OID;
    unsigned flags = update->old_value;

    PRE(!has_old || update->old_oid.size == 20 || update->old_oid.size == 32);
    PRE(update->is_delete || update->new_oid.size == 20 || update->new_oid.size == 32);
    if (update->is_delete) {
        flags |= ITEM_DELETE;
    } else if (update->new_oid.size == 32) {
        flags |= ITEM_NEW_SHA256;
    }
    if (has_old && update->old_oid.size == 32) {
        flags |= ITEM_OLD_SHA256;
    }
    buffer_put_u8(out, (uint8_t)flags);
    put_short(out, update->refname);
    if (has_old) {
        buffer_put(out, update->old_oid.bytes, update->old_oid.size);
    }
    if (!update->is_delete) {
        buffer_put(out, update->new_oid.bytes, update->new_oid.size);
    }
}

void command_encode_ref_envelope(struct buffer *out, const struct envelope *envelope,
                                 struct slice path, const struct ref_update *updates,
                                 uint32_t count)
{
    put_envelope(out, envelope, ENVELOPE_KIND_UPDATES);
    put_short(out, path);
    buffer_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        put_item(out, &updates[i]);
    }
}

void command_encode_envelope(struct buffer *out, const struct envelope *envelope,
                             struct slice encoded_command)
{
    put_envelope(out, envelope, ENVELOPE_KIND_COMMAND);
    buffer_put_slice(out, encoded_command);
}

void command_stamp(uint8_t *bytes, size_t size, int64_t wall_ms, int64_t cluster_ms)
{
    if (size < ENVELOPE_HEADER_BYTES || bytes[0] != COMMAND_ENVELOPE) {
        return;
    }
    put_be64(bytes + ENVELOPE_WALL_OFFSET, (uint64_t)wall_ms);
    put_be64(bytes + ENVELOPE_CLUSTER_OFFSET, (uint64_t)cluster_ms);
}
