/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: each has one request under way, asks again elsewhere when it hears nothing, and
 * remembers what it was told.  Most have a session, so a write asked for twice happens once.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"
#include "node/node.h"
#include "refdb/refdb.h"
#include "sim/history.h"
#include "sim/sim.h"

#define CLIENTS_MAX 16
#define KEYS_MAX 16
#define REPOSITORIES 2
#define ANSWER_US_MIN (2 * SECOND_US)
#define ANSWER_US_MAX (4 * SECOND_US)
#define BACKOFF_US_MAX (SECOND_US / 4)

enum errand {
    ERRAND_REGISTER,
    ERRAND_SESSION,
    ERRAND_UPDATE,
    ERRAND_READ,
    ERRAND_READ_MIN,
    ERRAND_LIMITS, /* which not every version knows */
};

struct client {
    unsigned id;
    bool wants_session;
    uint64_t session; /* 0 = none */
    uint64_t sequence;
    bool is_busy;
    enum errand errand;
    unsigned key;
    struct history_op op;
    unsigned attempt;       /* raised by each: answers to older ones are not heard */
    bool may_have_happened; /* an earlier attempt had no answer */
    node_id target;
    uint64_t known[KEYS_MAX]; /* last value heard of each ref */
    raft_index heard_index;   /* newest it was told */
};

/* One attempt, from the client's departure to its return. */
struct attempt {
    struct attempt *next; /* of those that are not answered for good */
    struct client *client;
    unsigned number;
    struct machine *machine;
    raft_index min_index;
    enum rk_status status; /* of the proposal or read */
    enum rk_status result; /* of the state machine */
    raft_index index;
    uint64_t seen;
};

static struct attempt *attempts;

static void attempt_free(struct attempt *a)
{
    struct attempt **link = &attempts;

    while (*link != a) {
        link = &(*link)->next;
    }
    *link = a->next;
    heap_free(a);
}

struct ref_history {
    struct history_op *ops;
    size_t count, capacity;
};

static struct client clients[CLIENTS_MAX];
static struct ref_history histories[KEYS_MAX];
static uint64_t next_value, next_mark;
static bool is_stopping;
static unsigned registered;

static void client_think(struct client *c);
static void client_try(struct client *c);

/* ---- Names and values ---- */

static struct slice path_of(unsigned key)
{
    static const char *const paths[REPOSITORIES] = { "team/a.git", "team/b.git" };

    return slice_of_text(paths[key % REPOSITORIES]);
}

static struct slice refname_of(unsigned key, char text[32])
{
    snprintf(text, 32, "refs/heads/topic-%u", key);
    return slice_of_text(text);
}

static struct oid oid_of(uint64_t value)
{
    struct oid oid = { .size = 20 };

    oid.bytes[0] = 0xa5;
    put_be64(oid.bytes + 12, value);
    return oid;
}

static uint64_t value_of(const struct oid *oid)
{
    return oid->size == 0 ? 0 : get_be64(oid->bytes + 12);
}

/* ---- History ---- */

static void history_add(unsigned key, const struct history_op *op)
{
    struct ref_history *h = &histories[key];

    if (h->count == h->capacity) {
        h->capacity = h->capacity == 0 ? 64 : 2 * h->capacity;
        h->ops = heap_grow(h->ops, h->capacity * sizeof h->ops[0]);
    }
    h->ops[h->count++] = *op;
}

static void client_finish(struct client *c)
{
    c->is_busy = false;
    c->attempt++;
    client_think(c);
}

/* The outcome will never be known. */
static void finish_open(struct client *c)
{
    if (c->errand == ERRAND_UPDATE) {
        c->op.ended = HISTORY_OPEN;
        c->op.is_refused = false;
        history_add(c->key, &c->op);
    }
    client_finish(c);
}

static void finish_update(struct client *c, bool is_refused, uint64_t seen)
{
    c->op.ended = ++next_mark;
    c->op.is_refused = is_refused;
    c->op.seen = seen;
    c->known[c->key] = is_refused ? seen : c->op.new_value;
    *(is_refused ? &sim->updates_refused : &sim->updates_ok) += 1;
    history_add(c->key, &c->op);
    client_finish(c);
}

static void finish_read(struct client *c, uint64_t seen)
{
    c->op.ended = ++next_mark;
    c->op.seen = seen;
    c->known[c->key] = seen;
    sim->reads_ok++;
    history_add(c->key, &c->op);
    client_finish(c);
}

