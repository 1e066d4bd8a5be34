/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            start               prepare
 *   OPEN ---------> STARTED ------------> PREPARED
 *    |                 | commit, abort        | commit, abort
 *    | end: commit     v                      v
 *    +-------------> CLOSED <-----------------+      start leads back to STARTED
 *
 * At the end of the input OPEN commits, STARTED and PREPARED are dropped.  `prepare` compares
 * every expected value now; it holds no locks, so `commit` may still be refused.
 */
#include "cli/ref_stdin.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/ref_script.h"

enum state { STATE_OPEN, STATE_STARTED, STATE_PREPARED, STATE_CLOSED };

struct run {
    struct cli *cli;
    struct rk_client *client;
    const char *path;
    const struct rk_write *write;
    enum state state;
    struct rk_ref_change *changes; /* texts owned */
    size_t count, capacity;
};

static void clear(struct run *r)
{
    for (size_t i = 0; i < r->count; i++) {
        heap_free((void *)(uintptr_t)r->changes[i].ref);
        heap_free((void *)(uintptr_t)r->changes[i].old_oid);
        heap_free((void *)(uintptr_t)r->changes[i].new_oid);
    }
    r->count = 0;
}

static char *copy(const char *text)
{
    return heap_copy_text(text, strlen(text));
}

/* The change a command asks for; verify changes nothing: its new value is its old one. */
static void add(struct run *r, const struct ref_command *c)
{
    struct rk_ref_change *change;
    bool is_verify = c->kind == REF_COMMAND_VERIFY;
    bool is_absent = c->kind == REF_COMMAND_CREATE || c->has_old == SCRIPT_OID_ZERO ||
                     (is_verify && c->has_old == SCRIPT_OID_MISSING);

    if (r->count == r->capacity) {
        r->capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
        r->changes = heap_grow(r->changes, r->capacity * sizeof *r->changes);
    }
    change = &r->changes[r->count++];
    change->ref = copy(c->ref);
    change->old_oid = is_absent                        ? copy(RK_ABSENT)
                      : c->has_old == SCRIPT_OID_GIVEN ? copy(c->old_oid)
                                                       : NULL;
    change->new_oid = NULL;
    if (is_verify && !is_absent) {
        change->new_oid = copy(c->old_oid);
    } else if (c->has_new == SCRIPT_OID_GIVEN) {
        change->new_oid = copy(c->new_oid);
    }
}

/* Prints why each refused ref was refused.  Returns the exit code. */
static int report_refusals(struct run *r, const struct rk_ref_results *results,
                           const struct rk_error *first)
{
    if (r->cli->format == OUTPUT_TABLE || r->cli->format == OUTPUT_VALUE) {
        for (size_t i = 0; i < rk_ref_results_count(results); i++) {
            struct rk_error error;
            enum rk_status status = rk_ref_results_get(results, i, &error);

            if (status != RK_OK && status != RK_ABORTED) {
                fprintf(stderr, "%s: %s\n", r->changes[i].ref, error.message);
            }
        }
    }
    return cli_fail(r->cli, first);
}

static int commit(struct run *r)
{
    struct rk_ref_results *results = NULL;
    struct rk_error error;
    enum rk_status status = RK_OK;
    int code = 0;

    if (r->count > 0) {
        status = rk_ref_txn(r->client, r->path, true, r->changes, r->count, r->write, &results,
                            &error);
    }
    if (status != RK_OK) {
        code = results == NULL ? cli_fail(r->cli, &error) : report_refusals(r, results, &error);
    }
    rk_ref_results_free(results);
    clear(r);
    return code;
}

/* Compares what each ref is at with what the script expects. */
static int prepare(struct run *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct rk_ref_change *change = &r->changes[i];
        char oid[RK_OID_TEXT_MAX + 1] = RK_ABSENT;
        struct rk_error error;
        enum rk_status status = rk_ref_get(r->client, r->path, change->ref, NULL, oid, &error);

        if (status != RK_OK && status != RK_NOREF) {
            return cli_fail(r->cli, &error);
        }
        if (change->old_oid != NULL && strcmp(change->old_oid, oid) != 0) {
            return cli_fail_text(r->cli, RK_CONFLICT, "CONFLICT: %s: expected %s, it is at %s",
                                 change->ref, change->old_oid, oid);
        }
    }
    return 0;
}

static int refuse(struct run *r, const char *text)
{
    return cli_fail_text(r->cli, RK_BADARG, "%s", text);
}

/* start, prepare, commit, abort: each answered on stdout. */
static int control(struct run *r, enum ref_command_kind kind)
{
    int code = 0;

    if (kind == REF_COMMAND_START) {
        if (r->state == STATE_STARTED || r->state == STATE_PREPARED) {
            return refuse(r, "start: a transaction is going on; commit or abort it first");
        }
        if (r->count > 0) {
            return refuse(r, "start: changes came before it");
        }
        r->state = STATE_STARTED;
        puts("start: ok");
    } else if (r->state == STATE_CLOSED) {
        return refuse(r, "the transaction is closed; start another one first");
    } else if (kind == REF_COMMAND_PREPARE) {
        if (r->state == STATE_PREPARED) {
            return refuse(r, "prepare: it is prepared already");
        }
        code = prepare(r);
        r->state = STATE_PREPARED;
        fputs(code == 0 ? "prepare: ok\n" : "", stdout);
    } else if (kind == REF_COMMAND_COMMIT) {
        code = commit(r);
        r->state = STATE_CLOSED;
        fputs(code == 0 ? "commit: ok\n" : "", stdout);
    } else {
        clear(r);
        r->state = STATE_CLOSED;
        puts("abort: ok");
    }
    /* The other end of a pipe waits for the answer. */
    return fflush(stdout) != 0 && code == 0 ? EXIT_OTHER : code;
}

static int execute(struct run *r, const struct ref_command *c)
{
    if (c->kind == REF_COMMAND_OPTION) {
        return 0;
    }
    if (c->kind >= REF_COMMAND_START) {
        return control(r, c->kind);
    }
    if (r->state == STATE_PREPARED) {
        return refuse(r, "a prepared transaction can only be committed or aborted");
    }
    if (r->state == STATE_CLOSED) {
        return refuse(r, "the transaction is closed; start another one first");
    }
    add(r, c);
    return 0;
}

int ref_stdin_run(struct cli *cli, const char *path, bool is_nul, const struct rk_write *write)
{
    struct errmsg why = ERRMSG_INIT;
    struct ref_command c = { .kind = REF_COMMAND_END };
    struct ref_script script;
    struct run r = { .cli = cli, .path = path, .write = write };
    int code = 0;

    r.client = cli_client(cli, &code);
    if (r.client == NULL) {
        return code;
    }
    ref_script_init(&script, stdin, is_nul);
    do {
        enum rk_status status = ref_script_next(&script, &c, &why);

        if (status != RK_OK) {
            code = cli_fail_text(cli, status, "%s", why.text);
        } else if (c.kind != REF_COMMAND_END) {
            code = execute(&r, &c);
        }
    } while (code == 0 && c.kind != REF_COMMAND_END);
    if (code == 0 && r.state == STATE_OPEN) {
        code = commit(&r);
    }
    ref_script_release(&script);
    clear(&r);
    heap_free(r.changes);
    return code;
}
