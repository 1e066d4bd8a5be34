/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message starts with
 *
 *   u8 code, u8 flags, u16 zero, u64 from, u64 to, u64 term
 *
 * and goes on, by code (1-9 in the order of MESSAGE_LIST):
 *
 *   1 request_vote            u64 last_log_index, u64 last_log_term
 *                             flags: 1 pre-vote, 2 transfer
 *   2 request_vote_reply      -        flags: 1 pre-vote, 2 granted
 *   3 append_entries          u64 prev_log_index, u64 prev_log_term, u64 leader_commit,
 *                             u64 read_sequence, u32 count, u32 bytes, entries
 *   4 append_entries_reply    u64 match_index, u64 reject_index, u64 conflict_index,
 *                             u64 conflict_term, u64 last_log_index, u64 read_sequence
 *                             flags: 1 success, 2 repairing, 4 disk full,
 *                             8 promise: u32 promised_ms follows
 *   5 install_snapshot        u64 last_index, u64 last_term, u64 offset, u64 file_bytes,
 *                             u32 bytes, chunk        flags: 1 last
 *   6 install_snapshot_reply  u64 last_index, u64 stored_bytes        flags: 1 installed
 *   7 read_index              u64 token
 *   8 read_index_reply        u64 token, u64 read_index        flags: 1 ok
 *   9 timeout_now             -
 */
#include "wire/raft_codec.h"

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"

#define CODE_OF(type) ((uint8_t)((type) + 1))
#define ENTRY_BYTES_MIN (ENTRY_HEADER_BYTES + 1) /* every command has a tag */

/* ---- Encoding ---- */

static unsigned flag(bool condition, unsigned bit)
{
    return condition ? bit : 0;
}

static unsigned message_flags(const struct message *m)
{
    switch (m->type) {
    case MESSAGE_REQUEST_VOTE:
        return flag(m->u.request_vote.is_pre_vote, 1) | flag(m->u.request_vote.is_transfer, 2);
    case MESSAGE_REQUEST_VOTE_REPLY:
        return flag(m->u.request_vote_reply.is_pre_vote, 1) |
               flag(m->u.request_vote_reply.is_granted, 2);
    case MESSAGE_APPEND_ENTRIES_REPLY:
        return flag(m->u.append_entries_reply.is_success, 1) |
               flag(m->u.append_entries_reply.is_repairing, 2) |
               flag(m->u.append_entries_reply.is_full, 4) |
               flag(m->u.append_entries_reply.promised_ms != 0, 8);
    case MESSAGE_INSTALL_SNAPSHOT:
        return flag(m->u.install_snapshot.is_last, 1);
    case MESSAGE_INSTALL_SNAPSHOT_REPLY:
        return flag(m->u.install_snapshot_reply.is_installed, 1);
    case MESSAGE_READ_INDEX_REPLY:
        return flag(m->u.read_index_reply.is_ok, 1);
    default:
        return 0;
    }
}

static void put_append_entries(struct buffer *out, const struct message *m)
{
    PRE((m->u.append_entries.count == 0) == (m->u.append_entries.bytes.size == 0));
    buffer_put_u64(out, m->u.append_entries.prev_log_index);
    buffer_put_u64(out, m->u.append_entries.prev_log_term);
    buffer_put_u64(out, m->u.append_entries.leader_commit);
    buffer_put_u64(out, m->u.append_entries.read_sequence);
    buffer_put_u32(out, m->u.append_entries.count);
    buffer_put_u32(out, (uint32_t)m->u.append_entries.bytes.size);
}

static void put_append_entries_reply(struct buffer *out, const struct message *m)
{
    buffer_put_u64(out, m->u.append_entries_reply.match_index);
    buffer_put_u64(out, m->u.append_entries_reply.reject_index);
    buffer_put_u64(out, m->u.append_entries_reply.conflict_index);
    buffer_put_u64(out, m->u.append_entries_reply.conflict_term);
    buffer_put_u64(out, m->u.append_entries_reply.last_log_index);
    buffer_put_u64(out, m->u.append_entries_reply.read_sequence);
    if (m->u.append_entries_reply.promised_ms != 0) {
        buffer_put_u32(out, m->u.append_entries_reply.promised_ms);
    }
}

