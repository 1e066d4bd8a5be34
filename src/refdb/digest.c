/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/digest.h"

/* Odd constants with about half their bits set; any such would do.  Part of the format. */
#define FACTOR_LOW 0x9fb21c651e98df25ULL
#define FACTOR_HIGH 0xd6e8feb86659fd93ULL
#define START_LOW 0x2545f4914f6cdd1dULL
#define START_HIGH 0x632be59bd9b4e019ULL

static const struct digest REF_SEED = { 0x7265662d6e616d65ULL, 0x2d616e642d6f6964ULL };

static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word); /* little-endian, see base/bytes.h */
    return word;
}

/* One round takes in 16 bytes.  Each step can be undone, so no input is forgotten. */
static inline void take_in(struct digest *d, uint64_t a, uint64_t b)
{
    d->low = (d->low ^ a) * FACTOR_LOW;
    d->low ^= d->low >> 32;
    d->low += d->high;
    d->high = (d->high ^ b) * FACTOR_HIGH;
    d->high ^= d->high >> 29;
    d->high += d->low;
}

static inline uint64_t scatter(uint64_t x)
{
    x = (x ^ (x >> 31)) * FACTOR_HIGH;
    x = (x ^ (x >> 28)) * FACTOR_LOW;
    return x ^ (x >> 32);
}

/* Every bit of the state reaches every bit of the result. */
static inline struct digest finish(struct digest d)
{
    uint64_t low = scatter(d.low + d.high);
    uint64_t high = scatter(d.high ^ low);

    return (struct digest){ low + high, high };
}

static inline struct digest start(struct digest seed, uint64_t size)
{
    struct digest d = { seed.low ^ START_LOW, seed.high ^ START_HIGH };

    d.high += size * FACTOR_LOW;
    return d;
}

struct digest digest_bytes(struct digest seed, struct slice bytes)
{
    struct digest d = start(seed, bytes.size);
    const uint8_t *p = bytes.data;
    size_t left = bytes.size;
    uint8_t last[16] = { 0 };

    for (; left >= 16; left -= 16, p += 16) {
        take_in(&d, word_at(p), word_at(p + 8));
    }
    if (left > 0) {
        memcpy(last, p, left);
        take_in(&d, word_at(last), word_at(last + 8));
    }
    return finish(d);
}

struct digest digest_words(struct digest seed, uint64_t a, uint64_t b)
{
    struct digest d = start(seed, 16);

    take_in(&d, a, b);
    return finish(d);
}

struct digest digest_ref(struct slice refname, const struct oid *oid)
{
    return digest_bytes(digest_bytes(REF_SEED, refname), slice_of(oid->bytes, oid->size));
}

void digest_store(struct digest d, uint8_t ret_bytes[DIGEST_BYTES])
{
    put_be64(ret_bytes, d.high);
    put_be64(ret_bytes + 8, d.low);
}

struct digest digest_fetch(const uint8_t bytes[DIGEST_BYTES])
{
    return (struct digest){ .low = get_be64(bytes + 8), .high = get_be64(bytes) };
}
