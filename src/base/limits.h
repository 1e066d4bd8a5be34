/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bound of the system.
 *
 * HARD limits are part of a format: a deployed cluster never changes them.
 * SOFT limits are defaults of configuration or sizes of queues; each line says
 * what happens when it is reached.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* clang-format off */

#define KIB (1024)
#define MIB (1024 * 1024)

/* ---- HARD: formats ----------------------------------------------------- */

#define ENTRY_HEADER_BYTES 24             /* term, index, crc, command length [DESIGN 4] */
#define INDEX_RECORD_BYTES 20             /* index, offset, size */
#define COMMAND_BYTES_MAX (8 * MIB)       /* any command is decoded up to this size */
#define SEED_COMMAND_BYTES_MAX (1 * MIB)  /* tags 0-3: refused above this as TOOLARGE */
#define ENTRY_BYTES_MAX (ENTRY_HEADER_BYTES + COMMAND_BYTES_MAX)
#define PATH_BYTES_MAX 1024               /* repository path; longer = BADARG */
#define REFNAME_BYTES_MAX 1024            /* ref name; longer = BADREF */
#define STORAGE_NAME_BYTES_MAX 128        /* storage name; longer = BADARG */
#define ACTOR_BYTES_MAX 256               /* actor; longer = BADARG */
#define REASON_BYTES_MAX 512              /* freeze or force reason; longer = BADARG */
#define ADDRESS_BYTES_MAX 255             /* host:port of a member or storage */
#define NODE_NAME_BYTES_MAX 63            /* name of a member */
#define OID_BYTES_MAX 32                  /* SHA-256 */
#define MEMBERS_MAX 16                    /* voters and learners of one membership */
#define REPLICAS_MAX 32                   /* storages of one repository; one more = TOOLARGE */
#define BATCH_ITEMS_MAX 20000             /* commands in one envelope, paths in one SetPrimary */
#define FILTER_RULES_MAX 64               /* of the tracked-ref filter; one more = TOOLARGE */
#define FILTER_PATTERN_BYTES_MAX 256      /* longer = TOOLARGE */
#define CLUSTER_ID_BYTES 16
#define DIGEST_INTERVAL 1024              /* members compare states at multiples of this index */
#define RAFT_TERM_MAX (1ULL << 60)        /* a larger term of a peer is a lie, not an election */
#define RAFT_INDEX_MAX (1ULL << 60)       /* likewise; leaves room for sums without overflow */

#define FRAME_HEADER_BYTES 12                         /* length, type, flags, head, crc */
#define FRAME_BYTES_MAX (16 * MIB)                    /* payload; longer = connection closed */
#define HELLO_BYTES_MAX (4 * KIB)                     /* payload of the first frame; likewise */

/* ---- SOFT: consensus ---------------------------------------------------- */

#define ELECTION_TIMEOUT_MS_DEFAULT 1000   /* lower bound; upper bound is twice it */
#define ELECTION_TIMEOUT_MS_MIN 20
#define ELECTION_TIMEOUT_MS_MAX 60000
#define HEARTBEAT_INTERVAL_MS_DEFAULT 100
#define HOST_CLOSED_JITTER_MS 30           /* leader's connection closed: campaign within this */
#define APPEND_ENTRIES_BYTES_MAX (1 * MIB) /* bytes of one AppendEntries; one entry always fits */
#define APPEND_ENTRIES_COUNT_MAX 4096      /* entries of one AppendEntries */
#define INFLIGHT_COUNT_MAX 64              /* unanswered AppendEntries per peer; full = wait */
#define INFLIGHT_BYTES_MAX (8 * MIB)       /* bytes in them per peer; full = wait */
#define UNCOMMITTED_BYTES_MAX (64 * MIB)   /* leader's uncommitted tail; full = OVERLOADED */
#define SNAPSHOT_CHUNK_BYTES (256 * KIB)
#define SNAPSHOT_CHUNKS_UNANSWERED_MAX 4   /* per transfer; full = wait */
#define SNAPSHOT_CHUNKS_STORING_MAX 8      /* received, not stored yet; one more is dropped */
#define SNAPSHOT_RATE_DEFAULT (100LL * MIB) /* bytes per second of all transfers; over = wait */
#define LEASE_ROUNDS_MAX 32                /* remembered; an echo of an older one counts nothing */
#define CLOCK_DRIFT_PERCENT_MAX 50
#define LEASE_ROUNDS_MAX 32                /* remembered; an echo of an older one does not count */
#define READS_PENDING_MAX 65536            /* batches waiting for a quorum; full = OVERLOADED */

