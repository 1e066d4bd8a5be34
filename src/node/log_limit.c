/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log_limit.h"

#include "base/limits.h"

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */

    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
    }
    return hash;
}

static bool is_seen(const struct log_limit *l, uint64_t hash)
{
    for (unsigned i = 0; i < l->passed; i++) {
        if (l->seen[i] == hash) {
            return true;
        }
    }
    return false;
}

bool log_limit_pass(struct log_limit *l, const char *text, int64_t now_ms, unsigned *ret_held)
{
    uint64_t hash = hash_of(text);

    if (now_ms >= l->window_ends_ms) {
        l->window_ends_ms = now_ms + LOG_REPEAT_MS;
        l->passed = 0;
    }
    if (l->passed == LOG_LIMIT_LINES || is_seen(l, hash)) {
        l->held++;
        return false;
    }
    l->seen[l->passed++] = hash;
    *ret_held = l->held;
    l->held = 0;
    return true;
}
