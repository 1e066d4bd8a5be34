/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of typed requests, served by both front ends.
 *
 * A front end turns bytes into a struct request: RESP by position and keyword, HTTP by
 * parameter name; both follow the same row.  A row is a read (answered from the state
 * machine once it is fresh enough), a write (encoded, proposed, answered when applied), a change
 * of the cluster itself (answered when it is in force) or local (answered at once from this node
 * or this connection).
 *
 * This file knows neither connections nor the loop.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "base/bytes.h"
#include "base/limits.h"
#include "model/command.h"
#include "node/node.h"
#include "server/failure.h"
#include "server/sink.h"

enum request_kind {
    REQUEST_LOCAL,
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_CHANGE, /* of the members or the leader: the node makes it */
    REQUEST_EVENTS, /* of EVENTS: it waits for what is yet to be applied */
};

/* ---- Fields: every argument any request takes ---- */

enum request_field {
    /* by position in RESP */
    FIELD_PATH,
    FIELD_REF,
    FIELD_OLD,
    FIELD_NEW,
    FIELD_STORAGE,
    FIELD_TO,
    FIELD_REASON_TEXT,
    FIELD_MEMBER,
    FIELD_PEER,
    /* by keyword in RESP */
    FIELD_PREFIX,
    FIELD_FROM,
    FIELD_EVENT_COUNT,
    FIELD_BLOCK,
    FIELD_AFTER,
    FIELD_LIMIT,
    FIELD_IFINDEX,
    FIELD_STALE,
    FIELD_MININDEX,
    FIELD_IN_STORAGE, /* REPO.LIST STORAGE s */
    FIELD_REPLICAS,
    FIELD_FORMAT,
    FIELD_HEAD,
    FIELD_READ,
    FIELD_WRITE,
    FIELD_FORCE,
    FIELD_HTTP,
    FIELD_SSH,
    FIELD_ZONE,
    FIELD_STATE,
    FIELD_LEARNER,
    FIELD_REQID,
    FIELD_EPOCH,
    FIELD_BY,
    FIELD_ID,
    FIELD_ACTOR,
    FIELD_COUNT,
    FIELD_NONE = FIELD_COUNT,
};

#define FIELD_BIT(field) (UINT64_C(1) << (field))

/* What every write, every read of the state and every page takes. */
#define FIELDS_WRITE                                                                               \
    (FIELD_BIT(FIELD_REQID) | FIELD_BIT(FIELD_EPOCH) | FIELD_BIT(FIELD_BY) | FIELD_BIT(FIELD_ID) | \
     FIELD_BIT(FIELD_ACTOR))
#define FIELDS_READ (FIELD_BIT(FIELD_STALE) | FIELD_BIT(FIELD_MININDEX))
#define FIELDS_PAGE                                                                                \
    (FIELD_BIT(FIELD_PREFIX) | FIELD_BIT(FIELD_AFTER) | FIELD_BIT(FIELD_LIMIT) | FIELDS_READ)

#define REQUEST_POSITIONS_MAX 4

/* A parsed request.  Slices are borrowed from the bytes it was parsed from. */
struct request {
    const struct request_type *type;
    enum request_kind kind; /* the type's, unless the arguments say otherwise */
    uint64_t given;         /* FIELD_BITs */
    struct slice path;
    struct slice refname;
    struct slice old_text;
    struct slice new_text;
    struct slice storage;
    struct slice to;     /* new path, new prefix */
    struct slice reason; /* of a freeze */
    struct slice member;
    struct slice peer_address;
    struct slice prefix;
    struct slice after;
    uint64_t limit;
    uint64_t if_index;
    uint64_t min_index;
    uint64_t from; /* first index of events; 0 = the oldest there is */
    bool is_from_now;
    uint64_t event_count;
    uint64_t block_ms;
    enum object_format format;
    struct slice head;
    struct slice http_address;
    struct slice ssh_address;
    struct slice zone;
    enum storage_state storage_state;
    bool is_prefix; /* REPO.RENAME PREFIX */
    struct envelope envelope;
    unsigned limit_fields; /* of SetLimits: which of `limits` are set */
    uint64_t limits[LIMIT_COUNT];
    /* Lists: in the scratch the request was parsed with, void at its next parse. */
    const struct slice *items; /* paths, replicas, or the arguments of a local request */
    uint32_t item_count;
    const struct ref_update *updates;
    uint32_t update_count;
};

/* Room for the lists of one request; kept from request to request. */
struct request_scratch {
    struct slice *items;
    uint32_t item_capacity;
    struct ref_update *updates;
    uint32_t update_capacity;
};

void request_scratch_release(struct request_scratch *scratch);
struct slice *request_scratch_items(struct request_scratch *scratch, uint32_t count);
struct ref_update *request_scratch_updates(struct request_scratch *scratch, uint32_t count);

/* The words of a RESP request, and how far they were taken. */
struct arguments {
    const struct slice *words;
    uint32_t count;
    uint32_t next;
};

static inline uint32_t arguments_left(const struct arguments *a)
{
    return a->count - a->next;
}

/* PRE: arguments_left(a) > 0. */
static inline struct slice arguments_take(struct arguments *a)
{
    return a->words[a->next++];
}

/* Case is ignored; `upper` is upper case. */
bool word_is(struct slice word, const char *upper);

/* Decimal digits only.  Errors: BADARG. */
enum rk_status number_parse(struct slice text, uint64_t *ret_number) MUST_USE;

/* ---- The table ---- */

struct server;
struct client;

/* What a local request works on. */
struct request_context {
    struct server *server;
    struct node *node;
    struct client *client; /* NULL for HTTP */
};

