/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of `refkeeper bench`: a closed loop over many connections in one thread.
 *
 * Each connection owns the keys k with k mod connections = its number, so that every write is a
 * real compare-and-swap whose expected value the connection knows.
 */
#ifndef CLI_BENCH_LOAD_H
#define CLI_BENCH_LOAD_H

#include <stdint.h>

#include "base/errmsg.h"
#include "cli/histogram.h"
#include "cli/progress.h"
#include "client/options.h"
#include "client/tls.h"

#define BENCH_REF_FORMAT "refs/heads/k%012llu"
#define BENCH_OID_FORMAT "%016llxbbbbbbbbbbbbbbbbbbbbbbbb"

struct bench_plan {
    const struct rk_options *options;
    struct tls_context *tls; /* NULL = plain */
    const char *path;
    unsigned connections;
    unsigned in_flight; /* requests per connection */
    uint64_t keys;
    unsigned read_percent;
    bool is_stale;
    int64_t warmup_ms, duration_ms;
};

struct bench_result {
    struct histogram writes, reads;
    uint64_t errors;
    char first_error[200];
    double seconds;
};

/* Errors: as connecting; CLOSED when a connection was lost on the way. */
enum rk_status bench_load(const struct bench_plan *plan, struct bench_result *ret_result,
                          struct rk_error *error) MUST_USE;

#endif
