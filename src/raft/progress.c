/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/progress.h"

#include "base/assert.h"

static void window_clear(struct progress *p)
{
    p->inflight_first = 0;
    p->inflight_count = 0;
    p->inflight_bytes = 0;
}

void progress_reset(struct progress *p, raft_index next_index, time_ms now_ms)
{
    PRE(next_index > 0);
    *p = (struct progress){
        .mode = RAFT_PROGRESS_PROBE,
        .next_index = next_index,
        .moved_ms = now_ms,
        .window = p->window,
        .count_max = p->count_max,
    };
}

void progress_become_probe(struct progress *p, raft_index next_index)
{
    PRE(next_index > p->match_index);
    window_clear(p);
    p->mode = RAFT_PROGRESS_PROBE;
    p->next_index = next_index;
    p->is_probe_sent = false;
}

void progress_become_replicate(struct progress *p, time_ms now_ms)
{
    window_clear(p);
    p->mode = RAFT_PROGRESS_REPLICATE;
    p->next_index = p->match_index + 1;
    p->moved_ms = now_ms;
    p->snapshot_failures = 0;
}

void progress_become_snapshot(struct progress *p, raft_index snapshot_index)
{
    PRE(snapshot_index > p->match_index || p->wants_state);
    window_clear(p);
    p->mode = RAFT_PROGRESS_SNAPSHOT;
    p->snapshot_index = snapshot_index;
    p->snapshot_retry_ms = INT64_MAX;
    p->is_snapshot_failed = false;
}

bool progress_acknowledge(struct progress *p, raft_index match_index, time_ms now_ms)
{
    if (match_index <= p->match_index) {
        return false;
    }
    p->match_index = match_index;
    p->moved_ms = now_ms;
    if (p->next_index <= match_index) {
        p->next_index = match_index + 1;
    }
    while (p->inflight_count > 0 && p->window[p->inflight_first].last_index <= match_index) {
        p->inflight_bytes -= p->window[p->inflight_first].bytes;
        p->inflight_first = (p->inflight_first + 1) % p->count_max;
        p->inflight_count--;
    }
    return true;
}

void progress_regress(struct progress *p, raft_index last_index)
{
    PRE(last_index < p->match_index);
    p->match_index = 0;
    p->round_count = 0;
    p->round_goal = 0;
    if (p->mode != RAFT_PROGRESS_SNAPSHOT) {
        progress_become_probe(p, last_index + 1);
    }
}

void progress_round(struct progress *p, raft_index last_index, time_ms now_ms)
{
    if (p->round_goal == 0) {
        p->round_goal = last_index;
        p->round_since_ms = now_ms;
    } else if (p->match_index >= p->round_goal) {
        p->round_count++;
        p->round_ms = now_ms - p->round_since_ms;
        p->round_goal = last_index;
        p->round_since_ms = now_ms;
    }
}

bool progress_is_caught_up(const struct progress *p, time_ms limit_ms, time_ms now_ms)
{
    return p->round_count > 0 && p->round_ms < limit_ms && now_ms - p->round_since_ms < limit_ms;
}

void progress_sent(struct progress *p, raft_index last_index, uint64_t bytes, time_ms now_ms)
{
    PRE(p->mode == RAFT_PROGRESS_REPLICATE);
    PRE(p->inflight_count < p->count_max);
    PRE(last_index >= p->next_index);
    if (p->inflight_count == 0) {
        p->moved_ms = now_ms;
    }
    p->window[(p->inflight_first + p->inflight_count) % p->count_max] =
        (struct inflight){ last_index, bytes };
    p->inflight_count++;
    p->inflight_bytes += bytes;
    p->next_index = last_index + 1;
}

bool progress_admits(const struct progress *p, uint64_t bytes, uint64_t bytes_max)
{
    if (p->inflight_count == 0) {
        return true;
    }
    return p->inflight_count < p->count_max && bytes <= bytes_max &&
           p->inflight_bytes <= bytes_max - bytes;
}
