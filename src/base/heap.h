/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door to malloc.
 *
 * heap_try_* may return NULL and the caller reports NOMEM; it is for sizes that come
 * from outside.  heap_new and friends never return NULL: exhausting memory for a
 * small bounded object ends the process, which is a crash the cluster survives.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>

void *heap_try_alloc(size_t size);                   /* uninitialised; NULL when exhausted */
void *heap_resize(void *old, size_t size);           /* NULL when exhausted, `old` stays valid */
void *heap_alloc(size_t size);                       /* uninitialised, never NULL */
void *heap_zalloc(size_t size);                      /* zeroed, never NULL */
void *heap_grow(void *old, size_t size);             /* like heap_resize, never NULL */
void *heap_copy(const void *data, size_t size);      /* never NULL; size 0 gives one byte */
char *heap_copy_text(const void *data, size_t size); /* adds a NUL; never NULL */
void heap_free(void *object);                        /* accepts NULL */

#define heap_new(type) ((type *)heap_zalloc(sizeof(type)))

_Noreturn void heap_exhausted(size_t size);

#endif
