/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <string.h>

#include "base/assert.h"

static const struct {
    const char *word;
    const char *text;
    enum rk_reaction reaction;
    int exit_code;
    int http;
} statuses[RK_STATUS_COUNT] = {
#define RK_STATUS_ROW(name, word, text, reaction, exit_code, http)                                 \
    [RK_##name] = { word, text, RK_##reaction, exit_code, http },
    RK_STATUS_LIST(RK_STATUS_ROW)
#undef RK_STATUS_ROW
};

const char *rk_status_word(enum rk_status status)
{
    PRE(status < RK_STATUS_COUNT);
    return statuses[status].word;
}

const char *rk_status_text(enum rk_status status)
{
    PRE(status < RK_STATUS_COUNT);
    return statuses[status].text;
}

enum rk_reaction rk_status_reaction(enum rk_status status)
{
    PRE(status < RK_STATUS_COUNT);
    return statuses[status].reaction;
}

int rk_status_exit_code(enum rk_status status)
{
    PRE(status < RK_STATUS_COUNT);
    return statuses[status].exit_code;
}

int rk_status_http(enum rk_status status)
{
    PRE(status < RK_STATUS_COUNT);
    return statuses[status].http;
}

enum rk_status rk_status_from_word(const char *word, unsigned long size)
{
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        if (strlen(statuses[i].word) == size && memcmp(statuses[i].word, word, size) == 0) {
            return (enum rk_status)i;
        }
    }
    return RK_STATUS_COUNT;
}
