/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: the text format of Prometheus 0.0.4. */
#include "server/server_internal.h"

static void put_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP refkeeper_%s %s\n# TYPE refkeeper_%s %s\n", name, help, name, type);
}

static void put_one(struct buffer *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    put_head(out, name, type, help);
    buffer_printf(out, "refkeeper_%s %llu\n", name, (unsigned long long)value);
}

static void put_gauge(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    put_one(out, name, "gauge", help, value);
}

static void put_counter(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    put_one(out, name, "counter", help, value);
}

static void put_histogram(struct buffer *out, const char *name, const char *help,
                          const struct node_histogram *h)
{
    size_t count = sizeof h->buckets / sizeof h->buckets[0];
    uint64_t sum = 0;

    put_head(out, name, "histogram", help);
    for (size_t i = 0; i < count; i++) {
        sum += h->buckets[i];
        buffer_printf(out, "refkeeper_%s_bucket{le=\"%.6f\"} %llu\n", name,
                      (double)((uint64_t)16 << i) / 1e6, (unsigned long long)sum);
    }
    buffer_printf(out, "refkeeper_%s_bucket{le=\"+Inf\"} %llu\n", name,
                  (unsigned long long)h->count);
    buffer_printf(out, "refkeeper_%s_sum %.6f\nrefkeeper_%s_count %llu\n", name,
                  (double)h->sum_us / 1e6, name, (unsigned long long)h->count);
}

static void put_reads(struct buffer *out, const struct raft_status *raft)
{
    put_head(out, "raft_lease_seconds", "gauge",
             "For how long nobody else can be elected; 0 without a lease.");
    buffer_printf(out, "refkeeper_raft_lease_seconds %.3f\n", (double)raft->lease_ms / 1e3);
    put_head(out, "raft_reads_confirmed_total", "counter",
             "Batches of linearizable reads this leader confirmed: by its lease, or by a round.");
    buffer_printf(out,
                  "refkeeper_raft_reads_confirmed_total{by=\"lease\"} %llu\n"
                  "refkeeper_raft_reads_confirmed_total{by=\"round\"} %llu\n",
                  (unsigned long long)raft->reads_by_lease,
                  (unsigned long long)raft->reads_by_round);
}

static void put_raft(struct buffer *out, const struct node_status *st)
{
    put_gauge(out, "raft_has_leader", "1 when this node knows a leader.", st->raft.leader != 0);
    put_gauge(out, "raft_is_leader", "1 on the leader.", st->raft.role == RAFT_LEADER);
    put_gauge(out, "state_check",
              "0 = equal to the others', 1 = somebody's differs, 2 = ours does: quarantined.",
              (uint64_t)st->state_check);
    put_gauge(out, "state_differs_index", "Where states differed last; 0 = nowhere.",
              st->state_differs_index);
    put_gauge(out, "raft_term", "Current term.", st->raft.current_term);
    put_gauge(out, "raft_commit_index", "Highest entry known committed.", st->raft.commit_index);
    put_gauge(out, "raft_applied_index", "Highest entry applied here.", st->applied_index);
    put_gauge(out, "raft_last_log_index", "Last entry of the log.", st->raft.log_last_index);
    put_gauge(out, "raft_durable_index", "Last entry known durable here.", st->raft.durable_index);
    put_gauge(out, "raft_snapshot_index", "Last entry of the newest snapshot.",
              st->snapshot_last_index);
    put_gauge(out, "raft_proposals_pending", "Proposals waiting for their outcome.",
              st->proposals_pending);
    put_counter(out, "raft_proposals_total", "Proposals taken here.", st->proposals_total);
    put_counter(out, "raft_proposals_failed_total", "Proposals without a committed outcome.",
                st->proposals_failed_total);
    put_counter(out, "raft_forwards_total", "Proposals forwarded to the leader.",
                st->forwards_total);
    put_counter(out, "raft_leader_changes_total", "Changes of leader seen.",
                st->leader_changes_total);
    put_reads(out, &st->raft);
    put_head(out, "raft_leader_last_contact_seconds", "gauge",
             "Time since the leader was heard; 0 on the leader.");
    buffer_printf(out, "refkeeper_raft_leader_last_contact_seconds %.3f\n",
                  (double)st->leader_contact_ms / 1e3);
    put_histogram(out, "raft_commit_duration_seconds", "From proposal to apply.", &st->commit);
}

static void put_peers(struct buffer *out, const struct node_status *st)
{
    static const char *const names[] = { "raft_peer_up", "raft_peer_sent_bytes_total",
                                         "raft_peer_received_bytes_total" };
    static const char *const types[] = { "gauge", "counter", "counter" };
    static const char *const helps[] = { "1 when the member is connected.",
                                         "Bytes sent to the member.",
                                         "Bytes received from the member." };

    for (size_t k = 0; k < 3; k++) {
        put_head(out, names[k], types[k], helps[k]);
        for (size_t i = 0; i < st->peer_count; i++) {
            const struct node_peer_status *peer = &st->peers[i];
            uint64_t values[] = { peer->is_connected, peer->sent_bytes, peer->received_bytes };

            buffer_printf(out, "refkeeper_%s{peer=\"%s\"} %llu\n", names[k], peer->name,
                          (unsigned long long)values[k]);
        }
    }
}

static void put_limits(struct buffer *out, const struct refdb *db)
{
    static const char *const names[LIMIT_COUNT] = {
        [LIMIT_REPOSITORIES] = "store_repositories_limit",
        [LIMIT_REFS] = "store_refs_limit",
        [LIMIT_BYTES] = "store_content_bytes_limit",
        [LIMIT_REPOSITORY_REFS] = "store_repository_refs_limit",
    };
    uint64_t limits[LIMIT_COUNT];

    refdb_get_limits(db, limits);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        put_gauge(out, names[i], "What LIMITS.SET allows; 0 = no limit.", limits[i]);
    }
}

