/* SPDX-License-Identifier: Apache-2.0 */
/* Packets, durations, percentiles, git's configuration, child processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/histogram.h"
#include "cli/hook.h"
#include "cli/pkt_line.h"
#include "cli/process.h"
#include "cli/url.h"
#include "sys/clock.h"

static enum rk_status read_packet(const char *bytes, size_t size, struct buffer *payload,
                                  bool *ret_is_flush)
{
    FILE *input = fmemopen((void *)(uintptr_t)bytes, size, "r");
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = pkt_read(input, payload, ret_is_flush, &why);

    (void)fclose(input);
    return status;
}

static void packets_are_read(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum rk_status status;
        const char *payload; /* NULL = flush */
    } rows[] = {
        { "0009hello", 9, RK_OK, "hello" },
        { "000ahello\n", 10, RK_OK, "hello" },
        { "0000", 4, RK_OK, NULL },
        { "0004", 4, RK_OK, "" },
        { "000Ahello\n", 10, RK_OK, "hello" },
        { "0003", 4, RK_PROTOCOL, NULL },
        { "zz09", 4, RK_PROTOCOL, NULL },
        { "ffff", 4, RK_PROTOCOL, NULL },
        { "0009hell", 8, RK_CLOSED, NULL },
        { "00", 2, RK_CLOSED, NULL },
    };
    struct buffer payload = BUFFER_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_flush = false;

        assert_int_equal(read_packet(rows[i].bytes, rows[i].size, &payload, &is_flush),
                         rows[i].status);
        if (rows[i].status == RK_OK) {
            assert_int_equal(is_flush, rows[i].payload == NULL);
        }
        if (rows[i].payload != NULL) {
            assert_string_equal((const char *)payload.data, rows[i].payload);
        }
    }
    buffer_release(&payload);
}

static void packets_are_written_and_cut(void **state)
{
    char *long_text = heap_zalloc(70000);
    struct buffer out = BUFFER_INIT;

    (void)state;
    pkt_put(&out, slice_of_text("ok refs/heads/x"));
    pkt_put_flush(&out);
    assert_int_equal(out.size, 4 + 15 + 4);
    assert_memory_equal(out.data, "0013ok refs/heads/x0000", out.size);
    buffer_clear(&out);
    pkt_put(&out, slice_of(long_text, 70000));
    assert_int_equal(out.size, PKT_PAYLOAD_BYTES_MAX + 4);
    buffer_release(&out);
    heap_free(long_text);
}

static void durations_are_parsed(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* 0 = refused */
    } rows[] = {
        { "500ms", 500 }, { "10s", 10000 }, { "2m", 120000 }, { "1h", 3600000 },
        { "3", 3000 },    { "1.5s", 1500 }, { "0s", 0 },      { "", 0 },
        { "-1s", 0 },     { "1d", 0 },      { "s", 0 },       { "1e99s", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = 0;

        assert_int_equal(parse_duration(rows[i].text, &ms), rows[i].ms != 0);
        if (rows[i].ms != 0) {
            assert_int_equal(ms, rows[i].ms);
        }
    }
}

static void percentiles_are_three_percent_off_at_most(void **state)
{
    static const double shares[] = { 0.0, 0.5, 0.9, 0.99, 0.999 };
    struct histogram *h = heap_new(struct histogram);

    (void)state;
    assert_int_equal(histogram_percentile(h, 0.5), 0);
    for (uint64_t v = 1; v <= 1000000; v++) {
        histogram_add(h, v);
    }
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double exact = shares[i] * 1000000 + 1;
        double found = (double)histogram_percentile(h, shares[i]);

        assert_true(found >= exact * 0.97 && found <= exact * 1.04);
    }
    assert_int_equal(histogram_percentile(h, 1), 1000000);
    histogram_add(h, UINT64_MAX);
    assert_int_equal(h->max, UINT64_MAX);
    heap_free(h);
}

static void the_last_value_of_a_key_counts(void **state)
{
    static const char text[] = "a.b\n1\0a.bc\n2\0a.b\n3\0flag\0flag.x\nno\0multi\nx\ny\0";
    struct git_config config = { .text = BUFFER_INIT };

    (void)state;
    buffer_put(&config.text, text, sizeof text);
    assert_string_equal(git_config_get(&config, "a.b"), "3");
    assert_string_equal(git_config_get(&config, "a.bc"), "2");
    assert_string_equal(git_config_get(&config, "multi"), "x\ny");
    assert_null(git_config_get(&config, "a"));
    assert_true(git_config_get_bool(&config, "flag", false));
    assert_false(git_config_get_bool(&config, "flag.x", true));
    assert_true(git_config_get_bool(&config, "none", true));
    git_config_release(&config);
}

