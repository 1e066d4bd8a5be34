/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people write them: 100ms, 64MiB, true. */
#ifndef DAEMON_CONFIG_VALUE_H
#define DAEMON_CONFIG_VALUE_H

#include "daemon/config.h"

/*
 * Judges `text` for the key, and gives its number (see struct config_value; 0 for texts).
 * Errors: CONFIG, with a sentence that quotes the text and says what is expected.
 */
enum rk_status config_value_parse(const struct config_key_facts *facts, const char *text,
                                  int64_t *ret_number, struct errmsg *why) MUST_USE;

/* "NAME=HOST:PORT,...": ids from 1 in order of name.  Errors: CONFIG. */
enum rk_status config_members_parse(const char *text, struct membership *ret_members,
                                    struct errmsg *why) MUST_USE;

#endif