static void put_disk_and_state(struct buffer *out, const struct node_status *st,
                               const struct refdb *db)
{
    struct refdb_gauges g;

    refdb_get_gauges(db, &g);
    put_histogram(out, "disk_log_fdatasync_duration_seconds", "Time of one fdatasync of the log.",
                  &st->sync);
    put_gauge(out, "disk_log_bytes", "Size of the log.", st->log_bytes);
    put_gauge(out, "disk_free_bytes", "Free space for the data directory.", st->disk_free_bytes);
    put_gauge(out, "disk_snapshot_bytes", "Size of the newest snapshot.", st->snapshot_bytes);
    put_gauge(out, "disk_full", "1 while there is no space for more entries and the reserve.",
              st->is_disk_full);
    put_gauge(out, "log_repairing", "1 while damaged entries are fetched from other members.",
              st->is_repairing);
    put_counter(out, "snapshots_taken_total", "Snapshots written.", st->snapshots_taken_total);
    put_counter(out, "snapshots_installed_total", "Snapshots received and installed.",
                st->snapshots_installed_total);
    put_counter(out, "snapshot_sent_bytes_total", "Bytes of snapshots sent to members.",
                st->snapshot_sent_bytes_total);
    put_counter(out, "snapshot_resent_bytes_total", "Of them, bytes sent before.",
                st->snapshot_resent_bytes_total);
    put_counter(out, "snapshot_received_bytes_total", "Bytes of snapshots received.",
                st->snapshot_received_bytes_total);
    put_counter(out, "snapshot_duplicate_bytes_total", "Of them, bytes stored before.",
                st->snapshot_duplicate_bytes_total);
    put_counter(out, "snapshot_resumed_bytes_total",
                "Bytes of cut transfers that were not received again.",
                st->snapshot_resumed_bytes_total);
    put_gauge(out, "store_repositories", "Repositories.", g.repositories);
    put_gauge(out, "store_refs", "Refs of all repositories.", g.refs);
    put_gauge(out, "store_storages", "Storages.", g.storages);
    put_gauge(out, "store_sessions", "Client sessions.", g.sessions);
    put_gauge(out, "store_tombstones", "Removed repositories remembered.", g.tombstones);
    put_gauge(out, "store_bytes", "Memory held by the state.", g.bytes);
    put_gauge(out, "store_ref_bytes", "Of names, object ids and actors.", g.ref_bytes);
    put_gauge(out, "store_repository_bytes", "Of paths, heads, reasons and replicas.",
              g.repository_bytes);
    put_gauge(out, "store_session_bytes", "Of kept results.", g.session_bytes);
    put_limits(out, db);
    put_gauge(out, "ready", "1 when this node can serve.", st->is_ready);
}

static void put_requests(struct buffer *out, const struct server *s)
{
    const struct request_type *type;

    put_head(out, "requests_total", "counter", "Requests by kind, of both front ends.");
    for (unsigned i = 0; (type = request_type_at(i)) != NULL; i++) {
        buffer_printf(out, "refkeeper_requests_total{request=\"%s\"} %llu\n", type->name,
                      (unsigned long long)s->counters.requests_total[i]);
    }
    put_head(out, "request_failures_total", "counter", "Requests answered with an error, by code.");
    for (int i = 1; i < RK_STATUS_COUNT; i++) {
        if (i == RK_STOPPED || i == RK_NOMEMBER || i == RK_NOMEM) {
            continue; /* they share their word with another */
        }
        buffer_printf(out, "refkeeper_request_failures_total{code=\"%s\"} %llu\n",
                      rk_status_word((enum rk_status)i),
                      (unsigned long long)s->counters.failures_total[i]);
    }
}

static void put_connections(struct buffer *out, const struct server *s)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } rows[] = {
        { "connections", "gauge", "Open connections." },
        { "connections_accepted_total", "counter", "Connections accepted." },
        { "connections_refused_total", "counter", "Connections over the cap." },
        { "connections_broken_total", "counter", "Connections closed for what they sent." },
    };
    static const char *const ports[] = { "resp", "http" };

    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        put_head(out, rows[k].name, rows[k].type, rows[k].help);
        for (int i = 0; i < 2; i++) {
            uint64_t values[] = { s->counts[i], s->counters.accepted_total[i],
                                  s->counters.refused_total[i], s->counters.broken_total[i] };

            buffer_printf(out, "refkeeper_%s{port=\"%s\"} %llu\n", rows[k].name, ports[i],
                          (unsigned long long)values[k]);
        }
    }
}

static void put_events(struct buffer *out, const struct server *s)
{
    const struct events *e = node_events(s->node);

    put_gauge(out, "events_bytes", "Memory held by events of applied changes.", events_bytes(e));
    put_gauge(out, "events_oldest_index", "First index whose events are kept.", events_oldest(e));
    put_gauge(out, "event_watchers", "Requests and streams that wait for events.", s->waits.count);
    put_counter(out, "event_watchers_slow_total", "Event streams closed: they were not read.",
                s->counters.slow_watchers_total);
}

void metrics_put(struct server *s, struct buffer *out)
{
    struct node_status status;

    node_get_status(s->node, &status);
    put_raft(out, &status);
    put_peers(out, &status);
    put_disk_and_state(out, &status, node_refdb(s->node));
    put_requests(out, s);
    put_connections(out, s);
    put_events(out, s);
    if (s->options.put_metrics != NULL) {
        s->options.put_metrics(s->options.context, out);
    }
}