static void a_change_can_be_taken_back(void **state)
{
    struct hook_ref ref = { .name = (char *)(uintptr_t) "refs/heads/x" };
    struct rk_ref_change forward, back;

    (void)state;
    memset(ref.old_oid, '1', 40);
    memset(ref.new_oid, '2', 40);
    forward = hook_change(&ref, false);
    back = hook_change(&ref, true);
    assert_string_equal(forward.old_oid, back.new_oid);
    assert_string_equal(forward.new_oid, back.old_oid);
    ref.is_create = true;
    assert_string_equal(hook_change(&ref, false).old_oid, RK_ABSENT);
    assert_null(hook_change(&ref, true).new_oid);
    ref.is_create = false;
    ref.is_delete = true;
    assert_null(hook_change(&ref, false).new_oid);
    assert_string_equal(hook_change(&ref, true).old_oid, RK_ABSENT);
}

static void a_process_gets_input_and_gives_output(void **state)
{
    static const char *const cat[] = { "sh", "-c", "cat; echo \"$WORD\" >&2; exit 3", NULL };
    static const char *const environment[] = { "WORD=fatal: of warning", NULL };
    size_t size = 1000000;
    uint8_t *input = heap_zalloc(size);
    struct process p = { .argv = cat, .environment = environment, .input = slice_of(input, size) };
    struct errmsg why = ERRMSG_INIT;

    (void)state;
    p.deadline_ms = clock_monotonic_ms() + 20000;
    assert_int_equal(process_run(&p, &why), RK_OK);
    assert_int_equal(p.exit_code, 3);
    assert_int_equal(p.output.size, size);
    assert_string_equal(process_last_words(&p), "of warning");
    process_release(&p);
    heap_free(input);
}

static void a_process_is_stopped_at_its_deadline(void **state)
{
    static const char *const forever[] = { "sh", "-c", "while :; do read x || :; done", NULL };
    struct process p = { .argv = forever, .deadline_ms = clock_monotonic_ms() + 50 };
    struct errmsg why = ERRMSG_INIT;

    (void)state;
    assert_int_equal(process_run(&p, &why), RK_TIMED_OUT);
    process_release(&p);
}

static void a_reader_gone_early_is_no_signal(void **state)
{
    static const char *const deaf[] = { "true", NULL };
    size_t size = 4000000;
    uint8_t *input = heap_zalloc(size);
    struct process p = { .argv = deaf, .input = slice_of(input, size) };
    struct errmsg why = ERRMSG_INIT;

    (void)state;
    p.deadline_ms = clock_monotonic_ms() + 20000;
    assert_int_equal(process_run(&p, &why), RK_OK);
    assert_int_equal(p.exit_code, 0);
    process_release(&p);
    heap_free(input);
}

static void a_line_is_waited_for_not_the_end(void **state)
{
    static const char *const slow[] = { "sh", "-c",
                                        "read x; echo before; printf 'done:'; printf ' %s\\n' $x; "
                                        "read y",
                                        NULL };
    static const char *const silent[] = { "sh", "-c", "echo not done: 1; exit 4", NULL };
    struct process p = { .argv = slow, .awaits_input = true };
    struct process q = { .argv = silent };
    struct errmsg why = ERRMSG_INIT;

    (void)state;
    assert_int_equal(process_start(&p, &why), RK_OK);
    assert_true(process_is_running(&p));
    p.input = slice_of_text("7\n");
    p.deadline_ms = clock_monotonic_ms() + 20000;
    assert_true(process_await(&p, "done: 7"));
    assert_int_equal(process_finish(&p, &why), RK_OK);
    assert_false(process_is_running(&p));
    process_release(&p);

    q.deadline_ms = clock_monotonic_ms() + 20000;
    assert_int_equal(process_start(&q, &why), RK_OK);
    assert_false(process_await(&q, "done:"));
    assert_int_equal(process_finish(&q, &why), RK_OK);
    assert_int_equal(q.exit_code, 4);
    process_release(&q);
}

static void a_path_is_escaped_in_a_url(void **state)
{
    struct buffer out = BUFFER_INIT;

    (void)state;
    url_put_path(&out, "a/b-1._~%:\"? \xc3\xa9#.git");
    buffer_put_u8(&out, '\0');
    assert_string_equal((const char *)out.data, "a/b-1._~%25%3A%22%3F%20%C3%A9%23.git");
    buffer_release(&out);
    assert_true(url_is_one("ssh://host/place"));
    assert_false(url_is_one("host:place"));
    assert_false(url_is_one("/mnt/s1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_are_read),
        cmocka_unit_test(packets_are_written_and_cut),
        cmocka_unit_test(durations_are_parsed),
        cmocka_unit_test(percentiles_are_three_percent_off_at_most),
        cmocka_unit_test(the_last_value_of_a_key_counts),
        cmocka_unit_test(a_change_can_be_taken_back),
        cmocka_unit_test(a_process_gets_input_and_gives_output),
        cmocka_unit_test(a_process_is_stopped_at_its_deadline),
        cmocka_unit_test(a_reader_gone_early_is_no_signal),
        cmocka_unit_test(a_line_is_waited_for_not_the_end),
        cmocka_unit_test(a_path_is_escaped_in_a_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
