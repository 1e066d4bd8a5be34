/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int results;
static int failures;

void tap_result(bool is_ok, const char *format, ...)
{
    va_list arguments;

    failures += is_ok ? 0 : 1;
    printf("%s %d - ", is_ok ? "ok" : "not ok", ++results);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    (void)fflush(stdout);
}

void tap_note(const char *format, ...)
{
    va_list arguments;

    printf("# ");
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    (void)fflush(stdout);
}

int tap_end(void)
{
    printf("1..%d\n", results);
    return failures == 0 ? 0 : 1;
}

bool tap_is_long(void)
{
    const char *mode = getenv("RK_TORTURE");

    return mode != NULL && strcmp(mode, "long") == 0;
}
