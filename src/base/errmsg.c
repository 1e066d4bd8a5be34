/* SPDX-License-Identifier: Apache-2.0 */
#include "base/errmsg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void errmsg_set(struct errmsg *msg, const char *format, ...)
{
    va_list args;

    if (msg == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(msg->text, sizeof msg->text, format, args);
    va_end(args);
}

void errmsg_wrap(struct errmsg *msg, const char *format, ...)
{
    char inner[sizeof msg->text];
    va_list args;
    size_t used;

    if (msg == NULL) {
        return;
    }
    memcpy(inner, msg->text, sizeof inner);
    va_start(args, format);
    vsnprintf(msg->text, sizeof msg->text, format, args);
    va_end(args);
    used = strlen(msg->text);
    snprintf(msg->text + used, sizeof msg->text - used, ": %s", inner);
}
