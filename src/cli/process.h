/* SPDX-License-Identifier: Apache-2.0 */
/* Runs another program, mostly git: input in, output out, with a deadline. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"

struct process {
    const char *const *argv;        /* NULL at the end; argv[0] is looked up in PATH */
    const char *const *environment; /* NAME=VALUE added to ours, NULL at the end; may be NULL */
    struct slice input;             /* its stdin; empty = /dev/null */
    bool has_input_fd, has_output_fd;
    int input_fd, output_fd; /* instead of `input` and `output`; they stay open here */
    bool keeps_error;        /* stderr goes where ours goes, else into `error` */
    bool joins_output;       /* stdout goes to our stderr, too, for people to read */
    int64_t deadline_ms;     /* monotonic; past it the process is killed */
    /* results; released by the caller */
    struct buffer output, error;
    int exit_code; /* 128 + n when a signal ended it */
};

/* Errors: IO (could not be started), TIMED_OUT (killed).  RK_OK says nothing of exit_code. */
enum rk_status process_run(struct process *p, struct errmsg *why) MUST_USE;
void process_release(struct process *p);

/* Why it failed: its "fatal:" line, else its last one; valid until process_release(). */
const char *process_last_words(struct process *p);

#endif
