/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Teeth: bugs of history, kept where they could be made again.
 *
 * A test that has never failed proves little.  Each tooth below is one bug that cost some
 * system acknowledged data.  A build configured with --enable-teeth can bite with one of them
 * at a time, and the tests must then fail; every other build knows TOOTH() as the constant
 * false, so that nothing of it remains in the program.
 *
 * A tooth stands at the very line that prevents the bug, and reads as the bug does:
 *
 *   if (!TOOTH(ACK_BEFORE_SYNC)) { sync }
 */
#ifndef BASE_TEETH_H
#define BASE_TEETH_H

#include <stdbool.h>

/*   X(NAME, what goes wrong) */
#define TEETH_LIST(X)                                                                              \
    X(VOTE_NOT_SYNCED, "a vote is answered before it is durable")                                  \
    X(ACK_BEFORE_SYNC, "entries are acknowledged before they are durable")                         \
    X(SYNC_RETRIED, "a failed fdatasync is tried again and believed")                              \
    X(DIRECTORY_NOT_SYNCED, "a rename is relied on before its directory is durable")               \
    X(ROT_TRUNCATED, "a damaged entry that was acknowledged is cut off as a torn tail")            \
    X(OLD_TERM_COMMITTED, "entries of earlier terms are committed by counting replicas")           \
    X(NO_NOOP, "a new leader appends nothing of its own term")                                     \
    X(READ_WITHOUT_QUORUM, "a leader answers reads without asking whether it still leads")         \
    X(LEASE_ON_WALL_CLOCK, "a lease is measured by a clock that people set")                       \
    X(VOTE_COUNTED_TWICE, "a duplicated vote counts again")                                        \
    X(TERM_FORGOTTEN, "a restart begins with term 0")                                              \
    X(LOG_CUT_BEFORE_SNAPSHOT, "the log is cut before the snapshot is durable")                    \
    X(CONFLICT_KEPT, "a conflicting suffix is kept")                                               \
    X(SUFFIX_DROPPED, "a late duplicate drops newer entries that do not conflict")                 \
    X(MEMBERSHIP_WITHOUT_COMMIT, "a leader changes members before an entry of its own term")       \
    X(REMOVED_DISRUPTS, "a removed member unseats the leader")                                     \
    X(INDEX_APART_FROM_STATE, "the applied index is saved apart from the state")                   \
    X(LENGTH_TRUSTED, "a length is believed before its CRC was checked")                           \
    X(SESSIONS_NOT_IN_SNAPSHOT, "results of sessions are lost in a snapshot")                      \
    X(APPLIED_TWICE, "entries in the snapshot are applied again after a restart")                  \
    X(NO_CHECK_QUORUM, "a leader that reaches no majority goes on leading")

enum tooth {
    TOOTH_NONE,
#define TOOTH_ENUM(NAME, text) TOOTH_##NAME,
    TEETH_LIST(TOOTH_ENUM)
#undef TOOTH_ENUM
        TOOTH_COUNT
};

#ifdef RK_TEETH

/* The one that bites; set by a test, or by the environment variable RK_TOOTH of a program. */
extern enum tooth tooth_biting;

/* The name of a tooth, as in the list; TOOTH_NONE is "NONE". */
const char *tooth_name(enum tooth tooth);
/* What goes wrong with it. */
const char *tooth_text(enum tooth tooth);
/* TOOTH_COUNT when there is none of that name. */
enum tooth tooth_find(const char *name);

#define TOOTH(NAME) (tooth_biting == TOOTH_##NAME)

#else

#define TOOTH(NAME) false

#endif
#endif
