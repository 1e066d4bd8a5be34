/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/snapshot_stream.h"

#include "base/assert.h"

#define RATE_BURSTS_PER_S 4
#define STALLS_MAX 2

static uint64_t burst_bytes(const struct snapshot_rate *rate)
{
    uint64_t burst = rate->bytes_per_s / RATE_BURSTS_PER_S;

    return burst > SNAPSHOT_CHUNK_BYTES ? burst : SNAPSHOT_CHUNK_BYTES;
}

static void rate_fill(struct snapshot_rate *rate, time_ms now_ms)
{
    uint64_t passed_ms = now_ms > rate->filled_ms ? (uint64_t)(now_ms - rate->filled_ms) : 0;
    uint64_t most = burst_bytes(rate);
    uint64_t added;

    if (rate->bytes_per_s == 0) {
        return;
    }
    if (passed_ms > 60000) {
        passed_ms = 60000; /* more than any burst, and no product wraps */
    }
    added = rate->bytes_per_s / 1000 * passed_ms + rate->bytes_per_s % 1000 * passed_ms / 1000;
    if (added == 0) {
        return; /* keeps the fraction for the next call */
    }
    rate->allowed_bytes = added >= most - rate->allowed_bytes ? most : rate->allowed_bytes + added;
    rate->filled_ms = now_ms;
}

void snapshot_stream_init(struct snapshot_stream *s, uint64_t file_bytes, time_ms now_ms)
{
    *s = (struct snapshot_stream){ .file_bytes = file_bytes, .moved_ms = now_ms };
}

/* The bytes of the next chunk; 0 = the window is full or everything is sent. */
static uint32_t chunk_size(const struct snapshot_stream *s)
{
    uint64_t window = (uint64_t)SNAPSHOT_CHUNKS_UNANSWERED_MAX * SNAPSHOT_CHUNK_BYTES;
    uint64_t size = s->file_bytes - s->sent_bytes;

    if (size > SNAPSHOT_CHUNK_BYTES) {
        size = SNAPSHOT_CHUNK_BYTES;
    }
    return s->sent_bytes - s->stored_bytes + size <= window ? (uint32_t)size : 0;
}

static enum snapshot_stream_step stalled(struct snapshot_stream *s, time_ms now_ms)
{
    s->stalls++;
    s->moved_ms = now_ms;
    if (s->stalls >= STALLS_MAX) {
        return SNAPSHOT_STREAM_FAILED;
    }
    s->sent_bytes = s->stored_bytes;
    s->is_offered = s->is_answered;
    return SNAPSHOT_STREAM_WAIT;
}

enum snapshot_stream_step snapshot_stream_next(struct snapshot_stream *s,
                                               struct snapshot_rate *rate, time_ms now_ms,
                                               time_ms patience_ms, uint64_t *ret_offset,
                                               uint32_t *ret_size)
{
    uint32_t size;

    INVARIANT(s->stored_bytes <= s->sent_bytes && s->sent_bytes <= s->file_bytes);
    if (s->is_answered && s->stored_bytes == s->file_bytes) {
        return SNAPSHOT_STREAM_DONE;
    }
    if (now_ms - s->moved_ms >= patience_ms &&
        (!s->is_answered || s->sent_bytes > s->stored_bytes) &&
        stalled(s, now_ms) == SNAPSHOT_STREAM_FAILED) {
        return SNAPSHOT_STREAM_FAILED;
    }
    if (!s->is_offered) {
        s->is_offered = true;
        return SNAPSHOT_STREAM_OFFER;
    }
    rate_fill(rate, now_ms);
    size = s->is_answered ? chunk_size(s) : 0;
    if (size == 0 || (rate->bytes_per_s != 0 && rate->allowed_bytes < size)) {
        return SNAPSHOT_STREAM_WAIT;
    }
    if (rate->bytes_per_s != 0) {
        rate->allowed_bytes -= size;
    }
    if (s->sent_bytes == s->stored_bytes) {
        s->moved_ms = now_ms; /* the wait for an answer begins here, not at the last one */
    }
    *ret_offset = s->sent_bytes;
    *ret_size = size;
    s->sent_bytes += size;
    if (s->peak_bytes < s->sent_bytes) {
        s->peak_bytes = s->sent_bytes;
    }
    return SNAPSHOT_STREAM_CHUNK;
}

void snapshot_stream_answered(struct snapshot_stream *s, uint64_t stored_bytes, time_ms now_ms)
{
    if (stored_bytes > s->file_bytes) {
        stored_bytes = 0;
    }
    if (!s->is_answered) {
        s->is_answered = s->is_offered = true;
        s->resumed_bytes = stored_bytes;
    } else if (stored_bytes == s->stored_bytes) {
        return; /* a chunk it could not use; patience decides */
    }
    if (stored_bytes > s->stored_bytes) {
        s->stalls = 0;
    }
    if (stored_bytes > s->sent_bytes || stored_bytes < s->stored_bytes) {
        s->sent_bytes = stored_bytes;
    }
    s->stored_bytes = stored_bytes;
    s->moved_ms = now_ms;
}

time_ms snapshot_stream_wake_ms(const struct snapshot_stream *s, const struct snapshot_rate *rate,
                                time_ms patience_ms)
{
    time_ms wake_ms = s->moved_ms + patience_ms;
    uint32_t size = s->is_answered ? chunk_size(s) : 0;

    if (!s->is_offered || (s->is_answered && s->stored_bytes == s->file_bytes)) {
        return s->moved_ms;
    }
    if (size > 0) {
        uint64_t lacking = size > rate->allowed_bytes ? size - rate->allowed_bytes : 0;
        time_ms rate_ms = rate->bytes_per_s == 0
                              ? s->moved_ms
                              : rate->filled_ms + (time_ms)(lacking * 1000 / rate->bytes_per_s + 1);

        wake_ms = rate_ms < wake_ms || s->sent_bytes == s->stored_bytes ? rate_ms : wake_ms;
    }
    return wake_ms;
}
