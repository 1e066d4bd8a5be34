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

static bool mode_is(const char *name)
{
    const char *mode = getenv("RK_TORTURE");

    return mode != NULL && strcmp(mode, name) == 0;
}

bool tap_is_long(void)
{
    return mode_is("long");
}

bool tap_is_first(void)
{
    return mode_is("first");
}
