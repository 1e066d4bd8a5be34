/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper ref update --stdin: a script of git update-ref, each transaction one log entry. */
#ifndef CLI_REF_STDIN_H
#define CLI_REF_STDIN_H

#include "cli/cli.h"

/* Reads stdin to its end.  Returns the exit code. */
int ref_stdin_run(struct cli *cli, const char *path, bool is_nul, const struct rk_write *write);

#endif
