/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper member ...: the nodes of the cluster. */
#include "cli/cli.h"
#include "cli/verbs.h"

int cmd_member_list(struct cli *cli, int argc, char **argv)
{
    return cli_list(cli, argc, argv, rk_member_list);
}
