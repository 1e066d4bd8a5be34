/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership bytes [docs/DISK_FORMAT.md]:
 *
 *   cluster id 16 B, u8 count, then per member: u64 id, u64 incarnation, u8 flags,
 *   name, peer address, client address, HTTP address (u8 length, bytes each); u32 feature level
 */
#include "model/membership.h"

#include "base/assert.h"

#define MEMBER_FLAGS_ALL (MEMBER_VOTES | MEMBER_PROMOTE | MEMBER_LEAVING)

const struct member *membership_find(const struct membership *m, node_id id)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->members[i].id == id) {
            return &m->members[i];
        }
    }
    return NULL;
}

const struct member *membership_find_name(const struct membership *m, const char *name)
{
    const struct member *found = NULL;

    for (unsigned i = 0; i < m->count; i++) {
        bool is_leaving = (m->members[i].flags & MEMBER_LEAVING) != 0;

        if (strcmp(m->members[i].name, name) == 0 && (found == NULL || !is_leaving)) {
            found = &m->members[i];
        }
    }
    return found;
}

bool member_name_is_valid(struct slice name)
{
    if (name.size == 0 || name.size > NODE_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

bool membership_is_voter(const struct membership *m, node_id id)
{
    const struct member *member = membership_find(m, id);

    return member != NULL && (member->flags & MEMBER_VOTES) != 0;
}

bool membership_is_joint(const struct membership *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        unsigned votes = m->members[i].flags & MEMBER_VOTES;

        if (votes == MEMBER_VOTER || votes == MEMBER_VOTER_OLD) {
            return true;
        }
    }
    return false;
}

unsigned membership_voter_count(const struct membership *m)
{
    unsigned count = 0;

    for (unsigned i = 0; i < m->count; i++) {
        count += (m->members[i].flags & MEMBER_VOTER) != 0;
    }
    return count;
}

/* A name not known yet ("") is nobody's. */
static bool name_is_taken(const struct membership *m, const struct member *member)
{
    const struct member *other = membership_find_name(m, member->name);

    return member->name[0] != '\0' && other != NULL &&
           ((other->flags | member->flags) & MEMBER_LEAVING) == 0;
}

enum rk_status membership_add(struct membership *m, const struct member *member)
{
    unsigned slot = m->count;

    PRE(member->id != 0);
    PRE(m->count <= MEMBERS_MAX);
    if (membership_find(m, member->id) != NULL || name_is_taken(m, member)) {
        return RK_EXISTS;
    }
    if (m->count == MEMBERS_MAX) {
        return RK_TOOLARGE;
    }
    while (slot > 0 && m->members[slot - 1].id > member->id) {
        m->members[slot] = m->members[slot - 1];
        slot--;
    }
    m->members[slot] = *member;
    m->count++;
    return RK_OK;
}

bool membership_is_valid(const struct membership *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        if ((i > 0 && m->members[i].id <= m->members[i - 1].id) || m->members[i].id == 0) {
            return false;
        }
        for (unsigned k = 0; k < i; k++) {
            const struct member *a = &m->members[i];
            const struct member *b = &m->members[k];

            if (strcmp(a->name, b->name) == 0 && a->name[0] != '\0' &&
                ((a->flags | b->flags) & MEMBER_LEAVING) == 0) {
                return false;
            }
        }
    }
    return m->count <= MEMBERS_MAX;
}

bool membership_remove(struct membership *m, node_id id)
{
    unsigned slot = 0;

    while (slot < m->count && m->members[slot].id != id) {
        slot++;
    }
    if (slot == m->count) {
        return false;
    }
    m->count--;
    memmove(&m->members[slot], &m->members[slot + 1], (m->count - slot) * sizeof m->members[0]);
    memset(&m->members[m->count], 0, sizeof m->members[0]);
    return true;
}

void membership_encode(struct buffer *out, const struct membership *m)
{
    PRE(m->count <= MEMBERS_MAX);
    buffer_put(out, m->cluster_id, CLUSTER_ID_BYTES);
    buffer_put_u8(out, (uint8_t)m->count);
    for (unsigned i = 0; i < m->count; i++) {
        const struct member *member = &m->members[i];

        buffer_put_u64(out, member->id);
        buffer_put_u64(out, member->incarnation);
        buffer_put_u8(out, (uint8_t)member->flags);
        buffer_put_text(out, member->name);
        buffer_put_text(out, member->peer_address);
        buffer_put_text(out, member->client_address);
        buffer_put_text(out, member->http_address);
    }
    buffer_put_u32(out, m->feature_level);
}

static void read_member(struct reader *in, struct member *ret_member)
{
    ret_member->id = reader_u64(in);
    ret_member->incarnation = reader_u64(in);
    ret_member->flags = reader_u8(in);
    reader_text(in, ret_member->name, NODE_NAME_BYTES_MAX);
    reader_text(in, ret_member->peer_address, ADDRESS_BYTES_MAX);
    reader_text(in, ret_member->client_address, ADDRESS_BYTES_MAX);
    reader_text(in, ret_member->http_address, ADDRESS_BYTES_MAX);
    if (ret_member->id == 0 || (ret_member->flags & ~(unsigned)MEMBER_FLAGS_ALL) != 0) {
        in->failed = true;
    }
}

enum rk_status membership_decode(struct reader *in, struct membership *ret_m)
{
    struct membership m = { .count = 0 };
    struct slice cluster_id = reader_bytes(in, CLUSTER_ID_BYTES);
    unsigned count = reader_u8(in);
    node_id last_id = 0;

    if (in->failed || count > MEMBERS_MAX) {
        return RK_PROTOCOL;
    }
    memcpy(m.cluster_id, cluster_id.data, CLUSTER_ID_BYTES);
    for (unsigned i = 0; i < count; i++) {
        struct member member = { .id = 0 };

        read_member(in, &member);
        if (in->failed || member.id <= last_id || membership_add(&m, &member) != RK_OK) {
            return RK_PROTOCOL;
        }
        last_id = member.id;
    }
    m.feature_level = reader_u32(in);
    if (in->failed) {
        return RK_PROTOCOL;
    }
    *ret_m = m;
    return RK_OK;
}
