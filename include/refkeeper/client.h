/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librefkeeper: a synchronous client of a Refkeeper cluster.
 *
 *     struct rk_options *options = rk_options_new();
 *     struct rk_client *client;
 *     struct rk_error error;
 *     uint64_t index;
 *
 *     if (rk_options_set_endpoints(options, "n1:7481,n2:7481,n3:7481", &error) == RK_OK &&
 *         rk_client_open(options, &client, &error) == RK_OK) {
 *         if (rk_ref_update(client, "a/b.git", &change, NULL, &index, &error) != RK_OK)
 *             fprintf(stderr, "%s\n", error.message);
 *         rk_client_close(client);
 *     }
 *     rk_options_free(options);
 *
 * Outcomes.  Every call returns enum rk_status and, unless it is RK_OK, fills *ret_error (which
 * may be NULL).  error.reaction says what to do: RK_FIX_CALL, the same call fails again;
 * RK_RETRY, nothing was executed; RK_ASK_FIRST (only with RK_UNKNOWN), a write may or may not
 * have been executed: read before deciding.  Outputs are written only on RK_OK.
 *
 * Retries.  A call runs until it has an answer or its deadline passes.  Reads are asked again at
 * the next endpoint.  For writes the client opens a session on the first one; each write then
 * carries a number under which the cluster executes it once, so that it is sent again after a
 * lost connection and still happens exactly once.  Without a session (rk_options_set_session, or
 * a server that has none) a write whose bytes may have left is never sent again: RK_UNKNOWN.
 *
 * Threads.  Different clients may be used by different threads at the same time; one client,
 * and the pipelines opened from it, by one thread at a time.  The library keeps no global state,
 * starts no threads, prints nothing, installs no signal handlers and raises no SIGPIPE.  A fork
 * leaves clients to the parent.  Exhausted memory ends the process.
 */
#ifndef REFKEEPER_CLIENT_H
#define REFKEEPER_CLIENT_H

#include <refkeeper/api.h>
#include <refkeeper/status.h>
#include <refkeeper/types.h>
#include <refkeeper/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rk_options;
struct rk_client;
struct rk_pipeline;
struct rk_ref_results;

/* ---- Options: copied by rk_client_open ---- */

RK_API struct rk_options *rk_options_new(void); /* 127.0.0.1:7481, 2 s dial, 10 s per call */
RK_API void rk_options_free(struct rk_options *options); /* accepts NULL */

/* "host:port,[::1]:port,host": tried in this order; port 7481 where none is given.
 * Errors: BADARG. */
RK_API enum rk_status rk_options_set_endpoints(struct rk_options *options, const char *list,
                                               struct rk_error *ret_error);
/* Of one connection attempt, TLS included; and of one call, retries included. > 0. */
RK_API void rk_options_set_dial_timeout_ms(struct rk_options *options, int64_t timeout_ms);
RK_API void rk_options_set_timeout_ms(struct rk_options *options, int64_t timeout_ms);
/* 0: writes carry no session number (see Retries).  Default 1. */
RK_API void rk_options_set_session(struct rk_options *options, int is_used);
/* 0: stay with the first endpoint that answers; else move to the leader on the first write. */
RK_API void rk_options_set_prefer_leader(struct rk_options *options, int is_preferred);
/* Sent as AUTH on each connection; user NULL = password only. */
RK_API void rk_options_set_auth(struct rk_options *options, const char *user, const char *password);
/*
 * Turns on TLS.  The server's certificate must be signed by an authority of `ca_file` (NULL =
 * the system's) and name `server_name` (NULL = the host of the endpoint).  `cert_file` and
 * `key_file` (PEM, both or neither) are the client's own certificate.
 */
RK_API void rk_options_set_tls(struct rk_options *options, const char *ca_file,
                               const char *cert_file, const char *key_file,
                               const char *server_name);

/* ---- Client ---- */

/* Checks the options and loads certificates; the first call connects.  Errors: CONFIG. */
RK_API enum rk_status rk_client_open(const struct rk_options *options,
                                     struct rk_client **ret_client, struct rk_error *ret_error);
RK_API void rk_client_close(struct rk_client *client); /* accepts NULL */

/* host:port in use, or "" while not connected.  Valid until the next call on `client`. */
RK_API const char *rk_client_endpoint(const struct rk_client *client);

