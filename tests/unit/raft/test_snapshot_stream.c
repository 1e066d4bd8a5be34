/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a snapshot leave when: windows, rate, resuming, giving up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/snapshot_stream.h"

#define CHUNK ((uint64_t)SNAPSHOT_CHUNK_BYTES)
#define PATIENCE 1000

struct fixture {
    struct snapshot_stream stream;
    struct snapshot_rate rate; /* no limit */
    time_ms now_ms;
    uint64_t offset;
    uint32_t size;
};

static enum snapshot_stream_step next(struct fixture *f)
{
    return snapshot_stream_next(&f->stream, &f->rate, f->now_ms, PATIENCE, &f->offset, &f->size);
}

static unsigned count_chunks(struct fixture *f)
{
    unsigned count = 0;

    while (next(f) == SNAPSHOT_STREAM_CHUNK) {
        count++;
    }
    return count;
}

static struct fixture begun(uint64_t file_bytes, uint64_t stored_bytes)
{
    struct fixture f = { .now_ms = 1000 };

    snapshot_stream_init(&f.stream, file_bytes, f.now_ms);
    assert_int_equal(next(&f), SNAPSHOT_STREAM_OFFER);
    assert_int_equal(next(&f), SNAPSHOT_STREAM_WAIT);
    snapshot_stream_answered(&f.stream, stored_bytes, f.now_ms);
    return f;
}

static void bytes_stored_there_are_not_sent(void **state)
{
    struct fixture f = begun(10 * CHUNK, 3 * CHUNK + 5);

    (void)state;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_CHUNK);
    assert_int_equal(f.offset, 3 * CHUNK + 5);
    assert_int_equal(f.size, CHUNK);
    assert_int_equal(f.stream.resumed_bytes, 3 * CHUNK + 5);
}

static void the_window_holds_four_chunks(void **state)
{
    struct fixture f = begun(100 * CHUNK, 0);

    (void)state;
    assert_int_equal(count_chunks(&f), SNAPSHOT_CHUNKS_UNANSWERED_MAX);
    snapshot_stream_answered(&f.stream, CHUNK, f.now_ms);
    assert_int_equal(count_chunks(&f), 1);
    assert_int_equal(f.offset, SNAPSHOT_CHUNKS_UNANSWERED_MAX * CHUNK);
}

static void the_last_chunk_is_as_long_as_what_is_left(void **state)
{
    struct fixture f = begun(CHUNK + 7, 0);

    (void)state;
    assert_int_equal(count_chunks(&f), 2);
    assert_int_equal(f.size, 7);
    snapshot_stream_answered(&f.stream, CHUNK + 7, f.now_ms);
    assert_int_equal(next(&f), SNAPSHOT_STREAM_DONE);
}

static void a_file_that_is_there_already_is_done(void **state)
{
    struct fixture f = begun(CHUNK, CHUNK);

    (void)state;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_DONE);
    assert_int_equal(f.stream.peak_bytes, 0);
}

static void more_than_the_file_has_counts_as_nothing(void **state)
{
    struct fixture f = begun(CHUNK, CHUNK + 1);

    (void)state;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_CHUNK);
    assert_int_equal(f.offset, 0);
}

/* Chunks were lost: what was not stored is sent again, once; a silent follower is given up. */
static void silence_sends_again_and_then_gives_up(void **state)
{
    struct fixture f = begun(100 * CHUNK, 0);

    (void)state;
    assert_int_equal(count_chunks(&f), 4);
    snapshot_stream_answered(&f.stream, CHUNK, f.now_ms);
    f.now_ms += PATIENCE;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_CHUNK);
    assert_int_equal(f.offset, CHUNK);
    assert_int_equal(f.stream.peak_bytes, 4 * CHUNK);
    snapshot_stream_answered(&f.stream, 2 * CHUNK, f.now_ms); /* progress: patience anew */
    (void)count_chunks(&f);
    f.now_ms += PATIENCE;
    (void)count_chunks(&f);
    f.now_ms += PATIENCE;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_FAILED);
}

