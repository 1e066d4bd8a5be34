/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/clock.h"

#define BAR_WIDTH 30
#define REDRAW_MS 100

void progress_start(struct progress *p, const char *what, uint64_t total)
{
    int64_t now_ms = clock_monotonic_ms();

    *p = (struct progress){ what, total, now_ms, now_ms, isatty(STDERR_FILENO) == 1 };
}

void progress_set(struct progress *p, uint64_t done)
{
    static const char full[] = "##############################";
    int64_t now_ms = clock_monotonic_ms();
    int filled;
    double rate;

    if (!p->is_terminal || now_ms - p->shown_ms < REDRAW_MS) {
        return;
    }
    p->shown_ms = now_ms;
    rate = (double)done * 1000 / (double)(now_ms - p->started_ms + 1);
    if (p->total == 0) {
        fprintf(stderr, "\r%s: %" PRIu64 " (%.0f/s)\033[K", p->what, done, rate);
        return;
    }
    filled = (int)(done >= p->total ? BAR_WIDTH : done * BAR_WIDTH / p->total);
    fprintf(stderr, "\r%s [%.*s%*s] %3.0f%% %" PRIu64 "/%" PRIu64 " (%.0f/s)\033[K", p->what,
            filled, full, BAR_WIDTH - filled, "",
            100.0 * (double)(done > p->total ? p->total : done) / (double)p->total, done, p->total,
            rate);
}

void progress_end(struct progress *p)
{
    if (p->is_terminal) {
        fputs("\r\033[K", stderr);
    }
}
