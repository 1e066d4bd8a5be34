/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void rk_assert_failed(const char *kind, const char *text, const char *file, int line)
{
    fprintf(stderr, "refkeeper: %s violated: %s (%s:%d)\n", kind, text, file, line);
    abort();
}
