/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of the real file system for one test. */
#ifndef SUPPORT_TMPDIR_H
#define SUPPORT_TMPDIR_H

/* Makes an empty directory, mode 0700, below TMPDIR or /tmp.  Caller frees by tmpdir_remove. */
char *tmpdir_make(void);

/* Removes it with all it holds and frees the name.  Accepts NULL. */
void tmpdir_remove(char *path);

#endif
