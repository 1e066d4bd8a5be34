/* SPDX-License-Identifier: Apache-2.0 */
/* The log: its two formats, what is escaped, what is held back, and where it goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logging.h"

static void check_format(enum config_format format, const struct log_record *record,
                         const char *wanted)
{
    struct buffer out = BUFFER_INIT;

    log_record_format(&out, format, record);
    buffer_put_u8(&out, '\0');
    assert_string_equal((char *)out.data, wanted);
    buffer_release(&out);
}

static void a_record_is_one_line(void **state)
{
    const struct log_record record = { 1764001201123, NODE_LOG_WARN, "n1", "peer n2: lost", false };

    (void)state;
    check_format(CONFIG_LOGFMT, &record,
                 "ts=2025-11-24T16:20:01.123Z level=warn node=n1 msg=\"peer n2: lost\"\n");
    check_format(CONFIG_JSON, &record,
                 "{\"ts\":\"2025-11-24T16:20:01.123Z\",\"level\":\"warn\",\"node\":\"n1\","
                 "\"msg\":\"peer n2: lost\"}\n");
}

static void a_record_for_the_journal_has_its_priority(void **state)
{
    struct log_record record = { 5, NODE_LOG_ERROR, "", "x", true };

    (void)state;
    check_format(CONFIG_LOGFMT, &record, "<3>ts=1970-01-01T00:00:00.005Z level=error msg=\"x\"\n");
    record.level = NODE_LOG_DEBUG;
    check_format(CONFIG_LOGFMT, &record, "<7>ts=1970-01-01T00:00:00.005Z level=debug msg=\"x\"\n");
}

static void nothing_can_forge_a_line(void **state)
{
    static const struct {
        const char *text, *escaped;
    } rows[] = {
        { "a\nts=1 level=error", "a\\nts=1 level=error" },
        { "tab\there \"quoted\" back\\slash", "tab\\there \\\"quoted\\\" back\\\\slash" },
        { "\x1b[31mred\x7f\r", "\\u001b[31mred\\u007f\\u000d" },
        { "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac "
                                                              "\xf0\x9f\x8e\x89" },
        { "c1 \xc2\x9b"
          "31m",
          "c1 \\u00c2\\u009b31m" },
        { "cut \xe2\x82", "cut \\u00e2\\u0082" },
        { "long \xc0\xaf \xe0\x80\xaf \xf8", "long \\u00c0\\u00af \\u00e0\\u0080\\u00af \\u00f8" },
        { "surrogate \xed\xa0\x80", "surrogate \\u00ed\\u00a0\\u0080" },
        { "beyond \xf4\x90\x80\x80", "beyond \\u00f4\\u0090\\u0080\\u0080" },
    };
    char wanted[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct log_record record = { 0, NODE_LOG_INFO, "", rows[i].text, false };

        snprintf(wanted, sizeof wanted, "ts=1970-01-01T00:00:00.000Z level=info msg=\"%s\"\n",
                 rows[i].escaped);
        check_format(CONFIG_LOGFMT, &record, wanted);
        snprintf(wanted, sizeof wanted,
                 "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"msg\":\"%s\"}\n",
                 rows[i].escaped);
        check_format(CONFIG_JSON, &record, wanted);
    }
}

/* ---- What arrives on standard error ---- */

struct capture {
    int old, from;
    char text[8192];
};

static void capture_start(struct capture *c)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    c->old = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    c->from = fds[0];
}

static void capture_end(struct capture *c)
{
    ssize_t got = read(c->from, c->text, sizeof c->text - 1);

    c->text[got > 0 ? got : 0] = '\0';
    dup2(c->old, STDERR_FILENO);
    close(c->old);
    close(c->from);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void levels_below_the_limit_are_left_out(void **state)
{
    struct capture c;

    (void)state;
    capture_start(&c);
    logging_open(NODE_LOG_WARN, CONFIG_LOGFMT, "n7");
    log_debug("one");
    log_info("two");
    log_warn("three %d", 3);
    log_error("four");
    logging_write(NULL, 99, "no such level");
    capture_end(&c);
    assert_int_equal(count_of(c.text, "\n"), 2);
    assert_non_null(strstr(c.text, "level=warn node=n7 msg=\"three 3\"\n"));
    assert_non_null(strstr(c.text, "level=error node=n7 msg=\"four\"\n"));
}

static void a_repeated_warning_is_written_once(void **state)
{
    struct capture c;

    (void)state;
    capture_start(&c);
    logging_open(NODE_LOG_INFO, CONFIG_LOGFMT, "");
    for (int i = 0; i < 1000; i++) {
        log_warn("the disk is slow");
        log_error("the disk is gone");
        log_warn("another one, %d", i % 5);
    }
    log_info("said twice");
    log_info("said twice");
    capture_end(&c);
    assert_int_equal(count_of(c.text, "the disk is slow"), 1);
    assert_int_equal(count_of(c.text, "the disk is gone"), 1);
    assert_int_equal(count_of(c.text, "another one, "), 5);
    assert_int_equal(count_of(c.text, "said twice"), 2);
}

static void the_journal_is_recognized_by_device_and_inode(void **state)
{
    struct capture c;
    struct stat facts;
    char text[64];

    (void)state;
    capture_start(&c);
    assert_int_equal(fstat(STDERR_FILENO, &facts), 0);
    snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)facts.st_dev, (uintmax_t)facts.st_ino);
    setenv("JOURNAL_STREAM", text, 1);
    logging_open(NODE_LOG_INFO, CONFIG_LOGFMT, "");
    log_info("hello");
    setenv("JOURNAL_STREAM", "1:1", 1);
    logging_open(NODE_LOG_INFO, CONFIG_LOGFMT, "");
    log_info("again");
    capture_end(&c);
    unsetenv("JOURNAL_STREAM");
    assert_int_equal(strncmp(c.text, "<6>ts=", 6), 0);
    assert_int_equal(count_of(c.text, "<6>"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line),
        cmocka_unit_test(a_record_for_the_journal_has_its_priority),
        cmocka_unit_test(nothing_can_forge_a_line),
        cmocka_unit_test(levels_below_the_limit_are_left_out),
        cmocka_unit_test(a_repeated_warning_is_written_once),
        cmocka_unit_test(the_journal_is_recognized_by_device_and_inode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