static void put_install_snapshot(struct buffer *out, const struct message *m)
{
    buffer_put_u64(out, m->u.install_snapshot.last_index);
    buffer_put_u64(out, m->u.install_snapshot.last_term);
    buffer_put_u64(out, m->u.install_snapshot.file_id);
    buffer_put_u64(out, m->u.install_snapshot.offset);
    buffer_put_u64(out, m->u.install_snapshot.file_bytes);
    buffer_put_u32(out, (uint32_t)m->u.install_snapshot.bytes.size);
}

void message_encode(struct buffer *out, const struct message *message)
{
    const struct message *m = message;

    PRE((unsigned)m->type < MESSAGE_TYPE_COUNT);
    buffer_put_u8(out, CODE_OF(m->type));
    buffer_put_u8(out, (uint8_t)message_flags(m));
    buffer_put_u16(out, 0);
    buffer_put_u64(out, m->from);
    buffer_put_u64(out, m->to);
    buffer_put_u64(out, m->term);
    switch (m->type) {
    case MESSAGE_REQUEST_VOTE:
        buffer_put_u64(out, m->u.request_vote.last_log_index);
        buffer_put_u64(out, m->u.request_vote.last_log_term);
        break;
    case MESSAGE_APPEND_ENTRIES:
        put_append_entries(out, m);
        break;
    case MESSAGE_APPEND_ENTRIES_REPLY:
        put_append_entries_reply(out, m);
        break;
    case MESSAGE_INSTALL_SNAPSHOT:
        put_install_snapshot(out, m);
        break;
    case MESSAGE_INSTALL_SNAPSHOT_REPLY:
        buffer_put_u64(out, m->u.install_snapshot_reply.last_index);
        buffer_put_u64(out, m->u.install_snapshot_reply.file_id);
        buffer_put_u64(out, m->u.install_snapshot_reply.stored_bytes);
        break;
    case MESSAGE_READ_INDEX:
        buffer_put_u64(out, m->u.read_index.token);
        break;
    case MESSAGE_READ_INDEX_REPLY:
        buffer_put_u64(out, m->u.read_index_reply.token);
        buffer_put_u64(out, m->u.read_index_reply.read_index);
        break;
    default: /* request_vote_reply and timeout_now have no fields */
        break;
    }
}

/* ---- Decoding.  A value that cannot be fails the reader ---- */

static raft_index read_index(struct reader *in)
{
    raft_index index = reader_u64(in);

    in->failed |= index > RAFT_INDEX_MAX;
    return index;
}

static raft_term read_term(struct reader *in)
{
    raft_term term = reader_u64(in);

    in->failed |= term > RAFT_TERM_MAX;
    return term;
}

static raft_term read_term_up_to(struct reader *in, raft_term last)
{
    raft_term term = read_term(in);

    in->failed |= term > last;
    return term;
}

static void read_request_vote(struct reader *in, unsigned flags, struct message *m)
{
    m->u.request_vote.is_pre_vote = (flags & 1) != 0;
    m->u.request_vote.is_transfer = (flags & 2) != 0;
    m->u.request_vote.last_log_index = read_index(in);
    m->u.request_vote.last_log_term = read_term_up_to(in, m->term);
    in->failed |= m->term == 0;
}

