/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HELLO: u32 version_min, u32 version_max, cluster id 16 B, u64 sender, u64 target,
 *        u64 incarnation, u64 boot_count, u64 features, u8 flags, name, client address,
 *        HTTP address (u8 length, bytes each), u64 membership_index, u64 target_incarnation,
 *        target name (u8 length, bytes)
 */
#include "wire/handshake.h"

#include "base/assert.h"
#include "wire/status_word.h"

#define HELLO_IS_EMPTY 1

void hello_encode(struct buffer *out, const struct hello *hello)
{
    PRE(hello->version_min > 0 && hello->version_min <= hello->version_max);
    buffer_put_u32(out, hello->version_min);
    buffer_put_u32(out, hello->version_max);
    buffer_put(out, hello->cluster_id, CLUSTER_ID_BYTES);
    buffer_put_u64(out, hello->sender);
    buffer_put_u64(out, hello->target);
    buffer_put_u64(out, hello->incarnation);
    buffer_put_u64(out, hello->boot_count);
    buffer_put_u64(out, hello->features);
    buffer_put_u8(out, hello->is_empty ? HELLO_IS_EMPTY : 0);
    buffer_put_text(out, hello->sender_name);
    buffer_put_text(out, hello->client_address);
    buffer_put_text(out, hello->http_address);
    buffer_put_u64(out, hello->membership_index);
    buffer_put_u64(out, hello->target_incarnation);
    buffer_put_text(out, hello->target_name);
}

static unsigned read_hello(struct reader *in, struct hello *h)
{
    struct slice cluster_id;
    unsigned flags;

    h->version_min = reader_u32(in);
    h->version_max = reader_u32(in);
    cluster_id = reader_bytes(in, CLUSTER_ID_BYTES);
    if (cluster_id.data != NULL) {
        memcpy(h->cluster_id, cluster_id.data, CLUSTER_ID_BYTES);
    }
    h->sender = reader_u64(in);
    h->target = reader_u64(in);
    h->incarnation = reader_u64(in);
    h->boot_count = reader_u64(in);
    h->features = reader_u64(in);
    flags = reader_u8(in);
    reader_text(in, h->sender_name, NODE_NAME_BYTES_MAX);
    reader_text(in, h->client_address, ADDRESS_BYTES_MAX);
    reader_text(in, h->http_address, ADDRESS_BYTES_MAX);
    h->membership_index = reader_u64(in);
    h->target_incarnation = reader_u64(in);
    reader_text(in, h->target_name, NODE_NAME_BYTES_MAX);
    h->is_empty = (flags & HELLO_IS_EMPTY) != 0;
    return flags;
}

enum rk_status hello_decode(struct slice payload, struct hello *ret_hello)
{
    struct reader in = reader_of(payload);
    struct hello hello = { .version_min = 0 };
    unsigned flags = read_hello(&in, &hello);

    if (in.failed || hello.version_min == 0 || hello.version_min > hello.version_max) {
        return RK_PROTOCOL;
    }
    if (hello.version_max == PROTOCOL_VERSION && (!reader_done(&in) || flags > HELLO_IS_EMPTY)) {
        return RK_PROTOCOL;
    }
    *ret_hello = hello;
    return RK_OK;
}

uint32_t hello_version(const struct hello *ours, const struct hello *theirs)
{
    uint32_t low = ours->version_min > theirs->version_min ? ours->version_min
                                                           : theirs->version_min;
    uint32_t high = ours->version_max < theirs->version_max ? ours->version_max
                                                            : theirs->version_max;

    return low <= high ? high : 0;
}

void hello_refusal_encode(struct buffer *out, enum rk_status status, const char *text)
{
    size_t size = strnlen(text, HELLO_REFUSAL_TEXT_BYTES_MAX);

    put_status_word(out, status);
    buffer_put_u8(out, (uint8_t)size);
    buffer_put(out, text, size);
}

enum rk_status hello_refusal_decode(struct slice payload, struct hello_refusal *ret_refusal)
{
    struct reader in = reader_of(payload);
    struct hello_refusal refusal;

    refusal.status = read_status_word(&in);
    reader_text(&in, refusal.text, HELLO_REFUSAL_TEXT_BYTES_MAX);
    if (!reader_done(&in)) {
        return RK_PROTOCOL;
    }
    *ret_refusal = refusal;
    return RK_OK;
}
