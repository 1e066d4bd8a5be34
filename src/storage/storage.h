/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable files of one data directory [DESIGN 4, docs/DISK_FORMAT.md].
 *
 *   raft-log.dat     entries, one after the other, the seed's bytes
 *   raft-index.dat   one record per entry: random access, and the witness of what was durable
 *   raft-state.dat   two slots: term, vote, identity, checkpoint
 *   raft-snapshot-<index>-<term>.dat
 *
 * Synchronous and without threads.  Who may call:
 *   - after storage_open, one thread (the log writer) calls everything that changes files;
 *   - storage_read may be called by one other thread (the loop) at the same time; the two
 *     share only the table of offsets, behind a lock;
 *   - snapshot writers and readers are independent objects with their own files.
 *
 * A failed write or sync latches: every later call returns IO, nothing is retried on the
 * same file, and the node exits 74.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/bytes.h"
#include "base/errmsg.h"
#include "base/status.h"
#include "model/entry.h"
#include "model/membership.h"
#include "model/types.h"
#include "sys/fs.h"

struct storage;

/* ---- Identity and hard state: the contents of raft-state.dat ---- */

/* The newest a peer has shown of itself; an older one is a directory put back from a copy. */
struct storage_peer {
    node_id id;
    uint64_t incarnation;
    uint64_t boot_count;
};

/*
 * What was durable here once and is not readable any more, or was dropped behind it.  Until the
 * log reaches (last_term, last_index) again, or a later term, this member votes as if it ended
 * there, and does not campaign.  last_index 0 = nothing is missing.
 */
struct storage_repair {
    raft_index first; /* what the log lacks begins here, or began */
    raft_index last_index;
    raft_term last_term;
};

struct persistent_state {
    raft_term current_term;
    node_id voted_for;
    uint32_t promised_ms; /* how long a vote may be promised not to be given; below 2^16 */
    uint8_t cluster_id[CLUSTER_ID_BYTES]; /* zeros = not yet bootstrapped */
    char node_name[NODE_NAME_BYTES_MAX + 1];
    node_id id;
    uint64_t incarnation; /* minted at first start, never changes */
    uint64_t boot_count;
    uint32_t format_version;
    uint32_t feature_level;
    struct membership committed_membership;
    raft_index committed_membership_index;
    struct membership latest_membership;
    raft_index latest_membership_index;
    unsigned peer_count;
    struct storage_peer peers[MEMBERS_MAX];
    /* kept by storage itself: log base, newest term, checkpoint, what is under repair */
};

/* ---- Open ---- */

struct storage_options {
    struct fs *fs;         /* borrowed for the life of the storage */
    const char *data_dir;  /* copied */
    const char *node_name; /* NULL = whichever is found; read only */
    node_id id;            /* 0 = whichever is found */
    unsigned voters;       /* of the configuration, until the state file knows a membership: with
                              others, damage is repaired from them; alone it refuses to open */
    bool is_read_only;     /* fsck, log dump: takes no lock, changes nothing */
};

struct storage_recovered {
    bool is_new; /* an empty directory: a fresh incarnation was minted and is durable */
    struct persistent_state state;
    raft_index snapshot_last_index; /* newest valid snapshot; 0 = none */
    raft_term snapshot_last_term;
    raft_index log_first_index; /* last + 1 when empty */
    raft_index log_last_index;
    raft_term log_last_term;
    uint64_t log_bytes;
    uint64_t torn_bytes; /* cut from the tail; read only: would be */
    bool is_index_rebuilt;
    bool is_state_repaired;     /* one bad slot was written anew from the other */
    unsigned snapshots_damaged; /* set aside, an older one is used */
    bool is_damage_covered;     /* damaged entries are in a snapshot and were dropped */
    struct storage_repair repair;
    struct errmsg damage; /* what this open found damaged and could go on with; empty = nothing */
};

/*
 * Locks the directory, recovers the files, cuts a torn tail (synced before anything can be
 * appended), rebuilds a missing or foreign index, mints identity on first start, raises and
 * saves boot_count.
 *
 * Damage in what was durable is marked in the state file, and cut off, when other voters have
 * it; the bytes are set aside.
 *
 * Errors: LOCKED (another process), CORRUPT (names file, offset and what to do), FOREIGN
 * (another cluster, node or newer format), CONFIG (mode or owner of the directory),
 * NOT_FOUND (read only, and nothing of ours is there), NOSPACE, IO, NOMEM.
 */
enum rk_status storage_open(const struct storage_options *options, struct storage **ret_storage,
                            struct storage_recovered *ret_recovered, struct errmsg *why) MUST_USE;

/* Syncs the index, writes a clean checkpoint, trims preallocated space, releases the lock.
 * After a failure only releases.  Accepts NULL. */
void storage_close(struct storage *s);

/* Calls `each` for every entry held from `first` on, in order; stops when it returns false.
 * Each CRC is checked.  Errors: CORRUPT, IO.  Thread: the writer. */
enum rk_status storage_walk(struct storage *s, raft_index first,
                            bool (*each)(void *context, const struct entry *entry, uint64_t offset),
                            void *context, struct errmsg *why) MUST_USE;

/* ---- The log ---- */

/* Where one entry lies in a batch. */
struct storage_record {
    raft_index index;
    raft_term term;
    uint32_t size;
};

