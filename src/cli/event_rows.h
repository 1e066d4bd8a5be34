/* SPDX-License-Identifier: Apache-2.0 */
/* Events as rows, for watch and history. */
#ifndef CLI_EVENT_ROWS_H
#define CLI_EVENT_ROWS_H

#include "cli/output.h"

#define EVENT_COLUMNS 8
extern const char *const event_columns[EVENT_COLUMNS];

void event_row(struct output *o, const struct rk_event *event);

#endif
