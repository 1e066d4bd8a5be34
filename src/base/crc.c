/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes are a polynomial over GF(2), and the CRC is its remainder by P.  Sixteen bytes
 * that are followed by sixteen others weigh x^128 more; multiplying their halves by the
 * remainders of x^160 and x^96 brings them to the weight of what follows, to which they are
 * added ("folding").  At the end 128 bits are reduced to 64, and by Barrett's method to 32.
 * All numbers are bit-reflected.  [Gopal et al., Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction, Intel 2009]
 */
#include "base/crc.h"

#include <zlib.h>

#define BLOCK_BYTES 16

static uint32_t crc_add_plain(uint32_t crc, struct slice bytes)
{
    return bytes.size == 0 ? crc : (uint32_t)crc32(crc, bytes.data, (uInt)bytes.size);
}

#if defined(__x86_64__)

#include <immintrin.h>

#define FOLDING __attribute__((target("pclmul,sse4.1")))

#define REMAINDER_X160 0x1751997d0
#define REMAINDER_X96 0x0ccaa009e
#define REMAINDER_X64 0x163cd6124
#define POLYNOMIAL 0x1db710641
#define QUOTIENT_X64 0x1f7011641 /* x^64 divided by P */

FOLDING static __m128i load(const uint8_t *p)
{
    __m128i block;

    memcpy(&block, p, BLOCK_BYTES);
    return block;
}

/* `block` at the weight of the sixteen bytes behind it. */
FOLDING static __m128i fold(__m128i block)
{
    const __m128i remainders = _mm_set_epi64x(REMAINDER_X96, REMAINDER_X160);

    return _mm_xor_si128(_mm_clmulepi64_si128(block, remainders, 0x00),
                         _mm_clmulepi64_si128(block, remainders, 0x11));
}

/*
 * Takes in the last 1-15 bytes, which end at `end`: the block and they are regrouped as a
 * short block of their size, which zeros in front complete, and a whole one behind it.
 */
FOLDING static __m128i fold_rest(__m128i block, const uint8_t *end, size_t rest)
{
    /* Shuffles by a sliding window: indexes with the top bit set give zero. */
    static const uint8_t window[3 * BLOCK_BYTES] = {
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
        0x80, 0x80, 0x80, 0x80, 0,    1,    2,    3,    4,    5,    6,    7,
        8,    9,    10,   11,   12,   13,   14,   15,   0x80, 0x80, 0x80, 0x80,
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    };
    __m128i first = _mm_shuffle_epi8(block, load(window + rest));
    __m128i up = load(window + BLOCK_BYTES + rest);
    __m128i second = _mm_blendv_epi8(_mm_shuffle_epi8(block, up), load(end - BLOCK_BYTES), up);

    return _mm_xor_si128(fold(first), second);
}

FOLDING static uint32_t reduce(__m128i block)
{
    const __m128i remainders = _mm_set_epi64x(REMAINDER_X96, REMAINDER_X64);
    const __m128i barrett = _mm_set_epi64x(QUOTIENT_X64, POLYNOMIAL);
    const __m128i low_32 = _mm_set_epi32(0, 0, 0, -1);
    __m128i quotient;

    block = _mm_xor_si128(_mm_srli_si128(block, 8), _mm_clmulepi64_si128(block, remainders, 0x10));
    block = _mm_xor_si128(_mm_srli_si128(block, 4),
                          _mm_clmulepi64_si128(_mm_and_si128(block, low_32), remainders, 0x00));
    quotient = _mm_clmulepi64_si128(_mm_and_si128(block, low_32), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(block, quotient), 1);
}

/* PRE: at least one block. */
FOLDING static uint32_t crc_add_folding(uint32_t crc, struct slice bytes)
{
    const uint8_t *at = bytes.data;
    const uint8_t *end = bytes.data + bytes.size;
    __m128i block = _mm_xor_si128(load(at), _mm_cvtsi32_si128((int)~crc));

    for (at += BLOCK_BYTES; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
        block = _mm_xor_si128(fold(block), load(at));
    }
    if (at < end) {
        block = fold_rest(block, end, (size_t)(end - at));
    }
    return ~reduce(block);
}

uint32_t crc_add(uint32_t crc, struct slice bytes)
{
    if (bytes.size >= BLOCK_BYTES && __builtin_cpu_supports("pclmul") &&
        __builtin_cpu_supports("sse4.1")) {
        return crc_add_folding(crc, bytes);
    }
    return crc_add_plain(crc, bytes);
}

#else

uint32_t crc_add(uint32_t crc, struct slice bytes)
{
    return crc_add_plain(crc, bytes);
}

#endif
