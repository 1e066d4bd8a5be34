/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>

#include "daemon/daemon.h"
#include "daemon/logging.h"
#include "daemon/notify.h"

void daemon_stop(struct daemon *d)
{
    if (!d->is_stopping) {
        d->is_stopping = true;
        notify_service_manager("STOPPING=1");
        if (d->server != NULL) {
            server_drain(d->server);
        }
    }
    node_stop(d->node);
}

static void log_status(const struct daemon *d)
{
    struct node_status status;

    node_get_status(d->node, &status);
    log_info("status: term %" PRIu64 ", leader %" PRIu64 ", commit %" PRIu64 ", applied %" PRIu64
             ", snapshot %" PRIu64 ", log %" PRIu64 " bytes, %" PRIu64 " proposals pending, %s",
             status.raft.current_term, status.raft.leader, status.raft.commit_index,
             status.applied_index, status.snapshot_last_index, status.log_bytes,
             status.proposals_pending, status.is_ready ? "ready" : "not ready");
}

static void on_signal(evutil_socket_t number, short what, void *argument)
{
    struct daemon *d = argument;

    (void)what;
    switch ((int)number) {
    case SIGHUP:
        daemon_reload(d);
        break;
    case SIGUSR1:
        log_status(d);
        break;
    default:
        log_info("signal %s: %s", number == SIGTERM ? "TERM" : "INT",
                 d->is_stopping ? "stopping at once" : "stopping");
        daemon_stop(d);
        break;
    }
}

void daemon_take_signals(struct daemon *d)
{
    static const int numbers[DAEMON_SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };

    for (int i = 0; i < DAEMON_SIGNALS; i++) {
        d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
        event_add(d->signals[i], NULL);
    }
}
