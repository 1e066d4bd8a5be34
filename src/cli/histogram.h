/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of durations in microseconds: exact below 64, then 32 buckets per power of two, so that
 * a percentile is off by 3 % at most.
 */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 + 32 * 58)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
};

void histogram_add(struct histogram *h, uint64_t value);
/* The value at or below which `share` (0..1) of all lie; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *h, double share);

#endif
