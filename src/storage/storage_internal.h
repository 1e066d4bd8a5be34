/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of src/storage/ share; nobody else includes it.  README.md has the rules.
 *
 * A `log_point` is the log up to and including one entry.  Three of them say where a log is:
 *
 *   base    what lies before the first entry held: a snapshot covers it
 *   synced  the newest entry fdatasync has returned for
 *   tail    the newest entry written
 *
 *   base.index <= checkpoint.index <= synced.index <= tail.index
 */
#ifndef STORAGE_STORAGE_INTERNAL_H
#define STORAGE_STORAGE_INTERNAL_H

#include <stdatomic.h>

#include "storage/storage.h"
#include "sys/mutex.h"

#define LOG_NAME "raft-log.dat"
#define INDEX_NAME "raft-index.dat"
#define STATE_NAME "raft-state.dat"
#define LOG_TMP_NAME "raft-log.tmp"
#define INDEX_TMP_NAME "raft-index.tmp"
#define LOG_COMPACT_NAME "raft-log-compact.tmp"
#define INDEX_COMPACT_NAME "raft-index-compact.tmp"
#define STATE_TMP_NAME "raft-state.tmp"
#define RESERVE_NAME "raft-reserve.dat"

#define STORAGE_FORMAT_VERSION 1
#define STORED_NUMBER_MAX (UINT64_C(1) << 62) /* of any index, term or count; more is damage */

#define STATE_SLOT_BYTES (64 * KIB)   /* both memberships at their largest fit [DISK_FORMAT] */
#define LOG_ALLOCATE_BYTES (16 * MIB) /* zero space taken at a time */
#define INDEX_ALLOCATE_BYTES (1 * MIB)
#define SCAN_BYTES (256 * KIB) /* read at a time; grows to hold one entry */
#define ANCHOR_ENTRIES 1024    /* at most this many entries, or about this many */
#define ANCHOR_BYTES (1 * MIB) /* bytes, between two anchors */

/* ---- Points of a log ---- */

struct log_point {
    raft_index index;
    raft_term term;
    uint64_t end;  /* file offset behind the entry */
    uint64_t hash; /* of the headers of all entries from the base on */
};

struct log_point log_point_base(raft_index index, raft_term term);

/* Moves `point` over the entry whose encoded header is given. */
void log_point_advance(struct log_point *point, const uint8_t *header);

/* ---- Walking a log file (log_scan.c) ---- */

struct log_scan {
    struct fs *fs;
    fs_handle file;
    uint64_t limit;      /* bytes of the file to look at */
    struct log_point at; /* the newest entry given out */
    struct buffer window;
    uint64_t window_offset; /* of window.data[0] in the file */
    bool is_unreadable;     /* the disk does not give out what lies at `limit` */
    int error;              /* errno of a failed read */
};

void log_scan_init(struct log_scan *scan, struct fs *fs, fs_handle file, uint64_t limit,
                   struct log_point start);
void log_scan_release(struct log_scan *scan);

/*
 * Judges the next entry; a good one that does not follow `at` is bad.  *ret_entry borrows the
 * window.  Errors: IO, NOMEM.
 */
enum rk_status log_scan_next(struct log_scan *scan, enum entry_verdict *ret_verdict,
                             struct entry *ret_entry) MUST_USE;

/* Says which entry is damaged, where, and what to do.  Returns CORRUPT. */
enum rk_status log_damaged(const struct storage *s, raft_index index, uint64_t offset,
                           struct errmsg *why);

/* log_scan_next() where every entry must be good.  Errors: CORRUPT, IO, NOMEM. */
enum rk_status log_scan_good(const struct storage *s, struct log_scan *scan,
                             struct entry *ret_entry, struct errmsg *why) MUST_USE;

/* The encoded bytes of the entry just given out, until the next call. */
struct slice log_scan_bytes(const struct entry *entry);

/* ---- Open files, shared with the reader ---- */

/* Counted under storage.lock: a compaction replaces them while a read may be using them. */
struct log_files {
    fs_handle log;
    fs_handle index;
    unsigned references;
};

