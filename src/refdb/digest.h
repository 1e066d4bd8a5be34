/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of sets: the sum modulo 2^128 of one hash per element, so that adding, removing
 * and comparing need no order.  [DESIGN 3, 5]
 *
 * The hash finds differences that faults and bugs cause.  It has no key and does not
 * resist someone who searches for two states of equal digest.
 *
 * The digest of a repository covers exactly its (ref name, oid) pairs, so anyone who can
 * list the refs of a copy can compute it: start with DIGEST_ZERO and digest_add() one
 * digest_ref() for each.
 */
#ifndef REFDB_DIGEST_H
#define REFDB_DIGEST_H

#include "base/bytes.h"
#include "model/oid.h"

#define DIGEST_BYTES 16

struct digest {
    uint64_t low, high;
};

#define DIGEST_ZERO ((struct digest){ 0, 0 })

static inline void digest_add(struct digest *sum, struct digest d)
{
    sum->low += d.low;
    sum->high += d.high + (sum->low < d.low);
}

static inline void digest_subtract(struct digest *sum, struct digest d)
{
    uint64_t borrow = sum->low < d.low;

    sum->low -= d.low;
    sum->high -= d.high + borrow;
}

static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

/* The hash of `bytes`, started from `seed`: different seeds give unrelated hashes, and a hash
 * may be the seed of the next, which hashes a sequence of fields. */
struct digest digest_bytes(struct digest seed, struct slice bytes);

/* The same for two integers. */
struct digest digest_words(struct digest seed, uint64_t a, uint64_t b);

/* One element of a repository's digest. */
struct digest digest_ref(struct slice refname, const struct oid *oid);

/* Big-endian, the high half first. */
void digest_store(struct digest d, uint8_t ret_bytes[DIGEST_BYTES]);
struct digest digest_fetch(const uint8_t bytes[DIGEST_BYTES]);

#endif
