/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "storage/snapshot.h"

struct script *script_new(bool can_allocate)
{
    struct script *x = heap_new(struct script);

    x->memory = fs_memory_new();
    fs_memory_set_can_allocate(x->memory, can_allocate);
    fs_faulty_init(&x->faulty, fs_memory_fs(x->memory));
    x->t = (struct store)STORE_INIT(&x->faulty.fs, "/data");
    return x;
}

void script_free(struct script *x)
{
    store_release(&x->t);
    fs_memory_free(x->memory);
    heap_free(x);
}

/* ---- Steps.  Each says beforehand what may happen and afterwards what must have. ---- */

static bool step_open(struct script *x)
{
    x->status = store_open(&x->t);
    if (x->status == RK_OK) {
        x->promise.boot_count = x->t.recovered.state.boot_count;
    }
    return x->status == RK_OK;
}

static bool step_close(struct script *x)
{
    store_close(&x->t);
    x->status = x->faulty.has_fired ? RK_IO : RK_OK; /* a close tells nobody */
    return x->status == RK_OK;
}

static bool step_term(struct script *x, raft_term term, node_id vote)
{
    x->promise.term_tried = term;
    x->promise.vote_tried = vote;
    x->status = store_set_term(&x->t, term, vote);
    if (x->status == RK_OK) {
        x->promise.term = term;
        x->promise.vote = vote;
    }
    return x->status == RK_OK;
}

/* Makes the state larger than a sector and changes both its ends, so that slots can be torn. */
static bool step_membership(struct script *x, uint64_t boot_count)
{
    struct persistent_state *state = heap_copy(storage_get_state(x->t.s),
                                               sizeof *storage_get_state(x->t.s));
    struct member *member = heap_new(struct member);

    member->flags = MEMBER_VOTER | MEMBER_VOTER_OLD;
    memset(member->peer_address, 'a', 200);
    for (node_id id = 1; id <= 5; id++) {
        member->id = id;
        (void)snprintf(member->name, sizeof member->name, "n%u", (unsigned)id);
        (void)!membership_add(&state->latest_membership, member);
    }
    state->peer_count = 1;
    state->peers[0] = (struct storage_peer){ 2, 1, boot_count };
    x->status = storage_save_state(x->t.s, state, &x->t.why);
    heap_free(member);
    heap_free(state);
    return x->status == RK_OK;
}

static bool step_append(struct script *x, raft_term term, size_t count, size_t size)
{
    raft_index first = storage_last_index(x->t.s) + 1;

    for (size_t i = 0; i < count; i++) {
        x->promise.possible[first + i] |= 1U << term;
        if (x->acks_before_sync) {
            x->promise.acked[first + i] = term;
        }
    }
    x->status = store_append(&x->t, term, count, size);
    return x->status == RK_OK;
}

static bool note_acked(void *context, const struct entry *entry, uint64_t offset)
{
    struct script *x = context;

    (void)offset;
    x->promise.acked[entry->index] = entry->term;
    return true;
}

static bool step_sync(struct script *x, raft_index first)
{
    x->status = storage_sync(x->t.s, &x->t.why);
    if (x->status == RK_OK) {
        x->status = storage_walk(x->t.s, first, note_acked, x, &x->t.why);
    }
    return x->status == RK_OK;
}

static bool step_append_sync(struct script *x, raft_term term, size_t count, size_t size)
{
    raft_index first = storage_last_index(x->t.s) + 1;

    return step_append(x, term, count, size) && step_sync(x, first);
}

static bool step_tick(struct script *x)
{
    x->now_ms += 2000;
    x->status = storage_tick(x->t.s, x->now_ms, &x->t.why);
    return x->status == RK_OK;
}

static bool step_truncate(struct script *x, raft_index from)
{
    for (raft_index i = from; i < SCRIPT_INDEX_MAX; i++) {
        x->promise.acked[i] = 0;
    }
    x->status = storage_truncate(x->t.s, from, &x->t.why);
    for (raft_index i = from; x->status == RK_OK && i < SCRIPT_INDEX_MAX; i++) {
        x->promise.possible[i] = 0;
    }
    return x->status == RK_OK;
}

