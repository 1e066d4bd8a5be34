/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/no_leader.h"

#include <string.h>

#define ASK_MS 1000 /* the verb has taken its time already */

/* The cluster as one node sees it; a learner elects nobody. */
struct view {
    const char *leader; /* "" = knows none */
    size_t voters, reached;
    struct buffer away; /* names of those not reached, behind commas */
};

static void look(struct view *v, const struct rk_reply *members)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct rk_reply *m = members->items[i];
        const char *name = rk_reply_get_text(m, "name");

        if (rk_reply_get_number(m, "is_leader") != 0) {
            v->leader = name;
        }
        if (strcmp(rk_reply_get_text(m, "kind"), "voter") != 0) {
            continue;
        }
        v->voters++;
        if (rk_reply_get_number(m, "is_connected") != 0) {
            v->reached++;
        } else {
            buffer_printf(&v->away, "%s%s", v->away.size > 0 ? ", " : "", name);
        }
    }
}

static void put_view(struct buffer *out, const char *endpoint, const struct view *v)
{
    if (v->leader[0] != '\0') {
        buffer_printf(out, "%s follows %s", endpoint, v->leader);
        return;
    }
    buffer_printf(out, "%s knows no leader: it reaches %zu of %zu voters", endpoint, v->reached,
                  v->voters);
    if (v->away.size > 0) {
        buffer_printf(out, " (not %.*s)", (int)v->away.size, (const char *)v->away.data);
    }
    buffer_printf(out, "%s",
                  2 * v->reached > v->voters ? "" : ", and none leads without a majority");
}

bool no_leader_explain(const struct cli *cli, struct buffer *out)
{
    struct cli quick = *cli;
    struct view view = { .leader = "", .away = BUFFER_INIT };
    struct rk_reply *members = NULL;
    struct rk_client *client;

    quick.timeout_ms = ASK_MS;
    client = cli_client_of(&quick, cli->endpoints, NULL);
    if (client != NULL && rk_member_list(client, &members, NULL) == RK_OK) {
        look(&view, members);
        put_view(out, rk_client_endpoint(client), &view);
    }
    rk_client_close(client);
    buffer_release(&view.away);
    if (members == NULL) {
        return false;
    }
    rk_reply_free(members);
    return true;
}
