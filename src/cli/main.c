/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper: says its version. */
#include <stdio.h>

int main(void)
{
    return printf("refkeeper %s\n", PACKAGE_VERSION) < 0;
}
