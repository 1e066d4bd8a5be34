/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logging.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/log_limit.h"
#include "sys/clock.h"

#define REPEATS 32 /* different warnings remembered at a time */

struct repeat {
    struct log_limit limit;
    uint64_t turn; /* when it was last used */
    char text[200];
};

static struct {
    pthread_mutex_t lock;
    enum node_log_level level;
    enum config_format format;
    bool is_journal;
    char node[NODE_NAME_BYTES_MAX + 1];
    struct repeat repeats[REPEATS];
    uint64_t turn;
} the_log = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = NODE_LOG_INFO };

/* ---- Format ---- */

/* Bytes of the UTF-8 character at the front; 0 = none.  C1 controls do not count as one. */
static size_t utf8_size(const unsigned char *at)
{
    static const struct {
        unsigned char first_least, first_most, second_least, second_most;
        size_t size;
    } forms[] = {
        { 0xc2, 0xc2, 0xa0, 0xbf, 2 }, { 0xc3, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] >= forms[i].first_least && at[0] <= forms[i].first_most) {
            if (at[1] < forms[i].second_least || at[1] > forms[i].second_most) {
                return 0;
            }
            for (size_t k = 2; k < forms[i].size; k++) {
                if (at[k] < 0x80 || at[k] > 0xbf) {
                    return 0;
                }
            }
            return forms[i].size;
        }
    }
    return 0;
}

/* Quoted.  A byte that may not stand becomes \n, \t, or \u00XX; in JSON as the standard says, in
 * logfmt alike. */
static void put_quoted(struct buffer *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    buffer_put_u8(out, '"');
    while (*at != '\0') {
        size_t size = *at < 0x80 ? 1 : utf8_size(at);

        if (*at == '"' || *at == '\\') {
            buffer_put_u8(out, '\\');
            buffer_put_u8(out, *at);
        } else if (*at == '\n') {
            buffer_put(out, "\\n", 2);
        } else if (*at == '\t') {
            buffer_put(out, "\\t", 2);
        } else if (size == 0 || *at < 0x20 || *at == 0x7f) {
            buffer_printf(out, "\\u%04x", *at);
        } else {
            buffer_put(out, at, size);
        }
        at += size == 0 ? 1 : size;
    }
    buffer_put_u8(out, '"');
}

static void put_time(struct buffer *out, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm date;
    char text[32];

    gmtime_r(&seconds, &date);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &date);
    buffer_printf(out, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

void log_record_format(struct buffer *out, enum config_format format,
                       const struct log_record *record)
{
    static const struct {
        const char *name;
        int priority; /* of syslog */
    } levels[] = {
        [NODE_LOG_DEBUG] = { "debug", 7 },
        [NODE_LOG_INFO] = { "info", 6 },
        [NODE_LOG_WARN] = { "warn", 4 },
        [NODE_LOG_ERROR] = { "error", 3 },
    };
    bool is_json = format == CONFIG_JSON;

    if (record->is_journal) {
        buffer_printf(out, "<%d>", levels[record->level].priority);
    }
    buffer_printf(out, is_json ? "{\"ts\":\"" : "ts=");
    put_time(out, record->wall_ms);
    buffer_printf(out, is_json ? "\",\"level\":\"%s\"" : " level=%s", levels[record->level].name);
    if (record->node[0] != '\0') {
        buffer_printf(out, is_json ? ",\"node\":\"%s\"" : " node=%s", record->node);
    }
    buffer_printf(out, is_json ? ",\"msg\":" : " msg=");
    put_quoted(out, record->text);
    buffer_printf(out, is_json ? "}\n" : "\n");
}

/* ---- Writing ---- */

/* The slot of this text, or the one used longest ago. */
static struct repeat *repeat_of(const char *text)
{
    struct repeat *oldest = &the_log.repeats[0];

    for (int i = 0; i < REPEATS; i++) {
        struct repeat *slot = &the_log.repeats[i];

        if (strncmp(slot->text, text, sizeof slot->text - 1) == 0) {
            return slot;
        }
        oldest = slot->turn < oldest->turn ? slot : oldest;
    }
    *oldest = (struct repeat){ .turn = 0 };
    snprintf(oldest->text, sizeof oldest->text, "%s", text);
    return oldest;
}

static bool is_due(const char *text, unsigned *ret_held)
{
    struct repeat *slot = repeat_of(text);

    slot->turn = ++the_log.turn;
    return log_limit_pass(&slot->limit, text, clock_monotonic_ms(), ret_held);
}

static void write_record(int level, const char *text, unsigned held)
{
    struct log_record record = { clock_wall_ms(), (enum node_log_level)level, the_log.node, text,
                                 the_log.is_journal };
    struct buffer line = BUFFER_INIT, counted = BUFFER_INIT;
    ssize_t written;

    if (held > 0) {
        buffer_printf(&counted, "%s (%u more times since)", text, held);
        buffer_put_u8(&counted, '\0');
        record.text = (const char *)counted.data;
    }
    log_record_format(&line, the_log.format, &record);
    written = write(STDERR_FILENO, line.data, line.size);
    (void)written; /* there is nobody left to tell */
    buffer_release(&line);
    buffer_release(&counted);
}

void logging_write(void *context, int level, const char *text)
{
    unsigned held = 0;

    (void)context;
    pthread_mutex_lock(&the_log.lock);
    if (level >= (int)the_log.level && level <= NODE_LOG_ERROR &&
        (level < NODE_LOG_WARN || is_due(text, &held))) {
        write_record(level, text, held);
    }
    pthread_mutex_unlock(&the_log.lock);
}

static void write_formatted(enum node_log_level level, const char *format, va_list args)
{
    char text[2048];

    vsnprintf(text, sizeof text, format, args);
    logging_write(NULL, level, text);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, format);                                                                    \
        write_formatted(level, format, args);                                                      \
        va_end(args);                                                                              \
    }

LOG_FUNCTION(log_debug, NODE_LOG_DEBUG)
LOG_FUNCTION(log_info, NODE_LOG_INFO)
LOG_FUNCTION(log_warn, NODE_LOG_WARN)
LOG_FUNCTION(log_error, NODE_LOG_ERROR)

/* ---- Set-up ---- */

/* journald says on which device and inode it listens. */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct stat facts;
    char own[64];

    if (text == NULL || fstat(STDERR_FILENO, &facts) != 0) {
        return false;
    }
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)facts.st_dev, (uintmax_t)facts.st_ino);
    return strcmp(own, text) == 0;
}

void logging_open(enum node_log_level level, enum config_format format, const char *node)
{
    pthread_mutex_lock(&the_log.lock);
    the_log.level = level;
    the_log.format = format;
    the_log.is_journal = stderr_is_journal();
    snprintf(the_log.node, sizeof the_log.node, "%s", node);
    pthread_mutex_unlock(&the_log.lock);
}

static void on_libevent_log(int severity, const char *text)
{
    static const enum node_log_level levels[] = { NODE_LOG_DEBUG, NODE_LOG_INFO, NODE_LOG_WARN,
                                                  NODE_LOG_ERROR };
    char line[1024];

    snprintf(line, sizeof line, "libevent: %s", text);
    logging_write(NULL, levels[severity & 3], line);
}

static void on_libevent_fatal(int code)
{
    log_error("libevent cannot go on (%d)", code);
    abort();
}

void logging_take_libevent(void)
{
    event_set_log_callback(on_libevent_log);
    event_set_fatal_callback(on_libevent_fatal);
}
