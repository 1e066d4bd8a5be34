/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a log readable: within LOG_REPEAT_MS the same line passes once, and no more than
 * LOG_LIMIT_LINES different ones; what was held back is counted for the next line that passes.
 */
#ifndef NODE_LOG_LIMIT_H
#define NODE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_LINES 8

struct log_limit { /* zeroed = ready */
    int64_t window_ends_ms;
    unsigned passed;
    unsigned held;
    uint64_t seen[LOG_LIMIT_LINES]; /* hashes of the lines that passed in this window */
};

/* Whether to write `text` now; *ret_held lines were held back before it. */
bool log_limit_pass(struct log_limit *l, const char *text, int64_t now_ms, unsigned *ret_held);

#endif