/* What the reader may see.  Copied out under the lock. */
struct log_view {
    struct log_files *files;
    struct log_point base;
    raft_index last; /* synced, and its index record is written */
    uint64_t end;    /* bytes up to there */
    uint64_t epoch;  /* raised by each truncation and replacement */
};

/* ---- raft-state.dat ---- */

struct checkpoint {
    raft_index index;
    raft_term term;
    uint64_t hash;
};

struct log_base {
    raft_index index;
    raft_term term;
};

enum state_flags {
    STATE_IS_INITIALISING = 1 << 0, /* log and index may not exist yet */
    STATE_HAS_PENDING = 1 << 1,     /* the log may or may not have been replaced already */
};

struct state_record {
    uint64_t generation;
    unsigned flags;
    raft_term newest_term; /* no acknowledged entry has a higher one */
    struct log_base base;
    struct checkpoint checkpoint;
    struct log_base pending_base;
    struct checkpoint pending_checkpoint;
    struct storage_repair repair;
    struct persistent_state state;
};

/* reserve.c */
struct reserve {
    fs_handle file; /* -1 = not open */
    uint64_t held_bytes, wanted_bytes;
    bool is_measured;       /* wanted_bytes is that of the present files */
    uint64_t refused_bytes; /* of the append that found no space last; it waits for them */
    size_t refused_count;
    time_ms checked_ms;
    time_ms released_until_ms;
};

struct storage {
    struct fs *fs;
    char *data_dir;
    fs_handle dir;
    bool is_read_only;
    unsigned voters; /* as configured; the state file knows better */
    atomic_bool is_failed;
    atomic_bool is_short;     /* of space */
    atomic_bool is_repairing; /* record.repair names something */

    fs_handle state_file;
    struct state_record record;

    /* the writer's */
    struct log_files *files;
    struct log_point base;
    struct log_point synced;
    struct log_point tail;
    uint64_t log_allocated; /* the file has this size and is zero behind tail.end */
    uint64_t index_allocated;
    bool can_allocate;
    struct reserve reserve;
    struct buffer index_pending; /* records of the entries after `synced` */
    bool is_index_dirty;
    time_ms ticked_ms; /* 0 = never */
    time_ms index_synced_ms;
    time_ms checkpoint_ms;

    /* shared with the reader: under the lock, or atomic */
    struct mutex lock;
    struct log_view view;
    struct log_point *anchors; /* anchors[0] is the base; ascending */
    size_t anchor_count;
    size_t anchor_capacity;
    atomic_ullong first_index;
    atomic_ullong last_index;
    atomic_ullong log_bytes;
};

/* ---- storage_io.c: the file table with messages, and the latch ---- */

/* NOSPACE or IO for an errno, and the message "verb name: cause". */
enum rk_status storage_error(int error, struct errmsg *why, const char *verb, const char *name);

/* The same, and nothing is written any more. */
enum rk_status storage_fail(struct storage *s, int error, struct errmsg *why, const char *verb,
                            const char *name);

/* IO once latched. */
enum rk_status storage_check_latch(const struct storage *s, struct errmsg *why);

bool storage_is_zero(struct slice bytes); /* also when there are none */

/* Opens a regular file; the message says what stands in its place. */
enum rk_status storage_open_file(struct storage *s, const char *name, unsigned flags,
                                 fs_handle *ret_file, struct errmsg *why);

#define SECTOR_BYTES ((size_t)4096) /* what is lost around a place that cannot be read */

/* Reads; a read that fails is tried again, as that can do no harm. */
int storage_read_again(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                       size_t *ret_size);

/* The same, behind what `into` holds, which has the room. */
int storage_read_bytes(struct fs *fs, fs_handle file, uint64_t offset, struct buffer *into,
                       size_t size);

void storage_close_file(struct storage *s, fs_handle *file);
struct log_files *log_files_new(fs_handle log, fs_handle index);
void log_files_unref_locked(struct storage *s, struct log_files *files);

/* ---- state_file.c ---- */

