/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a set of refs (support/ref_set.h) into a cluster through librefkeeper, or holds what the
 * cluster has against it.
 *
 *   ref_load load|verify ENDPOINTS SHAPE REFS REFS_PER_REPOSITORY [FIRST]
 *
 * load: many requests in flight on one connection; every reply is looked at.  FIRST: the refs
 * before it are there already.  verify: the number of refs and the digest of every repository, and
 * single refs read one by one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <refkeeper/client.h>

#include "base/heap.h"
#include "refdb/digest.h"
#include "support/ref_set.h"

#define SEED 1
#define BATCH 1000     /* refs of one transaction */
#define IN_FLIGHT 1024 /* requests; small ones */
#define IN_FLIGHT_REFS 16000
#define SPOT_CHECKS 10000
#define STORAGE "s1"

struct loader {
    struct rk_client *client;
    struct rk_pipeline *pipeline;
    struct ref_set set;
    uint64_t first;
    uint64_t refs_in_flight;
    uint64_t batches[IN_FLIGHT]; /* refs of each request in flight, 0 = a registration */
    uint64_t sent, answered;
    uint64_t created;
};

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* ---- Loading ---- */

static void take_reply(struct loader *l)
{
    struct rk_error error;
    struct rk_reply *reply = NULL;
    uint64_t refs = l->batches[l->answered++ % IN_FLIGHT];

    if (rk_pipeline_next(l->pipeline, &reply, &error) != RK_OK) {
        give_up("read a reply", error.message);
    }
    if (reply->type == RK_REPLY_ERROR) {
        give_up("refused", reply->text);
    }
    for (size_t i = 0; refs > 0 && reply->type == RK_REPLY_ARRAY && i < reply->count; i++) {
        if (reply->items[i]->type == RK_REPLY_ERROR) {
            give_up("refused", reply->items[i]->text);
        }
        l->created++;
    }
    l->refs_in_flight -= refs;
    rk_reply_free(reply);
}

static void send_request(struct loader *l, int argc, const char **argv, uint64_t refs)
{
    struct rk_error error;

    while (l->sent - l->answered == IN_FLIGHT || l->refs_in_flight > IN_FLIGHT_REFS) {
        take_reply(l);
    }
    rk_pipeline_append(l->pipeline, argc, argv, NULL);
    l->batches[l->sent++ % IN_FLIGHT] = refs;
    l->refs_in_flight += refs;
    if (l->sent % 64 == 0 && rk_pipeline_flush(l->pipeline, &error) != RK_OK) {
        give_up("send", error.message);
    }
}

static void send_registration(struct loader *l, uint64_t repository)
{
    char path[REF_SET_TEXT_MAX];
    const char *argv[] = { "REPO.REGISTER", path, STORAGE };

    (void)ref_set_path(&l->set, repository, path);
    send_request(l, 3, argv, 0);
}

/* Words of one transaction, and room for what they point to. */
struct transaction {
    const char *argv[4 + 3 * BATCH];
    char path[REF_SET_TEXT_MAX], count[24];
    char names[BATCH][REF_SET_TEXT_MAX], oids[BATCH][OID_HEX_BYTES_MAX + 1];
};

static void send_refs(struct loader *l, struct transaction *t, uint64_t first, uint64_t count)
{
    int argc = 4;

    t->argv[0] = "REF.TXN";
    t->argv[1] = t->path;
    t->argv[2] = "INDEPENDENT";
    t->argv[3] = t->count;
    (void)ref_set_path(&l->set, ref_set_repository_of(&l->set, first), t->path);
    (void)snprintf(t->count, sizeof t->count, "%" PRIu64, count);
    for (uint64_t i = 0; i < count; i++) {
        struct oid oid = ref_set_oid(&l->set, first + i, 0);

        (void)ref_set_name(&l->set, first + i, t->names[i]);
        oid_format(&oid, t->oids[i]);
        t->argv[argc++] = t->names[i];
        t->argv[argc++] = "ABSENT";
        t->argv[argc++] = t->oids[i];
    }
    send_request(l, argc, t->argv, count);
}

static void load(struct loader *l)
{
    struct transaction *t = heap_new(struct transaction);
    uint64_t per = l->set.refs_per_repository;
    struct rk_error error;
    double start = seconds();

    if (rk_pipeline_open(l->client, &l->pipeline, &error) != RK_OK) {
        give_up("connect", error.message);
    }
    for (uint64_t r = l->first / per; r < ref_set_repository_count(&l->set); r++) {
        send_registration(l, r);
        for (uint64_t i = r * per < l->first ? l->first - r * per : 0; i < per; i += BATCH) {
            send_refs(l, t, r * per + i, per - i < BATCH ? per - i : BATCH);
        }
    }
    while (l->answered < l->sent) {
        take_reply(l);
    }
    rk_pipeline_close(l->pipeline);
    heap_free(t);
    if (l->created != l->set.ref_count - l->first) {
        give_up("load", "not every ref was answered");
    }
    printf("%" PRIu64 " refs, %.1f s, %.0f refs/s\n", l->created, seconds() - start,
           (double)l->created / (seconds() - start));
}

