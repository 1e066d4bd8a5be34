/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of outcomes: of every function inside Refkeeper, of RESP errors, HTTP error
 * bodies and the client library.
 *
 * `word` is the first word of a RESP error and the "code" of an HTTP error body.  `reaction`
 * says what the receiver should do; a program that retries switches on it, not on codes.
 *
 *   X(NAME, word, text, reaction, exit code of the command line, HTTP status)
 *
 * The numbers of the enumerators may change until version 1.0; the words do not.
 */
#ifndef REFKEEPER_STATUS_H
#define REFKEEPER_STATUS_H

#include <refkeeper/api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a caller who gets a status should do next. */
enum rk_reaction {
    RK_NONE,      /* nothing: it worked, or the answer is final */
    RK_FIX_CALL,  /* the request is wrong; the same request will fail again */
    RK_RETRY,     /* not executed; may be sent again, here or elsewhere */
    RK_ASK_FIRST, /* may have been executed: resend only under the same session sequence */
    RK_OPERATOR   /* a person has to look at this node */
};

/* clang-format off */
#define RK_STATUS_LIST(X)                                                                          \
    X(OK,           "OK",           "done",                                     NONE,      0, 200) \
    /* refusals computed at apply [DESIGN 3]: final, committed, without effect */                  \
    X(CONFLICT,     "CONFLICT",     "the ref does not have the expected value", FIX_CALL,  4, 409) \
    X(EXISTS,       "EXISTS",       "it exists already",                        FIX_CALL,  4, 409) \
    X(NOREF,        "NOREF",        "no such ref",                              FIX_CALL,  3, 404) \
    X(NAMECONFLICT, "NAMECONFLICT", "another ref is in the way of this name",   FIX_CALL,  4, 409) \
    X(BADREF,       "BADREF",       "not a valid ref name",                     FIX_CALL,  2, 400) \
    X(BADOID,       "BADOID",       "not a valid object id",                    FIX_CALL,  2, 400) \
    X(NOREPO,       "NOREPO",       "no such repository",                       FIX_CALL,  3, 404) \
    X(REMOVED,      "REMOVED",      "the repository was removed",               FIX_CALL,  3, 410) \
    X(RENAMED,      "RENAMED",      "the repository was renamed",               FIX_CALL,  4, 409) \
    X(FROZEN,       "FROZEN",       "the repository is frozen",                 FIX_CALL,  4, 403) \
    X(FENCED,       "FENCED",       "not decided by the current primary",       FIX_CALL,  4, 409) \
    X(NOTREPLICA,   "NOTREPLICA",   "the storage is no replica of it",          FIX_CALL,  4, 409) \
    X(NOSTORAGE,    "NOSTORAGE",    "no such storage",                          FIX_CALL,  3, 404) \
    X(STALE,        "STALE",        "the replica was not seen complete",        FIX_CALL,  4, 409) \
    X(BEHIND,       "BEHIND",       "this node has not reached that index",     RETRY,     5, 504) \
    X(EXPIRED,      "EXPIRED",      "the session is unknown or expired",        FIX_CALL,  4, 409) \
    X(TOOLARGE,     "TOOLARGE",     "over a size limit",                        FIX_CALL,  2, 413) \
    X(BADARG,       "BADARG",       "a malformed argument",                     FIX_CALL,  2, 400) \
    X(ABORTED,      "ABORTED",      "another item of the atomic batch failed",  FIX_CALL,  4, 409) \
    /* the service cannot act now: nothing was executed */                                         \
    X(NOLEADER,     "NOLEADER",     "no leader is known",                       RETRY,     5, 503) \
    X(OVERLOADED,   "OVERLOADED",   "a queue is full",                          RETRY,     5, 429) \
    X(NOSPACE,      "NOSPACE",      "a majority of the nodes lacks disk space", RETRY,     5, 507) \
    X(STOPPED,      "NOLEADER",     "the node is stopping",                     RETRY,     5, 503) \
    X(NOMEMBER,     "NOLEADER",     "this node was removed from the cluster",   RETRY,     5, 503) \
    X(NOPERM,       "NOPERM",       "not allowed",                              FIX_CALL,  7, 403) \
    X(NOAUTH,       "NOAUTH",       "authentication is required",               FIX_CALL,  7, 401) \
    X(UNSUPPORTED,  "UNSUPPORTED",  "not supported",                            FIX_CALL,  2, 400) \
    X(COMPACTED,    "COMPACTED",    "that index is no longer retained",         FIX_CALL,  3, 410) \
    X(UNKNOWN,      "UNKNOWN",      "the outcome could not be learned in time", ASK_FIRST, 6, 504) \
    /* local conditions: never computed at apply */                                                \
    X(NOMEM,        "OVERLOADED",   "out of memory",                            RETRY,     5, 503) \
    X(NOT_FOUND,    "NOTFOUND",     "not found",                                FIX_CALL,  3, 404) \
    X(TIMED_OUT,    "TIMEDOUT",     "timed out",                                RETRY,     5, 504) \
    X(UNREACHABLE,  "UNREACHABLE",  "cannot connect",                           RETRY,     5, 503) \
    X(CLOSED,       "CLOSED",       "the connection was closed",                RETRY,     5, 503) \
    X(PROTOCOL,     "PROTOCOL",     "the other side broke the protocol",        OPERATOR,  1, 400) \
    X(FOREIGN,      "FOREIGN",      "of another cluster, node or format",       OPERATOR,  8, 500) \
    X(CORRUPT,      "CORRUPT",      "damaged data",                             OPERATOR,  8, 500) \
    X(IO,           "IO",           "an input/output error",                    OPERATOR,  1, 500) \
    X(LOCKED,       "LOCKED",       "in use by another process",                OPERATOR,  1, 500) \
    X(CONFIG,       "CONFIG",       "a configuration error",                    FIX_CALL,  2, 500) \
    /* changes of the members */                                                                   \
    X(REFUSED,      "REFUSED",      "the cluster cannot be changed like that",  FIX_CALL,  4, 409)
/* clang-format on */

enum rk_status {
#define RK_STATUS_ENUM(name, word, text, reaction, exit_code, http) RK_##name,
    RK_STATUS_LIST(RK_STATUS_ENUM)
#undef RK_STATUS_ENUM
        RK_STATUS_COUNT
};

/* The word that starts a RESP error, upper case.  Never NULL; static storage. */
RK_API const char *rk_status_word(enum rk_status status);

/* One line for people, lower case, no full stop.  Never NULL; static storage. */
RK_API const char *rk_status_text(enum rk_status status);

RK_API enum rk_reaction rk_status_reaction(enum rk_status status);

/* The exit code of `refkeeper` for this outcome. */
RK_API int rk_status_exit_code(enum rk_status status);

RK_API int rk_status_http(enum rk_status status);

/* The status whose word is `word` (size bytes), or RK_STATUS_COUNT when there is none. */
RK_API enum rk_status rk_status_from_word(const char *word, unsigned long size);

#ifdef __cplusplus
}
#endif

#endif
