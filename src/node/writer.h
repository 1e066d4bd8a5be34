/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log writer: the one thread that changes the log, index and state files.
 *
 * The loop queues orders during a turn and hands them over at its end; the thread carries
 * them out in order and syncs once for all appends that lie together (group commit).  What
 * became durable comes back through an eventfd as one report.  A failed write or sync ends
 * the thread's work for good: the report carries it and the node stops with 74.  Entries and
 * installations that find no space wait, and all behind them, until there is some; only term and
 * vote, which need none, and compactions, which make some, pass them.
 */
#ifndef NODE_WRITER_H
#define NODE_WRITER_H

#include <event2/event.h>

#include "base/errmsg.h"
#include "node/batch.h"
#include "storage/storage.h"

struct writer;

/* What has become durable since the last report, all in one. */
struct writer_report {
    uint64_t state_generation; /* newest saved; 0 = no news */
    raft_term last_term;       /* newest synced entry; 0 = no news */
    raft_index last_index;
    raft_index compacted_first_index; /* the log now begins here; 0 = no news */
    bool is_compaction_done;          /* a WRITER_COMPACT is, one way or the other */
    struct errmsg compaction_why;     /* why not; empty = it is */
    bool is_installed;                /* a WRITER_INSTALL is done */
    uint32_t sync_count;              /* syncs done, and the time of the last ones */
    int64_t sync_us[32];
    enum rk_status failed; /* OK, or the latched failure */
    struct errmsg why;
};

typedef void (*writer_report_fn)(void *context, const struct writer_report *report);

/* Starts the thread.  `report` is called on the loop. */
struct writer *writer_start(struct event_base *base, struct storage *storage,
                            writer_report_fn report, void *context);

/* ---- Orders; queued until writer_hand_over() ---- */

void writer_save_state(struct writer *w, const struct persistent_state *state, uint64_t generation);
void writer_truncate(struct writer *w, raft_index from);
void writer_append(struct writer *w, struct batch *b); /* one more reference */
/* Finishes one that was copied; borrowed until the report. */
void writer_compact(struct writer *w, struct storage_compaction *compaction);
/* A snapshot or a compaction that follows may use the reserve. */
void writer_release_reserve(struct writer *w);
void writer_install(struct writer *w, raft_index last_index, raft_term last_term,
                    bool keeps_suffix);

/* Gives the orders of this turn to the thread; wakes it if it sleeps. */
void writer_hand_over(struct writer *w);

/* How long the oldest order handed over has not been finished; 0 = none is left. */
time_ms writer_age_ms(const struct writer *w, time_ms now_ms); /* accepts NULL */

/* Bytes handed over and not yet durable. */
uint64_t writer_backlog_bytes(const struct writer *w);

/* Finishes everything queued and joins the thread.  No report follows. */
void writer_stop(struct writer *w); /* accepts NULL */

#endif
