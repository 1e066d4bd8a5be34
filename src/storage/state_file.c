/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft-state.dat: the same record in two slots, so that no torn write and no single bad
 * sector takes a vote back.  [docs/DISK_FORMAT.md]
 *
 *   slot  { "RKSTATE\n", u32 format version, u32 payload size, u64 generation, u32 crc,
 *           u32 zero, payload }      crc over the slot without these four bytes
 *
 * The head stays the same in all versions: a slot is judged before its payload is read.
 */
#include <zlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "storage/storage_internal.h"

#define STATE_HEAD_BYTES 32
#define STATE_CRC_OFFSET 24

static const uint8_t state_magic[8] = { 'R', 'K', 'S', 'T', 'A', 'T', 'E', '\n' };

static void encode_checkpoint(struct buffer *out, const struct checkpoint *c)
{
    buffer_put_u64(out, c->index);
    buffer_put_u64(out, c->term);
    buffer_put_u64(out, c->hash);
}

static void encode_base(struct buffer *out, const struct log_base *base)
{
    buffer_put_u64(out, base->index);
    buffer_put_u64(out, base->term);
}

static void encode_repair(struct buffer *out, const struct storage_repair *repair)
{
    buffer_put_u32(out, repair->last_index != 0);
    if (repair->last_index != 0) {
        buffer_put_u64(out, repair->first);
        buffer_put_u64(out, repair->last_index);
        buffer_put_u64(out, repair->last_term);
    }
}

static void encode_payload(struct buffer *out, const struct state_record *record)
{
    const struct persistent_state *state = &record->state;

    PRE(state->promised_ms <= UINT16_MAX);
    buffer_put_u16(out, (uint16_t)state->promised_ms);
    buffer_put_u16(out, (uint16_t)record->flags);
    buffer_put_u64(out, state->current_term);
    buffer_put_u64(out, state->voted_for);
    buffer_put(out, state->cluster_id, CLUSTER_ID_BYTES);
    buffer_put_string(out, slice_of_text(state->node_name));
    buffer_put_u64(out, state->id);
    buffer_put_u64(out, state->incarnation);
    buffer_put_u64(out, state->boot_count);
    buffer_put_u32(out, state->feature_level);
    buffer_put_u64(out, record->newest_term);
    encode_base(out, &record->base);
    encode_checkpoint(out, &record->checkpoint);
    encode_base(out, &record->pending_base);
    encode_checkpoint(out, &record->pending_checkpoint);
    encode_repair(out, &record->repair);
    buffer_put_u64(out, state->committed_membership_index);
    membership_encode(out, &state->committed_membership);
    buffer_put_u64(out, state->latest_membership_index);
    membership_encode(out, &state->latest_membership);
    buffer_put_u32(out, state->peer_count);
    for (unsigned i = 0; i < state->peer_count; i++) {
        buffer_put_u64(out, state->peers[i].id);
        buffer_put_u64(out, state->peers[i].incarnation);
        buffer_put_u64(out, state->peers[i].boot_count);
    }
}

static uint32_t slot_crc(const uint8_t *slot, size_t size)
{
    uLong crc = crc32(0, slot, STATE_CRC_OFFSET);

    return (uint32_t)crc32(crc, slot + STATE_CRC_OFFSET + 4, (uInt)(size - STATE_CRC_OFFSET - 4));
}

void state_encode(struct buffer *out, const struct state_record *record)
{
    size_t start = out->size;

    PRE(record->state.peer_count <= MEMBERS_MAX);
    buffer_put(out, state_magic, sizeof state_magic);
    buffer_put_u32(out, record->state.format_version);
    buffer_put_u32(out, 0);
    buffer_put_u64(out, record->generation);
    buffer_put_u64(out, 0);
    encode_payload(out, record);
    POST(out->size - start <= STATE_SLOT_BYTES);
    put_be32(out->data + start + 12, (uint32_t)(out->size - start - STATE_HEAD_BYTES));
    put_be32(out->data + start + STATE_CRC_OFFSET, slot_crc(out->data + start, out->size - start));
}

static struct checkpoint decode_checkpoint(struct reader *in)
{
    struct checkpoint c;

    c.index = reader_u64(in);
    c.term = reader_u64(in);
    c.hash = reader_u64(in);
    return c;
}

static struct log_base decode_base(struct reader *in)
{
    struct log_base base;

    base.index = reader_u64(in);
    base.term = reader_u64(in);
    return base;
}

static void decode_name(struct reader *in, char *ret_name)
{
    struct slice name = reader_string(in, NODE_NAME_BYTES_MAX);

    if (name.size > 0) {
        memcpy(ret_name, name.data, name.size);
    }
    ret_name[name.size] = '\0';
}