/* ---- SOFT: node ----------------------------------------------------------- */

#define RECENT_BYTES_MAX (64 * MIB)          /* entries kept in memory; older = read from disk */
#define PROPOSALS_PENDING_MAX 262144         /* waiting for their result; full = OVERLOADED */
#define WRITER_QUEUE_BYTES_MAX (64 * MIB)    /* not yet durable; full = the loop stops reading */
#define PEER_OUTPUT_BYTES_MAX (32 * MIB)     /* unsent to one peer; full = dropped, probed anew */
#define PEER_RECONNECT_MS_MIN 20
#define PEER_RECONNECT_MS_MAX 1000
#define PEER_DIAL_BACK_MS 3000               /* not dialled for this long, the other side dials */
#define MEMBER_CHANGES_WAITING_MAX 16        /* of the members; one more = OVERLOADED */
#define PEER_PENDING_MAX 64                  /* not authenticated; one more drops the oldest */
#define PEER_USER_TIMEOUT_MS 10000           /* unacknowledged by then = connection lost */
#define HANDSHAKE_TIMEOUT_MS 5000            /* peer or TLS handshake; over = closed */
#define LISTENER_RETRY_MS 250                /* out of descriptors: accepting again after this */
#define LOG_REPEAT_MS 10000                  /* the same warning is written once in this time */
#define STREAM_READ_BYTES_MAX (256 * KIB)    /* of one connection before the next has its turn */
#define STREAM_SHARED_BYTES_MIN (1 * KIB)    /* fewer bytes are copied rather than gathered */
#define PROPOSAL_TIMEOUT_MS_DEFAULT 10000    /* a write without outcome by then = UNKNOWN */
#define READ_TIMEOUT_MS_DEFAULT 5000         /* a linearizable read by then = NOLEADER */
#define LOG_COMPACT_BYTES_DEFAULT (100LL * MIB) /* log size that triggers a snapshot */
#define SNAPSHOT_INTERVAL_MS_DEFAULT 600000     /* timer for one, when anything was applied */
#define TRAILING_ENTRIES_DEFAULT 10000          /* kept behind a snapshot for slow followers */
#define EVENTS_BYTES_DEFAULT (64 * MIB)         /* of events kept; the oldest go, see events.h */
#define INDEX_SYNC_INTERVAL_MS 50               /* index records are durable by then [DESIGN 4] */
#define CHECKPOINT_INTERVAL_MS 1000
#define SPACE_CHECK_INTERVAL_MS 1000            /* the reserve is looked after */
#define RESERVE_BYTES_MIN (2 * MIB)             /* beside one snapshot and one compacted log */
#define RESERVE_RELEASED_MS 10000               /* compaction may use it so long */
#define LOG_AHEAD_BYTES_MIN (4 * MIB)           /* allocated behind the log's end; fewer that
                                                   cannot be had = the node is short of space */
#define LOG_AHEAD_ENTRIES_MIN 16384             /* likewise, of index records */
#define LOG_TERM_BYTES_MIN (64 * KIB)           /* of that, for the first entries of terms only */
#define LOG_TERM_ENTRIES_MIN 1024               /* likewise, of index records */
#define SHORT_SNAPSHOT_INTERVAL_MS 5000         /* short of space: a snapshot to cut the log */
#define APPEND_RETRY_MS 100                     /* no space for an entry: tried again */

#define REPLICA_REPORTS_MAX (4 * 1024 * 1024) /* (repository, storage); one more forgets all */
#define STORAGE_HEARD_MS 10000           /* without a word for this long: no reads are sent there */

/* ---- SOFT: client side ------------------------------------------------------ */

