/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/heap.h"
#include "server/resp_parser.h"

static const struct resp_limits roomy = { RESP_ARGUMENTS_MAX, RESP_REQUEST_BYTES_MAX };

static enum resp_verdict parse(struct resp_parser *p, const char *text, size_t size,
                               const struct resp_limits *limits, enum rk_status *ret_status)
{
    const char *cause = "";

    return resp_parse(p, slice_of(text, size), limits, ret_status, &cause);
}

struct row {
    const char *text;
    enum resp_verdict verdict;
    enum rk_status status; /* when broken */
    uint32_t count;        /* when complete */
};

static const struct row rows[] = {
    { "*1\r\n$4\r\nPING\r\n", RESP_REQUEST, RK_OK, 1 },
    { "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", RESP_REQUEST, RK_OK, 2 },
    { "*0\r\n", RESP_REQUEST, RK_OK, 0 },
    { "PING\r\n", RESP_REQUEST, RK_OK, 1 },
    { "ping\n", RESP_REQUEST, RK_OK, 1 },
    { "QuIt\r\n", RESP_REQUEST, RK_OK, 1 },
    { "", RESP_MORE, RK_OK, 0 },
    { "*", RESP_MORE, RK_OK, 0 },
    { "*1\r", RESP_MORE, RK_OK, 0 },
    { "*1\r\n$4\r\nPIN", RESP_MORE, RK_OK, 0 },
    { "*1\r\n$4\r\nPING\r", RESP_MORE, RK_OK, 0 },
    { "QUI", RESP_MORE, RK_OK, 0 },
    { "QING\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "PING x\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "GET / HTTP/1.1\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "\x16\x03\x01", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*-1\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*+1\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*1x\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*1\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*1\rx", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*262145\r\n", RESP_BROKEN, RK_TOOLARGE, 0 },
    { "*99999999999999999999999\r\n", RESP_BROKEN, RK_TOOLARGE, 0 },
    { "*0000000000000000000000000000000000000000001\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*1\r\n:1\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*1\r\n$-1\r\n", RESP_BROKEN, RK_PROTOCOL, 0 },
    { "*1\r\n$1073741824\r\n", RESP_BROKEN, RK_TOOLARGE, 0 },
    { "*1\r\n$18446744073709551615\r\n", RESP_BROKEN, RK_TOOLARGE, 0 },
    { "*1\r\n$4\r\nPINGxx", RESP_BROKEN, RK_PROTOCOL, 0 },
};

static void each_text_gets_its_verdict_at_once_and_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = strlen(rows[i].text);
        struct resp_parser whole, slow;
        enum rk_status status = RK_OK;
        enum resp_verdict verdict = RESP_MORE;

        resp_parser_init(&whole);
        resp_parser_init(&slow);
        assert_int_equal(parse(&whole, rows[i].text, size, &roomy, &status), rows[i].verdict);
        assert_int_equal(status, rows[i].status);
        for (size_t k = 0; k <= size && verdict == RESP_MORE; k++) {
            char *exact = heap_copy(rows[i].text, k); /* a read beyond it is seen by ASan */

            status = RK_OK;
            verdict = parse(&slow, exact, k, &roomy, &status);
            heap_free(exact);
        }
        assert_int_equal(verdict, rows[i].verdict);
        assert_int_equal(status, rows[i].status);
        if (verdict == RESP_REQUEST) {
            assert_int_equal(resp_request_count(&whole), rows[i].count);
            assert_int_equal(resp_request_bytes(&whole), size);
            assert_int_equal(resp_request_bytes(&slow), size);
        }
        resp_parser_release(&whole);
        resp_parser_release(&slow);
    }
}

static void limits_hold_exactly(void **state)
{
    static const char text[] = "*2\r\n$3\r\nabc\r\n$2\r\nxy\r\n";
    static const char binary[] = "*1\r\n$5\r\na\r\n\0b\r\n";
    size_t size = sizeof text - 1;
    struct resp_limits limits = { 2, size };
    struct resp_parser p;
    enum rk_status status = RK_OK;

    (void)state;
    resp_parser_init(&p);
    assert_int_equal(parse(&p, text, size, &limits, &status), RESP_REQUEST);
    assert_int_equal(parse(&p, text, size, &limits, &status), RESP_REQUEST);
    assert_true(slice_equal(resp_request_element(&p, slice_of(text, size), 1), slice_of("xy", 2)));
    resp_parser_next(&p);
    limits.bytes_max = size - 1;
    assert_int_equal(parse(&p, text, size, &limits, &status), RESP_BROKEN);
    assert_int_equal(status, RK_TOOLARGE);
    resp_parser_next(&p);
    limits = (struct resp_limits){ 1, size };
    assert_int_equal(parse(&p, text, size, &limits, &status), RESP_BROKEN);
    resp_parser_next(&p);
    assert_int_equal(parse(&p, binary, sizeof binary - 1, &roomy, &status), RESP_REQUEST);
    assert_int_equal(resp_request_element(&p, slice_of(binary, sizeof binary - 1), 0).size, 5);
    resp_parser_release(&p);
}

static void many_elements_are_kept_in_order(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct resp_parser p;
    enum rk_status status = RK_OK;
    char number[16];

    (void)state;
    buffer_printf(&text, "*1000\r\n");
    for (int i = 0; i < 1000; i++) {
        int digits = snprintf(number, sizeof number, "%d", i);

        buffer_printf(&text, "$%d\r\n%s\r\n", digits, number);
    }
    resp_parser_init(&p);
    assert_int_equal(parse(&p, (const char *)text.data, text.size, &roomy, &status), RESP_REQUEST);
    assert_int_equal(resp_request_count(&p), 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(number, sizeof number, "%u", i);
        assert_true(
            slice_equal(resp_request_element(&p, buffer_slice(&text), i), slice_of_text(number)));
    }
    resp_parser_next(&p);
    assert_int_equal(p.capacity, RESP_INLINE_SPANS);
    resp_parser_release(&p);
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_text_gets_its_verdict_at_once_and_byte_by_byte),
        cmocka_unit_test(limits_hold_exactly),
        cmocka_unit_test(many_elements_are_kept_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
