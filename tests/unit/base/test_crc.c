/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32, held against zlib's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <zlib.h>

#include "base/crc.h"
#include "base/heap.h"
#include "base/rng.h"

#define BYTES_MAX 600

static void the_check_value_of_the_standard(void **state)
{
    (void)state;
    assert_int_equal(crc_add(0, slice_of_text("123456789")), 0xcbf43926);
    assert_int_equal(crc_add(0, SLICE_NONE), 0);
    assert_int_equal(crc_add(77, SLICE_NONE), 77);
}

/* Memory of exactly the size, so that a sanitizer sees a read past either end. */
static void every_size_is_as_zlib_has_it(void **state)
{
    struct rng r;

    (void)state;
    rng_init(&r, 1);
    for (size_t size = 0; size <= BYTES_MAX; size++) {
        uint8_t *bytes = heap_alloc(size);
        uint32_t crc = (uint32_t)rng_next(&r);

        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)rng_next(&r);
        }
        assert_int_equal(crc_add(crc, slice_of(bytes, size)), crc32(crc, bytes, (uInt)size));
        heap_free(bytes);
    }
}

static void pieces_make_the_whole_at_any_alignment(void **state)
{
    uint8_t bytes[BYTES_MAX + 16];
    struct rng r;

    (void)state;
    rng_init(&r, 2);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)rng_next(&r);
    }
    for (int round = 0; round < 20000; round++) {
        const uint8_t *start = bytes + rng_below(&r, 16);
        size_t size = rng_below(&r, BYTES_MAX);
        size_t first = rng_below(&r, size + 1);
        uint32_t crc = crc_add(0, slice_of(start, first));

        crc = crc_add(crc, slice_of(start + first, size - first));
        assert_int_equal(crc, crc32(0, start, (uInt)size));
    }
}

static void a_mebibyte_is_as_zlib_has_it(void **state)
{
    size_t size = 1024 * 1024 + 5;
    uint8_t *bytes = heap_zalloc(size);

    (void)state;
    for (size_t i = 0; i < size; i += 7) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(crc_add(0, slice_of(bytes, size)), crc32(0, bytes, (uInt)size));
    heap_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_value_of_the_standard),
        cmocka_unit_test(every_size_is_as_zlib_has_it),
        cmocka_unit_test(pieces_make_the_whole_at_any_alignment),
        cmocka_unit_test(a_mebibyte_is_as_zlib_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
