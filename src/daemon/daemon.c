/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/logging.h"
#include "daemon/notify.h"
#include "daemon/process.h"
#include "sys/clock.h"

/* Damage found while running, once more each time: this disk is not to be trusted any further. */
#define REOPENS_MAX 3

int daemon_exit_code(enum rk_status status)
{
    switch (status) {
    case RK_OK:
        return 0;
    case RK_BADARG:
        return EXIT_USAGE;
    case RK_CORRUPT:
    case RK_FOREIGN:
        return EXIT_CORRUPT;
    case RK_IO:
    case RK_NOSPACE:
        return EXIT_IO;
    case RK_LOCKED:
        return EXIT_LOCKED;
    case RK_CONFIG:
        return EXIT_CONFIG;
    default:
        return 1;
    }
}

/* ---- Options of the parts ---- */

const struct tls_options *daemon_peer_tls(const struct config *c, struct tls_options *storage)
{
    *storage = (struct tls_options){ .ca_file = config_text(c, CONFIG_PEER_CA),
                                     .cert_file = config_text(c, CONFIG_PEER_CERT),
                                     .key_file = config_text(c, CONFIG_PEER_KEY),
                                     .requires_client_cert = true };
    return storage->cert_file == NULL ? NULL : storage;
}

const struct tls_options *daemon_client_tls(const struct config *c, struct tls_options *storage)
{
    *storage = (struct tls_options){ .ca_file = config_text(c, CONFIG_CLIENT_CA),
                                     .cert_file = config_text(c, CONFIG_CLIENT_CERT),
                                     .key_file = config_text(c, CONFIG_CLIENT_KEY),
                                     .requires_client_cert = config_is_on(
                                         c, CONFIG_CLIENT_REQUIRE_CERT) };
    return storage->cert_file == NULL ? NULL : storage;
}

enum rk_status daemon_check_files(const struct config *c, struct errmsg *why)
{
    struct tls_options storage;
    const struct tls_options *tls = daemon_peer_tls(c, &storage);
    const char *path = config_text(c, CONFIG_CLIENT_PASSWORDS);
    struct passwords *passwords = NULL;
    SSL_CTX *context = NULL;
    enum rk_status status = RK_OK;

    if (tls != NULL) {
        status = tls_peer_context(tls, &context, why);
        SSL_CTX_free(context);
        context = NULL;
    }
    tls = daemon_client_tls(c, &storage);
    if (status == RK_OK && tls != NULL) {
        status = tls_server_context(tls, &context, why);
        SSL_CTX_free(context);
    }
    if (status == RK_OK && path != NULL) {
        status = passwords_open(path, &passwords, why);
        passwords_close(passwords);
    }
    return status;
}

/* The address others should use; NULL when there is none to tell. */
static const char *advertised(const struct config *c, enum config_key advertise,
                              enum config_key listen)
{
    const char *text = config_text(c, advertise);

    if (text == NULL) {
        text = config_text(c, listen);
    }
    return text[0] == ':' ? NULL : text;
}

static enum rk_status open_node(struct daemon *d, struct errmsg *why)
{
    const struct config *c = &d->config;
    const struct member *self = membership_find_name(&c->members, config_text(c, CONFIG_NAME));
    const char *advertise_peer = config_text(c, CONFIG_ADVERTISE_PEER);
    struct tls_options storage;
    struct node_options options = {
        .name = config_text(c, CONFIG_NAME),
        .data_dir = config_text(c, CONFIG_DATA_DIR),
        .listen_peer = config_text(c, CONFIG_LISTEN_PEER),
        .advertise_peer = advertise_peer == NULL && self != NULL ? self->peer_address
                                                                 : advertise_peer,
        .advertise_client = advertised(c, CONFIG_ADVERTISE_CLIENT, CONFIG_LISTEN_CLIENT),
        .advertise_http = advertised(c, CONFIG_ADVERTISE_HTTP, CONFIG_LISTEN_HTTP),
        .initial_members = c->members,
        .is_joining = config_is_on(c, CONFIG_JOIN),
        .peer_tls = daemon_peer_tls(c, &storage),
        .election_timeout_ms = config_number(c, CONFIG_ELECTION_TIMEOUT),
        .heartbeat_interval_ms = config_number(c, CONFIG_HEARTBEAT_INTERVAL),
        .has_leases = config_is_on(c, CONFIG_LEASE_READS),
        .clock_drift_percent = (unsigned)config_number(c, CONFIG_MAX_CLOCK_DRIFT),
        .proposal_timeout_ms = config_number(c, CONFIG_PROPOSAL_TIMEOUT),
        .read_timeout_ms = config_number(c, CONFIG_READ_TIMEOUT),
        .log_compact_bytes = (uint64_t)config_number(c, CONFIG_LOG_COMPACT_BYTES),
        .snapshot_interval_ms = config_number(c, CONFIG_SNAPSHOT_INTERVAL),
        .trailing_entries = (uint64_t)config_number(c, CONFIG_TRAILING_ENTRIES),
        .events_bytes_max = (uint64_t)config_number(c, CONFIG_EVENTS_BYTES),
        .snapshot_rate_bytes = (uint64_t)config_number(c, CONFIG_SNAPSHOT_RATE),
        .holds_back_features = true,
        .feature_level_max = (uint32_t)config_number(c, CONFIG_FEATURE_LEVEL_MAX),
        .is_tracing = config_number(c, CONFIG_LOG_LEVEL) == NODE_LOG_DEBUG,
        .log = logging_write,
    };

    return node_open(d->base, &options, &d->node, why);
}

static unsigned on_authenticate(void *context, struct slice user, struct slice password)
{
    struct daemon *d = context;

    return passwords_check(d->passwords, user, password);
}

