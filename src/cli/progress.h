/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on stderr, on a terminal only; elsewhere nothing is printed. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* borrowed */
    uint64_t total;   /* 0 = not known */
    int64_t started_ms;
    int64_t shown_ms;
    bool is_terminal;
};

void progress_start(struct progress *p, const char *what, uint64_t total);
void progress_set(struct progress *p, uint64_t done); /* draws at most ten times a second */
void progress_end(struct progress *p);                /* removes the bar */

#endif
