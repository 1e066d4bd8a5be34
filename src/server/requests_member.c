/* SPDX-License-Identifier: Apache-2.0 */
/* The members, and changes of them. */
#include "base/assert.h"
#include "server/request.h"
#include "server/server.h"

/* ---- MEMBER.LIST ---- */

static const struct raft_peer_status *find_progress(const struct raft_status *raft, node_id id)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].id == id) {
            return &raft->peers[i];
        }
    }
    return NULL;
}

static bool is_connected(const struct node_status *status, node_id id)
{
    for (size_t i = 0; i < status->peer_count; i++) {
        if (status->peers[i].id == id) {
            return status->peers[i].is_connected;
        }
    }
    return id == status->id;
}

/* What is to become of it. */
static const char *change_of(const struct member *member)
{
    switch (member->flags & MEMBER_VOTES) {
    case MEMBER_VOTER:
        return "becoming a voter";
    case MEMBER_VOTER_OLD:
        return "being removed";
    default:
        break;
    }
    if ((member->flags & MEMBER_LEAVING) != 0) {
        return "to be replaced";
    }
    return (member->flags & MEMBER_PROMOTE) != 0 ? "catching up" : "";
}

static void put_member(const struct member *member, const struct node_status *status,
                       struct sink *s)
{
    const struct raft_peer_status *progress = find_progress(&status->raft, member->id);
    bool is_voter = (member->flags & (MEMBER_VOTER | MEMBER_VOTER_OLD)) != 0;

    sink_field(s, "name");
    sink_c_text(s, member->name);
    sink_field(s, "id");
    sink_id(s, member->id);
    sink_field(s, "kind");
    sink_c_text(s, is_voter ? "voter" : "learner");
    sink_field(s, "change");
    sink_c_text(s, change_of(member));
    sink_field(s, "is_leader");
    sink_bool(s, member->id == status->raft.leader);
    sink_field(s, "is_connected");
    sink_bool(s, is_connected(status, member->id));
    sink_field(s, "peer");
    sink_c_text(s, member->peer_address);
    sink_field(s, "client");
    sink_c_text(s, member->client_address);
    sink_field(s, "http");
    sink_c_text(s, member->http_address);
    sink_field(s, "match_index");
    if (member->id == status->id) {
        sink_number(s, status->raft.durable_index);
    } else if (progress != NULL) {
        sink_number(s, progress->match_index);
    } else {
        sink_nil(s);
    }
    sink_field(s, "is_caught_up");
    if (member->id == status->id) {
        sink_bool(s, true);
    } else if (progress != NULL) {
        sink_bool(s, progress->is_caught_up);
    } else {
        sink_nil(s);
    }
}

static void list_members(const struct request_context *c, const struct request *r, struct sink *s)
{
    const struct membership *members = node_membership(c->node);
    struct node_status status;

    struct failure why;

    (void)r;
    node_get_status(c->node, &status);
    if (status.is_removed) { /* it learns of no change any more */
        failure_of_node(&why, c->node, RK_NOMEMBER);
        sink_failure(s, &why);
        return;
    }
    sink_field(s, "members");
    sink_begin(s, SINK_LIST);
    for (unsigned i = 0; members != NULL && i < members->count; i++) {
        sink_begin(s, SINK_MAP);
        put_member(&members->members[i], &status, s);
        sink_end(s);
    }
    sink_end(s);
}

/* ---- Changes ---- */

static void copy(char *to, size_t bytes_max, struct slice from)
{
    PRE(from.size <= bytes_max);
    if (from.size > 0) {
        memcpy(to, from.data, from.size);
    }
    to[from.size] = '\0';
}

static void fill(const struct request *r, enum member_change_kind kind, struct member_change *c)
{
    c->kind = kind;
    copy(c->name, NODE_NAME_BYTES_MAX, r->member);
    copy(c->peer_address, ADDRESS_BYTES_MAX, r->peer_address);
}