/* ---- Answers ---- */

static void on_try(void *context, uint64_t attempt)
{
    struct client *c = context;

    if (c->is_busy && c->attempt == attempt) {
        client_try(c);
    }
}

static void try_again(struct client *c)
{
    c->attempt++;
    c->target = 0;
    sim_after(SIM_WORLD, NULL, sim_between(1000, BACKOFF_US_MAX), on_try, c, c->attempt);
}

static void unanswered(struct client *c)
{
    c->may_have_happened = true;
    if (c->errand == ERRAND_UPDATE && c->session == 0) {
        finish_open(c); /* asking again could do it twice */
    } else {
        try_again(c);
    }
}

static void updated(struct client *c, const struct attempt *a)
{
    switch (a->result) {
    case RK_OK:
        finish_update(c, false, 0);
        return;
    case RK_CONFLICT:
    case RK_EXISTS:
        finish_update(c, true, a->seen);
        return;
    case RK_NOREF:
        finish_update(c, true, 0);
        return;
    case RK_EXPIRED:
        c->session = 0;
        if (c->may_have_happened) {
            finish_open(c);
        } else {
            client_finish(c);
        }
        return;
    default:
        sim_fail("client %u was told %s", c->id, rk_status_word(a->result));
    }
}

static void answered(struct client *c, const struct attempt *a)
{
    c->heard_index = a->index > c->heard_index ? a->index : c->heard_index;
    switch (c->errand) {
    case ERRAND_REGISTER:
        registered++;
        client_finish(c);
        return;
    case ERRAND_SESSION:
        c->session = a->index;
        c->sequence = 0;
        client_finish(c);
        return;
    case ERRAND_UPDATE:
        updated(c, a);
        return;
    case ERRAND_READ:
        finish_read(c, a->seen);
        return;
    case ERRAND_READ_MIN:
    case ERRAND_LIMITS:
        client_finish(c);
        return;
    }
}

static void on_answer(void *context, uint64_t argument)
{
    struct attempt *a = context;
    struct client *c = a->client;

    (void)argument;
    if (c->is_busy && a->number == c->attempt) {
        sim_note((uint64_t)a->status * 1000 + (uint64_t)a->result + (a->index << 20));
        if (a->status == RK_OK) {
            answered(c, a);
        } else if (a->status == RK_UNKNOWN) {
            unanswered(c);
        } else if (a->status == RK_NOLEADER || a->status == RK_NOMEMBER ||
                   a->status == RK_STOPPED || a->status == RK_OVERLOADED ||
                   a->status == RK_BEHIND || a->status == RK_NOSPACE) {
            try_again(c);
        } else if (a->status == RK_UNSUPPORTED && c->errand == ERRAND_LIMITS) {
            client_finish(c); /* not every member knows it yet */
        } else {
            sim_fail("client %u was told %s", c->id, rk_status_word(a->status));
        }
    }
    attempt_free(a);
}

/* The answer travels back, or is lost on the way. */
static void send_answer(struct attempt *a)
{
    if (a->machine->is_dying) {
        attempt_free(a); /* of a dead process: nobody hears it */
    } else if (!sim->is_healing && sim->swarm.is_on[FAULT_CLIENT_RETRY] && sim_chance(20)) {
        sim_fault(FAULT_CLIENT_RETRY);
        attempt_free(a);
    } else {
        sim_after(SIM_WORLD, NULL,
                  sim_between(sim->swarm.latency_us_min, sim->swarm.latency_us_max), on_answer, a,
                  0);
    }
}

static void on_proposed(void *context, enum rk_status status, raft_term term,
                        const struct refdb_result *result)
{
    struct attempt *a = context;

    (void)term;
    a->status = status;
    if (status == RK_OK) {
        a->result = result->status;
        a->index = result->is_replay ? result->replay_index : result->index;
        sim->replays += result->is_replay;
        if (result->item_count > 0) {
            a->seen = value_of(&result->items[0].current);
        }
    }
    send_answer(a);
}

