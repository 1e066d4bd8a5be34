/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the process; those of node and server are written by the server. */
#include <event2/event.h>
#include <inttypes.h>
#include <openssl/crypto.h>

#include "daemon/daemon.h"
#include "daemon/process.h"

static void put_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* With backslash, quote and newline escaped, as the format wants. */
static void put_label(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"') {
            buffer_put_u8(out, '\\');
            buffer_put_u8(out, (uint8_t)*text);
        } else if (*text == '\n') {
            buffer_put(out, "\\n", 2);
        } else {
            buffer_put_u8(out, (uint8_t)*text);
        }
    }
}

static void put_certificates(struct buffer *out, const struct daemon *d)
{
    const char *name = "refkeeper_tls_certificate_expiry_timestamp_seconds";

    put_head(out, name, "gauge", "When the certificate ends, in seconds since 1970.");
    for (int i = 0; i < 2; i++) {
        if (d->certificates[i].is_known) {
            buffer_printf(out, "%s{file=\"", name);
            put_label(out, config_text(&d->config, d->certificates[i].key));
            buffer_printf(out, "\"} %" PRId64 "\n", d->certificates[i].not_after_s);
        }
    }
}

static void put_process(struct buffer *out, const struct daemon *d)
{
    struct process_facts facts;

    process_get_facts(&facts);
    put_head(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
    buffer_printf(out, "process_resident_memory_bytes %" PRIu64 "\n", facts.resident_bytes);
    put_head(out, "process_cpu_seconds_total", "counter", "User and system CPU time in seconds.");
    buffer_printf(out, "process_cpu_seconds_total %.3f\n", facts.cpu_seconds);
    put_head(out, "process_open_fds", "gauge", "Number of open file descriptors.");
    buffer_printf(out, "process_open_fds %" PRIu64 "\n", facts.open_descriptors);
    put_head(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.");
    buffer_printf(out, "process_max_fds %" PRIu64 "\n", facts.descriptors_max);
    put_head(out, "process_start_time_seconds", "gauge", "Start time in seconds since 1970.");
    buffer_printf(out, "process_start_time_seconds %.3f\n", (double)d->started_wall_ms / 1000);
}

void daemon_put_metrics(void *context, struct buffer *out)
{
    const struct daemon *d = context;

    put_head(out, "refkeeper_build_info", "gauge", "Versions, as labels.");
    buffer_printf(out, "refkeeper_build_info{version=\"%s\",libevent=\"%s\",openssl=\"%s\"} 1\n",
                  PACKAGE_VERSION, event_get_version(), OpenSSL_version(OPENSSL_VERSION_STRING));
    put_head(out, "refkeeper_config_last_reload_successful", "gauge",
             "Whether the last reload succeeded.");
    buffer_printf(out, "refkeeper_config_last_reload_successful %d\n", !d->reload_failed);
    put_head(out, "refkeeper_config_last_reload_success_timestamp_seconds", "gauge",
             "When the configuration was last taken up.");
    buffer_printf(out, "refkeeper_config_last_reload_success_timestamp_seconds %.3f\n",
                  (double)d->reloaded_wall_ms / 1000);
    put_certificates(out, d);
    put_process(out, d);
}
