/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks.  Only monotonic time decides anything; wall time is for display. */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>

/* Milliseconds or microseconds since an arbitrary point, never backwards.  Any thread. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

/* Likewise; time that the machine sleeps counts. */
int64_t clock_steady_ms(void);

/* Milliseconds since 1970-01-01 UTC.  Any thread. */
int64_t clock_wall_ms(void);

#endif