static enum rk_status open_front_ends(struct daemon *d, struct errmsg *why)
{
    const struct config *c = &d->config;
    const char *path = config_text(c, CONFIG_CLIENT_PASSWORDS);
    struct tls_options storage;
    struct server_options options = {
        .listen_client = config_text(c, CONFIG_LISTEN_CLIENT),
        .listen_http = config_text(c, CONFIG_LISTEN_HTTP),
        .client_tls = daemon_client_tls(c, &storage),
        .max_clients = (unsigned)config_number(c, CONFIG_MAX_CLIENTS),
        .max_http = (unsigned)config_number(c, CONFIG_MAX_HTTP),
        .authenticate = path == NULL ? NULL : on_authenticate,
        .put_metrics = daemon_put_metrics,
        .log = logging_write,
        .context = d,
    };
    enum rk_status status = path == NULL ? RK_OK : passwords_open(path, &d->passwords, why);

    return status == RK_OK ? server_open(d->base, d->node, &options, &d->server, why) : status;
}

/* ---- Life ---- */

static void log_banner(const struct config *c)
{
    struct buffer out = BUFFER_INIT;
    struct rlimit files = { 0, 0 };
    const char *warning = (const char *)c->warnings.data;

    (void)getrlimit(RLIMIT_NOFILE, &files);
    log_info("refkeeperd %s starting, pid %d, libevent %s, %s, %ju open files", PACKAGE_VERSION,
             (int)getpid(), event_get_version(), OpenSSL_version(OPENSSL_VERSION),
             (uintmax_t)files.rlim_cur);
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        char source[256];

        if (c->values[i].text != NULL) {
            config_source_text(c, (enum config_key)i, source, sizeof source);
            buffer_printf(&out, "%s%s=%s (%s)", out.size == 0 ? "" : ", ", config_keys[i].key,
                          c->values[i].text, source);
        }
    }
    buffer_put_u8(&out, '\0');
    logging_write(NULL, NODE_LOG_INFO, (const char *)out.data);
    buffer_release(&out);
    for (size_t at = 0; at < c->warnings.size;) {
        const char *end = memchr(warning + at, '\n', c->warnings.size - at);
        int size = (int)(end - warning - (ptrdiff_t)at);

        log_warn("%.*s", size, warning + at);
        at += (size_t)size + 1;
    }
}

static void on_daily(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    daemon_learn_certificates(argument);
}

static void on_watchdog(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    (void)argument;
    notify_service_manager("WATCHDOG=1");
}

static void start_timers(struct daemon *d)
{
    struct timeval day = { 24 * 3600, 0 };
    int64_t watchdog_us = notify_watchdog_us();

    d->daily = event_new(d->base, -1, EV_PERSIST, on_daily, d);
    event_add(d->daily, &day);
    if (watchdog_us > 0) {
        struct timeval period = { watchdog_us / 2 / 1000000, watchdog_us / 2 % 1000000 };

        d->watchdog = event_new(d->base, -1, EV_PERSIST, on_watchdog, d);
        event_add(d->watchdog, &period);
    }
}

static enum rk_status daemon_open(struct daemon *d, struct errmsg *why)
{
    enum rk_status status;

    d->started_wall_ms = d->reloaded_wall_ms = clock_wall_ms();
    d->base = event_base_new();
    if (d->base == NULL) {
        errmsg_set(why, "libevent has no event loop here");
        return RK_IO;
    }
    daemon_learn_certificates(d);
    status = daemon_check_files(&d->config, why);
    if (status == RK_OK) {
        status = open_node(d, why);
    }
    return status == RK_OK ? open_front_ends(d, why) : status;
}

static void free_event(struct event **event)
{
    if (*event != NULL) {
        event_free(*event);
        *event = NULL;
    }
}

/* All of it is gone then, so that it may be opened anew. */
static void daemon_close(struct daemon *d)
{
    server_close(d->server);
    d->server = NULL;
    node_close(d->node);
    d->node = NULL;
    passwords_close(d->passwords);
    d->passwords = NULL;
    for (int i = 0; i < DAEMON_SIGNALS; i++) {
        free_event(&d->signals[i]);
    }
    free_event(&d->daily);
    free_event(&d->watchdog);
    if (d->base != NULL) {
        event_base_free(d->base);
        d->base = NULL;
    }
}

static int serve(struct daemon *d)
{
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = daemon_open(d, &why);
    int code;

    if (status != RK_OK) {
        log_error("cannot start: %s", why.text);
        return daemon_exit_code(status);
    }
    daemon_take_signals(d);
    start_timers(d);
    notify_service_manager("READY=1");
    log_info("ready: peers on %s, clients on %s, HTTP on %s",
             config_text(&d->config, CONFIG_LISTEN_PEER),
             config_text(&d->config, CONFIG_LISTEN_CLIENT),
             config_text(&d->config, CONFIG_LISTEN_HTTP));
    code = node_run(d->node);
    log_info("stopped, exit code %d", code == NODE_REOPEN ? EXIT_CORRUPT : code);
    return code;
}

int daemon_run(struct daemon *d)
{
    unsigned reopened = 0;
    int code;

    logging_open((enum node_log_level)config_number(&d->config, CONFIG_LOG_LEVEL),
                 (enum config_format)config_number(&d->config, CONFIG_LOG_FORMAT),
                 config_text(&d->config, CONFIG_NAME));
    logging_take_libevent();
    process_prepare(&d->config);
    log_banner(&d->config);
    do {
        code = serve(d);
        daemon_close(d);
    } while (code == NODE_REOPEN && !d->is_stopping && reopened++ < REOPENS_MAX);
    return code == NODE_REOPEN ? EXIT_CORRUPT : code;
}
