/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry asks the state machine to do.
 *
 * Tags 0-3 are the seed's and their bytes are fixed [DESIGN 4].  Ours start at 16.
 * There is one decoder: it runs at proposal, before a follower appends, and at apply.
 *
 *   tags 0,1,2   u8 tag, u32 field count (4, 2, 1), that many strings
 *   tag 3        u8 tag, string storage, u32 n, n strings
 *   tags >= 16   docs/DISK_FORMAT.md
 */
#ifndef MODEL_COMMAND_H
#define MODEL_COMMAND_H

#include "base/bytes.h"
#include "model/membership.h"
#include "model/oid.h"
#include "model/types.h"

enum command_tag {
    COMMAND_REF_UPDATE = 0,
    COMMAND_REGISTER_REPO = 1,
    COMMAND_REMOVE_REPO = 2,
    COMMAND_SET_PRIMARY = 3,
    /* 4-15 belong to the seed and are refused. */
    COMMAND_NOOP = 16,           /* a leader's first entry */
    COMMAND_MEMBERSHIP = 17,     /* raft reads it at append; refdb keeps it for display */
    COMMAND_ENVELOPE = 18,       /* one batch, with who, when and under which session */
    COMMAND_CREATE_REPO = 19,    /* path, primary, replicas, format, head */
    COMMAND_RENAME_REPO = 20,    /* path or prefix, new path or prefix */
    COMMAND_SET_HEAD = 21,       /* path, ref */
    COMMAND_SET_STATE = 22,      /* path, rw | ro | frozen, reason */
    COMMAND_REMOVE_REPLICA = 23, /* path, storage */
    COMMAND_SET_STORAGE = 24,    /* name and the fields to change */
    COMMAND_REMOVE_STORAGE = 25,
    COMMAND_OPEN_SESSION = 26, /* its id is the index of this entry */
    COMMAND_SET_LIMITS = 27,   /* how much the state may hold: those to change */
    COMMAND_SET_FILTER = 28,   /* which refs are tracked: all rules anew */
    COMMAND_MOVE_PRIMARY = 29, /* SetPrimary where the target was seen complete */
};

/* What the current value of a ref must be for an update to apply. */
enum old_value {
    OLD_ANY,    /* no check */
    OLD_ABSENT, /* must not exist */
    OLD_OID,    /* must equal */
};

struct ref_update {
    struct slice refname;
    enum old_value old_value;
    struct oid old_oid; /* when OLD_OID */
    bool is_delete;
    struct oid new_oid; /* unless is_delete */
};

enum repository_state {
    REPOSITORY_RW,
    REPOSITORY_RO,
    REPOSITORY_FROZEN,
};

enum storage_state {
    STORAGE_ACTIVE,
    STORAGE_DRAINING,
    STORAGE_DOWN,
};

enum set_storage_fields {
    SET_STORAGE_HTTP = 1 << 0,
    SET_STORAGE_SSH = 1 << 1,
    SET_STORAGE_ZONE = 1 << 2,
    SET_STORAGE_STATE = 1 << 3,
};

/* What a cluster may be limited to; refused beyond: a new repository, a new ref. */
enum limit {
    LIMIT_REPOSITORIES,
    LIMIT_REFS,
    LIMIT_BYTES,           /* of repositories and refs, as refdb_gauges counts them */
    LIMIT_REPOSITORY_REFS, /* refs of any one repository */
    LIMIT_COUNT,
};

enum envelope_flags {
    ENVELOPE_ATOMIC = 1 << 0,      /* all or nothing; else one result per item */
    ENVELOPE_HAS_EPOCH = 1 << 1,   /* refuse FENCED unless primary_epoch equals `epoch` */
    ENVELOPE_HAS_STORAGE = 1 << 2, /* refuse FENCED unless `storage` is the primary */
    ENVELOPE_HAS_ID = 1 << 3,      /* refuse RENAMED / REMOVED unless the path has this id */
    ENVELOPE_HAS_SESSION = 1 << 4,
    ENVELOPE_FORCE = 1 << 5, /* SetPrimary without a complete replica; needs `reason` */
};

struct envelope {
    unsigned flags;
    uint64_t session; /* exactly-once: result kept under (session, sequence) */
    uint64_t sequence;
    uint64_t lowest_unanswered; /* results below it may be dropped */
    uint64_t epoch;
    uint64_t repository_id;
    struct slice storage; /* the deciding storage */
    struct slice actor;   /* who asked; shown to a refused pusher */
    struct slice reason;
    int64_t wall_ms;    /* leader's wall clock, for display only */
    int64_t cluster_ms; /* replicated time; expires sessions [DESIGN 5] */
};

/*
 * One decoded command.  All slices are borrowed from the decoded bytes.
 *
 * A batch of ref updates of one repository (REF.TXN) is one COMMAND_ENVELOPE whose items
 * are COMMAND_REF_UPDATE with the path given once.  Items are decoded one at a time with
 * command_next_item(), so decoding never allocates.
 */
