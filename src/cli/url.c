/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/url.h"

#include <string.h>

bool url_is_one(const char *text)
{
    return strstr(text, "://") != NULL;
}

void url_put_path(struct buffer *out, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~/";

    for (; *path != '\0'; path++) {
        if (strchr(plain, *path) != NULL) {
            buffer_put_u8(out, (uint8_t)*path);
        } else {
            buffer_printf(out, "%%%02X", (uint8_t)*path);
        }
    }
}
