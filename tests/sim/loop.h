/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of a simulated node: what loop.c and its neighbours share. */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include <event2/listener.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/types.h"

struct machine;

/* An event registered for this descriptor comes after so long. */
void loop_fd_is_readable(int fd, int64_t delay_us);

/* Events and listeners of a process that ended. */
void loop_process_ended(struct machine *m);

/* Somebody connects; false = nobody listens there. */
bool loop_accept(struct machine *m, int fd, node_id from);

#endif
