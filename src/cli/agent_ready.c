/* SPDX-License-Identifier: Apache-2.0 */
/* The intakes that are ready for the next push to a copy.  [agent_intake.h] */
#include <poll.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "cli/agent_intake.h"
#include "sys/clock.h"

#define PREPARE_PAUSE_MS 20 /* the rest of a push takes less */
#define IDLE_MS 30000       /* also how old what its programs know of the configuration may be */

/* Empties the slot of a copy; NULL when there is none, or it is not ready yet. */
static struct intake *take_ready(struct agent *a, const char *git_dir)
{
    struct intake *in = NULL;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < AGENT_INTAKES_MAX && in == NULL; i++) {
        struct intake_slot *slot = &a->intakes[i];

        if (slot->intake != NULL && intake_is_of(slot->intake, git_dir)) {
            in = slot->intake;
            *slot = (struct intake_slot){ .intake = NULL };
        }
    }
    pthread_mutex_unlock(&a->lock);
    return in;
}

/* git removes them with the last pin.  It would make them, too, but now there is time: the pack is
 * still being made. */
static void make_pin_folders(const char *git_dir)
{
    static const char *const folders[] = { "/refs/refkeeper", "/refs/refkeeper/pin" };

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct buffer path = BUFFER_INIT;

        buffer_printf(&path, "%s%s", git_dir, folders[i]);
        buffer_put_u8(&path, '\0');
        (void)mkdir((const char *)path.data, 0777);
        buffer_release(&path);
    }
}

struct intake *intake_open(struct agent *a, const char *git_dir, struct errmsg *why)
{
    struct intake *in = take_ready(a, git_dir);

    if (in != NULL && !intake_is_usable(in)) {
        intake_close(in);
        in = NULL;
    }
    make_pin_folders(git_dir);
    return in != NULL ? in : intake_new(git_dir, why);
}

/* The slot for another one: of those without one that is being made, the first to grow idle. */
static struct intake_slot *find_slot(struct agent *a, const char *git_dir)
{
    struct intake_slot *found = NULL;

    for (size_t i = 0; i < AGENT_INTAKES_MAX; i++) {
        struct intake_slot *slot = &a->intakes[i];

        if (slot->intake != NULL && intake_is_of(slot->intake, git_dir)) {
            return NULL;
        }
        if (!slot->is_coming && (found == NULL || slot->until_ms < found->until_ms)) {
            found = slot;
        }
    }
    return found;
}

void intake_prepare(struct agent *a, const char *git_dir)
{
    struct errmsg why = ERRMSG_INIT;
    struct intake *before = NULL, *in;
    struct intake_slot *slot;

    pthread_mutex_lock(&a->lock);
    slot = find_slot(a, git_dir);
    if (slot != NULL) {
        before = slot->intake;
        *slot = (struct intake_slot){ .is_coming = true };
    }
    pthread_mutex_unlock(&a->lock);
    intake_close(before);
    if (slot == NULL) {
        return;
    }
    (void)poll(NULL, 0, PREPARE_PAUSE_MS);
    in = intake_new(git_dir, &why);
    /* What does not work now says so when it is needed. */
    if (in != NULL && !intake_start_rest(in, &why)) {
        intake_close(in);
        in = NULL;
    }
    pthread_mutex_lock(&a->lock);
    *slot = (struct intake_slot){ .intake = in,
                                  .until_ms = in == NULL ? 0 : clock_monotonic_ms() + IDLE_MS };
    pthread_mutex_unlock(&a->lock);
}

void intake_drop_idle(struct agent *a)
{
    for (size_t i = 0; i < AGENT_INTAKES_MAX; i++) {
        struct intake_slot *slot = &a->intakes[i];
        struct intake *in = NULL;

        pthread_mutex_lock(&a->lock);
        if (slot->intake != NULL && slot->until_ms < clock_monotonic_ms()) {
            in = slot->intake;
            *slot = (struct intake_slot){ .intake = NULL };
        }
        pthread_mutex_unlock(&a->lock);
        intake_close(in);
    }
}
