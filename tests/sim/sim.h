/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: whole nodes on machines that do not exist.
 *
 * The node is the shipping one, from node_open() down; only what it stands on is ours: clock
 * and entropy (clock.c), threads and eventfd (threads.c), the event loop (loop.c), sockets
 * and streams (net.c), the disk (disk.c).  They take the places of the real ones when the
 * program is linked.  All happens in one thread, in an order and at times that follow from one
 * seed: the same seed gives the same run, to the bit.
 *
 * For tests/sim/ only.  There is one simulation at a time, and the parts that replace the
 * operating system have no argument to carry it in, so it is global.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "model/types.h"
#include "sim/disk.h"
#include "sim/faults.h"

#define MACHINES_MAX 7
#define SECOND_US INT64_C(1000000)

struct node;
struct member;

/* ---- A machine: a host, its clock, its disk, and the process on it ---- */

struct machine {
    node_id id; /* of the member that runs on it; also its address, 10.0.0.<id> */
    char name[8];
    char address[32];
    struct node *node;      /* NULL = no process */
    unsigned boot;          /* raised when a process ends: what waits for an older one is void */
    bool is_joining;        /* its directory began empty, to be admitted by a cluster */
    bool is_dying;          /* the process is being torn down: nothing it does has an effect */
    bool is_dark;           /* the host itself is off or unreachable: nobody answers for the dead */
    bool is_banned;         /* its process is refused for good; not counted in demands */
    int exit_code;          /* of the last process */
    uint32_t feature_level; /* that the running binary knows */
    uint32_t installed_level; /* ... the one that is started next */
    struct disk disk;

    /* its clock: local = base + (now - since) * (1 + ppm / 10^6) */
    int64_t clock_base_us, clock_since_us;
    int64_t clock_ppm;
    int64_t wall_offset_ms;
    int64_t paused_until_us;
    bool is_turn_planned;

    bool is_spoilt; /* somebody changed its files, or a read of them failed: it may find damage */
    bool is_rot_unseen;       /* and it has not started since */
    int64_t powered_until_us; /* it loses no power until then */

    /* what the checks saw of the process */
    raft_index known_commit;
    raft_index known_applied;
    raft_index acknowledged; /* it has said that it holds all up to here; outlives the process */
    int64_t leader_since_us;
    int64_t second; /* of virtual time, and its turns in it */
    unsigned turns;
    int64_t heard_us[MACHINES_MAX + 1]; /* when bytes of that machine last came */
};

/* ---- What happens and when ---- */

typedef void (*sim_fire_fn)(void *context, uint64_t argument);

enum sim_part {
    SIM_WORLD,  /* of no machine: network, faults, clients */
    SIM_LOOP,   /* an event of a node's loop: a turn follows */
    SIM_THREAD, /* of another thread of the process */
};

struct sim_item {
    int64_t at_us;
    uint64_t order;
    sim_fire_fn fire;
    void *context;
    uint64_t argument;
    struct machine *machine; /* NULL for SIM_WORLD */
    unsigned boot;
    enum sim_part part;
};

struct sim_options {
    uint64_t seed;
    int64_t seconds; /* of the phase with faults; 0 = as drawn */
    uint64_t steps_max;
    bool is_tracing;
    bool is_aimed; /* the swarm is drawn towards what shows the tooth that bites */
};

struct sim {
    struct sim_options options;
    struct rng rng;
    int64_t now_us;
    uint64_t order, steps;
    struct sim_item *queue; /* binary heap */
    size_t queue_count, queue_capacity;
    unsigned machine_count;
    struct machine machines[MACHINES_MAX + 1]; /* by id */
    struct machine *current;                   /* on whose behalf code runs */
    uint64_t hash;                             /* of everything that happened */
    struct swarm swarm;
    uint64_t faults[FAULT_COUNT];
    uint64_t updates_ok, updates_refused, reads_ok, replays, elections, restarts;
    uint64_t reads_by_lease;
    bool is_healing; /* no more faults */
};

extern struct sim *sim;

/* ---- world.c ---- */

void sim_new(const struct sim_options *options);
void sim_free(void);

/* `fire(context, argument)` after so many microseconds.  `machine` as the part says. */
void sim_after(enum sim_part part, struct machine *machine, int64_t delay_us, sim_fire_fn fire,
               void *context, uint64_t argument);
