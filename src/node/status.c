/* SPDX-License-Identifier: Apache-2.0 */
/* What the node says of itself. */
#include <stdio.h>

#include "node/node_internal.h"
#include "sys/clock.h"
#include "sys/fs.h"

/* A node is ready while it is at most this many committed entries behind. */
#define READY_LAG_MAX 10000

void histogram_add(struct node_histogram *h, int64_t us)
{
    size_t i = 0;

    while (i + 1 < sizeof h->buckets / sizeof h->buckets[0] && (16LL << i) < us) {
        i++;
    }
    h->buckets[i]++;
    h->count++;
    h->sum_us += us < 0 ? 0 : (uint64_t)us;
}

void node_count_commit(struct node *n, int64_t us)
{
    histogram_add(&n->commit, us);
}

static void fill_peers(const struct node *n, struct node_status *s)
{
    const struct membership *m = raft_membership(n->raft);

    for (unsigned i = 0; i < m->count; i++) {
        struct transport_peer_status t = { 0 };
        struct node_peer_status *p;

        if (m->members[i].id == n->state.id) {
            continue;
        }
        p = &s->peers[s->peer_count++];
        p->id = m->members[i].id;
        snprintf(p->name, sizeof p->name, "%s", m->members[i].name);
        transport_peer_status(n->transport, p->id, &t);
        p->is_connected = t.is_connected;
        p->sent_bytes = t.sent_bytes;
        p->received_bytes = t.received_bytes;
    }
}

static bool is_ready(const struct node *n, const struct node_status *s)
{
    return s->raft.leader != 0 && !n->is_stopping && !digests_is_quarantined(n) &&
           !n->snapshots.is_installing &&
           s->applied_index + READY_LAG_MAX >= s->raft.commit_index &&
           (s->raft.role != RAFT_LEADER || s->raft.can_read);
}

void node_get_status(const struct node *n, struct node_status *ret_status)
{
    struct node_status *s = ret_status;
    fs_handle dir = -1;

    *s = (struct node_status){
        .name = n->options.name,
        .id = n->state.id,
        .applied_index = refdb_applied_index(n->refdb),
        .snapshot_last_index = n->snapshots.last_index,
        .snapshot_bytes = n->snapshots.last_bytes,
        .snapshot_state_bytes = n->snapshots.last_state_bytes,
        .log_bytes = storage_log_bytes(n->storage),
        .proposals_pending = proposals_waiting(&n->proposals),
        .proposals_total = n->proposals.total,
        .proposals_failed_total = n->proposals.failed_total,
        .forwards_total = n->proposals.forwards_total,
        .leader_changes_total = n->leader_changes_total,
        .snapshots_taken_total = n->snapshots.taken_total,
        .snapshots_installed_total = n->snapshots.installed_total,
        .snapshot_sent_bytes_total = n->snapshots.transfer.sent_bytes_total,
        .snapshot_resent_bytes_total = n->snapshots.transfer.resent_bytes_total,
        .snapshot_received_bytes_total = n->snapshots.transfer.received_bytes_total,
        .snapshot_duplicate_bytes_total = n->snapshots.transfer.duplicate_bytes_total,
        .snapshot_resumed_bytes_total = n->snapshots.transfer.resumed_bytes_total,
        .is_disk_full = storage_is_short_of_space(n->storage),
        .is_repairing = raft_is_repairing(n->raft),
        .sync = n->sync,
        .commit = n->commit,
        .is_stopping = n->is_stopping,
        .is_removed = node_is_removed(n),
        .state_check = n->digests.verdict,
        .state_differs_index = n->digests.differs_index,
        .state_compared_total = n->digests.compared_total,
        .state_differences_total = n->digests.differences_total,
        .state_healed_total = n->digests.healed_total,
        .uptime_ms = clock_monotonic_ms() - n->started_ms,
    };
    raft_get_status(n->raft, &s->raft);
    memcpy(s->cluster_id, n->state.cluster_id, CLUSTER_ID_BYTES);
    if (s->raft.role != RAFT_LEADER && n->leader_heard_ms != 0) {
        s->leader_contact_ms = clock_monotonic_ms() - n->leader_heard_ms;
    }
    if (fs_posix()->ops->open_dir(fs_posix(), n->options.data_dir, false, &dir) == 0) {
        (void)fs_posix()->ops->free_bytes(fs_posix(), dir, &s->disk_free_bytes);
        fs_posix()->ops->close(fs_posix(), dir);
    }
    s->is_ready = is_ready(n, s);
    fill_peers(n, s);
}

const struct membership *node_membership(const struct node *n)
{
    return raft_membership(n->raft);
}