static bool step_snapshot(struct script *x, raft_index index, raft_term term)
{
    x->status = store_snapshot(&x->t, index, term, 9000);
    if (x->status == RK_OK) {
        x->promise.snapshot = index;
    }
    return x->status == RK_OK;
}

static bool step_compact(struct script *x, raft_index first)
{
    x->status = storage_compact(x->t.s, first, &x->t.why);
    return x->status == RK_OK;
}

/* As if received: the file takes its place, then the log follows. */
static bool step_install(struct script *x, raft_index index, raft_term term, bool keeps_suffix)
{
    for (raft_index i = index + 1; !keeps_suffix && i < SCRIPT_INDEX_MAX; i++) {
        x->promise.acked[i] = 0;
    }
    if (!step_snapshot(x, index, term)) {
        return false;
    }
    x->status = storage_install(x->t.s, index, term, keeps_suffix, &x->t.why);
    for (raft_index i = index + 1; x->status == RK_OK && !keeps_suffix && i < SCRIPT_INDEX_MAX;
         i++) {
        x->promise.possible[i] = 0;
    }
    return x->status == RK_OK;
}

/* ---- The life ---- */

#define STEP(expression)                                                                           \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            x->step = #expression;                                                                 \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static bool run_first_half(struct script *x)
{
    STEP(step_open(x));
    STEP(step_term(x, 1, 2));
    STEP(step_membership(x, 1));
    STEP(step_membership(x, 2));
    STEP(step_membership(x, 3));
    STEP(step_append_sync(x, 1, 3, 40));
    STEP(step_append_sync(x, 1, 1, 9000));
    STEP(step_append(x, 1, 5, 100));
    STEP(step_append(x, 1, 2, 0));
    STEP(step_sync(x, 5));
    STEP(step_append_sync(x, 1, 300, 30)); /* the index passes a page */
    STEP(step_tick(x));
    STEP(step_append_sync(x, 1, 20, 30));
    STEP(step_truncate(x, 321)); /* above the checkpoint */
    STEP(step_append_sync(x, 1, 10, 30));
    STEP(step_tick(x));
    STEP(step_append(x, 1, 10, 3000));
    STEP(step_truncate(x, 101)); /* below it, with entries not synced */
    STEP(step_term(x, 3, 1));
    STEP(step_append_sync(x, 3, 4, 2000));
    STEP(step_close(x));
    STEP(step_open(x));
    STEP(step_append_sync(x, 3, 100, 60));
    return true;
}

static bool run_second_half(struct script *x)
{
    STEP(step_snapshot(x, 90, 1));
    STEP(step_snapshot(x, 150, 3));
    STEP(step_compact(x, 81));
    STEP(step_append_sync(x, 3, 10, 60));
    STEP(step_compact(x, 151));
    STEP(step_append(x, 3, 3, 60));
    STEP(step_compact(x, 151)); /* nothing to do */
    STEP(step_sync(x, 215));
    STEP(step_tick(x));
    STEP(step_truncate(x, 210));
    STEP(step_append_sync(x, 3, 10, 20));
    STEP(step_snapshot(x, 219, 3));
    STEP(step_compact(x, 220)); /* everything */
    STEP(step_append_sync(x, 3, 3, 20));
    STEP(step_term(x, 6, 2));
    STEP(step_install(x, 400, 6, false));
    STEP(step_append_sync(x, 6, 30, 80));
    STEP(step_install(x, 410, 6, true));
    STEP(step_append_sync(x, 6, 3, 80));
    STEP(step_term(x, 7, 2));
    STEP(step_install(x, 420, 7, false)); /* the log disagrees there */
    STEP(step_append_sync(x, 7, 3, 80));
    STEP(step_tick(x));
    STEP(step_close(x));
    STEP(step_open(x));
    STEP(step_append_sync(x, 7, 3, 80));
    return true;
}

void script_run(struct script *x)
{
    x->step = NULL;
    (void)(run_first_half(x) && run_second_half(x));
}