static void decode_identity(struct reader *in, struct state_record *record)
{
    struct persistent_state *state = &record->state;
    struct slice cluster_id;

    state->promised_ms = reader_u16(in);
    record->flags = reader_u16(in);
    state->current_term = reader_u64(in);
    state->voted_for = reader_u64(in);
    cluster_id = reader_bytes(in, CLUSTER_ID_BYTES);
    if (!in->failed) {
        memcpy(state->cluster_id, cluster_id.data, CLUSTER_ID_BYTES);
    }
    decode_name(in, state->node_name);
    state->id = reader_u64(in);
    state->incarnation = reader_u64(in);
    state->boot_count = reader_u64(in);
    state->feature_level = reader_u32(in);
    record->newest_term = reader_u64(in);
}

static bool decode_repair(struct reader *in, struct storage_repair *repair)
{
    uint32_t count = reader_u32(in);

    if (count == 0) {
        return true;
    }
    repair->first = reader_u64(in);
    repair->last_index = reader_u64(in);
    repair->last_term = reader_u64(in);
    return count == 1 && repair->first > 0 && repair->last_index > 0;
}

/* So that nothing computed from them wraps. */
static bool numbers_are_sane(const struct state_record *record)
{
    const struct persistent_state *state = &record->state;
    const uint64_t numbers[] = {
        record->generation,
        state->current_term,
        state->boot_count,
        record->newest_term,
        record->base.index,
        record->base.term,
        record->checkpoint.index,
        record->pending_base.index,
        record->pending_base.term,
        record->checkpoint.term,
        record->pending_checkpoint.index,
        record->pending_checkpoint.term,
        record->repair.first,
        record->repair.last_index,
        record->repair.last_term,
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] > STORED_NUMBER_MAX) {
            return false;
        }
    }
    return record->checkpoint.index >= record->base.index &&
           record->pending_checkpoint.index >= record->pending_base.index;
}

static enum rk_status decode_payload(struct reader *in, struct state_record *record)
{
    struct persistent_state *state = &record->state;

    decode_identity(in, record);
    record->base = decode_base(in);
    record->checkpoint = decode_checkpoint(in);
    record->pending_base = decode_base(in);
    record->pending_checkpoint = decode_checkpoint(in);
    if (!decode_repair(in, &record->repair)) {
        return RK_CORRUPT;
    }
    state->committed_membership_index = reader_u64(in);
    if (membership_decode(in, &state->committed_membership) != RK_OK) {
        return RK_CORRUPT;
    }
    state->latest_membership_index = reader_u64(in);
    if (membership_decode(in, &state->latest_membership) != RK_OK) {
        return RK_CORRUPT;
    }
    state->peer_count = reader_u32(in);
    if (state->peer_count > MEMBERS_MAX) {
        return RK_CORRUPT;
    }
    for (unsigned i = 0; i < state->peer_count; i++) {
        state->peers[i].id = reader_u64(in);
        state->peers[i].incarnation = reader_u64(in);
        state->peers[i].boot_count = reader_u64(in);
    }
    return reader_done(in) && numbers_are_sane(record) ? RK_OK : RK_CORRUPT;
}

enum rk_status state_decode(struct slice slot, struct state_record *ret_record)
{
    struct reader in;
    uint32_t version;
    uint32_t size;

    if (slot.size < STATE_HEAD_BYTES || memcmp(slot.data, state_magic, sizeof state_magic) != 0) {
        return RK_CORRUPT;
    }
    version = get_be32(slot.data + 8);
    size = get_be32(slot.data + 12);
    if (size > slot.size - STATE_HEAD_BYTES ||
        slot_crc(slot.data, STATE_HEAD_BYTES + (size_t)size) !=
            get_be32(slot.data + STATE_CRC_OFFSET)) {
        return RK_CORRUPT;
    }
    if (version > STORAGE_FORMAT_VERSION) {
        return RK_FOREIGN;
    }
    *ret_record = (struct state_record){ .generation = get_be64(slot.data + 16) };
    ret_record->state.format_version = version;
    in = reader_of(slice_of(slot.data + STATE_HEAD_BYTES, size));
    return decode_payload(&in, ret_record);
}

/* One slot, written whole the first time so that later writes need no new space. */
static int write_slot(struct storage *s, fs_handle file, unsigned slot, struct slice bytes)
{
    int error = s->fs->ops->write(s->fs, file, (uint64_t)slot * STATE_SLOT_BYTES, bytes.data,
                                  bytes.size);

    if (error != 0 || TOOTH(VOTE_NOT_SYNCED)) {
        return error;
    }
    return s->fs->ops->datasync(s->fs, file);
}

static int write_both_padded(struct storage *s, fs_handle file, struct buffer *bytes)
{
    uint8_t *padded = heap_zalloc(STATE_SLOT_BYTES);
    int error;

    memcpy(padded, bytes->data, bytes->size);
    error = write_slot(s, file, 0, slice_of(padded, STATE_SLOT_BYTES));
    if (error == 0) {
        error = write_slot(s, file, 1, slice_of(padded, STATE_SLOT_BYTES));
    }
    heap_free(padded);
    return error;
}

enum rk_status state_create(struct storage *s, struct errmsg *why)
{
    struct buffer bytes = BUFFER_INIT;
    enum rk_status status;
    int error;