static void on_readable(void *context, enum rk_status status)
{
    struct attempt *a = context;
    const struct refdb *db;
    struct refdb_ref ref;
    char name[32];

    a->status = status;
    if (status == RK_OK && !a->machine->is_dying) {
        db = node_refdb(a->machine->node);
        if (refdb_applied_index(db) < a->min_index) {
            sim_fail("%s answers a read of %" PRIu64 " at %" PRIu64, a->machine->name, a->min_index,
                     refdb_applied_index(db));
        }
        if (refdb_find_ref(db, path_of(a->client->key), refname_of(a->client->key, name), &ref) ==
            RK_OK) {
            a->seen = value_of(&ref.oid);
        }
    }
    send_answer(a);
}

/* ---- Requests ---- */

static void encode_update(const struct client *c, struct buffer *out)
{
    char name[32];
    struct envelope envelope = { 0 };
    struct ref_update update = {
        .refname = refname_of(c->key, name),
        .old_value = !c->op.has_old   ? OLD_ANY
                     : c->op.old == 0 ? OLD_ABSENT
                                      : OLD_OID,
        .is_delete = c->op.new_value == 0,
    };

    if (update.old_value == OLD_OID) {
        update.old_oid = oid_of(c->op.old);
    }
    if (!update.is_delete) {
        update.new_oid = oid_of(c->op.new_value);
    }
    if (c->session != 0) {
        envelope.flags = ENVELOPE_HAS_SESSION;
        envelope.session = c->session;
        envelope.sequence = c->sequence;
        envelope.lowest_unanswered = c->sequence;
    }
    command_encode_ref_envelope(out, &envelope, path_of(c->key), &update, 1);
}

static void encode_command(const struct client *c, struct buffer *out)
{
    struct command open = { .tag = COMMAND_OPEN_SESSION };
    struct command limits = { .tag = COMMAND_SET_LIMITS };

    if (c->errand == ERRAND_REGISTER) {
        command_encode_register_repo(out, path_of(registered), slice_of_text("s1"));
    } else if (c->errand == ERRAND_SESSION) {
        command_encode_plain(out, &open);
    } else if (c->errand == ERRAND_LIMITS) {
        limits.u.set_limits.fields = 1U << LIMIT_REFS;
        limits.u.set_limits.values[LIMIT_REFS] = 1000000 + c->sequence;
        command_encode_plain(out, &limits);
    } else {
        encode_update(c, out);
    }
}

static bool is_read(const struct client *c)
{
    return c->errand == ERRAND_READ || c->errand == ERRAND_READ_MIN;
}

/* The request has come to its machine. */
static void ask(struct client *c, struct machine *m)
{
    struct attempt *a = heap_new(struct attempt);
    struct buffer command = BUFFER_INIT;
    enum rk_status status;

    *a = (struct attempt){ .next = attempts, .client = c, .number = c->attempt, .machine = m };
    attempts = a;
    sim->current = m;
    if (is_read(c)) {
        bool is_min = c->errand == ERRAND_READ_MIN;

        a->min_index = is_min ? c->heard_index : 0;
        status = node_read(m->node, is_min ? NODE_MIN_INDEX : NODE_LINEARIZABLE, a->min_index,
                           on_readable, a);
    } else {
        encode_command(c, &command);
        status = node_propose(m->node, buffer_slice(&command), on_proposed, a);
        buffer_release(&command);
    }
    if (status != RK_OK) {
        a->status = status;
        send_answer(a);
    }
    machine_turn(m);
    sim->current = NULL;
}

static void on_arrival(void *context, uint64_t attempt)
{
    struct client *c = context;
    struct machine *m = &sim->machines[c->target];

    if (!c->is_busy || c->attempt != attempt) {
        return;
    }
    if (m->paused_until_us > sim->now_us) {
        sim_after(SIM_WORLD, NULL, m->paused_until_us - sim->now_us, on_arrival, c, attempt);
    } else if (m->node != NULL) {
        ask(c, m);
    } else if (!m->is_dark) {
        try_again(c); /* refused */
    }
}

static void on_deadline(void *context, uint64_t attempt)
{
    struct client *c = context;

    if (c->is_busy && c->attempt == attempt) {
        unanswered(c);
    }
}

/* In the end they know who is a member: one that was removed answers nobody. */
static bool is_worth_asking(node_id target)
{
    return target != 0 && (!sim->is_healing || machine_leader() == NULL ||
                           machine_is_member(&sim->machines[target]));
}

