/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeperd: says its version. */
#include <stdio.h>

int main(void)
{
    return printf("refkeeperd %s\n", PACKAGE_VERSION) < 0;
}