/* The next thing happens.  False when nothing will. */
bool sim_step(void);
void sim_run_until(int64_t until_us);

bool sim_chance(unsigned permille);
int64_t sim_between(int64_t min, int64_t max); /* both may be drawn */
void sim_note(uint64_t value);                 /* into the hash */
void sim_note_bytes(struct slice bytes);
void sim_fault(enum fault fault); /* one more happened */

/* A line of the trace; the last ones are printed when a check fails. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A check failed: says what, the end of the trace and how to see it again; ends the program. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- clock.c ---- */

int64_t clock_local_us(const struct machine *m);
/* How long `local_us` of its clock take. */
int64_t clock_span_us(const struct machine *m, int64_t local_us);
void clock_set_drift(struct machine *m, int64_t ppm);
int64_t clock_thread_ahead_us(void); /* how far reading the clock took the running thread */

/* ---- machine.c ---- */

void machine_init(struct machine *m, node_id id);
void machine_release(struct machine *m);
void machine_start(struct machine *m);
/* The process is gone at once.  The host closes its connections, unless it `goes_dark`. */
void machine_kill(struct machine *m, enum fs_memory_crash kind, bool goes_dark);
void machine_stop(struct machine *m); /* as by SIGTERM */
/* Something happened on its loop: one turn. */
void machine_turn(struct machine *m);
void machine_turn_soon(struct machine *m);
void machine_count_reads(const struct machine *m); /* its process ends, or the run */
struct machine *machine_leader(void);              /* NULL = nobody, or not agreed on */
void machine_restart_after(struct machine *m, int64_t delay_us);

/* ---- threads.c ---- */

struct thread;

bool thread_is_running(void); /* false = code runs on a loop, or outside */
/* The thread sleeps; on a loop, or in a dying process, nothing happens. */
void thread_sleep(int64_t us);
void threads_release(void);

/* ---- net.c ---- */

struct sockaddr;

void net_init(void);
void net_release(void);
void net_cut(node_id from, node_id to, bool is_cut);
bool net_is_cut(node_id from, node_id to);
void net_clog(node_id from, node_id to, int64_t until_us);
void net_heal(void);
/* The connections of two machines, or of one with all (`b` 0), are reset. */
void net_reset(node_id a, node_id b);
/* The process on it ended; its host says so unless it is dark. */
void net_process_ended(struct machine *m);
int net_socket(void);
bool net_owns(int fd);
void net_socket_to(int fd, const struct sockaddr *address);
void net_close_socket(int fd);
size_t net_bytes_in_flight(void);

/* ---- clients.c ---- */

void clients_start(void);
void clients_stop_asking(void); /* what is under way is finished, nothing new begins */
bool clients_are_idle(void);
void clients_check_history(void); /* linearizability per ref, at the end of a run */
void clients_release(void);

/* ---- checks.c ---- */

void checks_init(void);
void checks_release(void);
void checks_turn(struct machine *m);
raft_index checks_committed(void); /* the highest index anybody has called committed */
void checks_settled(void);         /* after healing: all replicas are equal */

/* Bytes of `from` have come to it. */
void checks_heard(struct machine *m, const struct machine *from);
/* It has started on its directory: all that it acknowledged is there. */
void checks_started(struct machine *m);

void checks_note_vote(struct machine *m, raft_term term, node_id candidate);

/* Its directory is another one: what it said before binds nobody. */
void checks_forget(struct machine *m);

/* ---- operator.c ---- */

void operator_start(void);
/* Begins what this fault is, if it can be begun; it is counted when it was done. */
void operator_act(enum fault fault, struct machine *m);
/* What it is still about; NULL = nothing. */
const char *operator_unfinished(void);
/* As the leader has it. */
bool machine_is_member(const struct machine *m);
struct machine *machine_of_member(const struct member *member);

/* ---- versions.c ---- */

void versions_start(void);
void versions_turn(const struct machine *m);
/* Stops a node of an older version; a newer one starts in its place.  False: it is none. */
bool versions_upgrade(struct machine *m);

/* ---- nemesis.c ---- */

void nemesis_start(void);
void nemesis_heal(void);
/* A write of this machine went astray just now. */
void nemesis_spoilt(struct machine *m);

#endif
