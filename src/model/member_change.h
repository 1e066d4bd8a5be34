/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator wants changed about the cluster itself: its members, and who leads.
 *
 * A wish, not yet a membership: the leader makes one of it (node/changes.h), so that whoever
 * asks need not know the others' ids, incarnations or roles.
 */
#ifndef MODEL_MEMBER_CHANGE_H
#define MODEL_MEMBER_CHANGE_H

#include "base/limits.h"

enum member_change_kind {
    MEMBER_CHANGE_ADD = 1,     /* a new member; it votes once it has caught up */
    MEMBER_CHANGE_ADD_LEARNER, /* ... or not before it is promoted */
    MEMBER_CHANGE_PROMOTE,     /* a learner that has caught up shall vote */
    MEMBER_CHANGE_REMOVE,
    MEMBER_CHANGE_REPLACE, /* a new data directory under an old name; the old one goes then */
    MEMBER_CHANGE_UPDATE,  /* another peer address */
    MEMBER_CHANGE_LEADER,  /* the leader hands its office over */
    MEMBER_CHANGE_KIND_COUNT,
};

struct member_change {
    enum member_change_kind kind;
    char name[NODE_NAME_BYTES_MAX + 1];       /* of LEADER: "" = whoever is furthest */
    char peer_address[ADDRESS_BYTES_MAX + 1]; /* of ADD, UPDATE; of REPLACE: "" = as before */
};

#endif
