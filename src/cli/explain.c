/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/explain.h"

#include <inttypes.h>

#include "model/command.h"
#include "model/ref_filter.h"

static const char *const kinds[] = {
    [COMMAND_REF_UPDATE] = "ref_update",
    [COMMAND_REGISTER_REPO] = "register_repo",
    [COMMAND_REMOVE_REPO] = "remove_repo",
    [COMMAND_SET_PRIMARY] = "set_primary",
    [COMMAND_NOOP] = "noop",
    [COMMAND_MEMBERSHIP] = "membership",
    [COMMAND_ENVELOPE] = "envelope",
    [COMMAND_CREATE_REPO] = "create_repo",
    [COMMAND_RENAME_REPO] = "rename_repo",
    [COMMAND_SET_HEAD] = "set_head",
    [COMMAND_SET_STATE] = "set_state",
    [COMMAND_REMOVE_REPLICA] = "remove_replica",
    [COMMAND_SET_STORAGE] = "set_storage",
    [COMMAND_REMOVE_STORAGE] = "remove_storage",
    [COMMAND_OPEN_SESSION] = "open_session",
    [COMMAND_SET_LIMITS] = "set_limits",
    [COMMAND_SET_FILTER] = "set_filter",
    [COMMAND_MOVE_PRIMARY] = "move_primary",
};

static const char *kind_of(enum command_tag tag)
{
    return tag < sizeof kinds / sizeof kinds[0] && kinds[tag] != NULL ? kinds[tag] : "unknown";
}

/* A blank and the text. */
static void put(struct buffer *out, struct slice text)
{
    if (out->size > 0) {
        buffer_put_u8(out, ' ');
    }
    buffer_put_slice(out, text);
}

static void put_pair(struct buffer *out, struct slice a, struct slice b)
{
    put(out, a);
    put(out, b);
}

static void put_strings(struct buffer *out, struct slice rest, uint32_t max)
{
    struct slice text;
    uint32_t n = 0;

    while (command_next_string(&rest, &text)) {
        if (n++ == max) {
            buffer_printf(out, " ...");
            return;
        }
        put(out, text);
    }
}

static void put_moves(struct buffer *out, const struct command *c, uint32_t max)
{
    struct slice rest = c->u.move_primary.moves, path;
    raft_index seen_index;
    uint32_t n = 0;

    put(out, c->u.move_primary.storage);
    while (command_next_move(&rest, &path, &seen_index)) {
        if (n++ == max) {
            buffer_printf(out, " ...");
            return;
        }
        put(out, path);
        buffer_printf(out, " seen %llu", (unsigned long long)seen_index);
    }
}

static void put_update(struct buffer *out, const struct ref_update *u)
{
    char hex[OID_HEX_BYTES_MAX + 1];

    put(out, u->refname);
    if (u->old_value == OLD_OID) {
        oid_format(&u->old_oid, hex);
    }
    buffer_printf(out, " %s",
                  u->old_value == OLD_ANY      ? "any"
                  : u->old_value == OLD_ABSENT ? "absent"
                                               : hex);
    if (!u->is_delete) {
        oid_format(&u->new_oid, hex);
    }
    buffer_printf(out, " -> %s", u->is_delete ? "deleted" : hex);
}

static void put_updates(struct buffer *out, const struct command *c, uint32_t max)
{
    struct slice rest = c->u.envelope.items;
    struct ref_update update;
    uint32_t n = 0;

    put(out, c->u.envelope.path);
    buffer_printf(out, " %s, %" PRIu32 " updates:",
                  (c->u.envelope.envelope.flags & ENVELOPE_ATOMIC) != 0 ? "atomic" : "independent",
                  c->u.envelope.count);
    while (command_next_update(&rest, &update)) {
        if (n++ == max) {
            buffer_printf(out, " ...");
            return;
        }
        put_update(out, &update);
        buffer_printf(out, ";");
    }
}

static void put_storage(struct buffer *out, const struct command *c)
{
    static const char *const states[] = { "active", "draining", "down" };
    const unsigned fields = c->u.set_storage.fields;

    put(out, c->u.set_storage.name);
    if ((fields & SET_STORAGE_HTTP) != 0) {
        put_pair(out, slice_of_text("http"), c->u.set_storage.http_address);
    }
    if ((fields & SET_STORAGE_SSH) != 0) {
        put_pair(out, slice_of_text("ssh"), c->u.set_storage.ssh_address);
    }
    if ((fields & SET_STORAGE_ZONE) != 0) {
        put_pair(out, slice_of_text("zone"), c->u.set_storage.zone);
    }
    if ((fields & SET_STORAGE_STATE) != 0) {
        put_pair(out, slice_of_text("state"), slice_of_text(states[c->u.set_storage.state % 3]));
    }
}

static void put_limits(struct buffer *out, const struct command *c)
{
    static const char *const names[LIMIT_COUNT] = { "repositories", "refs", "bytes",
                                                    "repository_refs" };

    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if ((c->u.set_limits.fields & 1U << i) != 0) {
            put(out, slice_of_text(names[i]));
            buffer_printf(out, " %" PRIu64, c->u.set_limits.values[i]);
        }
    }
}

static void put_filter(struct buffer *out, const struct command *c)
{
    struct slice rest = c->u.set_filter.rules;
    struct ref_rule rule;

    while (ref_filter_next(&rest, &rule)) {
        put_pair(out, slice_of_text(rule.is_tracked ? "track" : "ignore"), rule.pattern);
    }
}

