/* SPDX-License-Identifier: Apache-2.0 */
/* Committed entries to the map, in order, each once; results to those who wait. */
#include <inttypes.h>

#include "base/assert.h"
#include "node/node_internal.h"
#include "sys/clock.h"

/* One turn applies at most this much, so that a restart's backlog does not stop heartbeats. */
#define APPLY_US_PER_TURN 5000
#define APPLY_READ_BYTES (1 * MIB)

static void note_membership(struct node *n, const struct entry *entry)
{
    struct membership m;

    if (entry->command.size > 0 && entry->command.data[0] == COMMAND_MEMBERSHIP &&
        command_membership(entry->command, &m) == RK_OK) {
        identity_learned(n, &m, entry->index);
    }
}

/* False = the node halts: an entry this binary does not know is never skipped. */
static bool apply_entry(struct node *n, const struct entry *entry)
{
    struct refdb_result result;
    enum rk_status status = refdb_apply(n->refdb, entry, &result);

    if (status != RK_OK) {
        node_halt(n, 1,
                  "apply entry %" PRIu64 "^%" PRIu64
                  ": %s; this version cannot decode it: install the version that wrote it",
                  entry->index, entry->term, rk_status_text(status));
        return false;
    }
    n->snapshots.applied_bytes += entry_size(entry);
    note_membership(n, entry);
    events_add(n->events, entry->term, &result);
    proposals_applied(n, entry->index, entry->term, &result);
    return true;
}

/* Applies the entries of one piece; stops at `last`. */
static bool apply_bytes(struct node *n, struct slice bytes, raft_index last)
{
    while (bytes.size > 0) {
        struct entry entry;

        entry_parse(bytes, &entry); /* its CRC was checked when it came or was read */
        INVARIANT(entry.index == refdb_applied_index(n->refdb) + 1);
        if (!apply_entry(n, &entry)) {
            return false;
        }
        if (entry.index == last) {
            return true;
        }
        bytes.data += entry_size(&entry);
        bytes.size -= entry_size(&entry);
    }
    return true;
}

void applier_turn(struct node *n)
{
    raft_index last = n->commit_index < n->durable_index ? n->commit_index : n->durable_index;
    int64_t until_us = clock_monotonic_us() + APPLY_US_PER_TURN;
    raft_index first = refdb_applied_index(n->refdb) + 1;

    if (n->snapshots.is_installing) {
        return;
    }
    while (first <= last && !n->is_stopped) {
        struct errmsg why = ERRMSG_INIT;
        struct slice bytes;
        raft_index piece_last;
        enum rk_status status = window_read(&n->window, first, last, APPLY_READ_BYTES, &bytes,
                                            &piece_last, &why);

        if (status != RK_OK) {
            node_halt_on_disk(n, status, "read the log to apply it", &why);
            return;
        }
        if (!apply_bytes(n, bytes, piece_last)) {
            return;
        }
        first = piece_last + 1;
        if (clock_monotonic_us() > until_us) {
            n->has_more = first <= last;
            return;
        }
    }
}
