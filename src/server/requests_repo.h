/* SPDX-License-Identifier: Apache-2.0 */
/* The words other answers about repositories and storages use, too. */
#ifndef SERVER_REQUESTS_REPO_H
#define SERVER_REQUESTS_REPO_H

#include "model/command.h"

const char *repository_state_word(enum repository_state state); /* rw, ro, frozen */
const char *storage_state_word(enum storage_state state);       /* active, draining, down */

#endif