/* ---- Judgement ---- */

struct judging {
    struct script *x;
    raft_index next;
    const char *wrong;
};

static bool judge_entry(void *context, const struct entry *entry, uint64_t offset)
{
    struct judging *j = context;
    const struct promise *p = &j->x->promise;

    (void)offset;
    if (entry->index != j->next || !store_entry_is_genuine(entry)) {
        j->wrong = "an entry is not what was appended";
    } else if (p->acked[entry->index] != 0 && p->acked[entry->index] != entry->term) {
        j->wrong = "an acknowledged entry was replaced";
    } else if ((p->possible[entry->index] & (1U << entry->term)) == 0) {
        j->wrong = "an entry came back that was removed";
    }
    j->next++;
    return j->wrong == NULL;
}

static const char *judge_log(struct script *x)
{
    struct judging j = { .x = x, .next = x->t.recovered.log_first_index };
    raft_index snapshot = x->t.recovered.snapshot_last_index;

    if (storage_walk(x->t.s, 1, judge_entry, &j, &x->t.why) != RK_OK) {
        return "the log cannot be walked";
    }
    if (j.wrong != NULL) {
        return j.wrong;
    }
    if (x->t.recovered.log_first_index > snapshot + 1) {
        return "entries are missing between snapshot and log";
    }
    for (raft_index i = j.next > snapshot ? j.next : snapshot + 1; i < SCRIPT_INDEX_MAX; i++) {
        if (x->promise.acked[i] != 0) {
            return "an acknowledged entry is lost";
        }
    }
    return snapshot < x->promise.snapshot ? "a committed snapshot is lost" : NULL;
}

static const char *judge_state(const struct script *x)
{
    const struct persistent_state *state = &x->t.recovered.state;
    const struct promise *p = &x->promise;
    bool is_saved = state->current_term == p->term && state->voted_for == p->vote;
    bool is_tried = state->current_term == p->term_tried && state->voted_for == p->vote_tried;

    if (!is_saved && !is_tried) {
        return "term or vote went back";
    }
    return state->boot_count <= p->boot_count ? "the boot count went back" : NULL;
}

/* Life goes on: what is appended now survives the next restart. */
static const char *judge_future(struct script *x)
{
    raft_term term = x->t.recovered.state.current_term + 1;
    raft_index last;

    if (store_append_sync(&x->t, term, 2, 50) != RK_OK) {
        return "nothing can be appended";
    }
    last = storage_last_index(x->t.s);
    storage_close(x->t.s);
    x->t.s = NULL;
    if (store_open(&x->t) != RK_OK) {
        return "the second open failed";
    }
    return x->t.recovered.log_last_index == last && x->t.recovered.log_last_term == term
               ? NULL
               : "the second open lost an entry";
}

/* What an open has found is believed from then on: a power cut right behind it takes nothing
 * back, whatever was only in the page cache before. */
static const char *judge_belief(struct script *x)
{
    raft_index last = x->t.recovered.log_last_index;
    raft_term term = x->t.recovered.log_last_term;

    x->faulty.is_stopped = true;
    store_close(&x->t);
    fs_memory_crash(x->memory, FS_CRASH_LOSE, 0);
    x->faulty.is_stopped = false;
    if (store_open(&x->t) != RK_OK) {
        return "it does not open after a power cut right behind an open";
    }
    return x->t.recovered.log_last_index == last && x->t.recovered.log_last_term == term
               ? NULL
               : "what an open had found was lost by a power cut";
}

const char *script_check(struct script *x)
{
    const char *wrong;

    fs_faulty_arm(&x->faulty, (struct fs_fault){ .kind = FS_FAULT_NONE });
    if (store_open(&x->t) != RK_OK) {
        return "it does not open";
    }
    wrong = judge_log(x);
    if (wrong == NULL) {
        wrong = judge_state(x);
    }
    if (wrong == NULL) {
        wrong = judge_belief(x);
    }
    if (wrong == NULL) {
        wrong = judge_future(x);
    }
    store_close(&x->t);
    return wrong;
}
