/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "wire/raft_codec.h"
#include "wire/status_word.h"

#define FORWARDED_BYTES_MIN 5 /* a length and a tag */

void forward_begin(struct buffer *out, uint64_t first_token, uint32_t count)
{
    PRE(count > 0);
    buffer_put_u64(out, first_token);
    buffer_put_u32(out, count);
}

enum rk_status forward_decode(struct slice payload, uint64_t *ret_first_token, uint32_t *ret_count,
                              struct slice *ret_commands)
{
    struct reader in = reader_of(payload);
    uint64_t first_token = reader_u64(&in);
    uint32_t count = reader_u32(&in);
    struct reader commands = in;

    if (in.failed || count == 0 || count > reader_left(&in) / FORWARDED_BYTES_MIN) {
        return RK_PROTOCOL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (reader_string(&in, COMMAND_BYTES_MAX).size == 0) {
            return RK_PROTOCOL;
        }
    }
    if (!reader_done(&in)) {
        return RK_PROTOCOL;
    }
    *ret_first_token = first_token;
    *ret_count = count;
    *ret_commands = reader_bytes(&commands, reader_left(&commands));
    return RK_OK;
}

void forward_reply_encode(struct buffer *out, const struct forward_reply *reply)
{
    buffer_put_u64(out, reply->first_token);
    buffer_put_u32(out, reply->count);
    buffer_put_u64(out, reply->term);
    buffer_put_u64(out, reply->first_index);
    put_status_word(out, reply->status);
}

/* What was appended has a place in the log. */
static bool place_is_good(const struct forward_reply *r)
{
    return r->term > 0 && r->term <= RAFT_TERM_MAX && r->first_index > 0 &&
           r->first_index <= RAFT_INDEX_MAX;
}

enum rk_status forward_reply_decode(struct slice payload, struct forward_reply *ret_reply)
{
    struct reader in = reader_of(payload);
    struct forward_reply reply;

    reply.first_token = reader_u64(&in);
    reply.count = reader_u32(&in);
    reply.term = reader_u64(&in);
    reply.first_index = reader_u64(&in);
    reply.status = read_status_word(&in);
    if (!reader_done(&in) || reply.count == 0 ||
        (reply.status == RK_OK && !place_is_good(&reply))) {
        return RK_PROTOCOL;
    }
    *ret_reply = reply;
    return RK_OK;
}
