/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *heap_try_alloc(size_t size)
{
    return malloc(size == 0 ? 1 : size);
}

void *heap_resize(void *old, size_t size)
{
    return realloc(old, size == 0 ? 1 : size);
}

void *heap_alloc(size_t size)
{
    void *object = heap_try_alloc(size);

    if (object == NULL) {
        heap_exhausted(size);
    }
    return object;
}

void *heap_zalloc(size_t size)
{
    void *object = calloc(1, size == 0 ? 1 : size);

    if (object == NULL) {
        heap_exhausted(size);
    }
    return object;
}

void *heap_grow(void *old, size_t size)
{
    void *object = heap_resize(old, size);

    if (object == NULL) {
        heap_exhausted(size);
    }
    return object;
}

void *heap_copy(const void *data, size_t size)
{
    void *object = heap_alloc(size);

    if (size > 0) {
        memcpy(object, data, size);
    }
    return object;
}

char *heap_copy_text(const void *data, size_t size)
{
    char *text = heap_alloc(size + 1);

    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

void heap_free(void *object)
{
    free(object);
}

void heap_exhausted(size_t size)
{
    fprintf(stderr, "refkeeper: out of memory (%zu bytes)\n", size);
    abort();
}
