/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call: attempts until there is an answer or the deadline passes.
 *
 * What an attempt came to, and what follows:
 *
 *   no connection                        next endpoint; given up when none was reached for the
 *                                        dial timeout
 *   connection lost, nothing had left    again
 *   connection lost, bytes may have left read: again.  Write with a session number: again, the
 *                                        outcome is open until an answer.  Else: UNKNOWN
 *   NOLEADER, OVERLOADED, BEHIND         not executed: again elsewhere after a pause
 *   UNKNOWN                              with a session number or for a read: again.  Else: final
 *   EXPIRED                              nothing open: new session, again.  Else: UNKNOWN
 *   any other answer                     final
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "client/client.h"
#include "client/failure.h"
#include "sys/clock.h"

#define ATTEMPT_MS_MIN 1000 /* one attempt gets a third of the time, but at least this */
#define PAUSE_MS_MIN 10
#define PAUSE_MS_MAX 250
#define SESSIONS_TRIED_MAX 3

struct call {
    struct rk_client *client;
    bool is_write;
    bool has_reqid; /* the request carries a session number */
    bool is_open;   /* an earlier attempt may have been executed */
    int64_t deadline_ms;
    int64_t reached_ms; /* when a node was last connected to, or the start */
    int64_t pause_ms;
    unsigned sessions_tried;
    unsigned losses;
    int argc;
    const char **argv;
    const size_t *sizes;
    struct rk_error *error; /* never NULL */
};

static void pause_before_next(struct call *call)
{
    int64_t left = call->deadline_ms - clock_monotonic_ms();
    int64_t ms = call->pause_ms / 2 +
                 (int64_t)rng_below(&call->client->rng, (uint64_t)call->pause_ms / 2 + 1);

    if (left > 0) {
        (void)poll(NULL, 0, (int)(ms < left ? ms : left));
    }
    call->pause_ms = call->pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : call->pause_ms * 2;
}

static int64_t attempt_deadline(const struct call *call)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t part_ms = call->client->timeout_ms / 3;
    int64_t end_ms = now_ms + (part_ms < ATTEMPT_MS_MIN ? ATTEMPT_MS_MIN : part_ms);

    /* A write that cannot be sent again waits for its answer to the end. */
    if ((call->is_write && !call->has_reqid) || end_ms > call->deadline_ms) {
        return call->deadline_ms;
    }
    return end_ms;
}

static void encode(struct call *call, struct buffer *out)
{
    struct rk_client *client = call->client;
    char sequence[24];
    const char **argv;
    size_t *sizes;
    int argc = call->argc;

    if (!call->has_reqid) {
        request_encode(out, argc, call->argv, call->sizes);
        return;
    }
    argv = heap_alloc(((size_t)argc + 4) * sizeof *argv);
    sizes = heap_alloc(((size_t)argc + 4) * sizeof *sizes);
    for (int i = 0; i < argc; i++) {
        argv[i] = call->argv[i];
        sizes[i] = call->sizes == NULL ? strlen(argv[i]) : call->sizes[i];
    }
    /* One write at a time: everything below this one has its answer or was given up. */
    snprintf(sequence, sizeof sequence, "%" PRIu64, client->sequence);
    argv[argc] = "REQID";
    argv[argc + 1] = client->session;
    argv[argc + 2] = sequence;
    argv[argc + 3] = sequence;
    for (int i = argc; i < argc + 4; i++) {
        sizes[i] = strlen(argv[i]);
    }
    request_encode(out, argc + 4, argv, sizes);
    heap_free(argv);
    heap_free(sizes);
}

/* Sends one request and waits for its reply.  *ret_has_left as connection_send. */
static enum rk_status exchange(struct rk_client *client, struct slice request, int64_t deadline_ms,
                               struct rk_reply **ret_reply, bool *ret_has_left,
                               struct rk_error *error)
{
    struct connection *c = client->connection;
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = connection_send(c, request, deadline_ms, ret_has_left, &why);

    if (status == RK_OK) {
        status = connection_receive(c, deadline_ms, ret_reply, &why);
    }
    if (status != RK_OK) {
        const char *endpoint = connection_endpoint(c)->text;

        failure_set(error, status, endpoint, "%s: %s", endpoint, why.text);
        client_disconnect(client);
    }
    return status;
}