static void read_append_entries(struct reader *in, struct message *m)
{
    uint32_t size;

    m->u.append_entries.prev_log_index = read_index(in);
    m->u.append_entries.prev_log_term = read_term_up_to(in, m->term);
    m->u.append_entries.leader_commit = read_index(in);
    m->u.append_entries.read_sequence = reader_u64(in);
    m->u.append_entries.count = reader_u32(in);
    size = reader_u32(in);
    m->u.append_entries.entries = NULL;
    m->u.append_entries.bytes = reader_bytes(in, size);
    in->failed |= m->term == 0;
    in->failed |= m->u.append_entries.prev_log_index == 0 && m->u.append_entries.prev_log_term != 0;
    in->failed |= m->u.append_entries.count > size / ENTRY_BYTES_MIN;
    in->failed |= m->u.append_entries.count == 0 && size != 0;
    in->failed |= m->u.append_entries.prev_log_index > RAFT_INDEX_MAX - m->u.append_entries.count;
}

static void read_append_entries_reply(struct reader *in, unsigned flags, struct message *m)
{
    m->u.append_entries_reply.is_success = (flags & 1) != 0;
    m->u.append_entries_reply.is_repairing = (flags & 2) != 0;
    m->u.append_entries_reply.is_full = (flags & 4) != 0;
    m->u.append_entries_reply.match_index = read_index(in);
    m->u.append_entries_reply.reject_index = read_index(in);
    m->u.append_entries_reply.conflict_index = read_index(in);
    m->u.append_entries_reply.conflict_term = read_term(in);
    m->u.append_entries_reply.last_log_index = read_index(in);
    m->u.append_entries_reply.read_sequence = reader_u64(in);
    if ((flags & 8) != 0) {
        m->u.append_entries_reply.promised_ms = reader_u32(in);
        in->failed |= m->u.append_entries_reply.promised_ms == 0 ||
                      m->u.append_entries_reply.promised_ms > ELECTION_TIMEOUT_MS_MAX;
    }
}

static void read_install_snapshot(struct reader *in, unsigned flags, struct message *m)
{
    uint64_t offset, file_bytes;
    uint32_t size;

    m->u.install_snapshot.is_last = (flags & 1) != 0;
    m->u.install_snapshot.last_index = read_index(in);
    m->u.install_snapshot.last_term = read_term_up_to(in, m->term);
    m->u.install_snapshot.file_id = reader_u64(in);
    offset = reader_u64(in);
    file_bytes = reader_u64(in);
    size = reader_u32(in);
    m->u.install_snapshot.offset = offset;
    m->u.install_snapshot.file_bytes = file_bytes;
    m->u.install_snapshot.bytes = reader_bytes(in, size);
    in->failed |= m->term == 0 || m->u.install_snapshot.last_index == 0;
    in->failed |= offset > file_bytes || size > file_bytes - offset;
    in->failed |= m->u.install_snapshot.is_last && size != file_bytes - offset;
}

/* The flags that a message of this type may have. */
static unsigned flags_allowed(enum message_type type)
{
    switch (type) {
    case MESSAGE_REQUEST_VOTE:
    case MESSAGE_REQUEST_VOTE_REPLY:
        return 3;
    case MESSAGE_APPEND_ENTRIES_REPLY:
        return 15;
    case MESSAGE_INSTALL_SNAPSHOT:
    case MESSAGE_INSTALL_SNAPSHOT_REPLY:
    case MESSAGE_READ_INDEX_REPLY:
        return 1;
    default:
        return 0;
    }
}

static void read_body(struct reader *in, unsigned flags, struct message *m)
{
    switch (m->type) {
    case MESSAGE_REQUEST_VOTE:
        read_request_vote(in, flags, m);
        break;
    case MESSAGE_REQUEST_VOTE_REPLY:
        m->u.request_vote_reply.is_pre_vote = (flags & 1) != 0;
        m->u.request_vote_reply.is_granted = (flags & 2) != 0;
        break;
    case MESSAGE_APPEND_ENTRIES:
        read_append_entries(in, m);
        break;
    case MESSAGE_APPEND_ENTRIES_REPLY:
        read_append_entries_reply(in, flags, m);
        break;
    case MESSAGE_INSTALL_SNAPSHOT:
        read_install_snapshot(in, flags, m);
        break;
    case MESSAGE_INSTALL_SNAPSHOT_REPLY:
        m->u.install_snapshot_reply.is_installed = (flags & 1) != 0;
        m->u.install_snapshot_reply.last_index = read_index(in);
        m->u.install_snapshot_reply.file_id = reader_u64(in);
        m->u.install_snapshot_reply.stored_bytes = reader_u64(in);
        break;
    case MESSAGE_READ_INDEX:
        m->u.read_index.token = reader_u64(in);
        break;
    case MESSAGE_READ_INDEX_REPLY:
        m->u.read_index_reply.is_ok = (flags & 1) != 0;
        m->u.read_index_reply.token = reader_u64(in);
        m->u.read_index_reply.read_index = read_index(in);
        break;
    default: /* timeout_now */
        in->failed |= m->term == 0;
        break;
    }
}