/* ---- Verifying ---- */

struct checking {
    const struct ref_set *set;
    uint64_t seen; /* repositories of the set, in any order */
};

/* What the digest of that repository must be, from the set alone. */
static void expected_digest(const struct ref_set *set, uint64_t repository, char ret_hex[33])
{
    struct digest sum = DIGEST_ZERO;
    char name[REF_SET_TEXT_MAX];
    uint8_t bytes[DIGEST_BYTES];

    for (uint64_t i = 0; i < set->refs_per_repository; i++) {
        uint64_t n = repository * set->refs_per_repository + i;
        struct oid oid = ref_set_oid(set, n, 0);

        digest_add(&sum, digest_ref(ref_set_name(set, n, name), &oid));
    }
    digest_store(sum, bytes);
    for (unsigned i = 0; i < DIGEST_BYTES; i++) {
        (void)snprintf(ret_hex + 2 * (size_t)i, 3, "%02x", bytes[i]);
    }
}

/* The number of a repository follows from its path: its last digits, or 0. */
static uint64_t repository_of_path(const char *path)
{
    const char *dash = strrchr(path, '-');

    return dash == NULL ? 0 : strtoull(dash + 1, NULL, 10);
}

static int check_repository(void *context, const char *path, const struct rk_reply *map)
{
    struct checking *c = context;
    uint64_t repository = c->set->shape == REF_SHAPE_SMALL ? repository_of_path(path) : 0;
    char expected[REF_SET_TEXT_MAX], hex[33];

    (void)ref_set_path(c->set, repository, expected);
    if (strcmp(path, expected) != 0) {
        return 0; /* not of this set */
    }
    expected_digest(c->set, repository, hex);
    if (rk_reply_get_number(map, "refs") != c->set->refs_per_repository ||
        strcmp(rk_reply_get_text(map, "digest"), hex) != 0) {
        give_up(path, "has other refs than were put there");
    }
    c->seen++;
    return 0;
}

static void check_single_refs(struct loader *l)
{
    char path[REF_SET_TEXT_MAX], name[REF_SET_TEXT_MAX], hex[OID_HEX_BYTES_MAX + 1];
    const char *argv[] = { "REF.GET", path, name, "STALE" };
    struct rk_reply *reply;
    struct rk_error error;
    uint64_t count = l->set.ref_count < SPOT_CHECKS ? l->set.ref_count : SPOT_CHECKS;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t n = ref_set_scattered(&l->set, i * 7919);
        struct oid oid = ref_set_oid(&l->set, n, 0);

        (void)ref_set_path(&l->set, ref_set_repository_of(&l->set, n), path);
        (void)ref_set_name(&l->set, n, name);
        oid_format(&oid, hex);
        if (rk_call(l->client, RK_CALL_READ, 4, argv, NULL, &reply, &error) != RK_OK) {
            give_up(name, error.message);
        }
        if (reply->type != RK_REPLY_TEXT || strcmp(reply->text, hex) != 0) {
            give_up(name, "is not what was put there");
        }
        rk_reply_free(reply);
    }
}

static void verify(struct loader *l)
{
    struct checking c = { .set = &l->set };
    struct rk_error error;
    double start = seconds();

    if (rk_repo_list(l->client, NULL, check_repository, &c, &error) != RK_OK) {
        give_up("list repositories", error.message);
    }
    if (c.seen != ref_set_repository_count(&l->set)) {
        give_up("verify", "repositories are missing");
    }
    check_single_refs(l);
    printf("%" PRIu64 " digests of repositories and %d refs are right, %.1f s\n", c.seen,
           SPOT_CHECKS, seconds() - start);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: ref_load load|verify ENDPOINTS SHAPE REFS REFS_PER_REPOSITORY [FIRST]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct loader *l = heap_new(struct loader);
    struct rk_options *options = rk_options_new();
    struct rk_error error;
    enum ref_shape shape;

    if (argc < 6 || argc > 7 || !ref_shape_find(argv[3], &shape)) {
        return usage();
    }
    l->first = argc == 7 ? strtoull(argv[6], NULL, 10) : 0;
    l->set = ref_set_of(shape, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), SEED);
    rk_options_set_timeout_ms(options, 60000);
    if (rk_options_set_endpoints(options, argv[2], &error) != RK_OK ||
        rk_client_open(options, &l->client, &error) != RK_OK) {
        give_up("connect", error.message);
    }
    if (strcmp(argv[1], "load") == 0) {
        load(l);
    } else if (strcmp(argv[1], "verify") == 0) {
        verify(l);
    } else {
        return usage();
    }
    rk_client_close(l->client);
    rk_options_free(options);
    heap_free(l);
    return 0;
}