static void change_add(const struct request *r, struct member_change *ret_change)
{
    bool is_learner = (r->given & FIELD_BIT(FIELD_LEARNER)) != 0;

    fill(r, is_learner ? MEMBER_CHANGE_ADD_LEARNER : MEMBER_CHANGE_ADD, ret_change);
}

static void change_promote(const struct request *r, struct member_change *ret_change)
{
    fill(r, MEMBER_CHANGE_PROMOTE, ret_change);
}

static void change_remove(const struct request *r, struct member_change *ret_change)
{
    fill(r, MEMBER_CHANGE_REMOVE, ret_change);
}

static void change_replace(const struct request *r, struct member_change *ret_change)
{
    fill(r, MEMBER_CHANGE_REPLACE, ret_change);
}

static void change_update(const struct request *r, struct member_change *ret_change)
{
    fill(r, MEMBER_CHANGE_UPDATE, ret_change);
}

static void change_leader(const struct request *r, struct member_change *ret_change)
{
    fill(r, MEMBER_CHANGE_LEADER, ret_change);
}

/* [word]: an address, or a member's name, that may be left out. */
static enum rk_status parse_optional(struct arguments *a, struct request *r,
                                     enum request_field field, struct failure *why)
{
    return arguments_left(a) == 0 ? RK_OK : request_set_field(r, field, arguments_take(a), why);
}

static enum rk_status parse_peer(struct arguments *a, struct request_scratch *scratch,
                                 struct request *r, struct failure *why)
{
    (void)scratch;
    return parse_optional(a, r, FIELD_PEER, why);
}

static enum rk_status parse_member(struct arguments *a, struct request_scratch *scratch,
                                   struct request *r, struct failure *why)
{
    (void)scratch;
    return parse_optional(a, r, FIELD_MEMBER, why);
}

const struct request_type requests_member[] = {
    {
        .name = "MEMBER.LIST",
        .kind = REQUEST_LOCAL,
        .scope = SERVER_MAY_READ,
        .arguments = "",
        .summary = "The members of the cluster as this node knows them",
        .local = list_members,
    },
    {
        .name = "MEMBER.ADD",
        .kind = REQUEST_CHANGE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name peer-address [LEARNER]",
        .summary = "Admits a node; it votes once it has caught up, unless LEARNER",
        .positions = { FIELD_MEMBER, FIELD_PEER },
        .position_count = 2,
        .options = FIELD_BIT(FIELD_LEARNER),
        .change = change_add,
    },
    {
        .name = "MEMBER.PROMOTE",
        .kind = REQUEST_CHANGE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name",
        .summary = "Lets a learner vote that has caught up",
        .positions = { FIELD_MEMBER },
        .position_count = 1,
        .change = change_promote,
    },
    {
        .name = "MEMBER.REMOVE",
        .kind = REQUEST_CHANGE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name",
        .summary = "Removes a member, unless the cluster would lose its quorum",
        .positions = { FIELD_MEMBER },
        .position_count = 1,
        .change = change_remove,
    },
    {
        .name = "MEMBER.REPLACE",
        .kind = REQUEST_CHANGE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name [peer-address]",
        .summary = "Admits an empty data directory in the place of a dead or wiped one",
        .positions = { FIELD_MEMBER },
        .position_count = 1,
        .parse = parse_peer,
        .change = change_replace,
    },
    {
        .name = "MEMBER.UPDATE",
        .kind = REQUEST_CHANGE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name peer-address",
        .summary = "Changes where a member is reached by the others",
        .positions = { FIELD_MEMBER, FIELD_PEER },
        .position_count = 2,
        .change = change_update,
    },
    {
        .name = "LEADER.MOVE",
        .kind = REQUEST_CHANGE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "[name]",
        .summary = "Hands the leader's office to a voter, without a name to the furthest",
        .parse = parse_member,
        .change = change_leader,
    },
    { .name = NULL },
};
