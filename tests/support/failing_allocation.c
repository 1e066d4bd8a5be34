/* SPDX-License-Identifier: Apache-2.0 */
#include "support/failing_allocation.h"

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static uint64_t allocations;
static uint64_t failing;

void allocation_fail(uint64_t k)
{
    allocations = 0;
    failing = k;
}

uint64_t allocation_count(void)
{
    return allocations;
}

static bool is_exhausted(void)
{
    return ++allocations == failing;
}

void *__wrap_malloc(size_t size)
{
    return is_exhausted() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_exhausted() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_exhausted() ? NULL : __real_realloc(old, size);
}
