/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/event_rows.h"

#include <stdio.h>
#include <time.h>

const char *const event_columns[EVENT_COLUMNS] = { "index", "time", "kind", "path",
                                                   "ref",   "old",  "new",  "actor" };

static void put_time(struct output *o, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    char date[32], text[48];
    struct tm parts;

    if (time_ms <= 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        output_text(o, NULL);
        return;
    }
    snprintf(text, sizeof text, "%s.%03dZ", date, (int)(time_ms % 1000));
    output_text(o, text);
}

void event_row(struct output *o, const struct rk_event *event)
{
    output_number(o, event->index);
    put_time(o, event->time_ms);
    output_text(o, event->kind);
    output_text(o, event->path);
    output_text(o, event->ref);
    output_text(o, event->old_value);
    output_text(o, event->new_value);
    output_text(o, event->actor);
    output_end_row(o);
}