    status = storage_open_file(s, STATE_TMP_NAME, FS_WRITE | FS_CREATE | FS_TRUNC, &s->state_file,
                               why);
    if (status != RK_OK) {
        return status;
    }
    s->record.generation = 1;
    state_encode(&bytes, &s->record);
    error = write_both_padded(s, s->state_file, &bytes);
    buffer_release(&bytes);
    if (error != 0) {
        return storage_error(error, why, "write", STATE_TMP_NAME);
    }
    error = s->fs->ops->rename(s->fs, s->dir, STATE_TMP_NAME, STATE_NAME);
    if (error == 0) {
        error = s->fs->ops->sync_dir(s->fs, s->dir);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "rename", STATE_TMP_NAME);
}

enum rk_status state_save(struct storage *s, struct errmsg *why)
{
    struct buffer bytes = BUFFER_INIT;
    int error;

    s->record.generation++;
    state_encode(&bytes, &s->record);
    error = write_slot(s, s->state_file, 0, buffer_slice(&bytes));
    if (error == 0) {
        error = write_slot(s, s->state_file, 1, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
    return error == 0 ? RK_OK : storage_fail(s, error, why, "write", STATE_NAME);
}

static enum rk_status refuse_state(struct storage *s, enum rk_status status, struct errmsg *why)
{
    if (status == RK_FOREIGN) {
        errmsg_set(why,
                   "%s/%s was written by a newer version of refkeeper (this one reads format %d); "
                   "start that version",
                   s->data_dir, STATE_NAME, STORAGE_FORMAT_VERSION);
        return RK_FOREIGN;
    }
    errmsg_set(why,
               "%s/%s: neither copy of term and vote is readable (offsets 0 and %d); this member "
               "must not vote again under its name: empty the directory and run `refkeeper member "
               "replace` for it",
               s->data_dir, STATE_NAME, STATE_SLOT_BYTES);
    return RK_CORRUPT;
}

/* Repairs the other slot first: were the good one written next and torn, nothing would be left. */
static enum rk_status repair_slot(struct storage *s, unsigned slot, struct slice good,
                                  struct errmsg *why)
{
    int error = write_slot(s, s->state_file, slot, good);

    return error == 0 ? RK_OK : storage_error(error, why, "repair", STATE_NAME);
}

/* Newer wins; A before B when equal.  `slots` holds both images, the second at STATE_SLOT_BYTES. */
static enum rk_status choose_slot(struct storage *s, struct slice slots, unsigned *ret_slot,
                                  bool *ret_is_alone, struct errmsg *why)
{
    struct state_record *b = heap_new(struct state_record);
    struct slice half[2] = { slots, SLICE_NONE };
    enum rk_status status[2];

    if (slots.size > STATE_SLOT_BYTES) {
        half[0].size = STATE_SLOT_BYTES;
        half[1] = slice_of(slots.data + STATE_SLOT_BYTES, slots.size - STATE_SLOT_BYTES);
    }
    status[0] = state_decode(half[0], &s->record);
    status[1] = state_decode(half[1], b);
    *ret_is_alone = status[0] != RK_OK || status[1] != RK_OK ||
                    s->record.generation != b->generation;
    *ret_slot = 0;
    if (status[1] == RK_OK && (status[0] != RK_OK || b->generation > s->record.generation)) {
        s->record = *b;
        *ret_slot = 1;
    }
    heap_free(b);
    if (status[0] == RK_FOREIGN || status[1] == RK_FOREIGN) {
        return refuse_state(s, RK_FOREIGN, why);
    }
    if (status[0] != RK_OK && status[1] != RK_OK) {
        return refuse_state(s, RK_CORRUPT, why);
    }
    return RK_OK;
}

enum rk_status state_load(struct storage *s, bool *ret_is_repaired, struct errmsg *why)
{
    uint8_t *slots = heap_zalloc((size_t)2 * STATE_SLOT_BYTES);
    unsigned flags = s->is_read_only ? FS_READ : FS_WRITE;
    enum rk_status status;
    unsigned slot = 0;
    bool is_alone = false;
    size_t size = 0;
    int error;

    status = storage_open_file(s, STATE_NAME, flags, &s->state_file, why);
    if (status != RK_OK) {
        goto out;
    }
    error = s->fs->ops->read(s->fs, s->state_file, 0, slots, (size_t)2 * STATE_SLOT_BYTES, &size);
    if (error != 0) {
        status = storage_error(error, why, "read", STATE_NAME);
        goto out;
    }
    status = choose_slot(s, slice_of(slots, size), &slot, &is_alone, why);
    if (status == RK_OK && is_alone && !s->is_read_only) {
        status = repair_slot(
            s, 1 - slot, slice_of(slots + (size_t)slot * STATE_SLOT_BYTES, STATE_SLOT_BYTES), why);
    }
    *ret_is_repaired = is_alone;
out:
    heap_free(slots);
    return status;
}
