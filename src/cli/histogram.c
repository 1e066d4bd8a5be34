/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/histogram.h"

#define EXACT 64
#define PER_OCTAVE 32

static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < EXACT) {
        return (unsigned)value;
    }
    /* 6 significant bits: the highest one and five more. */
    shift = 63 - (unsigned)__builtin_clzll(value) - 5;
    return EXACT + (shift - 1) * PER_OCTAVE + (unsigned)(value >> shift) - PER_OCTAVE;
}

/* The highest value of a bucket. */
static uint64_t top_of(unsigned bucket)
{
    unsigned shift;

    if (bucket < EXACT) {
        return bucket;
    }
    shift = (bucket - EXACT) / PER_OCTAVE + 1;
    return (((uint64_t)(bucket - EXACT) % PER_OCTAVE + PER_OCTAVE + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    h->max = value > h->max ? value : h->max;
}

uint64_t histogram_percentile(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->total);
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->total > 0; i++) {
        seen += h->counts[i];
        if (seen > wanted || seen == h->total) {
            uint64_t top = top_of(i);

            return top < h->max ? top : h->max;
        }
    }
    return 0;
}
