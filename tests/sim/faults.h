/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of faults, and what a seed draws of them. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/*   X(NAME, text) */
#define FAULT_LIST(X)                                                                              \
    X(DELAY, "a message is late")                                                                  \
    X(LOSS, "a message is lost")                                                                   \
    X(DUPLICATION, "a message comes twice")                                                        \
    X(REORDER, "a message overtakes another")                                                      \
    X(CORRUPTION, "a byte of a frame is changed on the way")                                       \
    X(CUT, "two halves do not hear each other")                                                    \
    X(CUT_ONE_WAY, "one direction of a link is silent")                                            \
    X(CUT_BRIDGE, "two halves share one machine")                                                  \
    X(CUT_REJECT, "two halves are cut, and their connections reset, as by a firewall")             \
    X(CLOG, "a link holds everything back for a while")                                            \
    X(RESET, "connections are reset")                                                              \
    X(KILL, "a process is killed")                                                                 \
    X(POWER_CUT, "a machine loses power, and some of what was not synced")                         \
    X(POWER_CUT_ALL, "all machines lose power at once")                                            \
    X(TORN_WRITE, "a crash inside a write or sync")                                                \
    X(RESTART_STORM, "a process is killed again and again")                                        \
    X(RESTART_CLEAN, "a node is stopped and started")                                              \
    X(ROT_SNAPSHOT, "bytes of a snapshot rot")                                                     \
    X(ROT_STATE, "bytes of one slot of the state file rot")                                        \
    X(ROT_LOG, "bytes of the log rot")                                                             \
    X(MISDIRECTED, "a write lands in another place")                                               \
    X(EIO_WRITE, "a write fails")                                                                  \
    X(EIO_SYNC, "a sync fails")                                                                    \
    X(EIO_READ, "a read fails")                                                                    \
    X(NOSPACE, "the disk is full for a while")                                                     \
    X(DISK_STALL, "a disk does not answer for a while")                                            \
    X(SLOW_DISK, "a disk is slow")                                                                 \
    X(CLOCK_DRIFT, "a clock runs fast or slow")                                                    \
    X(LEASE_DRIFT, "leases are on, and a clock runs at the edge of what was said of it")           \
    X(CLOCK_JUMP, "the wall clock is set")                                                         \
    X(PAUSE, "a process is paused")                                                                \
    X(SNAPSHOT, "a snapshot is taken at an odd time")                                              \
    X(SLOW_FOLLOWER, "a follower falls behind the log")                                            \
    X(CLIENT_RETRY, "an answer is lost and a client asks another node")                            \
    X(WIPED, "a directory is wiped, and put back later")                                           \
    X(ROLLED_BACK, "a directory is put back from an old copy")                                     \
    X(MEMBER_ADD, "a member is added, or a learner promoted")                                      \
    X(MEMBER_REMOVE, "a member is removed, and its process lives on")                              \
    X(MEMBER_REPLACE, "a directory is lost, and an empty one takes its place")                     \
    X(MIXED_VERSIONS, "a node of an older version gives way to a newer one")                       \
    X(LEADER_MOVE, "the leader is told to hand over")

enum fault {
#define FAULT_ENUM(NAME, text) FAULT_##NAME,
    FAULT_LIST(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_COUNT
};

const char *fault_name(enum fault fault);
const char *fault_text(enum fault fault);

/* What this seed is made of. */
struct swarm {
    bool is_on[FAULT_COUNT];
    unsigned machine_count; /* members at first */
    bool has_churn;         /* members come and go; then nobody's files are spoilt */
    unsigned loss_permille, duplication_permille, reorder_permille, corruption_permille;
    unsigned delay_permille;
    int64_t delay_us_max; /* of a late one */
    int64_t latency_us_min, latency_us_max;
    int64_t disk_us_min, disk_us_max;
    int64_t fault_us_mean; /* between two faults that somebody makes */
    int64_t election_timeout_ms, heartbeat_interval_ms;
    bool has_leases; /* mostly: a start may have another setting */
    unsigned clock_drift_percent;
    uint64_t log_compact_bytes;
    int64_t snapshot_interval_ms;
    uint64_t trailing_entries;
    unsigned client_count;
    int64_t think_us_max;
    unsigned key_count;
    unsigned read_percent; /* of what clients ask */
    bool can_allocate;     /* the file systems allocate space ahead */
    bool rots_lengths;     /* of entries, where a log rots */
    bool sync_forgets;     /* what a failed sync should have written is not tried again */
    int64_t seconds;
};

void swarm_draw(struct swarm *s, uint64_t seed);
/* Takes out what does not go together. */
void swarm_settle(struct swarm *s);

#endif