static void put_membership(struct buffer *out, struct slice bytes)
{
    struct membership m;

    if (command_membership(bytes, &m) != RK_OK) {
        buffer_printf(out, "not readable");
        return;
    }
    for (unsigned i = 0; i < m.count; i++) {
        const struct member *member = &m.members[i];

        buffer_printf(out, "%s%s %s%s%s", i > 0 ? ", " : "", member->name, member->peer_address,
                      (member->flags & MEMBER_VOTER) != 0 ? " voter" : " learner",
                      (member->flags & MEMBER_VOTER_OLD) != 0 ? " voter_old" : "");
    }
}

static void put_create(struct buffer *out, const struct command *c, uint32_t max)
{
    put_pair(out, c->u.create_repo.path, c->u.create_repo.primary);
    put_strings(out, c->u.create_repo.replicas, max);
    buffer_printf(out, " format %s", object_format_name(c->u.create_repo.format));
    put_pair(out, slice_of_text("head"), c->u.create_repo.head);
}

static void put_command(struct buffer *out, const struct command *c, struct slice bytes,
                        uint32_t max);

static void put_envelope(struct buffer *out, const struct command *c, uint32_t max)
{
    const struct envelope *e = &c->u.envelope.envelope;
    struct command inner;

    if (c->u.envelope.path.size > 0) {
        put_updates(out, c, max);
    } else {
        command_inner(c, &inner);
        buffer_printf(out, "%s", kind_of(inner.tag));
        put_command(out, &inner, c->u.envelope.items, max);
    }
    if ((e->flags & ENVELOPE_HAS_STORAGE) != 0) {
        put_pair(out, slice_of_text("by"), e->storage);
    }
    if ((e->flags & ENVELOPE_HAS_EPOCH) != 0) {
        buffer_printf(out, " epoch %" PRIu64, e->epoch);
    }
    if ((e->flags & ENVELOPE_HAS_ID) != 0) {
        buffer_printf(out, " id %" PRIu64, e->repository_id);
    }
    if ((e->flags & ENVELOPE_FORCE) != 0) {
        put_pair(out, slice_of_text("force"), e->reason);
    }
}

static void put_command(struct buffer *out, const struct command *c, struct slice bytes,
                        uint32_t max)
{
    static const char *const states[] = { "rw", "ro", "frozen" };

    switch (c->tag) {
    case COMMAND_REF_UPDATE:
        put_pair(out, c->u.ref_update.path, c->u.ref_update.refname);
        put_pair(out, c->u.ref_update.old_value, slice_of_text("->"));
        put(out, c->u.ref_update.new_value);
        break;
    case COMMAND_REGISTER_REPO:
        put_pair(out, c->u.register_repo.path, c->u.register_repo.storage);
        break;
    case COMMAND_REMOVE_REPLICA:
        put_pair(out, c->u.remove_replica.path, c->u.remove_replica.storage);
        break;
    case COMMAND_REMOVE_REPO:
        put(out, c->u.remove_repo.path);
        break;
    case COMMAND_SET_PRIMARY:
        put(out, c->u.set_primary.storage);
        put_strings(out, c->u.set_primary.paths, max);
        break;
    case COMMAND_MEMBERSHIP:
        put_membership(out, bytes);
        break;
    case COMMAND_ENVELOPE:
        put_envelope(out, c, max);
        break;
    case COMMAND_CREATE_REPO:
        put_create(out, c, max);
        break;
    case COMMAND_RENAME_REPO:
        put_pair(out, c->u.rename_repo.from, c->u.rename_repo.to);
        break;
    case COMMAND_SET_HEAD:
        put_pair(out, c->u.set_head.path, c->u.set_head.refname);
        break;
    case COMMAND_SET_STATE:
        put_pair(out, c->u.set_state.path, slice_of_text(states[c->u.set_state.state % 3]));
        put(out, c->u.set_state.reason);
        break;
    case COMMAND_SET_STORAGE:
        put_storage(out, c);
        break;
    case COMMAND_REMOVE_STORAGE:
        put(out, c->u.remove_storage.name);
        break;
    case COMMAND_SET_LIMITS:
        put_limits(out, c);
        break;
    case COMMAND_SET_FILTER:
        put_filter(out, c);
        break;
    case COMMAND_MOVE_PRIMARY:
        put_moves(out, c, max);
        break;
    case COMMAND_NOOP:
    case COMMAND_OPEN_SESSION:
        break;
    }
}

enum rk_status explain_entry(const struct entry *entry, uint32_t items_max, struct explanation *e)
{
    struct command c;
    enum rk_status status = command_decode(entry->command, &c);

    *e = (struct explanation){ .kind = "unknown" };
    if (status != RK_OK) {
        return status;
    }
    e->kind = kind_of(c.tag);
    put_command(&e->text, &c, entry->command, items_max);
    if (c.tag == COMMAND_ENVELOPE) {
        const struct envelope *envelope = &c.u.envelope.envelope;

        buffer_put_slice(&e->actor, envelope->actor);
        e->wall_ms = envelope->wall_ms;
        if ((envelope->flags & ENVELOPE_HAS_SESSION) != 0) {
            e->session = envelope->session;
            e->sequence = envelope->sequence;
        }
    }
    buffer_put_u8(&e->actor, '\0');
    buffer_put_u8(&e->text, '\0');
    return RK_OK;
}

void explanation_release(struct explanation *e)
{
    buffer_release(&e->text);
    buffer_release(&e->actor);
}
