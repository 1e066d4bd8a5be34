/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster as this node sees it, and sessions. */
#include "server/request.h"
#include "server/server.h"

/* ---- SESSION.OPEN ---- */

static void encode_open_session(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_OPEN_SESSION };

    request_encode_envelope(r, &command, out);
}

/* ---- CLUSTER.STATUS ---- */

static void put_leader(const struct membership *members, node_id leader, struct sink *s)
{
    const struct member *member = members == NULL ? NULL : membership_find(members, leader);

    sink_field(s, "leader");
    if (member == NULL) {
        sink_nil(s);
    } else {
        sink_c_text(s, member->name);
    }
    sink_field(s, "leader_client");
    if (member == NULL) {
        sink_nil(s);
    } else {
        sink_c_text(s, member->client_address);
    }
}

static void put_log(const struct node_status *status, struct sink *s)
{
    sink_field(s, "commit_index");
    sink_number(s, status->raft.commit_index);
    sink_field(s, "last_log_index");
    sink_number(s, status->raft.log_last_index);
    sink_field(s, "durable_index");
    sink_number(s, status->raft.durable_index);
    sink_field(s, "snapshot_index");
    sink_number(s, status->snapshot_last_index);
    sink_field(s, "snapshot_bytes");
    sink_number(s, status->snapshot_bytes);
    sink_field(s, "snapshot_state_bytes");
    sink_number(s, status->snapshot_state_bytes);
    sink_field(s, "log_bytes");
    sink_number(s, status->log_bytes);
    sink_field(s, "disk_free_bytes");
    sink_number(s, status->disk_free_bytes);
    sink_field(s, "disk_full");
    sink_bool(s, status->is_disk_full);
    sink_field(s, "repairing");
    sink_bool(s, status->is_repairing);
}

static void put_state(const struct refdb *db, struct sink *s)
{
    struct refdb_gauges gauges;
    uint8_t digest[16];

    refdb_get_gauges(db, &gauges);
    refdb_digest(db, digest);
    sink_field(s, "repositories");
    sink_number(s, gauges.repositories);
    sink_field(s, "refs");
    sink_number(s, gauges.refs);
    sink_field(s, "storages");
    sink_number(s, gauges.storages);
    sink_field(s, "sessions");
    sink_number(s, gauges.sessions);
    sink_field(s, "tombstones");
    sink_number(s, gauges.tombstones);
    sink_field(s, "ref_bytes");
    sink_number(s, gauges.ref_bytes);
    sink_field(s, "repository_bytes");
    sink_number(s, gauges.repository_bytes);
    sink_field(s, "session_bytes");
    sink_number(s, gauges.session_bytes);
    sink_field(s, "state_bytes");
    sink_number(s, gauges.bytes);
    sink_field(s, "digest");
    sink_hex(s, digest, sizeof(digest));
}

static void show_status(const struct request_context *c, const struct request *r, struct sink *s)
{
    static const char *const checks[] = { "equal", "alarm", "quarantined" };
    struct node_status status;
    const struct membership *members = node_membership(c->node);

    (void)r;
    node_get_status(c->node, &status);
    sink_begin(s, SINK_MAP);
    if (!s->is_json) {
        sink_field(s, "node");
        sink_c_text(s, status.name);
        sink_field(s, "term");
        sink_number(s, status.raft.current_term);
        sink_field(s, "applied_index");
        sink_number(s, status.applied_index);
    }
    sink_field(s, "id");
    sink_id(s, status.id);
    sink_field(s, "cluster_id");
    sink_hex(s, status.cluster_id, sizeof(status.cluster_id));
    sink_field(s, "role");
    sink_c_text(s, raft_role_name(status.raft.role));
    put_leader(members, status.raft.leader, s);
    sink_field(s, "version");
    sink_c_text(s, PACKAGE_VERSION);
    sink_field(s, "is_ready");
    sink_bool(s, status.is_ready);
    sink_field(s, "is_removed");
    sink_bool(s, status.is_removed);
    sink_field(s, "lease_ms");
    sink_number(s, (uint64_t)status.raft.lease_ms);
    sink_field(s, "state_check");
    sink_c_text(s, checks[status.state_check]);
    sink_field(s, "state_differs_index");
    sink_number(s, status.state_differs_index);
    sink_field(s, "feature_level");
    sink_number(s, members == NULL ? 0 : members->feature_level);
    sink_field(s, "members");
    sink_number(s, members == NULL ? 0 : members->count);
    put_log(&status, s);
    put_state(node_refdb(c->node), s);
    sink_field(s, "reports_generation");
    sink_number(s, replicas_generation(node_replicas(c->node)));
    sink_field(s, "reports_withdrawn");
    sink_number(s, replicas_withdrawn(node_replicas(c->node)));
    sink_field(s, "proposals_pending");
    sink_number(s, status.proposals_pending);
    sink_field(s, "uptime_ms");
    sink_number(s, (uint64_t)status.uptime_ms);
    sink_field(s, "leader_contact_ms");
    sink_number(s, (uint64_t)status.leader_contact_ms);
    sink_end(s);
}

static void take_snapshot(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)r;
    sink_field(s, "outcome");
    sink_word(s, node_take_snapshot(c->node) ? "STARTED" : "ALREADY");
}

const struct request_type requests_cluster[] = {
    {
        .name = "SESSION.OPEN",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "[ACTOR text]",
        .summary = "Opens a session, whose id is the reply, for REQID",
        .options = FIELD_BIT(FIELD_ACTOR),
        .encode = encode_open_session,
        .reply = reply_index,
    },
    {
        .name = "CLUSTER.STATUS",
        .kind = REQUEST_LOCAL,
        .scope = SERVER_MAY_READ,
        .arguments = "",
        .summary = "The state of this node",
        .local = show_status,
    },
    {
        .name = "SNAPSHOT.TAKE",
        .kind = REQUEST_LOCAL,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "",
        .summary = "Starts a snapshot; ALREADY when one is under way or nothing is new",
        .local = take_snapshot,
    },
    { .name = NULL },
};
