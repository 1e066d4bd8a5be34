/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <string.h>

#include "base/heap.h"

static void copies_are_equal_and_separate(void **state)
{
    char data[] = { 'a', '\0', 'b' };
    char *copy = heap_copy(data, sizeof data);
    char *text = heap_copy_text(data, 1);

    (void)state;
    data[0] = 'x';
    assert_memory_equal(copy, "a\0b", 3);
    assert_string_equal(text, "a");
    heap_free(copy);
    heap_free(text);
}

static void nothing_can_be_copied_too(void **state)
{
    char *copy = heap_copy(NULL, 0);
    char *text = heap_copy_text(NULL, 0);

    (void)state;
    assert_non_null(copy);
    assert_string_equal(text, "");
    heap_free(copy);
    heap_free(text);
    heap_free(NULL);
}

static void zeroed_memory_is_zero(void **state)
{
    static const uint8_t zeros[1000];
    uint8_t *object = heap_zalloc(sizeof zeros);

    (void)state;
    assert_memory_equal(object, zeros, sizeof zeros);
    heap_free(object);
}

static void growing_keeps_the_bytes(void **state)
{
    char *object = heap_copy("abc", 3);

    (void)state;
    object = heap_grow(object, 100000);
    assert_memory_equal(object, "abc", 3);
    memset(object, 'x', 100000);
    heap_free(object);
}

static void size_zero_is_an_object(void **state)
{
    void *objects[] = { heap_try_alloc(0), heap_alloc(0), heap_zalloc(0), heap_grow(NULL, 0) };

    (void)state;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        assert_non_null(objects[i]);
        heap_free(objects[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_equal_and_separate),
        cmocka_unit_test(nothing_can_be_copied_too),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(growing_keeps_the_bytes),
        cmocka_unit_test(size_zero_is_an_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
