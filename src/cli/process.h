/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program, mostly git: input in, output out, with a deadline.
 *
 * One that will be needed soon may be started before its input is known: then its start, most of
 * what a small git command costs, passes while something else is waited for.
 *
 *   process_run                                          at once
 *   process_start -> [process_feed ... [process_end_input]] -> [process_await] -> process_finish
 *                 -> process_abandon                     it is not needed after all
 */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/errmsg.h"

/* Our ends; -1 = none. */
struct process_streams {
    int input, output, error;
    size_t sent; /* of `input` of the process */
};

struct process {
    const char *const *argv;        /* NULL at the end; argv[0] is looked up in PATH */
    const char *const *environment; /* NAME=VALUE added to ours, NULL at the end; may be NULL */
    struct slice input;             /* its stdin; empty = /dev/null, unless awaits_input */
    bool awaits_input;              /* `input` is looked at by process_finish() only */
    bool has_input_fd, has_output_fd;
    int input_fd, output_fd; /* instead of `input` and `output`; they stay open here */
    bool keeps_error;        /* stderr goes where ours goes, else into `error` */
    bool joins_output;       /* stdout goes to our stderr, too, for people to read */
    int64_t deadline_ms; /* monotonic; past it the process is ended, and killed if it does not */
    /* results; released by the caller */
    struct buffer output, error;
    int exit_code; /* 128 + n when a signal ended it */
    /* of one that runs */
    struct process_streams streams;
    pid_t pid; /* 0 = none */
};

/* Errors: IO (could not be started), TIMED_OUT (killed).  RK_OK says nothing of exit_code. */
enum rk_status process_run(struct process *p, struct errmsg *why) MUST_USE;

/* Errors: IO. */
enum rk_status process_start(struct process *p, struct errmsg *why) MUST_USE;
/* PRE: it was started, with awaits_input.  False when it does not read any more: finish it. */
bool process_feed(struct process *p, const void *data, size_t size) MUST_USE;
void process_end_input(struct process *p); /* nothing more is fed */
/* Sends `input`, ends its stdin, waits until a line of its output begins with `line`: for what it
 * does then, to end above all, nobody needs to wait.  False when it writes none: finish it.
 * PRE: it was started. */
bool process_await(struct process *p, const char *line) MUST_USE;
/* Sends `input`, ends its stdin, waits for its end.  PRE: it was started. */
enum rk_status process_finish(struct process *p, struct errmsg *why) MUST_USE;
/* False when it was not started, or has ended already. */
bool process_is_running(const struct process *p);
/* Kills it, if it was started and not finished. */
void process_abandon(struct process *p);

void process_release(struct process *p); /* abandons it, too */

/* Why it failed: its "fatal:" line, else its last one; valid until process_release(). */
const char *process_last_words(struct process *p);

#endif