static void client_try(struct client *c)
{
    bool is_moving = sim_chance(100);

    while (is_moving || !is_worth_asking(c->target)) {
        c->target = (node_id)sim_between(1, sim->machine_count);
        is_moving = false;
    }
    sim_after(SIM_WORLD, NULL, sim_between(sim->swarm.latency_us_min, sim->swarm.latency_us_max),
              on_arrival, c, c->attempt);
    sim_after(SIM_WORLD, NULL, sim_between(ANSWER_US_MIN, ANSWER_US_MAX), on_deadline, c,
              c->attempt);
}

/* ---- What to ask ---- */

static void draw_update(struct client *c)
{
    int64_t kind = sim_between(0, 99);

    c->errand = ERRAND_UPDATE;
    c->op.kind = HISTORY_UPDATE;
    c->op.new_value = ++next_value;
    c->op.has_old = kind >= 25;
    c->op.old = c->known[c->key];
    if (kind >= 95) {
        c->op.old = next_value / 2; /* hardly what it is */
    } else if (kind >= 85 && c->op.old != 0 && c->session != 0) {
        c->op.new_value = 0;
    }
    c->sequence++;
}

static void draw_errand(struct client *c)
{
    unsigned kind = (unsigned)sim_between(0, 99);

    c->key = (unsigned)sim_between(0, sim->swarm.key_count - 1);
    c->op = (struct history_op){ .kind = HISTORY_READ };
    if (registered < REPOSITORIES) {
        c->errand = ERRAND_REGISTER;
    } else if (c->wants_session && c->session == 0) {
        c->errand = ERRAND_SESSION;
    } else if (sim->swarm.is_on[FAULT_MIXED_VERSIONS] && sim_chance(50)) {
        c->errand = ERRAND_LIMITS;
    } else if (kind < sim->swarm.read_percent) {
        c->errand = sim_chance(125) ? ERRAND_READ_MIN : ERRAND_READ;
    } else {
        draw_update(c);
    }
}

static void on_thought(void *context, uint64_t attempt)
{
    struct client *c = context;

    if (is_stopping || c->attempt != attempt) {
        return;
    }
    if (registered < REPOSITORIES && c->id != 0) {
        client_think(c);
        return;
    }
    draw_errand(c);
    c->is_busy = true;
    c->may_have_happened = false;
    c->attempt++;
    c->op.began = ++next_mark;
    client_try(c);
}

static void client_think(struct client *c)
{
    if (!is_stopping) {
        sim_after(SIM_WORLD, NULL, sim_between(100, sim->swarm.think_us_max), on_thought, c,
                  c->attempt);
    }
}

void clients_start(void)
{
    memset(clients, 0, sizeof clients);
    memset(histories, 0, sizeof histories);
    next_value = next_mark = 0;
    registered = 0;
    is_stopping = false;
    INVARIANT(sim->swarm.client_count <= CLIENTS_MAX && sim->swarm.key_count <= KEYS_MAX);
    for (unsigned i = 0; i < sim->swarm.client_count; i++) {
        clients[i].id = i;
        clients[i].wants_session = i == 0 || !sim_chance(250);
        client_think(&clients[i]);
    }
}

void clients_stop_asking(void)
{
    is_stopping = true;
}

bool clients_are_idle(void)
{
    for (unsigned i = 0; i < sim->swarm.client_count; i++) {
        if (clients[i].is_busy) {
            return false;
        }
    }
    return true;
}

void clients_check_history(void)
{
    for (unsigned key = 0; key < sim->swarm.key_count; key++) {
        const struct ref_history *h = &histories[key];
        size_t blame = 0;

        if (!history_is_linearizable(h->ops, h->count, &blame)) {
            const struct history_op *op = &h->ops[blame];

            sim_fail("topic-%u is not linearizable: no order explains the %s of %" PRIu64
                     " (old %" PRIu64 ", new %" PRIu64 ", seen %" PRIu64 ", marks %" PRIu64
                     "..%" PRIu64 ")",
                     key, op->kind == HISTORY_READ ? "read" : "update", (uint64_t)blame, op->old,
                     op->new_value, op->seen, op->began, op->ended);
        }
    }
}

void clients_release(void)
{
    while (attempts != NULL) {
        attempt_free(attempts);
    }
    for (unsigned key = 0; key < KEYS_MAX; key++) {
        heap_free(histories[key].ops);
        histories[key].ops = NULL;
    }
}
