/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/rng.h"
#include "client/connection.h"
#include "client/failure.h"
#include "client/transport.h"
#include "sys/clock.h"

#define INPUT_BYTES (64 * 1024)
#define DRAIN_MS 5000
#define EVENTS_MAX 256
#define OID_BYTES 40
#define VERSION_DIGITS 16
#define KEY_DIGITS 12

/* A request that waits for its reply. */
struct pending {
    int64_t sent_us;
    uint64_t key;
    bool is_read;
};

struct lane {
    struct connection *connection;
    struct transport *transport;
    struct buffer out;
    struct buffer in;
    struct pending *ring; /* plan->in_flight of them, oldest at `head` */
    unsigned head, count;
    uint64_t next_key;
    bool wants_send;
};

struct load {
    const struct bench_plan *plan;
    struct bench_result *result;
    struct lane *lanes;
    uint64_t *versions; /* of each key; preloaded as 1, 0 = not known any more */
    struct buffer write_request, read_request;
    size_t write_ref_at, write_old_at, write_new_at, read_ref_at;
    struct rng rng;
    int epoll;
    bool is_counted;  /* the warm-up is over */
    bool is_stopping; /* no new requests */
    uint64_t in_flight;
};

/* ---- Requests: encoded once, digits changed in place ---- */

static size_t find(const struct buffer *b, const char *text)
{
    const uint8_t *at = memmem(b->data, b->size, text, strlen(text));

    return (size_t)(at - b->data);
}

static void prepare_requests(struct load *l)
{
    char ref[64], old_oid[48], new_oid[48];
    const char *write[5] = { "REF.UPDATE", l->plan->path, ref, old_oid, new_oid };
    const char *read[4] = { "REF.GET", l->plan->path, ref, "STALE" };

    snprintf(ref, sizeof ref, BENCH_REF_FORMAT, 999999999999ULL);
    snprintf(old_oid, sizeof old_oid, BENCH_OID_FORMAT, 1ULL);
    snprintf(new_oid, sizeof new_oid, BENCH_OID_FORMAT, 2ULL);
    request_encode(&l->write_request, 5, write, NULL);
    request_encode(&l->read_request, l->plan->is_stale ? 4 : 3, read, NULL);
    l->write_ref_at = find(&l->write_request, "999999999999");
    l->read_ref_at = find(&l->read_request, "999999999999");
    l->write_old_at = find(&l->write_request, old_oid);
    l->write_new_at = find(&l->write_request, new_oid);
}

