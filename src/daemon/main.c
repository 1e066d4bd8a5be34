/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeperd: one node of a cluster. */
#include <stdio.h>
#include <unistd.h>

#include "daemon/daemon.h"

static int fail(const struct errmsg *why, enum rk_status status)
{
    fprintf(stderr, "refkeeperd: %s\n", why->text);
    return daemon_exit_code(status);
}

static int check(const struct config *c)
{
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = daemon_check_files(c, &why);

    fwrite(c->warnings.data, 1, c->warnings.size, stderr);
    return status == RK_OK ? printf("the configuration is good\n") < 0 : fail(&why, status);
}

int main(int argc, char **argv)
{
    struct daemon d = { .argc = argc, .argv = argv, .environment = environ };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = config_load(&d.config, argc, argv, environ, &why);
    int code = 0;

    if (status != RK_OK) {
        code = fail(&why, status);
    } else if (d.config.action == CONFIG_SHOW_HELP) {
        config_print_help(stdout);
    } else if (d.config.action == CONFIG_SHOW_VERSION) {
        printf("refkeeperd %s\n", PACKAGE_VERSION);
    } else if (d.config.action == CONFIG_PRINT) {
        config_print(&d.config, stdout);
    } else if (d.config.action == CONFIG_CHECK) {
        code = check(&d.config);
    } else {
        code = daemon_run(&d);
    }
    config_release(&d.config);
    if (fflush(stdout) != 0) {
        code = 1; /* the reader has gone, or the disk is full */
    }
    return code;
}