/* The deadline of later calls. */
RK_API void rk_client_set_timeout_ms(struct rk_client *client, int64_t timeout_ms);

/* ---- Refs ---- */

/* The object id of a ref, in hex.  Errors: NOREF, NOREPO, REMOVED, ... */
RK_API enum rk_status rk_ref_get(struct rk_client *client, const char *path, const char *ref,
                                 const struct rk_read *read, char ret_oid[RK_OID_TEXT_MAX + 1],
                                 struct rk_error *ret_error);

/* Called once per ref, in byte order; a value other than 0 ends the walk with RK_ABORTED. */
typedef int rk_ref_each(void *context, const char *ref, const char *oid);

/*
 * Walks the refs of a repository page by page.  Pages are read one after the other: when the
 * repository changes meanwhile, *ret_last_index (its last change, as of the last page) differs
 * from that of the first.  RK_OK with *ret_is_torn set says so.
 */
RK_API enum rk_status rk_ref_list(struct rk_client *client, const char *path,
                                  const struct rk_page *page, const struct rk_read *read,
                                  rk_ref_each *each, void *context, uint64_t *ret_last_index,
                                  int *ret_is_torn, struct rk_error *ret_error);

/*
 * Does now what the first write would do before it is sent: opens the session, finds the leader.
 * For callers with something to wait for anyway; never needed.
 */
RK_API enum rk_status rk_client_prepare_write(struct rk_client *client, struct rk_error *ret_error);

/* Compare-and-swap of one ref; *ret_index is the log index that decided. */
RK_API enum rk_status rk_ref_update(struct rk_client *client, const char *path,
                                    const struct rk_ref_change *change,
                                    const struct rk_write *write, uint64_t *ret_index,
                                    struct rk_error *ret_error);

/*
 * Many changes of one repository in one log entry: all or nothing, or each for itself.
 *
 * RK_OK: decided, and every change was accepted.  Another status with *ret_results not NULL:
 * decided, and at least one change was refused; the results say which and why.  *ret_results
 * NULL: the request as a whole was refused or its outcome is unknown.  Either output of the
 * results is owned by the caller (rk_ref_results_free); ret_results may not be NULL.
 */
RK_API enum rk_status rk_ref_txn(struct rk_client *client, const char *path, int is_atomic,
                                 const struct rk_ref_change *changes, size_t count,
                                 const struct rk_write *write, struct rk_ref_results **ret_results,
                                 struct rk_error *ret_error);
RK_API size_t rk_ref_results_count(const struct rk_ref_results *results);
RK_API uint64_t rk_ref_results_index(const struct rk_ref_results *results); /* 0 = not said */
/* The outcome of change `i`; fills *ret_error (may be NULL) unless RK_OK. */
RK_API enum rk_status rk_ref_results_get(const struct rk_ref_results *results, size_t i,
                                         struct rk_error *ret_error);
RK_API void rk_ref_results_free(struct rk_ref_results *results); /* accepts NULL */

/* ---- Repositories ---- */

RK_API enum rk_status rk_repo_create(struct rk_client *client, const struct rk_repo_spec *spec,
                                     const struct rk_write *write, uint64_t *ret_index,
                                     struct rk_error *ret_error);

enum rk_registered { RK_REGISTERED_CREATED, RK_REGISTERED_ADDED, RK_REGISTERED_ALREADY };

/* Creates the repository with `storage` as primary, or adds the storage as replica. */
RK_API enum rk_status rk_repo_register(struct rk_client *client, const char *path,
                                       const char *storage, const struct rk_write *write,
                                       enum rk_registered *ret_what, uint64_t *ret_index,
                                       struct rk_error *ret_error);
RK_API enum rk_status rk_repo_remove(struct rk_client *client, const char *path,
                                     const struct rk_write *write, uint64_t *ret_index,
                                     struct rk_error *ret_error);
/* is_prefix: every repository below from/ moves below to/, or none. */
RK_API enum rk_status rk_repo_rename(struct rk_client *client, const char *from, const char *to,
                                     int is_prefix, const struct rk_write *write,
                                     uint64_t *ret_index, struct rk_error *ret_error);
