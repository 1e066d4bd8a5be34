/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper bench: how fast is this cluster?  A repository of its own, removed afterwards. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/bench_load.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "sys/entropy.h"

#define PRELOAD_CHUNK 5000
#define STORAGE "bench"

struct bench {
    struct cli *cli;
    struct rk_client *client;
    char path[64];
    uint64_t clients, connections, pipeline, keys, reads;
    struct bench_plan plan;
};

/* The repository with every key at version 1. */
static int preload(struct bench *b)
{
    const struct rk_repo_spec spec = { .path = b->path, .primary = STORAGE, .format = "sha1" };
    const char *fields[] = { "zone", "bench" };
    struct rk_ref_change *changes = heap_alloc(PRELOAD_CHUNK * sizeof *changes);
    char(*names)[48] = heap_alloc(PRELOAD_CHUNK * sizeof *names);
    struct rk_error error;
    char oid[48];
    enum rk_status status = rk_storage_set(b->client, STORAGE, fields, 2, NULL, NULL, &error);

    snprintf(oid, sizeof oid, BENCH_OID_FORMAT, 1ULL);
    if (status == RK_OK) {
        status = rk_repo_create(b->client, &spec, NULL, NULL, &error);
    }
    for (uint64_t k = 0; k < b->keys && status == RK_OK;) {
        struct rk_ref_results *results = NULL;
        size_t n = 0;

        for (; n < PRELOAD_CHUNK && k < b->keys; n++, k++) {
            snprintf(names[n], sizeof names[n], BENCH_REF_FORMAT, (unsigned long long)k);
            changes[n] = (struct rk_ref_change){ names[n], RK_ABSENT, oid };
        }
        status = rk_ref_txn(b->client, b->path, true, changes, n, NULL, &results, &error);
        rk_ref_results_free(results);
    }
    heap_free(changes);
    heap_free(names);
    return status == RK_OK ? 0 : cli_fail(b->cli, &error);
}

static void print_row(struct output *o, const char *what, const struct histogram *h, double seconds)
{
    if (h->total == 0) {
        return;
    }
    output_text(o, what);
    output_number(o, h->total);
    output_real(o, (double)h->total / seconds);
    output_number(o, histogram_percentile(h, 0.5));
    output_number(o, histogram_percentile(h, 0.99));
    output_number(o, histogram_percentile(h, 0.999));
    output_number(o, h->max);
    output_end_row(o);
}

static int report(struct bench *b, const struct bench_result *r)
{
    static const char *const columns[] = { "what",   "count",   "per_second", "p50_us",
                                           "p99_us", "p999_us", "max_us" };
    struct output *o = output_open(b->cli->format, OUTPUT_ROWS, columns, 7);

    print_row(o, "write", &r->writes, r->seconds);
    print_row(o, "read", &r->reads, r->seconds);
    if (output_close(o) != 0) {
        return EXIT_OTHER;
    }
    if (b->cli->format == OUTPUT_TABLE) {
        printf("\n%llu clients over %llu connections, %llu requests each in flight, %llu keys\n",
               (unsigned long long)b->clients, (unsigned long long)b->connections,
               (unsigned long long)b->pipeline, (unsigned long long)b->keys);
    }
    if (r->errors > 0) {
        fprintf(stderr, "refkeeper bench: %llu requests failed, the first with: %s\n",
                (unsigned long long)r->errors, r->first_error);
        return EXIT_OTHER;
    }
    return 0;
}

/* The options of the client again: the load has connections of its own. */
static int run(struct bench *b)
{
    struct bench_result *result = heap_new(struct bench_result);
    struct rk_options *options = rk_options_new();
    struct errmsg why = ERRMSG_INIT;
    struct cli *cli = b->cli;
    struct rk_error error;
    int code = 0;

    rk_options_set_timeout_ms(options, cli->timeout_ms);
    rk_options_set_auth(options, cli->user, cli->password);
    if (cli->ca_file != NULL || cli->cert_file != NULL) {
        rk_options_set_tls(options, cli->ca_file, cli->cert_file, cli->key_file, cli->server_name);
    }
    if (cli->endpoints != NULL &&
        rk_options_set_endpoints(options, cli->endpoints, &error) != RK_OK) {
        code = cli_fail(cli, &error);
    }
    if (code == 0 && options->uses_tls && tls_context_new(options, &b->plan.tls, &why) != RK_OK) {
        code = cli_fail_text(cli, RK_CONFIG, "%s", why.text);
    }
    b->plan.options = options;
    if (code == 0) {
        code = bench_load(&b->plan, result, &error) != RK_OK ? cli_fail(cli, &error)
                                                             : report(b, result);
    }
    tls_context_free(b->plan.tls);
    rk_options_free(options);
    heap_free(result);
    return code;
}

static bool check(struct bench *b)
{
    b->connections = b->connections == 0 ? b->clients : b->connections;
    if (b->clients == 0 || b->clients > 100000 || b->connections > b->clients || b->pipeline == 0 ||
        b->pipeline > 10000 || b->reads > 100) {
        (void)cli_usage_error(b->cli, "--clients 1..100000, --connections at most that, --pipeline "
                                      "1..10000, --reads 0..100 (percent)");
        return false;
    }
    b->plan.connections = (unsigned)b->connections;
    b->plan.in_flight = (unsigned)((b->clients + b->connections - 1) / b->connections *
                                   b->pipeline);
    /* Two writes of one key never fly at once: the second would not know what to expect. */
    if (b->keys < (uint64_t)b->plan.in_flight * b->connections) {
        b->keys = (uint64_t)b->plan.in_flight * b->connections;
    }
    b->plan.keys = b->keys;
    b->plan.read_percent = (unsigned)b->reads;
    b->plan.path = b->path;
    return true;
}

int cmd_bench(struct cli *cli, int argc, char **argv)
{
    struct bench b = { .cli = cli, .clients = 64, .pipeline = 1, .keys = 100000 };
    bool is_kept = false;
    const struct flag flags[] = { { "clients", FLAG_NUMBER, &b.clients },
                                  { "connections", FLAG_NUMBER, &b.connections },
                                  { "pipeline", FLAG_NUMBER, &b.pipeline },
                                  { "keys", FLAG_NUMBER, &b.keys },
                                  { "reads", FLAG_NUMBER, &b.reads },
                                  { "duration", FLAG_DURATION, &b.plan.duration_ms },
                                  { "warmup", FLAG_DURATION, &b.plan.warmup_ms },
                                  { "stale", FLAG_BOOL, &b.plan.is_stale },
                                  { "keep", FLAG_BOOL, &is_kept } };
    int code = EXIT_USAGE;

    b.plan.duration_ms = 10000;
    b.plan.warmup_ms = 1000;
    if (cli_parse(cli, argc, argv, flags, 9, 0, 0) < 0 || !check(&b)) {
        return EXIT_USAGE;
    }
    b.client = cli_client(cli, &code);
    if (b.client == NULL) {
        return code;
    }
    snprintf(b.path, sizeof b.path, "bench/%016llx.git", (unsigned long long)entropy_u64());
    code = preload(&b);
    if (code == 0) {
        code = run(&b);
    }
    if (!is_kept) {
        (void)rk_repo_remove(b.client, b.path, NULL, NULL, NULL);
    }
    return code;
}
