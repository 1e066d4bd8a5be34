/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/entropy.h"

#include <sys/random.h>

#include "base/assert.h"

void entropy_fill(void *data, size_t size)
{
    PRE(size <= 256);
    INVARIANT(getrandom(data, size, 0) == (ssize_t)size);
}

uint64_t entropy_u64(void)
{
    uint64_t value;

    do {
        entropy_fill(&value, sizeof value);
    } while (value == 0);
    return value;
}
