/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness from the kernel: ids and seeds. */
#ifndef SYS_ENTROPY_H
#define SYS_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

/* Fills `data` with unpredictable bytes; size <= 256.  Aborts if the kernel has none. */
void entropy_fill(void *data, size_t size);

/* A non-zero unpredictable number. */
uint64_t entropy_u64(void);

#endif
