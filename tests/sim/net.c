/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between machines, and what goes wrong on them.
 *
 * A connection has a pipe each way that keeps the order of its pieces, holds them back while
 * the way is cut, and gives up after PEER_USER_TIMEOUT_MS as TCP would.  Frames that carry Raft
 * messages may also be lost, doubled or overtaken, which TCP never does but Raft must bear;
 * forwarded commands rely on their order and are left in it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/heap.h"
#include "sim/loop.h"
#include "sim/net.h"
#include "sim/sim.h"
#include "wire/frame.h"

#define FIRST_SOCKET 2000000
#define SOCKETS_MAX 256
#define RETRY_US_MAX 300000

static bool is_cut[MACHINES_MAX + 1][MACHINES_MAX + 1];
static int64_t clogged_until_us[MACHINES_MAX + 1][MACHINES_MAX + 1];
static struct conn *conns;
static size_t bytes_in_flight;

static struct {
    bool is_open;
    node_id target;    /* of a socket that connects */
    struct conn *conn; /* of an accepted one */
} sockets[SOCKETS_MAX];

/* ---- Connections ---- */

static struct conn *conn_new(void)
{
    struct conn *c = heap_new(struct conn);

    c->next = conns;
    conns = c;
    return c;
}

static void pipe_clear(struct pipe *p)
{
    while (p->first != NULL) {
        struct piece *piece = p->first;

        p->first = piece->next;
        bytes_in_flight -= piece->bytes.size;
        buffer_release(&piece->bytes);
        heap_free(piece);
    }
    p->last = NULL;
}

/* Frees it when nobody will come back to it. */
static void conn_drop(struct conn *c)
{
    struct conn **link = &conns;

    if (c->plans > 0 || c->depth > 0 || (c->ends[0].machine != NULL && !c->ends[0].is_gone) ||
        (c->ends[1].machine != NULL && !c->ends[1].is_gone)) {
        return;
    }
    pipe_clear(&c->pipes[0]);
    pipe_clear(&c->pipes[1]);
    while (*link != c) {
        link = &(*link)->next;
    }
    *link = c->next;
    heap_free(c);
}

static void conn_plan(struct conn *c, int64_t delay_us, sim_fire_fn fire, uint64_t argument)
{
    c->plans++;
    sim_after(SIM_WORLD, NULL, delay_us, fire, c, argument);
}

static bool end_is_alive(const struct end *e)
{
    return e->machine != NULL && !e->is_gone && e->stream != NULL && e->machine->boot == e->boot &&
           !e->machine->is_dying;
}

/* The stream at this end is told that it is over, on its machine's behalf. */
static void end_close(struct conn *c, unsigned i, const char *cause, bool by_host)
{
    struct end *e = &c->ends[i];
    struct machine *m = e->machine;
    struct stream *s = e->stream;

    if (!end_is_alive(e)) {
        return;
    }
    c->depth++;
    sim->current = m;
    net_stream_over(s, cause, by_host);
    machine_turn(m);
    sim->current = NULL;
    c->depth--;
}

/* ---- Pipes ---- */

static bool is_blocked(const struct machine *from, const struct machine *to)
{
    return is_cut[from->id][to->id] || clogged_until_us[from->id][to->id] > sim->now_us ||
           to->is_dark || from->is_dark;
}

static void on_piece_due(void *context, uint64_t from);

static void pipe_plan(struct conn *c, unsigned from)
{
    struct pipe *p = &c->pipes[from];

    if (!p->is_planned && p->first != NULL) {
        p->is_planned = true;
        conn_plan(c, p->first->due_us - sim->now_us, on_piece_due, from);
    }
}

/* The head waits; after too long the connection is lost to silence, at both ends. */
static void pipe_retry(struct conn *c, unsigned from)
{
    struct pipe *p = &c->pipes[from];

    if (p->blocked_since_us == 0) {
        p->blocked_since_us = sim->now_us;
    }
    if (sim->now_us - p->blocked_since_us > PEER_USER_TIMEOUT_MS * INT64_C(1000)) {
        pipe_clear(&c->pipes[0]);
        pipe_clear(&c->pipes[1]);
        end_close(c, from, "Connection timed out", false);
        end_close(c, 1 - from, "Connection timed out", false);
        c->ends[0].is_gone = c->ends[1].is_gone = true;
        return;
    }
    p->first->due_us = sim->now_us + sim_between(RETRY_US_MAX / 6, RETRY_US_MAX);
    pipe_plan(c, from);
}