static void an_offer_without_answer_is_repeated_once(void **state)
{
    struct fixture f = { .now_ms = 5 };

    (void)state;
    snapshot_stream_init(&f.stream, CHUNK, f.now_ms);
    assert_int_equal(next(&f), SNAPSHOT_STREAM_OFFER);
    f.now_ms += PATIENCE;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_OFFER);
    f.now_ms += PATIENCE;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_FAILED);
}

/* It lost its file meanwhile: begins again at what it says. */
static void a_follower_may_fall_back(void **state)
{
    struct fixture f = begun(100 * CHUNK, 50 * CHUNK);

    (void)state;
    (void)count_chunks(&f);
    snapshot_stream_answered(&f.stream, 0, f.now_ms);
    assert_int_equal(next(&f), SNAPSHOT_STREAM_CHUNK);
    assert_int_equal(f.offset, 0);
}

static void waiting_for_the_rate_is_no_silence(void **state)
{
    struct fixture f = begun(100 * CHUNK, 0);

    (void)state;
    f.rate = (struct snapshot_rate){ .bytes_per_s = 1, .filled_ms = f.now_ms };
    f.now_ms += 100 * PATIENCE;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_WAIT);
    f.now_ms += 100 * PATIENCE;
    assert_int_equal(next(&f), SNAPSHOT_STREAM_WAIT);
}

/* Two transfers share it: 10 seconds send 10 times the rate and one burst, whoever asks. */
static void the_rate_is_kept_over_all_transfers(void **state)
{
    struct fixture f = begun(UINT64_MAX, 0);
    struct snapshot_stream other;
    uint64_t sent = 0;

    (void)state;
    snapshot_stream_init(&other, UINT64_MAX, f.now_ms);
    snapshot_stream_answered(&other, 0, f.now_ms);
    f.rate = (struct snapshot_rate){ .bytes_per_s = 16 * MIB, .filled_ms = f.now_ms };
    for (int i = 0; i < 10000; i++, f.now_ms++) {
        struct snapshot_stream *s = i % 2 == 0 ? &f.stream : &other;

        while (snapshot_stream_next(s, &f.rate, f.now_ms, PATIENCE, &f.offset, &f.size) ==
               SNAPSHOT_STREAM_CHUNK) {
            sent += f.size;
            snapshot_stream_answered(s, f.offset + f.size, f.now_ms);
        }
    }
    assert_in_range(sent, 159 * MIB, 164 * MIB);
}

/* Whoever sleeps until then finds something to do: no step is missed, no time is spun away. */
static void the_next_wake_is_when_something_is_due(void **state)
{
    struct fixture f = begun(100 * CHUNK, 0);
    unsigned wakes = 0;

    (void)state;
    f.rate = (struct snapshot_rate){ .bytes_per_s = 1 * MIB, .filled_ms = f.now_ms };
    while (f.stream.stored_bytes < 100 * CHUNK) {
        time_ms wake_ms;

        while (next(&f) == SNAPSHOT_STREAM_CHUNK) {
            snapshot_stream_answered(&f.stream, f.offset + f.size, f.now_ms);
        }
        wake_ms = snapshot_stream_wake_ms(&f.stream, &f.rate, PATIENCE);
        f.now_ms = wake_ms > f.now_ms ? wake_ms : f.now_ms + 1;
        assert_true(++wakes < 300);
    }
    assert_in_range(f.now_ms, 24000, 27000); /* 25 MiB at 1 MiB/s */
    assert_int_equal(next(&f), SNAPSHOT_STREAM_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stored_there_are_not_sent),
        cmocka_unit_test(the_window_holds_four_chunks),
        cmocka_unit_test(the_last_chunk_is_as_long_as_what_is_left),
        cmocka_unit_test(a_file_that_is_there_already_is_done),
        cmocka_unit_test(more_than_the_file_has_counts_as_nothing),
        cmocka_unit_test(silence_sends_again_and_then_gives_up),
        cmocka_unit_test(an_offer_without_answer_is_repeated_once),
        cmocka_unit_test(a_follower_may_fall_back),
        cmocka_unit_test(waiting_for_the_rate_is_no_silence),
        cmocka_unit_test(the_rate_is_kept_over_all_transfers),
        cmocka_unit_test(the_next_wake_is_when_something_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