RK_API enum rk_status rk_repo_set_head(struct rk_client *client, const char *path, const char *ref,
                                       const struct rk_write *write, uint64_t *ret_index,
                                       struct rk_error *ret_error);
RK_API enum rk_status rk_repo_freeze(struct rk_client *client, const char *path, const char *reason,
                                     const struct rk_write *write, uint64_t *ret_index,
                                     struct rk_error *ret_error);
RK_API enum rk_status rk_repo_thaw(struct rk_client *client, const char *path,
                                   const struct rk_write *write, uint64_t *ret_index,
                                   struct rk_error *ret_error);
/* The cluster forgets that `storage` holds the repository.  Errors: CONFLICT for its primary. */
RK_API enum rk_status rk_repo_remove_replica(struct rk_client *client, const char *path,
                                             const char *storage, const struct rk_write *write,
                                             uint64_t *ret_index, struct rk_error *ret_error);
/* A map: id, path, format, head, state, primary, epoch, replicas, ... */
RK_API enum rk_status rk_repo_show(struct rk_client *client, const char *path,
                                   struct rk_reply **ret_map, struct rk_error *ret_error);

/* One repository of a listing.  `map` is NULL when the server lists paths only. */
typedef int rk_repo_each(void *context, const char *path, const struct rk_reply *map);

/* Walks the repositories page by page in order of path; as rk_ref_list. */
RK_API enum rk_status rk_repo_list(struct rk_client *client, const struct rk_page *page,
                                   rk_repo_each *each, void *context, struct rk_error *ret_error);

/* ---- Primaries, storages, routes, the cluster ---- */

/*
 * Makes `storage` the primary of each path.  The reply is an array with one value per path: OK,
 * ALREADY or an error.  reason not NULL: FORCE, also where the replica was not seen complete.
 */
RK_API enum rk_status rk_primary_set(struct rk_client *client, const char *storage,
                                     const char *const *paths, size_t count, const char *reason,
                                     const struct rk_write *write, struct rk_reply **ret_array,
                                     struct rk_error *ret_error);

/* fields: name, value, name, value ...; `count` of strings. */
RK_API enum rk_status rk_storage_set(struct rk_client *client, const char *name,
                                     const char *const *fields, size_t count,
                                     const struct rk_write *write, uint64_t *ret_index,
                                     struct rk_error *ret_error);
RK_API enum rk_status rk_storage_remove(struct rk_client *client, const char *name,
                                        const struct rk_write *write, uint64_t *ret_index,
                                        struct rk_error *ret_error);
RK_API enum rk_status rk_storage_list(struct rk_client *client, struct rk_reply **ret_maps,
                                      struct rk_error *ret_error);

/* Where to send a fetch or a push.  A map: id, state, primary, epoch, addresses, replicas. */
RK_API enum rk_status rk_route(struct rk_client *client, const char *path, int is_write,
                               const struct rk_read *read, struct rk_reply **ret_map,
                               struct rk_error *ret_error);

/* A map of the node that answers: node, role, term, leader, indexes, ... */
RK_API enum rk_status rk_cluster_status(struct rk_client *client, struct rk_reply **ret_map,
                                        struct rk_error *ret_error);

/* ---- The nodes of the cluster ---- */

RK_API enum rk_status rk_member_list(struct rk_client *client, struct rk_reply **ret_maps,
                                     struct rk_error *ret_error);

/*
 * Changes of the members are answered when the cluster has agreed on them; *ret_index (may be
 * NULL) is the log index from which on they hold.  They are sent once: UNKNOWN when the answer
 * was lost - look at the list.  REFUSED: the cluster would lose its quorum, the learner is not
 * caught up ...; error.message says which.
 *
 * A node that was added, or that replaces one, is a learner until it has caught up; then it votes
 * by itself, and the one it replaces goes.  is_learner: not before it is promoted.
 */
RK_API enum rk_status rk_member_add(struct rk_client *client, const char *name,
                                    const char *peer_address, int is_learner, uint64_t *ret_index,
                                    struct rk_error *ret_error);
RK_API enum rk_status rk_member_promote(struct rk_client *client, const char *name,
                                        uint64_t *ret_index, struct rk_error *ret_error);
RK_API enum rk_status rk_member_remove(struct rk_client *client, const char *name,
                                       uint64_t *ret_index, struct rk_error *ret_error);