/* True when another attempt should be made after a failed connection. */
static bool goes_on_without_connection(struct call *call, enum rk_status status)
{
    int64_t now_ms = clock_monotonic_ms();

    if (status == RK_NOAUTH || status == RK_NOPERM || status == RK_CONFIG) {
        return false;
    }
    if (now_ms - call->reached_ms > call->client->options->dial_timeout_ms) {
        return false;
    }
    pause_before_next(call);
    return clock_monotonic_ms() < call->deadline_ms;
}

/* True when another attempt should be made after a lost connection: the first time at once. */
static bool goes_on_after_loss(struct call *call)
{
    if (call->losses++ > 0) {
        pause_before_next(call);
    }
    return clock_monotonic_ms() < call->deadline_ms;
}

/* True when another attempt should be made after an error reply. */
static bool goes_on_after_reply(struct call *call, enum rk_status status)
{
    switch (status) {
    case RK_NOLEADER:
    case RK_OVERLOADED:
    case RK_BEHIND:
        if (call->client->options->endpoint_count > 1) {
            client_disconnect(call->client);
        }
        break;
    case RK_UNKNOWN:
        if (call->is_write && !call->has_reqid) {
            return false;
        }
        call->is_open = call->is_write;
        break;
    default:
        return false;
    }
    pause_before_next(call);
    return clock_monotonic_ms() < call->deadline_ms;
}

/* The last word of a call that got no final answer. */
static enum rk_status conclude(struct call *call)
{
    struct rk_error *e = call->error;
    char last[400];
    char endpoint[sizeof e->endpoint];

    if (!call->is_open) {
        return e->status;
    }
    snprintf(last, sizeof last, "%.399s", e->message);
    memcpy(endpoint, e->endpoint, sizeof endpoint);
    return failure_set(e, RK_UNKNOWN, endpoint,
                       "UNKNOWN: %s: it may or may not have been executed; read the current state "
                       "before trying again (%s)",
                       rk_status_text(RK_UNKNOWN), last);
}

static enum rk_status run(struct call *call, struct rk_reply **ret_reply)
{
    struct rk_client *client = call->client;
    struct buffer request = BUFFER_INIT;
    enum rk_status status;

    encode(call, &request);
    for (;;) {
        struct rk_reply *reply = NULL;
        bool has_left = false;

        status = client_connect(client, call->deadline_ms, call->error);
        if (status != RK_OK) {
            if (goes_on_without_connection(call, status)) {
                continue;
            }
            break;
        }
        call->reached_ms = clock_monotonic_ms();
        status = exchange(client, buffer_slice(&request), attempt_deadline(call), &reply, &has_left,
                          call->error);
        if (status != RK_OK) {
            call->is_open = call->is_open || (call->is_write && has_left);
            if ((call->is_open && !call->has_reqid) || !goes_on_after_loss(call)) {
                break;
            }
            continue;
        }
        if (reply->type != RK_REPLY_ERROR) {
            *ret_reply = reply;
            break;
        }
        status = failure_parse(call->error, reply->text, reply->size, rk_client_endpoint(client));
        rk_reply_free(reply);
        if (!goes_on_after_reply(call, status)) {
            break;
        }
    }
    buffer_release(&request);
    return status;
}

/* True when an error reply says what became of the write, whatever was open before. */
static bool is_final(enum rk_status status)
{
    return status != RK_NOAUTH && status != RK_NOPERM && status != RK_EXPIRED &&
           rk_status_reaction(status) == RK_FIX_CALL;
}

static void call_begin(struct call *call, struct rk_client *client, bool is_write, int argc,
                       const char **argv, const size_t *sizes, struct rk_error *error)
{
    int64_t now_ms = clock_monotonic_ms();

    *call = (struct call){
        .client = client,
        .is_write = is_write,
        .deadline_ms = now_ms + client->timeout_ms,
        .reached_ms = now_ms,
        .pause_ms = PAUSE_MS_MIN,
        .argc = argc,
        .argv = argv,
        .sizes = sizes,
        .error = error,
    };
}

