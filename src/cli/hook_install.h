/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a repository on this machine under the cluster's decision: hooks and configuration. */
#ifndef CLI_HOOK_INSTALL_H
#define CLI_HOOK_INSTALL_H

#include "cli/cli.h"

struct hook_installation {
    const char *git_dir, *repo, *storage;
    const char *id;     /* NULL = not written */
    bool keeps_foreign; /* hooks of other origin stay, instead of an error */
};

/* The endpoints and certificates are those of `cli`.  Returns the exit code; says what failed. */
int hook_install(struct cli *cli, const struct hook_installation *h);

#endif
