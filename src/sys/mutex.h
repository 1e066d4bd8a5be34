/* SPDX-License-Identifier: Apache-2.0 */
/* A lock for a few assignments: whoever holds it never waits for a disk or a peer. */
#ifndef SYS_MUTEX_H
#define SYS_MUTEX_H

#include <pthread.h>

struct mutex {
    pthread_mutex_t lock;
};

/* All four abort on misuse; there is nothing a caller could do about it. */
void mutex_init(struct mutex *m);
void mutex_release(struct mutex *m); /* PRE: not held */
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

#endif
