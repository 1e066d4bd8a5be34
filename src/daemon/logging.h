/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log on standard error: one line per record, logfmt or JSON, each by one write.
 *
 *   ts=2026-11-22T16:20:01.123Z level=warn node=n1 msg="peer n2: connection lost: ..."
 *
 * Control characters and bytes that are not UTF-8 are escaped, so that nothing a client or peer
 * sends can forge a line.  The same warning or error is written once in LOG_REPEAT_MS and then
 * counted.  Under journald each line has its priority in front.
 *
 * One log per process.  Any thread may write to it.
 */
#ifndef DAEMON_LOGGING_H
#define DAEMON_LOGGING_H

#include "base/bytes.h"
#include "daemon/config.h"
#include "node/node.h"

/* `node` is copied; "" = not known yet. */
void logging_open(enum node_log_level level, enum config_format format, const char *node);

/* Has the signature of the log callbacks of node and server; `context` is not used. */
void logging_write(void *context, int level, const char *text);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Libevent's messages come here, too; a fatal one ends the process. */
void logging_take_libevent(void);

/* ---- For tests ---- */

struct log_record {
    int64_t wall_ms;
    enum node_log_level level;
    const char *node; /* "" = left out */
    const char *text;
    bool is_journal; /* "<4>" in front */
};
void log_record_format(struct buffer *out, enum config_format format,
                       const struct log_record *record);

#endif
