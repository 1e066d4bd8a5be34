/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/mutex.h"

#include "base/assert.h"

void mutex_init(struct mutex *m)
{
    int error = pthread_mutex_init(&m->lock, NULL);

    INVARIANT(error == 0);
}

void mutex_release(struct mutex *m)
{
    int error = pthread_mutex_destroy(&m->lock);

    INVARIANT(error == 0);
}

void mutex_lock(struct mutex *m)
{
    int error = pthread_mutex_lock(&m->lock);

    INVARIANT(error == 0);
}

void mutex_unlock(struct mutex *m)
{
    int error = pthread_mutex_unlock(&m->lock);

    INVARIANT(error == 0);
}