#define CLIENT_CONNECTIONS_MAX_DEFAULT 4096  /* one more is told OVERLOADED and closed */
#define RESP_ARGUMENTS_MAX 262144            /* elements of one request */
#define RESP_REQUEST_BYTES_MAX (8 * MIB)     /* bytes of one request */
#define RESP_HEADER_BYTES_MAX 32             /* a `*n` or `$n` line */
#define RESP_NOAUTH_ARGUMENTS_MAX 10
#define RESP_NOAUTH_BYTES_MAX (16 * KIB)
#define CONNECTION_PIPELINE_MAX 8192         /* of one connection, in progress; full = not read */
#define CONNECTION_OUTPUT_BYTES_MAX (64 * MIB) /* unread replies; over = closed */
#define IDLE_BEFORE_REQUEST_MS 60000         /* half a request for this long = closed */
#define CLIENT_INPUT_BYTES_MAX (RESP_REQUEST_BYTES_MAX + 1 * MIB) /* unconsumed; over = closed */
#define CLIENT_BYTES_KEPT (4 * KIB)          /* buffer an idle connection keeps for reuse */
#define CLIENT_OPENING_MS 10000              /* TLS handshake and AUTH by then, else closed */
#define CLIENT_OUTPUT_MS 60000               /* replies not read within this = closed */
#define RESP_PARTIAL_BYTES_MAX (256 * MIB)   /* half requests of all connections; over = closed */
#define LIST_LIMIT_DEFAULT 1000              /* entries of a page */
#define LIST_LIMIT_MAX 100000
#define EVENTS_BLOCK_MS_MAX 600000           /* EVENTS BLOCK, HTTP wait; longer = BADARG */
#define EVENTS_SCAN_MAX 10000                /* units looked at for one page; then a short page */
#define EVENTS_PAGE_BYTES_MAX (4 * MIB)      /* a page ends with the index that passes this */
#define EVENTS_PROGRESS_MS 5000              /* a silent event stream says where it is */
#define EVENTS_PIECE_BYTES (256 * KIB)       /* put into an empty event stream at a time */
#define HTTP_CONNECTIONS_MAX_DEFAULT 1024
#define HTTP_HEADER_BYTES_MAX (16 * KIB)
#define HTTP_HEADERS_MAX 64
#define HTTP_BODY_BYTES_MAX (8 * MIB)
#define JSON_VALUES_MAX (5 * BATCH_ITEMS_MAX) /* in a body: four for an update; more = TOOLARGE */
#define JSON_DEPTH_MAX 8                     /* of a body; deeper = TOOLARGE */
#define HTTP_IDLE_MS 60000                   /* keep-alive without a request = closed */
#define HTTP_REQUEST_DEADLINE_MS 5000        /* a request head not complete by then = closed */

/* ---- SOFT: replicated state --------------------------------------------------- */

/* Rules of the state machine: another number needs a feature level. */
#define SESSIONS_MAX 65536               /* one more evicts the one idle longest (by index) */
#define SESSION_WINDOW_MAX 1024          /* results kept per session; older ones are dropped */
#define SESSION_BYTES_MAX (1 * MIB)      /* of the results of one session; likewise */
#define SESSIONS_BYTES_MAX (256 * MIB)   /* of all results; over = the session idle longest goes */
#define SESSION_IDLE_MS (24LL * 3600 * 1000) /* of replicated time; over = the session goes */
#define SESSIONS_EXPIRED_PER_ENTRY 8     /* the rest goes with later entries */
#define KEPT_DETAILS_BYTES_MAX (64 * KIB) /* of one kept result; beyond, items keep the status */
#define TOMBSTONES_MAX 10000             /* removed repositories remembered; oldest evicted */
#define FINDINGS_MAX 64                  /* of fsck in one directory; more are not listed */
#define STORAGES_MAX 100000              /* one more = TOOLARGE */

#define DIGESTS_KEPT 64                  /* at multiples of DIGEST_INTERVAL; older = not known */

/* Work put off, so that no entry takes long. */
#define SWEPT_PER_ENTRY 64               /* objects left over from a freeze, freed by one entry */
#define SWEPT_PER_ENTRY_FROZEN 4         /* looked at, while the freeze lasts */
#define SWEPT_AT_THAW 4096
#define DETACHED_REFS_MIN 256            /* of a removed repository; fewer are freed at once */
#define DETACHED_LEAVES_PER_ENTRY 16     /* of larger ones, about ten refs each */

_Static_assert(FRAME_BYTES_MAX >= ENTRY_BYTES_MAX + 4 * KIB, "a frame holds any one entry");
_Static_assert(INFLIGHT_BYTES_MAX >= APPEND_ENTRIES_BYTES_MAX, "the window admits one message");
_Static_assert(ELECTION_TIMEOUT_MS_DEFAULT >= 5 * HEARTBEAT_INTERVAL_MS_DEFAULT, "heartbeats");
_Static_assert(ELECTION_TIMEOUT_MS_MAX < 1 << 16, "the state file has 16 bits for a promise");
_Static_assert(COMMAND_BYTES_MAX >= SEED_COMMAND_BYTES_MAX, "envelopes are the larger kind");

/* ---- SOFT: hooks ---------------------------------------------------------- */

#define PUSH_OPTIONS_MAX 256      /* of one push; one more = the push is refused */
#define PUSH_REASON_BYTES_MAX 128 /* of refkeeper.reason; longer = the push is refused */

/* clang-format on */

#endif
