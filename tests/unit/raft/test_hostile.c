/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that says anything: no content of a message reaches an assertion.  The core
 * drops it, answers it, or halts; SEED and SEEDS as in test_random_faults.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "model/command.h"
#include "support/core.h"

#define ENTRIES_MAX 5

static char replay[80];

static void on_abort(int signal)
{
    (void)!write(STDERR_FILENO, replay, strlen(replay));
    (void)signal;
}

/* Mostly near what is there, at times absurd. */
static uint64_t any_number(struct rng *rng, uint64_t near)
{
    switch (rng_below(rng, 12)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - rng_below(rng, 3);
    case 2:
        return rng_next(rng) >> rng_below(rng, 64);
    case 3:
        return near + rng_below(rng, 1000);
    default:
        return near + rng_below(rng, 6) - rng_below(rng, near < 3 ? near + 1 : 4);
    }
}

struct hostile {
    struct core core;
    struct rng rng;
    struct entry entries[ENTRIES_MAX];
    struct buffer blob;
};

static void fill_entries(struct hostile *h, struct message *m)
{
    static const uint8_t noop[] = { 16 };
    uint32_t count = (uint32_t)rng_below(&h->rng, ENTRIES_MAX + 1);
    raft_term term = m->u.append_entries.prev_log_term;

    for (uint32_t i = 0; i < count; i++) {
        if (rng_below(&h->rng, 4) == 0) {
            term = any_number(&h->rng, m->term);
        }
        h->entries[i].term = term;
        h->entries[i].index = m->u.append_entries.prev_log_index + 1 + i;
        h->entries[i].command = slice_of(noop, sizeof noop);
        if (rng_below(&h->rng, 16) == 0) {
            h->entries[i].index = any_number(&h->rng, h->entries[i].index);
        }
        if (rng_below(&h->rng, 8) == 0) {
            h->entries[i].command = buffer_slice(&h->blob);
            h->entries[i].command.size -= rng_below(&h->rng, 3) == 0;
        }
    }
    m->u.append_entries.count = count;
    m->u.append_entries.entries = h->entries;
}

static void any_message(struct hostile *h, struct message *m)
{
    struct raft_status s = core_status(&h->core);
    struct rng *rng = &h->rng;

    *m = (struct message){ .type = (enum message_type)rng_below(rng, MESSAGE_TYPE_COUNT),
                           .from = 2 + rng_below(rng, 3),
                           .to = 1,
                           .term = any_number(rng, s.current_term) };
    switch (m->type) {
    case MESSAGE_REQUEST_VOTE:
        m->u.request_vote.is_pre_vote = rng_below(rng, 2) == 0;
        m->u.request_vote.is_transfer = rng_below(rng, 4) == 0;
        m->u.request_vote.last_log_index = any_number(rng, s.log_last_index);
        m->u.request_vote.last_log_term = any_number(rng, s.last_term);
        break;
    case MESSAGE_REQUEST_VOTE_REPLY:
        m->u.request_vote_reply.is_pre_vote = rng_below(rng, 2) == 0;
        m->u.request_vote_reply.is_granted = rng_below(rng, 2) == 0;
        break;
    case MESSAGE_APPEND_ENTRIES:
        m->u.append_entries.prev_log_index = any_number(rng, s.log_last_index);
        m->u.append_entries.prev_log_term = any_number(rng, s.last_term);
        if (rng_below(rng, 2) == 0) {
            raft_index prev_index = s.log_last_index - rng_below(rng, 4) % (s.log_last_index + 1);

            m->u.append_entries.prev_log_index = prev_index;
            m->u.append_entries.prev_log_term = raft_term_at(h->core.raft, prev_index);
        }
        m->u.append_entries.leader_commit = any_number(rng, s.commit_index);
        m->u.append_entries.read_sequence = any_number(rng, 3);
        fill_entries(h, m);
        break;
    case MESSAGE_APPEND_ENTRIES_REPLY:
        m->u.append_entries_reply.is_success = rng_below(rng, 2) == 0;
        m->u.append_entries_reply.match_index = any_number(rng, s.log_last_index);
        m->u.append_entries_reply.reject_index = any_number(rng, s.log_last_index);
        m->u.append_entries_reply.conflict_index = any_number(rng, s.log_last_index);
        m->u.append_entries_reply.conflict_term = any_number(rng, s.last_term);
        m->u.append_entries_reply.last_log_index = any_number(rng, s.log_last_index);
        m->u.append_entries_reply.read_sequence = any_number(rng, 1);
        break;
    case MESSAGE_INSTALL_SNAPSHOT:
        m->u.install_snapshot.last_index = any_number(rng, s.log_last_index);
        m->u.install_snapshot.last_term = any_number(rng, s.current_term);
        break;
    case MESSAGE_INSTALL_SNAPSHOT_REPLY:
        m->u.install_snapshot_reply.last_index = any_number(rng, s.commit_index);
        m->u.install_snapshot_reply.is_installed = rng_below(rng, 2) == 0;
        break;
    default: /* tokens */
        m->u.read_index_reply.token = any_number(rng, 1);
        m->u.read_index_reply.is_ok = rng_below(rng, 2) == 0;
        break;
    }
}

/* What the node itself does; it is well behaved. */
static void own_event(struct hostile *h)
{
    struct raft_event event = { .now_ms = h->core.now_ms };

    switch (rng_below(&h->rng, 8)) {
    case 0:
        core_pass(&h->core, (time_ms)rng_below(&h->rng, 1500));
        break;
    case 1:
        core_event(&h->core, RAFT_CAMPAIGN);
        break;
    case 2:
    case 3:
        core_persist(&h->core);
        break;
    case 4:
        event.type = RAFT_READ;
        event.u.read.token = 5;
        raft_step(h->core.raft, &event, &h->core.effects);
        break;
    case 5:
        event.type = RAFT_SUBMIT;
        event.u.submit.count = 1;
        event.u.submit.bytes = 100;
        raft_step(h->core.raft, &event, &h->core.effects);
        break;
    case 6:
        event.type = rng_below(&h->rng, 2) == 0 ? RAFT_PEER_CLOSED : RAFT_PEER_OPENED;
        event.u.peer_closed.peer = 1 + rng_below(&h->rng, 4);
        raft_step(h->core.raft, &event, &h->core.effects);
        break;
    default:
        core_event(&h->core, RAFT_TURN);
        break;
    }
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void run_seed(uint64_t seed)
{
    struct hostile h = { .blob = BUFFER_INIT };

    (void)snprintf(replay, sizeof replay, "SEED=%llu tests/unit/raft/test_hostile\n",
                   (unsigned long long)seed);
    rng_init(&h.rng, seed);
    core_open(&h.core, 3, 3, 0, (const raft_term[]){ 1, 1, 2, 3, 3, 0 });
    command_encode_membership(&h.blob, &h.core.membership);
    for (unsigned i = 0; i < 300 && h.core.effects.halt == NULL; i++) {
        struct message m;

        if (rng_below(&h.rng, 3) == 0) {
            own_event(&h);
        } else {
            any_message(&h, &m);
            core_receive(&h.core, &m);
        }
    }
    buffer_release(&h.blob);
    core_close(&h.core);
}

static void no_message_reaches_an_assertion(void **state)
{
    uint64_t one = number("SEED", 0);
    uint64_t seeds = number("SEEDS", 3000);

    (void)state;
    for (uint64_t seed = one != 0 ? one : 1; seed <= (one != 0 ? one : seeds); seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_message_reaches_an_assertion),
    };

    (void)signal(SIGABRT, on_abort);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