static void deliver(struct conn *c, unsigned to, struct slice bytes)
{
    struct machine *m = c->ends[to].machine;

    sim_note_bytes(bytes);
    checks_heard(m, c->ends[1 - to].machine);
    c->depth++;
    sim->current = m;
    net_stream_input(c->ends[to].stream, bytes);
    machine_turn(m);
    sim->current = NULL;
    c->depth--;
}

static void on_refused(void *context, uint64_t to)
{
    struct conn *c = context;

    c->plans--;
    end_close(c, (unsigned)to, "Connection reset by peer", true);
    c->ends[0].is_gone = c->ends[1].is_gone = true;
    conn_drop(c);
}

static void pop_piece(struct conn *c, unsigned from)
{
    struct pipe *p = &c->pipes[from];
    struct piece *piece = p->first;

    p->first = piece->next;
    if (p->first == NULL) {
        p->last = NULL;
    }
    p->blocked_since_us = 0;
    bytes_in_flight -= piece->bytes.size;
    if (!end_is_alive(&c->ends[1 - from])) { /* its host answers for it */
        pipe_clear(p);
        conn_plan(c, sim_between(50, 500), on_refused, from);
    } else if (piece->is_end) {
        pipe_clear(p);
        end_close(c, 1 - from, "closed by the other side", true);
        c->ends[1 - from].is_gone = true;
    } else {
        deliver(c, 1 - from, buffer_slice(&piece->bytes));
    }
    buffer_release(&piece->bytes);
    heap_free(piece);
}

static void on_piece_due(void *context, uint64_t from)
{
    struct conn *c = context;
    struct pipe *p = &c->pipes[from];
    struct machine *to = c->ends[1 - from].machine;

    c->plans--;
    p->is_planned = false;
    if (p->first != NULL && to != NULL) {
        if (p->first->due_us > sim->now_us) {
            pipe_plan(c, (unsigned)from);
        } else if (is_blocked(c->ends[from].machine, to)) {
            pipe_retry(c, (unsigned)from);
        } else if (to->paused_until_us > sim->now_us) {
            p->first->due_us = to->paused_until_us;
            pipe_plan(c, (unsigned)from);
        } else {
            pop_piece(c, (unsigned)from);
            pipe_plan(c, (unsigned)from);
        }
    }
    conn_drop(c);
}

static int64_t draw_latency_us(void)
{
    const struct swarm *s = &sim->swarm;
    int64_t us = sim_between(s->latency_us_min, s->latency_us_max);

    if (!sim->is_healing && sim_chance(s->delay_permille)) {
        sim_fault(FAULT_DELAY);
        us += sim_between(0, s->delay_us_max);
    }
    return us;
}

/* Takes the bytes. */
static void pipe_put(struct conn *c, unsigned from, struct buffer bytes, bool is_end)
{
    struct pipe *p = &c->pipes[from];
    struct piece *piece = heap_new(struct piece);

    piece->bytes = bytes;
    piece->is_end = is_end;
    piece->due_us = sim->now_us + draw_latency_us();
    if (piece->due_us < p->due_us) {
        piece->due_us = p->due_us;
    }
    p->due_us = piece->due_us;
    bytes_in_flight += bytes.size;
    if (p->last != NULL) {
        p->last->next = piece;
    } else {
        p->first = piece;
    }
    p->last = piece;
    pipe_plan(c, from);
}

/* ---- Faults of single frames ---- */

/* A frame on its own way, past those in the pipe. */
struct stray {
    struct stray *next; /* in the list of all that are on their way */
    struct conn *conn;
    unsigned from;
    struct buffer bytes;
};

static struct stray *strays;

static void stray_free(struct stray *stray)
{
    struct stray **link = &strays;

    while (*link != stray) {
        link = &(*link)->next;
    }
    *link = stray->next;
    buffer_release(&stray->bytes);
    heap_free(stray);
}

static void on_stray(void *context, uint64_t argument)
{
    struct stray *stray = context;
    struct conn *c = stray->conn;
    unsigned to = 1 - stray->from;

    (void)argument;
    c->plans--;
    if (end_is_alive(&c->ends[to]) && c->ends[to].machine->paused_until_us <= sim->now_us &&
        !is_blocked(c->ends[stray->from].machine, c->ends[to].machine)) {
        deliver(c, to, buffer_slice(&stray->bytes));
    }
    stray_free(stray);
    conn_drop(c);
}

