/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: a node, its front ends, and the signals that stop or reload them.
 *
 *   SIGTERM, SIGINT  stop: answer what was asked, hand leadership over; again: at once
 *   SIGHUP           reload: log level and format, certificates, passwords
 *   SIGUSR1          write the status to the log
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <event2/event.h>

#include "daemon/config.h"
#include "daemon/passwords.h"
#include "node/node.h"
#include "server/server.h"

#define DAEMON_SIGNALS 4

/* A certificate of ours in use. */
struct daemon_certificate {
    enum config_key key;
    bool is_known;
    int64_t not_after_s; /* since 1970 UTC */
};

struct daemon {
    int argc;
    char *const *argv;
    char *const *environment;
    struct config config;
    struct event_base *base;
    struct event *signals[DAEMON_SIGNALS];
    struct event *daily;    /* looks at the certificates */
    struct event *watchdog; /* NULL = the service manager has none */
    struct node *node;
    struct server *server;
    struct passwords *passwords; /* NULL = clients are not asked */
    struct daemon_certificate certificates[2];
    int64_t started_wall_ms;
    bool is_stopping;
    bool reload_failed; /* the last one */
    int64_t reloaded_wall_ms;
};

/* The exit codes of refkeeperd, beside 0 and 1. */
enum daemon_exit {
    EXIT_USAGE = 2,
    EXIT_CORRUPT = 65,
    EXIT_IO = 74,
    EXIT_LOCKED = 75,
    EXIT_CONFIG = 78,
};
int daemon_exit_code(enum rk_status status);

/* Opens what the configuration names, to see that it can be: certificates, keys, passwords. */
enum rk_status daemon_check_files(const struct config *c, struct errmsg *why) MUST_USE;

/* Runs until stopped; returns the exit code.  d->config, argc, argv, environment are set. */
int daemon_run(struct daemon *d);

/* ---- Parts ---- */

/* signals.c */
void daemon_take_signals(struct daemon *d);
void daemon_stop(struct daemon *d);

/* reload.c */
void daemon_reload(struct daemon *d);

/* certificates.c: learns when they end; warns when that is near. */
void daemon_learn_certificates(struct daemon *d);

/* metrics.c: server_options.put_metrics; `context` is the daemon. */
void daemon_put_metrics(void *context, struct buffer *out);

/* NULL-file options are NULL. */
const struct tls_options *daemon_peer_tls(const struct config *c, struct tls_options *storage);
const struct tls_options *daemon_client_tls(const struct config *c, struct tls_options *storage);

#endif