/*
 * Appends encoded entries that follow the last one: one write, no sync.
 * PRE: records are contiguous with the log and with each other; sizes add up to bytes.size;
 * terms do not fall and are not above the saved current_term.
 * Errors: NOSPACE (nothing changed, may be tried again), IO.
 */
enum rk_status storage_append(struct storage *s, struct slice bytes,
                              const struct storage_record *records, size_t count,
                              struct errmsg *why) MUST_USE;

/* fdatasync of the log, then the index records are written: now they may be acknowledged. */
enum rk_status storage_sync(struct storage *s, struct errmsg *why) MUST_USE;

/* Work off the reply path: index sync (50 ms); checkpoint, space ahead and reserve (1 s).
 * `now_ms` is monotonic. */
enum rk_status storage_tick(struct storage *s, time_ms now_ms, struct errmsg *why) MUST_USE;

/* When storage_tick wants to be called next; INT64_MAX = nothing is due. */
time_ms storage_deadline_ms(const struct storage *s);

/* Removes `from` and everything after; durable on return.  PRE: from > the log's base. */
enum rk_status storage_truncate(struct storage *s, raft_index from, struct errmsg *why) MUST_USE;

/* Both slots are durable on return.  PRE: current_term does not fall, and voted_for changes
 * within a term only from 0; name, incarnation, boot count and format stay, and once there is a
 * term or an entry the id, too. */
enum rk_status storage_save_state(struct storage *s, const struct persistent_state *state,
                                  struct errmsg *why) MUST_USE;

/*
 * Reads whole encoded entries from `first` to at most `last`, as many as fit into
 * `bytes_max` but at least one, appending them to `out`; checks each CRC.
 * *ret_last is the last one read.  Only entries that were synced are seen.
 * Errors: BADARG (first > last), COMPACTED (before the log), NOT_FOUND (after it, or it
 * changed meanwhile), CORRUPT (names the offset), IO, NOMEM.
 * Thread: any one thread beside the writer, which is never made to wait for the disk.
 */
enum rk_status storage_read(struct storage *s, raft_index first, raft_index last, size_t bytes_max,
                            struct buffer *out, raft_index *ret_last, struct errmsg *why) MUST_USE;

/* Any thread.  last is the last one appended; first is last + 1 when the log is empty. */
raft_index storage_first_index(const struct storage *s);
raft_index storage_last_index(const struct storage *s);
uint64_t storage_log_bytes(const struct storage *s);

/*
 * True while space for more entries, and the reserve for one snapshot and one compacted log,
 * cannot be had: what was promised goes on, nothing more should be.  Any thread.
 */
bool storage_is_short_of_space(const struct storage *s);

/* Gives the reserve to whoever takes a snapshot or compacts next.  Thread: the writer. */
void storage_release_reserve(struct storage *s, time_ms now_ms);

/* True until the log has again what damage took from it.  Any thread. */
bool storage_is_repairing(const struct storage *s);

/* The state last saved, valid until the next save.  Thread: the writer. */
const struct persistent_state *storage_get_state(const struct storage *s);

/*
 * Cuts the log's front so that it begins at `first_index`: new files, synced, renamed,
 * directory synced.  Nothing happens when it begins there or later already.
 * PRE: a durable snapshot covers everything dropped; first_index <= last index + 1.
 * Errors: NOSPACE (nothing changed), CORRUPT (an entry to be kept is damaged; nothing
 * changed), IO.
 */
enum rk_status storage_compact(struct storage *s, raft_index first_index,
                               struct errmsg *why) MUST_USE;

/*
 * The same in three steps, so that appends go on: begin and copy beside the writer, on one other
 * thread; finish on the writer's, which adds what came meanwhile and switches.  A log that was
 * cut or replaced since the beginning is NOT_FOUND, nothing has changed; so is a first_index it
 * does not hold behind its beginning.  `between` two pieces may wait a little, so that the disk
 * is not kept from the log, or stop it with true.  Errors: as storage_compact; STOPPED.
 */
struct storage_compaction;
enum rk_status storage_compaction_begin(struct storage *s, raft_index first_index,
                                        struct storage_compaction **ret_compaction,
                                        struct errmsg *why) MUST_USE;
enum rk_status storage_compaction_copy(struct storage_compaction *c, bool (*between)(void *context),
                                       void *context, struct errmsg *why) MUST_USE;
enum rk_status storage_compaction_finish(struct storage_compaction *c, struct errmsg *why) MUST_USE;
/* After the switch: gives the old log's space back piece by piece, as syncs have to wait while a
 * file system frees much at once.  On any thread, before the end of it: */
void storage_compaction_shrink(struct storage_compaction *c, bool (*between)(void *context),
                               void *context);
void storage_compaction_free(struct storage_compaction *c); /* accepts NULL */

/*
 * After a snapshot was received and renamed into place: the log begins after it.
 * keeps_suffix: entries after last_index are kept, else everything is dropped.
 * PRE: last_index > the log's base.  Errors as storage_compact.
 */
enum rk_status storage_install(struct storage *s, raft_index last_index, raft_term last_term,
                               bool keeps_suffix, struct errmsg *why) MUST_USE;

/* ---- Snapshots: storage/snapshot.h ---- */

#endif