/* Asks where the leader is and moves there.  Every failure leaves things as they are. */
static void move_to_leader(struct rk_client *client, int64_t deadline_ms)
{
    const char *argv[] = { "CLUSTER.STATUS" };
    struct connection *moved = NULL;
    struct rk_reply *reply = NULL;
    struct endpoint leader;
    struct rk_error error;
    struct call call;
    const char *address;

    call_begin(&call, client, false, 1, argv, NULL, &error);
    call.deadline_ms = deadline_ms;
    client->knows_leader = true;
    if (run(&call, &reply) != RK_OK) {
        return;
    }
    client->knows_leader = true;
    address = rk_reply_get_text(reply, "leader_client");
    if (address[0] != '\0' && endpoint_parse(address, strlen(address), &leader) == RK_OK &&
        strcmp(leader.text, rk_client_endpoint(client)) != 0 &&
        connection_open(client->options, &leader, client->tls,
                        clock_monotonic_ms() + client->options->dial_timeout_ms / 4, &moved,
                        &error) == RK_OK) {
        connection_close(client->connection);
        client->connection = moved;
    }
    rk_reply_free(reply);
}

/* Opens a session unless there is one or the server has none. */
static enum rk_status ensure_session(struct call *write)
{
    struct rk_client *client = write->client;
    const char *argv[] = { "SESSION.OPEN" };
    struct rk_reply *reply = NULL;
    enum rk_status status;
    struct call call;

    if (client->has_no_session || client->session[0] != '\0') {
        return RK_OK;
    }
    /* Opening twice costs an unused session, nothing else: sent again like a read. */
    call_begin(&call, client, false, 1, argv, NULL, write->error);
    call.deadline_ms = write->deadline_ms;
    status = run(&call, &reply);
    if (status == RK_UNSUPPORTED) {
        client->has_no_session = true;
        return RK_OK;
    }
    if (status != RK_OK) {
        return status;
    }
    if (reply->type == RK_REPLY_INTEGER) {
        snprintf(client->session, sizeof client->session, "%" PRId64, reply->integer);
    } else if (reply->type == RK_REPLY_TEXT) {
        snprintf(client->session, sizeof client->session, "%s", reply->text);
    }
    client->sequence = 0;
    rk_reply_free(reply);
    return RK_OK;
}

static enum rk_status prepare(struct call *call)
{
    struct rk_client *client = call->client;

    if (client->options->prefers_leader && !client->knows_leader &&
        client->options->endpoint_count > 1) {
        move_to_leader(client, call->deadline_ms);
    }
    return ensure_session(call);
}

enum rk_status rk_client_prepare_write(struct rk_client *client, struct rk_error *ret_error)
{
    struct rk_error error;
    struct call call;
    enum rk_status status;

    call_begin(&call, client, true, 0, NULL, NULL, &error);
    status = prepare(&call);
    if (status != RK_OK && ret_error != NULL) {
        *ret_error = error;
    }
    return status;
}

static enum rk_status run_write(struct call *call, struct rk_reply **ret_reply)
{
    struct rk_client *client = call->client;
    enum rk_status status;

    do {
        status = prepare(call);
        if (status != RK_OK) {
            return status;
        }
        call->has_reqid = client->session[0] != '\0';
        client->sequence++;
        status = run(call, ret_reply);
        if (status == RK_EXPIRED) {
            client->session[0] = '\0';
        }
    } while (status == RK_EXPIRED && call->has_reqid && !call->is_open &&
             ++call->sessions_tried < SESSIONS_TRIED_MAX);
    return status;
}

enum rk_status rk_call(struct rk_client *client, unsigned flags, int argc, const char **argv,
                       const size_t *sizes, struct rk_reply **ret_reply, struct rk_error *ret_error)
{
    struct rk_error error; /* also of attempts that a later one makes good */
    struct call call;
    enum rk_status status;

    PRE(argc > 0);
    call_begin(&call, client, (flags & (RK_CALL_WRITE | RK_CALL_ONCE)) != 0, argc, argv, sizes,
               &error);
    status = (flags & RK_CALL_WRITE) != 0 ? run_write(&call, ret_reply) : run(&call, ret_reply);
    if (status == RK_OK) {
        return RK_OK;
    }
    if (!is_final(status)) {
        status = conclude(&call);
    }
    if (ret_error != NULL) {
        *ret_error = error;
    }
    return status;
}