struct command {
    enum command_tag tag;
    union {
        struct {
            struct slice path;
            struct slice refname;
            struct slice old_value; /* seed text: "" = any, zeros = absent, else hex */
            struct slice new_value; /* seed text: zeros = delete, else hex */
        } ref_update;
        struct {
            struct slice path;
            struct slice storage;
        } register_repo, remove_replica;
        struct {
            struct slice path;
        } remove_repo;
        struct {
            struct slice storage;
            uint32_t count;
            struct slice paths; /* `count` strings, encoded; walk with command_next_string() */
        } set_primary;
        struct membership *membership; /* not filled by command_decode; see command_membership */
        struct {
            struct envelope envelope;
            struct slice path;  /* of the ref updates in it; empty when another command */
            uint32_t count;     /* ref updates; 1 when another command */
            struct slice items; /* encoded */
        } envelope;
        struct {
            struct slice path;
            struct slice primary;
            uint32_t replica_count;
            struct slice replicas; /* encoded strings, the primary not among them */
            enum object_format format;
            struct slice head; /* empty = "refs/heads/main" */
        } create_repo;
        struct {
            bool is_prefix;
            struct slice from, to;
        } rename_repo;
        struct {
            struct slice path;
            struct slice refname;
        } set_head;
        struct {
            struct slice path;
            enum repository_state state;
            struct slice reason;
        } set_state;
        struct {
            struct slice name;
            unsigned fields; /* which of the following are set */
            struct slice http_address, ssh_address, zone;
            enum storage_state state;
        } set_storage;
        struct {
            struct slice name;
        } remove_storage;
        struct {
            unsigned fields;              /* bit 1 << enum limit: that one is set */
            uint64_t values[LIMIT_COUNT]; /* 0 = no limit */
        } set_limits;
        struct {
            uint32_t count;
            struct slice rules; /* encoded; see model/ref_filter.h */
        } set_filter;
        struct {
            struct slice storage;
            uint32_t count;
            struct slice moves; /* encoded; walk with command_next_move() */
        } move_primary;
    } u;
};

/*
 * Decodes and checks the shape completely: field counts, string bounds, nested items,
 * no trailing bytes.  Text is not interpreted here (a bad ref name is a BADREF result, not
 * a decoding error), so paths, ref names and storage names may have any size and bytes:
 * model/refname.h judges them at apply.  What nobody judges later is bounded here: actor,
 * reason, addresses, zone, counts.
 *
 * Never kept: an oid of zeros in an envelope (OLD_ABSENT and is_delete say that), an
 * envelope without items, an envelope in an envelope.
 *
 * Errors: PROTOCOL (malformed), UNSUPPORTED (a tag or an envelope flag this binary does not
 * know), TOOLARGE (over COMMAND_BYTES_MAX, for tags 0-3 SEED_COMMAND_BYTES_MAX, or a bound
 * of base/limits.h).
 */
enum rk_status command_decode(struct slice bytes, struct command *ret_command) MUST_USE;

/* Walks encoded strings.  False at the end.  PRE: `rest` comes from a decoded command. */
bool command_next_string(struct slice *rest, struct slice *ret_string);

/* Walks the paths of a MovePrimary, each with the repository's last index at which the storage
 * was seen complete.  False at the end. */
bool command_next_move(struct slice *rest, struct slice *ret_path, raft_index *ret_seen_index);
/* Appends one of them, for command_encode_plain(). */
void command_put_move(struct buffer *moves, struct slice path, raft_index seen_index);

/* Walks the ref updates of an envelope.  False at the end. */
bool command_next_update(struct slice *rest, struct ref_update *ret_update);

/* The single other command of an envelope with an empty path.  PRE: decoded. */
void command_inner(const struct command *envelope, struct command *ret_inner);

/*
 * Interprets the seed's text forms.  old: empty = ANY, all zeros (40 or 64) = ABSENT, hex.
 * new: all zeros = delete, hex.  Errors: BADOID, BADREF.
 */
enum rk_status ref_update_from_text(struct slice refname, struct slice old_text,
                                    struct slice new_text, struct ref_update *ret_update) MUST_USE;

/*
 * ---- Encoders: each appends one encoded command to `out` ----
 *
 * Sizes are not checked: what is over a bound becomes bytes that command_decode() refuses.
 * PRE: flags and tags are known ones; oids have 20 or 32 bytes where they are used.
 */

void command_encode_ref_update(struct buffer *out, struct slice path, struct slice refname,
                               struct slice old_text, struct slice new_text);
void command_encode_register_repo(struct buffer *out, struct slice path, struct slice storage);
void command_encode_remove_repo(struct buffer *out, struct slice path);
void command_encode_set_primary(struct buffer *out, struct slice storage, const struct slice *paths,
                                uint32_t count);
void command_encode_noop(struct buffer *out);
void command_encode_membership(struct buffer *out, const struct membership *m);
/*
 * Feature levels: what a cluster may put into its log, raised once all members know it [DESIGN 5].
 *   0   everything but      1   SET_LIMITS, SET_FILTER, MOVE_PRIMARY
 *                           2   promises of votes in append_entries_reply
 */
#define FEATURE_LEVEL_PROMISES 2
#define FEATURE_LEVEL_NEWEST 2
uint32_t command_feature_level(const struct command *command);

/* The membership of a COMMAND_MEMBERSHIP entry.  Errors: PROTOCOL, also when a half is without
 * voters. */
enum rk_status command_membership(struct slice bytes, struct membership *ret_m) MUST_USE;
/* Encodes any of the tags >= 19 from its decoded form. */
void command_encode_plain(struct buffer *out, const struct command *command);
/* An envelope around ref updates of one repository... */
void command_encode_ref_envelope(struct buffer *out, const struct envelope *envelope,
                                 struct slice path, const struct ref_update *updates,
                                 uint32_t count);
/* ... or around one other encoded command. */
void command_encode_envelope(struct buffer *out, const struct envelope *envelope,
                             struct slice encoded_command);

/*
 * Sets the leader's two clocks in an encoded envelope in place (their offset is fixed);
 * other commands are left alone.
 */
void command_stamp(uint8_t *bytes, size_t size, int64_t wall_ms, int64_t cluster_ms);

#endif
