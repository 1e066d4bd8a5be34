/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper agent: keeps a storage's copies what the cluster decided, and says what it holds. */
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "cli/agent.h"
#include "cli/agent_wire.h"
#include "cli/verbs.h"

#define WORKERS_DEFAULT 4
#define WORKERS_MAX 64
#define PATIENCE_MS_DEFAULT 25000 /* the hook takes less, taking its decision back included */
#define RESCAN_MS_DEFAULT (60 * 60 * 1000)

static void start(void *(*run)(void *), void *context)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, run, context);

    INVARIANT(rc == 0);
    (void)pthread_detach(thread);
}

struct listening {
    char *address, *token_file, *cert_file, *key_file;
};

/* Packs of undecided pushes are taken only from who has the token. */
static int open_listener(struct agent *a, const struct listening *l)
{
    struct errmsg why = ERRMSG_INIT;

    a->listener = -1;
    if ((l->cert_file == NULL) != (l->key_file == NULL) ||
        (l->address == NULL && l->cert_file != NULL)) {
        return cli_usage_error(a->cli, "--listen, --listen-cert and --listen-key belong together");
    }
    if (l->address == NULL) {
        return 0;
    }
    if (l->token_file == NULL) {
        return cli_usage_error(a->cli, "--listen needs --token-file");
    }
    if (agent_token_read(l->token_file, &a->token, &why) != RK_OK ||
        (l->cert_file != NULL &&
         agent_tls_server(l->cert_file, l->key_file, &a->tls, &why) != RK_OK)) {
        return cli_fail_text(a->cli, RK_CONFIG, "%s", why.text);
    }
    a->listener = agent_listen(l->address, &why);
    return a->listener >= 0 ? 0 : cli_fail_text(a->cli, RK_IO, "%s", why.text);
}

/* "a:1,b:2" -> one node each. */
static void split_endpoints(struct agent *a, const char *list)
{
    while (*list != '\0' && a->node_count < AGENT_NODES_MAX) {
        size_t size = strcspn(list, ",");

        if (size > 0) {
            a->nodes[a->node_count++] =
                (struct agent_node){ .agent = a, .endpoint = heap_copy_text(list, size) };
        }
        list += size + (list[size] == ',' ? 1 : 0);
    }
}

static void start_threads(struct agent *a)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, &attributes);
    for (uint64_t i = 0; i < a->workers; i++) {
        start(agent_worker, a);
    }
    for (size_t i = 0; i < a->node_count; i++) {
        start(agent_reporter, &a->nodes[i]);
    }
    if (a->listener >= 0) {
        start(agent_receiver, a);
    }
}

int cmd_agent(struct cli *cli, int argc, char **argv)
{
    static struct agent a; /* threads have it until the process ends */
    char *storage = NULL, *root = NULL, *fetch_url = NULL;
    struct listening l = { NULL, NULL, NULL, NULL };
    bool is_init = false, is_lifted = false;
    const struct flag flags[] = {
        { "storage", FLAG_TEXT, &storage },
        { "root", FLAG_TEXT, &root },
        { "fetch-url", FLAG_TEXT, &fetch_url },
        { "workers", FLAG_NUMBER, &a.workers },
        { "rescan", FLAG_DURATION, &a.rescan_ms },
        { "patience", FLAG_DURATION, &a.patience_ms },
        { "listen", FLAG_TEXT, &l.address },
        { "token-file", FLAG_TEXT, &l.token_file },
        { "listen-cert", FLAG_TEXT, &l.cert_file },
        { "listen-key", FLAG_TEXT, &l.key_file },
        { "init", FLAG_BOOL, &is_init },
        { "lift-quarantine", FLAG_BOOL, &is_lifted },
    };
    int code;

    a.workers = WORKERS_DEFAULT;
    a.filter_wanted = 1;
    a.patience_ms = PATIENCE_MS_DEFAULT;
    a.rescan_ms = RESCAN_MS_DEFAULT;
    if (cli_parse(cli, argc, argv, flags, sizeof flags / sizeof flags[0], 0, 0) < 0) {
        return EXIT_USAGE;
    }
    if (storage == NULL || root == NULL || cli->endpoints == NULL) {
        return cli_usage_error(cli, "--storage, --root and --endpoints are needed");
    }
    if (a.workers == 0 || a.workers > WORKERS_MAX) {
        return cli_usage_error(cli, "--workers: 1 to %d", WORKERS_MAX);
    }
    a.cli = cli;
    a.storage = storage;
    a.root = root;
    a.fetch_url = fetch_url;
    (void)cli_actor(cli);
    split_endpoints(&a, cli->endpoints);
    code = agent_state_open(&a, is_init, is_lifted);
    code = code != 0 ? code : open_listener(&a, &l);
    if (code != 0) {
        return code;
    }
    start_threads(&a);
    return agent_follow(&a);
}
