/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager how far the daemon is, by the socket in NOTIFY_SOCKET. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

/* `state` as in sd_notify(3): "READY=1", "STOPPING=1", "STATUS=...".  Without a service manager
 * nothing happens. */
void notify_service_manager(const char *state);

/* The time within which the service manager wants to hear "WATCHDOG=1"; 0 = never. */
int64_t notify_watchdog_us(void);

#endif
