/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One push, decided by proc-receive.  [DESIGN 9]
 *
 *   read the conversation -> hook_journal  a note of what is about to be done
 *                         -> hook_setup    who and where: repository, storage, epoch, cluster
 *                         -> hook_policy   what git itself would refuse
 *                         -> hook_sync     the objects on replicas, if they shall be there first
 *                         -> hook_decide   the cluster: compare-and-swap of every ref
 *                         -> hook_apply    the disk, with old values; or take the decision back
 *                         -> answer ok or ng per ref
 *
 * Cluster first, then disk: nothing is written that was not decided, and a crash between the two
 * leaves the disk behind, never ahead.
 */
#ifndef CLI_HOOK_H
#define CLI_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"
#include "cli/hook_options.h"
#include "cli/hook_place.h"
#include "cli/process.h"

/* In the environment of our own update-ref: its changes are decided.  [hook_guard.c] */
#define HOOK_TOKEN "REFKEEPER_DECIDED"

#define HOOK_CLUSTER_MS 10000 /* for the decision */
#define HOOK_DISK_MS 10000    /* for the disk after it */
#define HOOK_REVERT_MS 5000   /* for taking it back */
#define HOOK_CHUNK_REFS 10000 /* of one request of a push that is not atomic */
#define HOOK_CHUNK_BYTES (4 * 1024 * 1024)
#define HOOK_PREPARED_REFS 100 /* of more the decision is not what takes long */

enum hook_state {
    HOOK_ASKED,   /* nothing happened yet */
    HOOK_DECIDED, /* the cluster said yes */
    HOOK_DONE,    /* and the disk has it */
    HOOK_REFUSED, /* nothing happened, `reason` says why */
};

struct hook_ref {
    char *name;
    char old_oid[65], new_oid[65]; /* hex; zeros = absent, delete */
    bool is_create, is_delete;     /* both: deleting what is not there */
    enum hook_state state;
    char *reason; /* of a refusal; owned */
};

struct hook_push {
    struct cli *cli;
    struct hook_ref *refs;
    size_t count, capacity;
    bool is_atomic;
    bool has_options; /* negotiated */
    struct hook_options options;
    /* hook_setup */
    struct hook_place place;
    struct rk_write write;  /* epoch, id, storage, actor */
    uint64_t index;         /* that decided; of the last chunk */
    bool is_uncertain;      /* some outcome is UNKNOWN, or the disk lacks what was decided */
    char *journal;          /* hook_journal.h; NULL = none */
    struct process writer;  /* hook_apply_start: waits for what is decided */
    size_t prepared;        /* refs that it holds locked; 0 = none */
    bool has_foreign_guard; /* hook_apply_prepare: others than ours watch transactions, too */
    struct process packer;  /* hook_pack.h: waits for what replicas need */
    int pack;               /* its output, a file without name; -1 = none */
};

/* ---- Steps.  Each leaves refused refs with their reason ---- */

/* Who and where.  False: every ref was refused. */
bool hook_setup(struct hook_push *push);
void hook_check_policy(struct hook_push *push);
/* With refkeeper.syncReplicas = N: the objects are on N replicas, or all is refused. */
void hook_sync(struct hook_push *push);
void hook_decide(struct hook_push *push);
/* Starts the git that will write the disk: it gets ready while the rest is done. */
void hook_apply_start(struct hook_push *push);
/* Has it lock what is asked for and compare the old values, where that is few refs and none is
 * deleted.  Others who want these refs wait for hook_apply() or hook_apply_let_go(). */
void hook_apply_prepare(struct hook_push *push);
void hook_apply_let_go(struct hook_push *push); /* of the locks, if there are */
/* PRE: hook_apply_prepare().  What was decided, prepared or not. */
void hook_apply(struct hook_push *push);

/* ---- Refs ---- */

void hook_refuse(struct hook_ref *ref, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void hook_refuse_all(struct hook_push *push, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What a pusher can do about a failure, to be said behind it; "" when nothing. */
const char *hook_try_again(const struct rk_error *error);
/* An atomic push with one refused ref is refused altogether. */
void hook_spread_refusal(struct hook_push *push);
bool hook_has_state(const struct hook_push *push, enum hook_state state);

/* The change of one ref as the cluster takes it, forward or back. */
struct rk_ref_change hook_change(const struct hook_ref *ref, bool is_backward);

#endif