static void send_astray(struct conn *c, unsigned from, struct slice frame)
{
    struct stray *stray = heap_new(struct stray);

    stray->next = strays;
    strays = stray;
    stray->conn = c;
    stray->from = from;
    buffer_put_slice(&stray->bytes, frame);
    c->plans++;
    sim_after(SIM_WORLD, NULL, sim_between(sim->swarm.latency_us_min, sim->swarm.delay_us_max),
              on_stray, stray, 0);
}

/* What one frame meets; what is left of it goes to `out`. */
static void pass_frame(struct conn *c, unsigned from, struct slice frame, struct buffer *out)
{
    const struct swarm *s = &sim->swarm;
    bool is_message = frame.data[4] == FRAME_MESSAGE;

    if (is_message && sim_chance(s->loss_permille)) {
        sim_fault(FAULT_LOSS);
        return;
    }
    if (is_message && sim_chance(s->reorder_permille)) {
        sim_fault(FAULT_REORDER);
        send_astray(c, from, frame);
        return;
    }
    if (is_message && sim_chance(s->duplication_permille)) {
        sim_fault(FAULT_DUPLICATION);
        send_astray(c, from, frame);
    }
    buffer_put_slice(out, frame);
    if (sim_chance(s->corruption_permille)) {
        size_t at = out->size - frame.size + rng_below(&sim->rng, frame.size);

        sim_fault(FAULT_CORRUPTION);
        out->data[at] ^= (uint8_t)(1U << rng_below(&sim->rng, 8));
    }
}

static bool frames_are_at_risk(void)
{
    const struct swarm *s = &sim->swarm;

    return !sim->is_healing && s->loss_permille + s->reorder_permille + s->duplication_permille +
                                       s->corruption_permille >
                                   0;
}

/* Takes what the stream has gathered: whole frames. */
void net_send(struct conn *c, unsigned from, struct buffer *output)
{
    struct buffer bytes = *output;
    struct buffer left = BUFFER_INIT;
    size_t at = 0;

    *output = (struct buffer)BUFFER_INIT;
    if (!frames_are_at_risk()) {
        pipe_put(c, from, bytes, false);
        return;
    }
    while (at < bytes.size) {
        size_t size = FRAME_HEADER_BYTES + get_be32(bytes.data + at);

        pass_frame(c, from, slice_of(bytes.data + at, size), &left);
        at += size;
    }
    buffer_release(&bytes);
    if (left.size > 0) {
        pipe_put(c, from, left, false);
    }
}

void net_end_closed(struct conn *c, unsigned from)
{
    struct end *e = &c->ends[from];

    if (!e->is_gone && !e->machine->is_dying) {
        pipe_put(c, from, (struct buffer)BUFFER_INIT, true);
    }
    e->is_gone = true;
    e->stream = NULL;
    conn_drop(c);
}

/* ---- Connecting ---- */

static int socket_new(node_id target, struct conn *conn)
{
    for (int i = 0; i < SOCKETS_MAX; i++) {
        if (!sockets[i].is_open) {
            sockets[i].is_open = true;
            sockets[i].target = target;
            sockets[i].conn = conn;
            return FIRST_SOCKET + i;
        }
    }
    errno = EMFILE;
    return -1;
}

static void on_connected(void *context, uint64_t argument)
{
    struct conn *c = context;

    (void)argument;
    c->plans--;
    if (end_is_alive(&c->ends[0]) && end_is_alive(&c->ends[1]) &&
        !is_blocked(c->ends[1].machine, c->ends[0].machine)) {
        c->depth++;
        sim->current = c->ends[0].machine;
        net_stream_opened(c->ends[0].stream);
        machine_turn(c->ends[0].machine);
        sim->current = NULL;
        c->depth--;
    }
    conn_drop(c);
}

static void on_syn(void *context, uint64_t target)
{
    struct conn *c = context;
    struct machine *m = &sim->machines[target];
    int fd;

    c->plans--;
    if (!end_is_alive(&c->ends[0]) || is_blocked(c->ends[0].machine, m)) {
        conn_drop(c); /* lost; the dialler's deadline will notice */
        return;
    }
    if (m->paused_until_us > sim->now_us) {
        conn_plan(c, m->paused_until_us - sim->now_us, on_syn, target);
        return;
    }
    fd = socket_new(0, c);
    sim->current = m;
    if (m->node == NULL || !loop_accept(m, fd, c->ends[0].machine->id)) {
        sim->current = NULL;
        net_close_socket(fd);
        conn_plan(c, draw_latency_us(), on_refused, 0);
        return;
    }
    machine_turn(m);
    sim->current = NULL;
    conn_plan(c, draw_latency_us(), on_connected, 0);
}

