/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The k-th allocation of a process fails.  A program that has this file among its sources is
 * linked with $(FAILING_ALLOCATION_LDFLAGS), which lead what is linked in here; the C library's
 * own allocations are not.  Not for threads.
 */
#ifndef SUPPORT_FAILING_ALLOCATION_H
#define SUPPORT_FAILING_ALLOCATION_H

#include <stdint.h>

/* Counts from 0 again; the k-th from now on fails, 0 = none. */
void allocation_fail(uint64_t k);

/* Since the last allocation_fail. */
uint64_t allocation_count(void);

#endif