void state_encode(struct buffer *out, const struct state_record *record);
/* Judges one slot.  Errors: CORRUPT, FOREIGN (intact, of a newer format). */
enum rk_status state_decode(struct slice slot, struct state_record *ret_record);
/* Writes the first generation under a temporary name, synced and renamed; opens it. */
enum rk_status state_create(struct storage *s, struct errmsg *why);
/* Takes the newer good slot; a bad or older other one is written anew before anything else. */
enum rk_status state_load(struct storage *s, bool *ret_is_repaired, struct errmsg *why);
/* Next generation to slot A, sync, slot B, sync.  A failure latches. */
enum rk_status state_save(struct storage *s, struct errmsg *why);

/* ---- recovery.c ---- */

enum rk_status log_recover(struct storage *s, struct storage_recovered *recovered,
                           struct errmsg *why);

/* ---- repair.c ---- */

/* Others have what is damaged here. */
bool repair_is_possible(const struct storage *s);
/* True when a log that ends at `point` has all that is under repair, or what replaced it. */
bool repair_is_reached(const struct storage_repair *repair, const struct log_point *point);
/* Marks what is missing from `first` on, in memory; a mark that reaches further is kept. */
void repair_mark(struct storage *s, raft_index first, struct log_base last);
/* Copies the log from `offset` on to a file of its own, durably. */
enum rk_status repair_set_aside(struct storage *s, raft_index first, uint64_t offset,
                                struct errmsg *why);
/* Forgets the mark, in memory, when `point` reaches it.  True when it did. */
bool repair_settle(struct storage *s, const struct log_point *point);
/* Removes what was set aside; a failure leaves it. */
void repair_drop_aside(struct storage *s);

/* ---- reserve.c ---- */

/* At open: frees so many bytes of what an earlier run held.  True when there were any. */
bool reserve_give_back(struct storage *s, uint64_t bytes);
bool reserve_is_due(const struct storage *s);
/* So much is free that what is given back can be had again. */
bool reserve_has_plenty(const struct storage *s);
enum rk_status reserve_tick(struct storage *s, time_ms now_ms, struct errmsg *why);
/* Short of plenty: takes the space for the first entries of terms.  Errors: NOSPACE, IO
 * (latched). */
enum rk_status reserve_hold_for_terms(struct storage *s, struct errmsg *why);
/* There was no space for an append: the node is short until there would be. */
void reserve_note_refused(struct storage *s, uint64_t bytes, size_t count);

/* ---- log.c ---- */

/* Space for `count` entries of `log_bytes` behind the log's end, and for their records.
 * Errors: NOSPACE, IO (latched). */
enum rk_status log_allocate(struct storage *s, uint64_t log_bytes, size_t count,
                            struct errmsg *why);

/* Likewise the space that only the first entries of terms may use, and no more than that. */
enum rk_status log_allocate_for_terms(struct storage *s, struct errmsg *why);

/* Starts anew from files in `s->files` whose entries end at s->tail, all durable. */
void log_publish(struct storage *s);
void log_add_anchor(struct storage *s, const struct log_point *point);
/* The point of an entry from the base to the tail.  Reads up to ANCHOR_ENTRIES entries. */
enum rk_status log_point_at(struct storage *s, raft_index index, struct log_point *ret_point,
                            struct errmsg *why);
void index_record_encode(uint8_t *out, raft_index index, uint64_t offset, uint32_t size);

/* ---- snapshot_select.c ---- */

/* Finds the newest whole snapshot; damaged ones are set aside. */
enum rk_status snapshot_select(struct storage *s, struct storage_recovered *recovered,
                               struct errmsg *why);
/* Makes the log continue it, finishing an installation that a crash cut short. */
enum rk_status snapshot_join_log(struct storage *s, struct storage_recovered *recovered,
                                 struct errmsg *why);

/* ---- read.c ---- */

/* A copy of what readers see; its files stay open until it is given back. */
struct log_view log_view_take(struct storage *s);
/* False when the log was cut or replaced since the view was taken. */
bool log_view_give_back(struct storage *s, const struct log_view *view);
/* Where an entry of the view lies: by its record, or by a walk from the anchor before it. */
enum rk_status log_find(struct storage *s, const struct log_view *view, raft_index index,
                        uint64_t *ret_offset, uint32_t *ret_size, struct errmsg *why);

/* ---- replace.c ---- */

enum rk_status log_replace(struct storage *s, raft_index base_index, raft_term base_term,
                           bool keeps_suffix, struct errmsg *why);

#endif
