/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256: the examples of FIPS 180-4, and every size and cut held against OpenSSL's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <openssl/evp.h>

#include "base/heap.h"
#include "base/rng.h"
#include "base/sha256.h"

#define BYTES_MAX 300

static void hash_of(struct slice bytes, uint8_t ret_hash[SHA256_BYTES])
{
    struct sha256 hash;

    sha256_init(&hash);
    sha256_add(&hash, bytes);
    sha256_finish(&hash, ret_hash);
}

static void assert_hash(struct slice bytes, const char *wanted)
{
    uint8_t hash[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];

    hash_of(bytes, hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    }
    assert_string_equal(text, wanted);
}

static void the_examples_of_the_standard(void **state)
{
    size_t size = 1000000;
    uint8_t *as = heap_alloc(size);

    (void)state;
    memset(as, 'a', size);
    assert_hash(SLICE_NONE, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_hash(slice_of_text("abc"),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_hash(slice_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_hash(slice_of(as, size),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    heap_free(as);
}

/* Memory of exactly the size, so that a sanitizer sees a read past the end. */
static void every_size_is_as_openssl_has_it(void **state)
{
    struct rng r;

    (void)state;
    rng_init(&r, 1);
    for (size_t size = 0; size <= BYTES_MAX; size++) {
        uint8_t *bytes = heap_alloc(size);
        uint8_t ours[SHA256_BYTES], theirs[EVP_MAX_MD_SIZE];

        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)rng_next(&r);
        }
        hash_of(slice_of(bytes, size), ours);
        assert_int_equal(EVP_Digest(bytes, size, theirs, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(ours, theirs, SHA256_BYTES);
        heap_free(bytes);
    }
}

static void pieces_make_the_whole(void **state)
{
    uint8_t bytes[BYTES_MAX], whole[SHA256_BYTES], pieces[SHA256_BYTES];
    struct rng r;

    (void)state;
    rng_init(&r, 2);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)rng_next(&r);
    }
    for (int round = 0; round < 2000; round++) {
        size_t size = rng_below(&r, BYTES_MAX + 1);
        struct sha256 hash;

        sha256_init(&hash);
        for (size_t at = 0; at < size;) {
            size_t part = 1 + rng_below(&r, size - at);

            sha256_add(&hash, slice_of(bytes + at, part));
            at += part;
        }
        sha256_finish(&hash, pieces);
        hash_of(slice_of(bytes, size), whole);
        assert_memory_equal(pieces, whole, SHA256_BYTES);
    }
}

static void nothing_of_a_secret_is_left(void **state)
{
    static const struct sha256 zeros;
    struct sha256 hash;
    uint8_t bytes[SHA256_BYTES];

    (void)state;
    sha256_init(&hash);
    sha256_add(&hash, slice_of_text("a secret"));
    sha256_finish(&hash, bytes);
    assert_memory_equal(&hash, &zeros, sizeof hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(every_size_is_as_openssl_has_it),
        cmocka_unit_test(pieces_make_the_whole),
        cmocka_unit_test(nothing_of_a_secret_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
