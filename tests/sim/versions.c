/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of different versions.  An older binary is ours with less in it: it says a lower
 * feature level in its HELLO, and what came after that level it does not decode, wherever it
 * meets it - from a client, a peer, or its own log.  The program is linked with --wrap for the
 * two decoders.
 */
#include "model/command.h"
#include "node/node_internal.h"
#include "sim/sim.h"

enum rk_status __wrap_command_decode(struct slice bytes, struct command *ret_command);
enum rk_status __real_command_decode(struct slice bytes, struct command *ret_command);

enum rk_status __wrap_command_decode(struct slice bytes, struct command *ret_command)
{
    enum rk_status status = __real_command_decode(bytes, ret_command);
    bool is_old = sim->current != NULL && sim->current->feature_level < FEATURE_LEVEL_NEWEST;

    return status == RK_OK && is_old &&
                   command_feature_level(ret_command) > sim->current->feature_level
               ? RK_UNSUPPORTED
               : status;
}

enum rk_status __wrap_message_decode(struct message_decoder *decoder, struct slice payload,
                                     struct message *ret_message);
enum rk_status __real_message_decode(struct message_decoder *decoder, struct slice payload,
                                     struct message *ret_message);

/* It would take such a message for a malformed one and close the connection, again and again. */
enum rk_status __wrap_message_decode(struct message_decoder *decoder, struct slice payload,
                                     struct message *ret_message)
{
    enum rk_status status = __real_message_decode(decoder, payload, ret_message);

    if (sim->current->feature_level < FEATURE_LEVEL_PROMISES && status == RK_OK &&
        ret_message->type == MESSAGE_APPEND_ENTRIES_REPLY &&
        ret_message->u.append_entries_reply.promised_ms != 0) {
        sim_fail("%s, of level %u, is sent a promise", sim->current->name,
                 sim->current->feature_level);
    }
    return status;
}

/* What is in force was raised only when all members knew it. */
void versions_turn(const struct machine *m)
{
    uint32_t level = raft_membership(m->node->raft)->feature_level;

    if (level > m->feature_level) {
        sim_fail("%s knows features of level %u, and goes by level %u", m->name, m->feature_level,
                 level);
    }
}

void versions_start(void)
{
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        sim->machines[i].installed_level = sim->swarm.is_on[FAULT_MIXED_VERSIONS] && sim_chance(600)
                                               ? (uint32_t)sim_between(0, FEATURE_LEVEL_NEWEST - 1)
                                               : FEATURE_LEVEL_NEWEST;
    }
}

bool versions_upgrade(struct machine *m)
{
    if (m->node == NULL || m->is_banned || m->feature_level == FEATURE_LEVEL_NEWEST) {
        return false;
    }
    m->installed_level = (uint32_t)sim_between(m->feature_level + 1, FEATURE_LEVEL_NEWEST);
    sim_trace("%s is upgraded to level %u", m->name, m->installed_level);
    machine_stop(m);
    return true;
}
