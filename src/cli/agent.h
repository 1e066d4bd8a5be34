/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper agent: beside git on a storage, for as long as it serves.  [docs/GIT.md, Replicas]
 *
 *   main        reads the cluster's events and marks the copies they concern   agent_events.c
 *   workers     bring each marked copy to what was decided                     agent_work.c
 *   reporters   one per node of the cluster: that this storage lives, and the
 *               digest of each copy, again after the node forgot               agent_report.c
 *   receiver    takes packs of pushes before they are decided                  agent_receive.c
 *
 * One lock over everything that is shared; nobody holds it while git or the cluster is asked.
 * Copies are never freed: their number is that of the storage's repositories.
 */
#ifndef CLI_AGENT_H
#define CLI_AGENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cli/agent_link.h"
#include "cli/cli.h"
#include "cli/copy.h"

#define AGENT_NODES_MAX 16
#define AGENT_INTAKES_MAX 8       /* kept ready: three idle programs of git each */
#define AGENT_FOLDER ".refkeeper" /* below the root: the mark, what was held, where events go on */

enum copy_look {
    COPY_THERE,
    COPY_HOLLOW, /* less than half of its refs */
    COPY_ABSENT,
};

/* A repository that the cluster says is on this storage. */
struct agent_copy {
    struct agent_copy *next; /* of its bucket */
    struct agent_copy *next_ready;
    char *path;
    uint64_t id;
    uint8_t digest[COPY_DIGEST_BYTES];
    uint64_t index; /* the repository's last one when it was compared */
    bool has_digest;
    bool is_complete;                 /* its digest was the cluster's when it was compared */
    bool is_held;                     /* was complete once: an absent one is lost, not new */
    bool is_gone;                     /* the cluster says it is not here any more */
    bool is_listed;                   /* met by the scan that runs */
    bool is_ready, is_busy, is_again; /* in the queue; at a worker; marked meanwhile */
    enum copy_look look;              /* of the last scan */
    uint64_t refs_wanted;             /* in the cluster, as the scan listed it */
    int64_t due_ms;                   /* waits until then; 0 = it does not wait */
    int64_t differs_since_ms;         /* 0 = it does not, or nobody looked */
    unsigned failures;
    bool has_told_locks; /* of those in the way now */
    char *said;          /* what was last wrong */
    char **deleted;      /* refs that events deleted and the disk may still have */
    size_t deleted_count, deleted_capacity;
};

struct agent_node {
    struct agent *agent;
    char *endpoint;
    uint64_t applied_index;    /* what was compared later is not told yet */
    uint64_t generation;       /* of its reports; 0 = not asked yet */
    bool is_telling;           /* a request is under way */
    size_t reported;           /* in agent.reports: those before it were told */
    size_t walked;             /* in agent.copies: told once more up to here; count = all */
    struct agent_copy **again; /* it was behind: told again */
    size_t again_count, again_capacity;
};

/* An intake that waits for the next push to its copy.  [agent_intake.h] */
struct intake_slot {
    struct intake *intake; /* NULL = none, or */
    bool is_coming;        /* one is being made */
    int64_t until_ms;
};

struct agent {
    struct cli *cli;
    const char *storage, *root;
    const char *fetch_url; /* template; NULL = from the storages' addresses */
    uint64_t workers;
    int64_t rescan_ms;
    int64_t patience_ms;   /* a push that takes longer than this between decision and disk died */
    struct buffer token;   /* agent_wire.h */
    struct agent_tls *tls; /* of the listener; NULL = plain */
    int listener;          /* -1 = no packs are taken */
    size_t deliveries;     /* under way */

    pthread_mutex_t lock;
    struct intake_slot intakes[AGENT_INTAKES_MAX];
    pthread_cond_t changed; /* broadcast on every change of what follows */
    struct agent_copy **buckets;
    size_t bucket_count;
    struct agent_copy **copies; /* in order of coming */
    size_t count, capacity;
    struct agent_copy *ready_first, *ready_last;
    size_t waiting;  /* copies with a due time */
    size_t busy;     /* copies at workers */
    bool is_looking; /* the scan's first half: workers look and change nothing */
    size_t looks_left;
    struct agent_copy **reports; /* whose digest is to be told */
    size_t report_count, report_capacity;
    struct agent_node nodes[AGENT_NODES_MAX];
    size_t node_count;
    uint64_t next_index;         /* of events */
    struct tracked_refs tracked; /* the filter; jobs take a copy */
    uint64_t filter_wanted;      /* counts up when an event says that it changed */
    uint64_t filter_known;       /* of `tracked`; another one: read it first */
};

/* ---- Shared by the threads; the caller holds the lock unless said otherwise ---- */

struct agent_copy *agent_find(const struct agent *a, const char *path);
struct agent_copy *agent_add(struct agent *a, const char *path, uint64_t id); /* or finds it */
/* A worker will look at it, at once or after `delay_ms`. */
void agent_mark(struct agent *a, struct agent_copy *copy, int64_t delay_ms);
void agent_note_deleted(struct agent_copy *copy, const char *ref);
void agent_report(struct agent *a, struct agent_copy *copy);
/* Moves those that waited long enough to the queue. */
void agent_wake(struct agent *a);
/* ROOT/path; owned by the caller. */
char *agent_place(const struct agent *a, const char *path);
/* The folders above a place; errno says why not. */
bool agent_make_folders(char *path);
/* One line on stderr. */
void agent_log(const struct agent *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A client of these endpoints (NULL = all) that nobody else uses; ends the process on a
 * configuration that cannot work. */
struct rk_client *agent_client(const struct agent *a, const char *endpoints, int64_t timeout_ms);

/* ---- Threads; each takes the agent or the node, and never returns ---- */

void *agent_worker(void *agent);
void *agent_reporter(void *node);
void *agent_receiver(void *agent);

/* ---- Main ---- */

/* Reads events for ever.  Returns the exit code of a quarantine or a failure. */
int agent_follow(struct agent *a);

/* agent_receive.c: a listening socket; -1 after saying why not. */
int agent_listen(const char *address, struct errmsg *why);
/* agent_pins.c: drops the pins among these refs of pushes that landed, or cannot any more.  Without
 * the lock. */
void agent_drop_pins(const struct agent *a, const char *git_dir, const struct git_refs *refs);

/* agent_scan.c: everything the cluster says is here against the disk.  0, or the exit code. */
int agent_scan(struct agent *a, struct rk_client *client);

/* agent_state.c: the files below ROOT/.refkeeper. */
int agent_state_open(struct agent *a, bool is_init, bool is_lifted); /* 0, or the exit code */
void agent_state_save_index(struct agent *a, uint64_t index);
void agent_state_save_held(struct agent *a);
void agent_state_quarantine(struct agent *a, const char *reason);

#endif