/* ---- Entries ---- */

/* PRE: `count` was held against the bytes that carry the entries. */
static enum rk_status decoder_reserve(struct message_decoder *decoder, size_t count)
{
    struct entry *entries;

    if (count <= decoder->capacity) {
        return RK_OK;
    }
    if (count < 2 * decoder->capacity) {
        count = 2 * decoder->capacity;
    }
    entries = heap_resize(decoder->entries, count * sizeof *entries);
    if (entries == NULL) {
        return RK_NOMEM;
    }
    decoder->entries = entries;
    decoder->capacity = count;
    return RK_OK;
}

static enum rk_status check_command(struct slice bytes)
{
    struct command command;
    enum rk_status status = command_decode(bytes, &command);

    return status == RK_OK || status == RK_UNSUPPORTED ? status : RK_PROTOCOL;
}

static enum rk_status decode_entries(struct message_decoder *decoder, struct message *m)
{
    struct slice rest = m->u.append_entries.bytes;
    raft_index index = m->u.append_entries.prev_log_index;
    raft_term term = m->u.append_entries.prev_log_term;
    uint32_t count = m->u.append_entries.count;
    enum rk_status status = decoder_reserve(decoder, count);

    for (uint32_t i = 0; i < count && status == RK_OK; i++) {
        struct entry *e = &decoder->entries[i];
        size_t need;

        if (entry_decode(rest, e, &need) != ENTRY_GOOD || e->index != ++index || e->term < term ||
            e->term > m->term) {
            return RK_PROTOCOL;
        }
        term = e->term;
        rest = slice_of(rest.data + entry_size(e), rest.size - entry_size(e));
        status = check_command(e->command);
    }
    if (status == RK_OK && rest.size > 0) {
        return RK_PROTOCOL;
    }
    m->u.append_entries.entries = count > 0 ? decoder->entries : NULL;
    return status;
}

enum rk_status message_decode(struct message_decoder *decoder, struct slice payload,
                              struct message *ret_message)
{
    struct reader in = reader_of(payload);
    struct message m;
    unsigned code = reader_u8(&in);
    unsigned flags = reader_u8(&in);
    unsigned zero = reader_u16(&in);

    if (in.failed || code == 0 || code > MESSAGE_TYPE_COUNT || zero != 0) {
        return RK_PROTOCOL;
    }
    memset(&m, 0, sizeof m);
    m.type = (enum message_type)(code - 1);
    m.from = reader_u64(&in);
    m.to = reader_u64(&in);
    m.term = read_term(&in);
    in.failed |= m.from == 0 || m.to == 0 || (flags & ~flags_allowed(m.type)) != 0;
    read_body(&in, flags, &m);
    if (!reader_done(&in)) {
        return RK_PROTOCOL;
    }
    if (m.type == MESSAGE_APPEND_ENTRIES) {
        enum rk_status status = decode_entries(decoder, &m);

        if (status != RK_OK) {
            return status;
        }
    }
    *ret_message = m;
    return RK_OK;
}

void message_decoder_release(struct message_decoder *decoder)
{
    heap_free(decoder->entries);
    *decoder = (struct message_decoder){ NULL, 0 };
}
