/* SPDX-License-Identifier: Apache-2.0 */
/* A status between nodes: u8 length and its word, so that the list may grow. */
#ifndef WIRE_STATUS_WORD_H
#define WIRE_STATUS_WORD_H

#include "base/bytes.h"

#define STATUS_WORD_BYTES_MAX 31

static inline void put_status_word(struct buffer *out, enum rk_status status)
{
    buffer_put_text(out, rk_status_word(status));
}

/* A word that is not known here is UNKNOWN: ask before doing it again. */
static inline enum rk_status read_status_word(struct reader *in)
{
    char word[STATUS_WORD_BYTES_MAX + 1];
    enum rk_status status;

    reader_text(in, word, STATUS_WORD_BYTES_MAX);
    status = rk_status_from_word(word, strlen(word));
    return status == RK_STATUS_COUNT ? RK_UNKNOWN : status;
}

#endif
