/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "wire/raft_codec.h"
#include "wire/status_word.h"

void change_encode(struct buffer *out, uint64_t token, const struct member_change *change)
{
    PRE(change->kind > 0 && change->kind < MEMBER_CHANGE_KIND_COUNT);
    buffer_put_u64(out, token);
    buffer_put_u8(out, (uint8_t)change->kind);
    buffer_put_text(out, change->name);
    buffer_put_text(out, change->peer_address);
}

enum rk_status change_decode(struct slice payload, uint64_t *ret_token,
                             struct member_change *ret_change)
{
    struct reader in = reader_of(payload);
    struct member_change change;
    uint64_t token = reader_u64(&in);
    unsigned kind = reader_u8(&in);

    change.kind = (enum member_change_kind)kind;
    reader_text(&in, change.name, NODE_NAME_BYTES_MAX);
    reader_text(&in, change.peer_address, ADDRESS_BYTES_MAX);
    if (!reader_done(&in) || kind == 0 || kind >= MEMBER_CHANGE_KIND_COUNT) {
        return RK_PROTOCOL;
    }
    *ret_token = token;
    *ret_change = change;
    return RK_OK;
}

void change_reply_encode(struct buffer *out, const struct change_reply *reply)
{
    buffer_put_u64(out, reply->token);
    buffer_put_u64(out, reply->index);
    put_status_word(out, reply->status);
    buffer_put_text(out, reply->why);
}

enum rk_status change_reply_decode(struct slice payload, struct change_reply *ret_reply)
{
    struct reader in = reader_of(payload);
    struct change_reply reply;

    reply.token = reader_u64(&in);
    reply.index = reader_u64(&in);
    reply.status = read_status_word(&in);
    reader_text(&in, reply.why, CHANGE_WHY_BYTES_MAX);
    if (!reader_done(&in) || reply.index > RAFT_INDEX_MAX) {
        return RK_PROTOCOL;
    }
    *ret_reply = reply;
    return RK_OK;
}

void state_digest_encode(struct buffer *out, const struct state_digest *digest)
{
    buffer_put_u64(out, digest->index);
    buffer_put(out, digest->digest, STATE_DIGEST_BYTES);
    buffer_put_u8(out, digest->wants_state ? 1 : 0);
    buffer_put_u64(out, digest->above);
}

enum rk_status state_digest_decode(struct slice payload, struct state_digest *ret_digest)
{
    struct reader in = reader_of(payload);
    struct state_digest digest = { .index = reader_u64(&in) };
    struct slice bytes = reader_bytes(&in, STATE_DIGEST_BYTES);
    unsigned flags = reader_u8(&in);

    digest.above = reader_u64(&in);
    digest.wants_state = flags == 1;
    if (!reader_done(&in) || flags > 1 || digest.index > RAFT_INDEX_MAX ||
        digest.above > RAFT_INDEX_MAX) {
        return RK_PROTOCOL;
    }
    memcpy(digest.digest, bytes.data, STATE_DIGEST_BYTES);
    *ret_digest = digest;
    return RK_OK;
}