struct conn *net_take_socket(int fd, struct stream *s, unsigned *ret_end)
{
    struct conn *c = sockets[fd - FIRST_SOCKET].conn;
    node_id target = sockets[fd - FIRST_SOCKET].target;

    net_close_socket(fd);
    *ret_end = c == NULL ? 0 : 1;
    if (c == NULL) {
        c = conn_new();
        conn_plan(c, draw_latency_us(), on_syn, target);
    }
    c->ends[*ret_end] = (struct end){ sim->current, sim->current->boot, s, false };
    return c;
}

bool net_owns(int fd)
{
    return fd >= FIRST_SOCKET && fd < FIRST_SOCKET + SOCKETS_MAX;
}

void net_close_socket(int fd)
{
    sockets[fd - FIRST_SOCKET].is_open = false;
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);

int __wrap_socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    return socket_new(0, NULL);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    const struct sockaddr_in *to = (const struct sockaddr_in *)(const void *)address;

    (void)size;
    INVARIANT(net_owns(fd) && to->sin_family == AF_INET);
    sockets[fd - FIRST_SOCKET].target = ntohl(to->sin_addr.s_addr) & 0xff;
    INVARIANT(sockets[fd - FIRST_SOCKET].target <= MACHINES_MAX);
    errno = EINPROGRESS;
    return -1;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    (void)size;
    return 0;
}

/* ---- What others do to the network ---- */

void net_init(void)
{
    memset(is_cut, 0, sizeof is_cut);
    memset(clogged_until_us, 0, sizeof clogged_until_us);
    memset(sockets, 0, sizeof sockets);
    conns = NULL;
    bytes_in_flight = 0;
}

/* All processes are gone; what is planned will not happen. */
void net_release(void)
{
    while (strays != NULL) {
        stray_free(strays);
    }
    while (conns != NULL) {
        struct conn *c = conns;

        conns = c->next;
        pipe_clear(&c->pipes[0]);
        pipe_clear(&c->pipes[1]);
        heap_free(c);
    }
}

void net_cut(node_id from, node_id to, bool cut)
{
    is_cut[from][to] = cut;
}

bool net_is_cut(node_id from, node_id to)
{
    return is_cut[from][to];
}

void net_clog(node_id from, node_id to, int64_t until_us)
{
    clogged_until_us[from][to] = until_us;
}

static void on_reset(void *context, uint64_t argument)
{
    struct conn *c = context;

    (void)argument;
    c->plans--;
    pipe_clear(&c->pipes[0]);
    pipe_clear(&c->pipes[1]);
    end_close(c, 0, "Connection reset by peer", true);
    end_close(c, 1, "Connection reset by peer", true);
    c->ends[0].is_gone = c->ends[1].is_gone = true;
    conn_drop(c);
}

static bool end_is_of(const struct end *e, node_id id)
{
    return e->machine != NULL && (id == 0 || e->machine->id == id);
}

void net_reset(node_id a, node_id b)
{
    for (struct conn *c = conns; c != NULL; c = c->next) {
        if ((end_is_of(&c->ends[0], a) && end_is_of(&c->ends[1], b)) ||
            (end_is_of(&c->ends[1], a) && end_is_of(&c->ends[0], b))) {
            conn_plan(c, 0, on_reset, 0);
        }
    }
}

void net_heal(void)
{
    memset(is_cut, 0, sizeof is_cut);
    memset(clogged_until_us, 0, sizeof clogged_until_us);
    net_reset(0, 0); /* messages may have been lost on them */
}

void net_process_ended(struct machine *m)
{
    for (struct conn *c = conns; c != NULL; c = c->next) {
        for (unsigned i = 0; i < 2; i++) {
            struct end *e = &c->ends[i];

            if (e->machine == m && !e->is_gone) {
                if (!m->is_dark) {
                    pipe_put(c, i, (struct buffer)BUFFER_INIT, true);
                }
                e->is_gone = true;
            }
        }
    }
}

size_t net_bytes_in_flight(void)
{
    return bytes_in_flight;
}
