/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for something on an event loop, with a deadline instead of sleeps. */
#ifndef SUPPORT_LOOP_H
#define SUPPORT_LOOP_H

#include <event2/event.h>
#include <stdbool.h>

#define LOOP_DEADLINE_MS 20000

/* Turns the loop until `is_true(argument)`; false when the deadline passes first. */
bool loop_until(struct event_base *base, bool (*is_true)(void *argument), void *argument);

/* Turns the loop until nothing is ready; does not wait. */
void loop_settle(struct event_base *base);

/* Turns the loop for this long: to show that something does not happen. */
void loop_for(struct event_base *base, int ms);

/* A pair of connected, non-blocking TCP sockets on loopback; aborts on errors. */
void loop_tcp_pair(int ret_fds[2]);

/* A TCP port of 127.0.0.1 nobody listens on just now. */
unsigned loop_free_port(void);

#endif
