/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a program which librefkeeper it runs with. */
#include <refkeeper/version.h>

const char *rk_version(void)
{
    return RK_VERSION;
}
