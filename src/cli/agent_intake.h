/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes one pack into a copy as git takes a push: in a folder of its own, where nothing else looks,
 * until it is known to be good.
 *
 *   fed         git index-pack --fix-thin, into the folder, unsynced
 *   taken       rev-list: everything reachable from the new values is here; meanwhile the pack is
 *               synced and the pins are prepared: locked and written, seen by nobody yet
 *               -> the pack goes to the others, their folder is synced -> the pins are committed
 *
 * Of a pack that is no good nothing stays.  The folder's name is one that git's own prune clears
 * away when an agent died.  For the copies pushed to last an intake is kept ready, its programs
 * started: they read nothing of the repository before their input comes.
 */
#ifndef CLI_AGENT_INTAKE_H
#define CLI_AGENT_INTAKE_H

#include "cli/agent.h"

struct intake;

/* ---- One, agent_intake.c ---- */

/* Its folder is made, index-pack started.  NULL after saying why not. */
struct intake *intake_new(const char *git_dir, struct errmsg *why);
/* The other two, which intake_take() does else. */
bool intake_start_rest(struct intake *in, struct errmsg *why) MUST_USE;
bool intake_is_of(const struct intake *in, const char *git_dir);
/* False when its copy was made anew meanwhile, or one of its programs ended.  PRE: all run. */
bool intake_is_usable(const struct intake *in);

/* How large the pack will be.  False after saying why not. */
bool intake_expect(struct intake *in, uint64_t size, struct errmsg *why) MUST_USE;
/* A piece of the pack.  False when it is not read any more: intake_take() says why. */
bool intake_feed(struct intake *in, const void *data, size_t size) MUST_USE;
/* PRE: all of the pack was fed, or nothing: then the objects must be here.  `push` names the pins.
 * False after saying why not. */
bool intake_take(struct intake *in, const struct slice *ids, uint32_t count, struct slice push,
                 struct errmsg *why) MUST_USE;
void intake_close(struct intake *in); /* accepts NULL */

/* ---- Those that are ready, agent_ready.c ---- */

/* The one of this copy, else a new one; NULL after saying why not. */
struct intake *intake_open(struct agent *a, const char *git_dir, struct errmsg *why);
/* Gets one ready for the next push, after a while: this push is not done yet. */
void intake_prepare(struct agent *a, const char *git_dir);
void intake_drop_idle(struct agent *a);

#endif
