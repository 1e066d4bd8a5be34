/* SPDX-License-Identifier: Apache-2.0 */
#include "support/ref_set.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/rng.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const shape_names[REF_SHAPE_COUNT] = {
    [REF_SHAPE_GIANT] = "giant",
    [REF_SHAPE_ANDROID] = "android",
    [REF_SHAPE_KEEP_AROUND] = "keep-around",
    [REF_SHAPE_SMALL] = "small",
};

static const char *const words[] = {
    "parser", "login",   "cache", "index",  "docs",   "timeout", "retry", "mobile",
    "search", "billing", "theme", "upload", "export", "metrics", "queue", "release",
};

static const char *const verbs[] = { "fix", "add", "drop", "rework", "bump", "test" };

/* A number that follows from the seed, what it is for, and n. */
static uint64_t number_of(const struct ref_set *s, uint64_t purpose, uint64_t n)
{
    struct rng rng;

    rng_init(&rng, s->seed ^ (purpose << 56) ^ (n * 0x9e3779b97f4a7c15ULL));
    return rng_next(&rng);
}

enum purpose { OF_OID = 1, OF_WORDS, OF_OWNER, OF_ACTOR };

static struct slice put(char text[REF_SET_TEXT_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct slice put(char text[REF_SET_TEXT_MAX], const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, REF_SET_TEXT_MAX, format, arguments);
    va_end(arguments);
    INVARIANT(size > 0 && size < REF_SET_TEXT_MAX);
    return slice_of(text, (size_t)size);
}

struct ref_set ref_set_of(enum ref_shape shape, uint64_t ref_count, uint64_t refs_per_repository,
                          uint64_t seed)
{
    struct ref_set s = { shape, seed, ref_count, ref_count };

    PRE(ref_count > 0 && refs_per_repository > 0 && refs_per_repository <= ref_count);
    if (shape == REF_SHAPE_SMALL) {
        s.refs_per_repository = refs_per_repository;
        s.ref_count -= ref_count % refs_per_repository;
    }
    return s;
}

const char *ref_shape_name(enum ref_shape shape)
{
    return shape_names[shape];
}

bool ref_shape_find(const char *name, enum ref_shape *ret_shape)
{
    for (unsigned i = 0; i < REF_SHAPE_COUNT; i++) {
        if (strcmp(name, shape_names[i]) == 0) {
            *ret_shape = (enum ref_shape)i;
            return true;
        }
    }
    return false;
}

/* ---- Names ---- */

static struct slice topic(const struct ref_set *s, uint64_t n, const char *before,
                          char text[REF_SET_TEXT_MAX])
{
    uint64_t number = number_of(s, OF_WORDS, n);

    return put(text, "%s%s-%s-%" PRIu64, before, verbs[number % COUNT(verbs)],
               words[(number >> 8) % COUNT(words)], n);
}

/* Of 16: five branches, a tag, five pull requests of two refs. */
static struct slice giant_name(const struct ref_set *s, uint64_t n, char text[REF_SET_TEXT_MAX])
{
    uint64_t block = n / 16, at = n % 16;
    char before[40];

    if (at < 5) {
        (void)snprintf(before, sizeof before, "refs/heads/user-%" PRIu64 "/",
                       number_of(s, OF_OWNER, n) % 500);
        return topic(s, n, before, text);
    }
    if (at == 5) {
        return put(text, "refs/tags/v%" PRIu64 ".%" PRIu64 ".%" PRIu64, block / 1000,
                   block / 10 % 100, block % 10);
    }
    at -= 6;
    return put(text, "refs/pull/%" PRIu64 "/%s", block * 5 + at / 2,
               at % 2 == 0 ? "head" : "merge");
}

/* Of 12: three changes with one, three and five patch sets, and the meta ref of each. */
static struct slice android_name(uint64_t n, char text[REF_SET_TEXT_MAX])
{
    static const uint8_t change_of[12] = { 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2 };
    static const uint8_t patch_of[12] = { 0, 1, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5 };
    uint64_t change = 1000000 + n / 12 * 3 + change_of[n % 12];

    if (n % 600 < 6) {
        return put(text, "refs/heads/android%" PRIu64 "-qpr%" PRIu64 "-release", n / 6000,
                   n / 600 % 10 * 6 + n % 600);
    }
    if (n % 600 < 12) {
        return put(text, "refs/tags/android-%" PRIu64 ".%" PRIu64 ".0_r%" PRIu64, n / 60000,
                   n / 6000 % 10, n / 600 % 10 * 6 + n % 600 - 6);
    }
    if (patch_of[n % 12] == 0) {
        return put(text, "refs/changes/%02" PRIu64 "/%" PRIu64 "/meta", change % 100, change);
    }
    return put(text, "refs/changes/%02" PRIu64 "/%" PRIu64 "/%u", change % 100, change,
               patch_of[n % 12]);
}

/* Of 50: forty pinned commits, five merge requests, four pipelines, a branch. */
static bool is_pinned(uint64_t n)
{
    return n % 50 < 40;
}

static struct slice keep_around_name(const struct ref_set *s, uint64_t n,
                                     char text[REF_SET_TEXT_MAX])
{
    uint64_t block = n / 50, at = n % 50;
    char hex[OID_HEX_BYTES_MAX + 1];
    struct oid oid;

    if (is_pinned(n)) {
        oid = ref_set_oid(s, n, 0);
        oid_format(&oid, hex);
        return put(text, "refs/keep-around/%s", hex);
    }
    if (at < 45) {
        return put(text, "refs/merge-requests/%" PRIu64 "/head", block * 5 + at - 40);
    }
    if (at < 49) {
        return put(text, "refs/pipelines/%" PRIu64, 10000000 + block * 4 + at - 45);
    }
    return topic(s, n, "refs/heads/", text);
}

static struct slice small_name(const struct ref_set *s, uint64_t n, char text[REF_SET_TEXT_MAX])
{
    uint64_t at = n % s->refs_per_repository;

    if (at == 0) {
        return put(text, "refs/heads/main");
    }
    if (at % 3 == 1) {
        return put(text, "refs/tags/v%" PRIu64 ".%" PRIu64, at / 3, number_of(s, OF_WORDS, n) % 20);
    }
    if (at % 3 == 2) {
        return topic(s, n, "refs/heads/", text);
    }
    return put(text, "refs/merge-requests/%" PRIu64 "/head", at / 3);
}

struct slice ref_set_name(const struct ref_set *s, uint64_t n, char text[REF_SET_TEXT_MAX])
{
    switch (s->shape) {
    case REF_SHAPE_GIANT:
        return giant_name(s, n, text);
    case REF_SHAPE_ANDROID:
        return android_name(n, text);
    case REF_SHAPE_KEEP_AROUND:
        return keep_around_name(s, n, text);
    case REF_SHAPE_SMALL:
    case REF_SHAPE_COUNT:
        break;
    }
    return small_name(s, n, text);
}

struct slice ref_set_path(const struct ref_set *s, uint64_t repository, char text[REF_SET_TEXT_MAX])
{
    uint64_t number = number_of(s, OF_OWNER, repository / 50);

    if (s->shape != REF_SHAPE_SMALL) {
        return put(text, "platform/%s.git", shape_names[s->shape]);
    }
    return put(text, "%s-%04" PRIu64 "/%s-%06" PRIu64 ".git", words[number % COUNT(words)],
               repository / 50, words[number_of(s, OF_WORDS, repository) % COUNT(words)],
               repository);
}

struct slice ref_set_actor(const struct ref_set *s, uint64_t n, char text[REF_SET_TEXT_MAX])
{
    return put(text, "user-%" PRIu64, number_of(s, OF_ACTOR, n) % 500);
}

/* ---- Values, order ---- */

struct oid ref_set_oid(const struct ref_set *s, uint64_t n, uint64_t generation)
{
    struct oid oid = { .size = 20 };
    struct rng rng;

    rng_init(&rng, number_of(s, OF_OID, n + generation * s->ref_count));
    for (unsigned i = 0; i < 24; i += 8) {
        put_be64(oid.bytes + i, rng_next(&rng));
    }
    memset(oid.bytes + 20, 0, sizeof oid.bytes - 20);
    return oid;
}

/* Multiplying by a prime that does not divide the count visits each once; two of them, so that
 * which one to leave can be chosen. */
uint64_t ref_set_scattered(const struct ref_set *s, uint64_t i)
{
    uint64_t factor = s->ref_count % 2654435761U == 0 ? 2147483647U : 2654435761U;

    return i % s->ref_count * factor % s->ref_count;
}
