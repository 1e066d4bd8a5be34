/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One background thread for long jobs on snapshots: dumping a frozen state, verifying and
 * loading a received one.  Jobs run one at a time, in order.
 */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include <event2/event.h>
#include <stdbool.h>

struct worker;

struct worker *worker_start(struct event_base *base);

/*
 * Queues a job: `run` is called on the thread, then `done` on the loop.  `should_stop` tells
 * a running job that the node is closing: it should give up soon.
 */
void worker_submit(struct worker *w, void (*run)(void *job, const struct worker *w),
                   void (*done)(void *job), void *job);
bool worker_should_stop(const struct worker *w); /* any thread */

/* Lets so much time pass, less when there is other work or the node closes. */
void worker_rest(const struct worker *w, int64_t us);

/* Joins the thread after the running job; done() is still called for every job queued or
 * run, so that its memory is released.  Accepts NULL. */
void worker_stop(struct worker *w);

#endif
