/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of servers, as carried by a membership entry and by snapshots.
 *
 * A joint membership [thesis 4.3] has members that vote only in the old half, only in
 * the new half, or in both.  Outside a joint change both halves are equal.  A member
 * that votes in neither is a learner: it receives entries and answers votes, and never
 * counts.  A member on its way out may share its name with the one that replaces it.
 */
#ifndef MODEL_MEMBERSHIP_H
#define MODEL_MEMBERSHIP_H

#include "base/bytes.h"
#include "base/limits.h"
#include "model/types.h"

enum member_flags {
    MEMBER_VOTER = 1 << 0,     /* votes in the newest half (C_new) */
    MEMBER_VOTER_OLD = 1 << 1, /* votes in the old half (C_old) */
    MEMBER_PROMOTE = 1 << 2,   /* a learner that is to vote once it has caught up */
    MEMBER_LEAVING = 1 << 3,   /* goes when the next learner is promoted */
};

#define MEMBER_VOTES (MEMBER_VOTER | MEMBER_VOTER_OLD)

struct member {
    node_id id;
    uint64_t incarnation; /* of its data directory; 0 = not known yet */
    unsigned flags;
    char name[NODE_NAME_BYTES_MAX + 1];
    char peer_address[ADDRESS_BYTES_MAX + 1];   /* host:port */
    char client_address[ADDRESS_BYTES_MAX + 1]; /* RESP, "" = not known */
    char http_address[ADDRESS_BYTES_MAX + 1];   /* "" = not known */
};

struct membership {
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    uint32_t feature_level; /* what all members know and so the log may hold; never falls */
    unsigned count;
    struct member members[MEMBERS_MAX]; /* sorted by id, ids unique */
};

/*
 * Ids never come again: the first members have 1, 2 ..., whoever is added later the index of the
 * entry that adds it, moved beyond those.
 */
#define MEMBER_ID_AT(index) ((node_id)(index) + MEMBERS_MAX)
/* The entry from which on memberships may have this id. */
#define MEMBER_ADDED_AT(id) ((id) > MEMBERS_MAX ? (raft_index)(id)-MEMBERS_MAX : 1)

/* NULL when there is no such member. */
const struct member *membership_find(const struct membership *m, node_id id);
/* Of two with one name the one that stays. */
const struct member *membership_find_name(const struct membership *m, const char *name);

/* 1 to 63 letters, digits, ".", "_", "-". */
bool member_name_is_valid(struct slice name);

bool membership_is_voter(const struct membership *m, node_id id); /* in either half */
bool membership_is_joint(const struct membership *m);             /* the halves differ */
unsigned membership_voter_count(const struct membership *m);      /* of the newest half */

/* In order, ids unique, and names among those that stay. */
bool membership_is_valid(const struct membership *m);

/* Keeps the order by id.  Errors: EXISTS (id taken, or name by one that stays), TOOLARGE. */
enum rk_status membership_add(struct membership *m, const struct member *member) MUST_USE;
/* False when there is no such member. */
bool membership_remove(struct membership *m, node_id id);

/* The body of a membership command and the block in snapshots and the state file. */
void membership_encode(struct buffer *out, const struct membership *m);

/* Refuses unsorted or duplicate ids, counts over MEMBERS_MAX, unterminated names.
 * Errors: PROTOCOL. */
enum rk_status membership_decode(struct reader *in, struct membership *ret_m) MUST_USE;

#endif