static void put_decimal(uint8_t *at, uint64_t value)
{
    for (int i = KEY_DIGITS - 1; i >= 0; i--) {
        at[i] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
}

static void put_hex(uint8_t *at, uint64_t value)
{
    for (int i = VERSION_DIGITS - 1; i >= 0; i--) {
        at[i] = (uint8_t) "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static void put_request(struct load *l, struct lane *lane, const struct pending *p)
{
    struct buffer *template = p->is_read ? &l->read_request : &l->write_request;

    put_decimal(template->data + (p->is_read ? l->read_ref_at : l->write_ref_at), p->key);
    if (!p->is_read) {
        put_hex(template->data + l->write_old_at, l->versions[p->key]);
        put_hex(template->data + l->write_new_at, ++l->versions[p->key]);
    }
    buffer_put(&lane->out, template->data, template->size);
}

/* Fills the lane up to what may be in flight. */
static void ask(struct load *l, struct lane *lane, int64_t now_us)
{
    while (!l->is_stopping && lane->count < l->plan->in_flight) {
        struct pending *p = &lane->ring[(lane->head + lane->count) % l->plan->in_flight];

        p->sent_us = now_us;
        p->key = lane->next_key;
        p->is_read = rng_below(&l->rng, 100) < l->plan->read_percent;
        lane->next_key += l->plan->connections;
        if (lane->next_key >= l->plan->keys) {
            lane->next_key %= l->plan->connections;
        }
        put_request(l, lane, p);
        lane->count++;
        l->in_flight++;
    }
}

/* ---- Replies ---- */

/* Bytes of the first whole reply, 0 = not all there yet. */
static size_t reply_size(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t line, body = 0;

    if (end == NULL) {
        return 0;
    }
    line = (size_t)(end - data) + 1;
    if (data[0] != '$' || data[1] == '-') {
        return line;
    }
    for (size_t i = 1; data[i] >= '0' && data[i] <= '9'; i++) {
        body = body * 10 + (size_t)(data[i] - '0');
    }
    return size >= line + body + 2 ? line + body + 2 : 0;
}

static void count_reply(struct load *l, struct lane *lane, const uint8_t *reply, size_t size,
                        int64_t now_us)
{
    const struct pending *p = &lane->ring[lane->head];
    struct bench_result *r = l->result;

    if (reply[0] == '-') {
        r->errors++;
        if (r->first_error[0] == '\0') {
            snprintf(r->first_error, sizeof r->first_error, "%.*s",
                     (int)(size < 180 ? size - 3 : 180), (const char *)reply + 1);
        }
    } else if (l->is_counted) {
        histogram_add(p->is_read ? &r->reads : &r->writes, (uint64_t)(now_us - p->sent_us));
    }
    lane->head = (lane->head + 1) % l->plan->in_flight;
    lane->count--;
    l->in_flight--;
}

static void take_replies(struct load *l, struct lane *lane, int64_t now_us)
{
    size_t used = 0;

    while (lane->count > 0 && used < lane->in.size) {
        size_t size = reply_size(lane->in.data + used, lane->in.size - used);

        if (size == 0) {
            break;
        }
        count_reply(l, lane, lane->in.data + used, size, now_us);
        used += size;
    }
    buffer_consume(&lane->in, used);
}

/* ---- The loop ---- */

static void watch(struct load *l, struct lane *lane, int operation)
{
    struct epoll_event event = { .events = EPOLLIN | (lane->wants_send ? EPOLLOUT : 0) };

    event.data.ptr = lane;
    (void)epoll_ctl(l->epoll, operation, transport_fd(lane->transport), &event);
}

static enum rk_status flush(struct load *l, struct lane *lane, struct errmsg *why)
{
    enum rk_status status = RK_OK;
    bool wants_send;
    size_t size = 1;

    while (status == RK_OK && lane->out.size > 0 && size > 0) {
        status = transport_send(lane->transport, lane->out.data, lane->out.size, &size, why);
        buffer_consume(&lane->out, status == RK_OK ? size : 0);
    }
    wants_send = lane->out.size > 0 || transport_has_output(lane->transport);
    if (wants_send != lane->wants_send) {
        lane->wants_send = wants_send;
        watch(l, lane, EPOLL_CTL_MOD);
    }
    return status;
}

static enum rk_status serve(struct load *l, struct lane *lane, struct errmsg *why)
{
    enum rk_status status;
    int64_t now_us;
    size_t size = 0;

    if (buffer_reserve(&lane->in, INPUT_BYTES) != RK_OK) {
        return RK_NOMEM;
    }
    status = transport_receive(lane->transport, lane->in.data + lane->in.size, INPUT_BYTES, &size,
                               why);
    if (status != RK_OK) {
        return status;
    }
    lane->in.size += size;
    now_us = clock_monotonic_us();
    take_replies(l, lane, now_us);
    ask(l, lane, now_us);
    return flush(l, lane, why);
}

static enum rk_status loop(struct load *l, int64_t end_us, struct progress *progress,
                           int64_t start_us, struct errmsg *why)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t now_us;

    while ((now_us = clock_monotonic_us()) < end_us && (!l->is_stopping || l->in_flight > 0)) {
        int count = epoll_wait(l->epoll, events, EVENTS_MAX, 50);

        for (int i = 0; i < count; i++) {
            enum rk_status status = serve(l, events[i].data.ptr, why);

            if (status != RK_OK) {
                return status;
            }
        }
        progress_set(progress, (uint64_t)(now_us - start_us) / 1000);
    }
    return RK_OK;
}

static enum rk_status run(struct load *l, struct errmsg *why)
{
    const struct bench_plan *plan = l->plan;
    int64_t start_us = clock_monotonic_us();
    struct progress progress;
    enum rk_status status = RK_OK;

    progress_start(&progress, "bench (ms)", (uint64_t)(plan->warmup_ms + plan->duration_ms));
    for (unsigned i = 0; i < plan->connections && status == RK_OK; i++) {
        watch(l, &l->lanes[i], EPOLL_CTL_ADD);
        ask(l, &l->lanes[i], start_us);
        status = flush(l, &l->lanes[i], why);
    }
    if (status == RK_OK) {
        status = loop(l, start_us + plan->warmup_ms * 1000, &progress, start_us, why);
    }
    if (status == RK_OK) {
        int64_t counted_us = clock_monotonic_us();

        l->is_counted = true;
        status = loop(l, counted_us + plan->duration_ms * 1000, &progress, start_us, why);
        l->result->seconds = (double)(clock_monotonic_us() - counted_us) / 1e6;
    }
    l->is_counted = false;
    l->is_stopping = true;
    if (status == RK_OK) {
        status = loop(l, clock_monotonic_us() + DRAIN_MS * 1000, &progress, start_us, why);
    }
    progress_end(&progress);
    return status;
}

static enum rk_status open_lanes(struct load *l, struct rk_error *error)
{
    const struct bench_plan *plan = l->plan;

    for (unsigned i = 0; i < plan->connections; i++) {
        struct lane *lane = &l->lanes[i];
        const struct endpoint *e = &plan->options->endpoints[i % plan->options->endpoint_count];
        enum rk_status status = connection_open(plan->options, e, plan->tls,
                                                clock_monotonic_ms() + plan->options->timeout_ms,
                                                &lane->connection, error);

        if (status != RK_OK) {
            return status;
        }
        lane->transport = connection_transport(lane->connection);
        lane->ring = heap_alloc(plan->in_flight * sizeof *lane->ring);
        lane->next_key = i;
    }
    return RK_OK;
}

enum rk_status bench_load(const struct bench_plan *plan, struct bench_result *ret_result,
                          struct rk_error *error)
{
    struct load l = { .plan = plan, .result = ret_result, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status;

    if (l.epoll < 0) {
        return failure_set(error, RK_IO, NULL, "epoll: %s", strerror(errno));
    }
    rng_init(&l.rng, 1);
    l.lanes = heap_zalloc(plan->connections * sizeof *l.lanes);
    l.versions = heap_alloc(plan->keys * sizeof *l.versions);
    for (uint64_t k = 0; k < plan->keys; k++) {
        l.versions[k] = 1;
    }
    prepare_requests(&l);
    status = open_lanes(&l, error);
    if (status == RK_OK) {
        status = run(&l, &why);
        if (status != RK_OK) {
            (void)failure_set(error, status, NULL, "a connection was lost: %s", why.text);
        }
    }
    for (unsigned i = 0; i < plan->connections; i++) {
        connection_close(l.lanes[i].connection);
        buffer_release(&l.lanes[i].out);
        buffer_release(&l.lanes[i].in);
        heap_free(l.lanes[i].ring);
    }
    heap_free(l.lanes);
    heap_free(l.versions);
    buffer_release(&l.write_request);
    buffer_release(&l.read_request);
    (void)close(l.epoll);
    return status;
}