/* An empty data directory in the place of a dead or wiped one; peer_address NULL = as before. */
RK_API enum rk_status rk_member_replace(struct rk_client *client, const char *name,
                                        const char *peer_address, uint64_t *ret_index,
                                        struct rk_error *ret_error);
RK_API enum rk_status rk_member_update(struct rk_client *client, const char *name,
                                       const char *peer_address, uint64_t *ret_index,
                                       struct rk_error *ret_error);
/* RK_OK: `name` leads; NULL = the voter that is furthest. */
RK_API enum rk_status rk_leader_move(struct rk_client *client, const char *name,
                                     struct rk_error *ret_error);

/* ---- Events ---- */

/* Called once per event, in order; a value other than 0 ends the page with RK_ABORTED. */
typedef int rk_event_each(void *context, const struct rk_event *event);

/*
 * Reads one page of events; *ret_next is where the next one begins.  Who goes on from there
 * each time sees every event once, in order, whichever node answers; all events of an index are
 * on one page.  A page may be empty and move on all the same.
 *
 * wait_ms: waits for the first event, but no longer than a fourth of the deadline of a call;
 * then the page is empty.  Without it the page includes what was acknowledged before the call.
 *
 * Errors: COMPACTED (no endpoint keeps events that old any more: read the state, then go on
 * from the index it had).
 */
RK_API enum rk_status rk_events_read(struct rk_client *client, const struct rk_events_query *query,
                                     rk_event_each *each, void *context, uint64_t *ret_next,
                                     struct rk_error *ret_error);

/* ---- Anything else ---- */

enum rk_call_flags {
    RK_CALL_READ = 0,       /* changes nothing: asked again elsewhere after a failure */
    RK_CALL_WRITE = 1 << 0, /* gets a session number; see Retries */
    RK_CALL_ONCE = 1 << 1   /* changes something, has no session number: never sent again */
};

/*
 * Sends any command.  An error reply becomes the status; an array that holds errors is RK_OK.
 * The reply is owned by the caller.  Sizes may be NULL: then arguments are NUL-terminated.
 */
RK_API enum rk_status rk_call(struct rk_client *client, unsigned flags, int argc, const char **argv,
                              const size_t *sizes, struct rk_reply **ret_reply,
                              struct rk_error *ret_error);
RK_API void rk_reply_free(struct rk_reply *reply); /* accepts NULL */

/* The value after `key` in a flat map; NULL when it is not there. */
RK_API const struct rk_reply *rk_reply_get(const struct rk_reply *map, const char *key);
/* Its text, or "" when absent or not text (integers have no text). */
RK_API const char *rk_reply_get_text(const struct rk_reply *map, const char *key);
/* Its number, also from decimal text; 0 when absent. */
RK_API uint64_t rk_reply_get_number(const struct rk_reply *map, const char *key);
/* Explains an RK_REPLY_ERROR. */
RK_API enum rk_status rk_reply_error(const struct rk_reply *reply, struct rk_error *ret_error);

/* ---- Pipeline: many requests in flight on one connection, for bulk work ---- */

/*
 * A connection of its own to the client's current endpoint.  Nothing is sent again by itself:
 * when the connection breaks, every request without a reply is RK_UNKNOWN if it may have left.
 * The client outlives the pipeline.
 */
RK_API enum rk_status rk_pipeline_open(struct rk_client *client, struct rk_pipeline **ret_pipeline,
                                       struct rk_error *ret_error);
/* Encodes one request into the output buffer; sizes may be NULL. */
RK_API void rk_pipeline_append(struct rk_pipeline *pipeline, int argc, const char **argv,
                               const size_t *sizes);
/* Sends what was appended. */
RK_API enum rk_status rk_pipeline_flush(struct rk_pipeline *pipeline, struct rk_error *ret_error);
/* Waits for the next reply, in order of the requests.  PRE: at least one is pending. */
RK_API enum rk_status rk_pipeline_next(struct rk_pipeline *pipeline, struct rk_reply **ret_reply,
                                       struct rk_error *ret_error);
RK_API size_t rk_pipeline_pending(const struct rk_pipeline *pipeline);
RK_API void rk_pipeline_close(struct rk_pipeline *pipeline); /* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