/* What is kept of a proposed write until its outcome comes. */
struct asked {
    const struct request_type *type;
    unsigned flags; /* of its envelope */
    uint32_t count; /* updates, or paths */
};

struct request_type {
    const char *name; /* upper case */
    enum request_kind kind;
    unsigned scope;        /* enum server_scope; 0 = free, also before AUTH */
    const char *arguments; /* for people */
    const char *summary;
    enum request_field positions[REQUEST_POSITIONS_MAX];
    unsigned position_count;
    uint64_t options; /* FIELD_BITs of keywords */

    /* Takes what stands between positions and options; NULL = nothing does. */
    enum rk_status (*parse)(struct arguments *a, struct request_scratch *scratch, struct request *r,
                            struct failure *why);
    /* Checks the finished request, from either front end; may change its kind.  NULL = none. */
    enum rk_status (*check)(struct request_scratch *scratch, struct request *r,
                            struct failure *why);

    void (*change)(const struct request *r, struct member_change *ret_change);
    void (*local)(const struct request_context *c, const struct request *r, struct sink *s);
    void (*read)(const struct refdb *db, const struct request *r, struct sink *s);
    /* Instead of read: for answers that the state does not hold. */
    void (*read_node)(const struct node *n, const struct request *r, struct sink *s);
    void (*encode)(const struct request *r, struct buffer *out);
    /* Instead of encode: for commands that carry what this node knows beside the state. */
    void (*encode_node)(const struct node *n, const struct request *r, struct buffer *out);
    void (*reply)(const struct asked *asked, const struct refdb_result *result, struct sink *s);
};

/* The rows, by family.  Each array ends with a row without a name. */
extern const struct request_type requests_ref[];
extern const struct request_type requests_repo[];
extern const struct request_type requests_storage[];
extern const struct request_type requests_replica[];
extern const struct request_type requests_route[];
extern const struct request_type requests_settings[];
extern const struct request_type requests_cluster[];
extern const struct request_type requests_member[];
extern const struct request_type requests_events[];
extern const struct request_type requests_connect[];

/* Every row, in order of family; NULL behind the last. */
const struct request_type *request_type_at(unsigned i);
#define REQUEST_TYPES_MAX 64

/* The row of that name, in any case; NULL when there is none. */
const struct request_type *request_type_find(struct slice name);

/* Its number, for counters: request_type_at(number) == type. */
unsigned request_type_number(const struct request_type *type);

/* ---- Parsing ---- */

/*
 * Fills the request from the words of a RESP array, words[0] being its name.
 * Errors: any refusal, said in *why; *ret_request is then void.
 */
enum rk_status request_parse_words(const struct request_type *type, const struct slice *words,
                                   uint32_t count, struct request_scratch *scratch,
                                   struct request *ret_request, struct failure *why) MUST_USE;

/* A parameter of HTTP, already decoded. */
struct parameter {
    struct slice name;
    struct slice value;
};

/* The same from named parameters; `consistency` chooses what STALE and MININDEX do.  An
 * unknown or repeated parameter is BADARG. */
enum rk_status request_parse_parameters(const struct request_type *type,
                                        const struct parameter *parameters, size_t count,
                                        struct request_scratch *scratch,
                                        struct request *ret_request, struct failure *why) MUST_USE;

/* Starts a request without any field; the pieces of the above, for JSON bodies. */
void request_init(struct request *r, const struct request_type *type);
enum rk_status request_set_field(struct request *r, enum request_field field, struct slice value,
                                 struct failure *why) MUST_USE;
enum rk_status request_finish(struct request *r, struct request_scratch *scratch,
                              struct failure *why) MUST_USE;

/* Whether all positions of its type were given. */
enum rk_status request_check_positions(const struct request *r, struct failure *why) MUST_USE;

/* Whether the field is a number, and how HTTP calls it. */
bool request_field_is_number(enum request_field field);
const char *request_field_name(enum request_field field);

/* The field of that HTTP name which the type takes, or FIELD_NONE. */
enum request_field request_field_find(const struct request_type *type, struct slice name);

/* Interprets one update as clients write it: old an oid, ABSENT, ANY or zeros.
 * Errors: BADREF, BADOID. */
enum rk_status request_update_parse(struct slice refname, struct slice old_text,
                                    struct slice new_text, struct ref_update *ret_update,
                                    struct failure *why) MUST_USE;

/* Answers a read from the state as it is now. */
void request_read(const struct node *n, const struct request *r, struct sink *s);

/* Appends the command of a write. */
void request_encode(const struct node *n, const struct request *r, struct buffer *out);

enum node_consistency request_consistency(const struct request *r);

/* True when the write needs an envelope around it. */
static inline bool request_has_envelope(const struct request *r)
{
    return (r->given & (FIELDS_WRITE | FIELD_BIT(FIELD_FORCE))) != 0;
}

/* Appends `command`, encoded plainly, within the request's envelope. */
void request_encode_envelope(const struct request *r, const struct command *command,
                             struct buffer *out);

/* ---- Answers: struct request_type.reply, and its pieces ---- */

void reply_index(const struct asked *asked, const struct refdb_result *result, struct sink *s);
void reply_registered(const struct asked *asked, const struct refdb_result *result, struct sink *s);
void reply_updates(const struct asked *asked, const struct refdb_result *result, struct sink *s);
void reply_paths(const struct asked *asked, const struct refdb_result *result, struct sink *s);

/* The index as it was first answered. */
raft_index reply_index_of(const struct refdb_result *result);

#endif
