/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/teeth.h"

#include "base/limits.h"
#include "base/teeth.h"

#ifndef RK_TEETH

#include <stdio.h>

int teeth_run(const struct teeth_options *options)
{
    (void)options;
    fprintf(stderr, "sim: this build has no teeth; configure with --enable-teeth\n");
    return 2;
}

void teeth_aim(struct swarm *s)
{
    (void)s;
}

#else

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/run.h"

#define SAID_BYTES 16384

/* One process that runs seeds with a tooth, and what it said when a check failed. */
struct hunter {
    pid_t pid;
    int fd;
    char said[SAID_BYTES];
    size_t size;
    bool has_failed;
};

struct find {
    uint64_t seed, step;
    double simulated_s, real_s;
    char check[120]; /* what failed */
};

/* ---- Aim: the same faults, drawn more often where a bug needs them together ---- */

static void only(struct swarm *s, const enum fault *faults, unsigned count)
{
    memset(s->is_on, 0, sizeof s->is_on);
    s->loss_permille = s->duplication_permille = s->reorder_permille = 0;
    s->corruption_permille = s->delay_permille = 0;
    for (unsigned i = 0; i < count; i++) {
        s->is_on[faults[i]] = true;
    }
}

void teeth_aim(struct swarm *s)
{
    switch (tooth_biting) {
    case TOOTH_VOTE_COUNTED_TWICE: /* needs four others */
        s->machine_count = 5;
        s->is_on[FAULT_DUPLICATION] = s->is_on[FAULT_CUT] = true;
        s->duplication_permille = 200;
        s->fault_us_mean = SECOND_US;
        break;
    case TOOTH_READ_WITHOUT_QUORUM: /* needs an old leader that lives on, and readers there */
        only(s, (const enum fault[]){ FAULT_CUT_REJECT }, 1);
        s->machine_count = 3;
        s->read_percent = 80;
        break;
    case TOOTH_LEASE_ON_WALL_CLOCK: /* needs clocks that are set while an old leader lives on */
        only(s, (const enum fault[]){ FAULT_CLOCK_JUMP, FAULT_LEASE_DRIFT, FAULT_CUT_REJECT }, 3);
        s->has_leases = true;
        s->clock_drift_percent = 20; /* and live on for longer than its lease should */
        s->machine_count = 3;
        s->read_percent = 80;
        s->fault_us_mean = SECOND_US / 2;
        break;
    case TOOTH_MEMBERSHIP_WITHOUT_COMMIT: /* needs changes while leaders change */
        only(s,
             (const enum fault[]){ FAULT_MEMBER_ADD, FAULT_MEMBER_REMOVE, FAULT_CUT_REJECT,
                                   FAULT_CUT },
             4);
        s->has_churn = true;
        s->machine_count = 3;
        s->fault_us_mean = SECOND_US / 3;
        break;
    case TOOTH_REMOVED_DISRUPTS: /* needs somebody who is removed and does not know */
        only(s,
             (const enum fault[]){ FAULT_MEMBER_ADD, FAULT_MEMBER_REMOVE, FAULT_SLOW_FOLLOWER,
                                   FAULT_CUT_ONE_WAY },
             4);
        s->has_churn = true;
        s->machine_count = 5;
        s->fault_us_mean = SECOND_US;
        break;
    case TOOTH_SYNC_RETRIED: /* needs the power cut after the failed sync */
        s->is_on[FAULT_EIO_SYNC] = s->is_on[FAULT_POWER_CUT] = s->sync_forgets = true;
        s->fault_us_mean = SECOND_US / 2;
        break;
    case TOOTH_INDEX_APART_FROM_STATE: /* needs a crash inside a compaction */
        only(s, (const enum fault[]){ FAULT_TORN_WRITE }, 1);
        s->has_churn = false;
        s->fault_us_mean = SECOND_US / 8;
        s->log_compact_bytes = 20 * KIB;
        s->trailing_entries = 10;
        s->snapshot_interval_ms = 200; /* few other writes: updates are rare */
        s->client_count = 3;
        s->think_us_max = SECOND_US;
        break;
    case TOOTH_LENGTH_TRUSTED: /* a few bytes of an entry are its length */
        s->rots_lengths = true;
        s->can_allocate = false; /* so that it leads beyond the file */
        /* fall through */
    case TOOTH_ROT_TRUNCATED:
        only(s, (const enum fault[]){ FAULT_ROT_LOG }, 1);
        s->fault_us_mean = SECOND_US;
        break;
    case TOOTH_DIRECTORY_NOT_SYNCED: /* needs it soon after a snapshot */
        s->is_on[FAULT_SNAPSHOT] = s->is_on[FAULT_POWER_CUT] = true;
        s->fault_us_mean = SECOND_US / 2;
        break;
    default:
        break;
    }
}

/* ---- Hunting ---- */

static void hunt(const struct teeth_options *o, uint64_t job)
{
    struct sim_options options = { .is_aimed = true };
    struct totals totals = { 0 };
    double until_s = real_s() + o->budget_s;

    options.seed = o->first + job;
    do {
        (void)run_seed(&options, &totals);
        options.seed += o->jobs;
    } while (real_s() < until_s);
}

/* In a process of its own, as a check that fails ends it. */
static void hunter_start(struct hunter *h, const struct teeth_options *o, uint64_t job)
{
    int ends[2];

    *h = (struct hunter){ .fd = -1 };
    if (pipe(ends) != 0) {
        return;
    }
    fflush(stdout);
    h->pid = fork();
    if (h->pid == 0) {
        close(ends[0]);
        if (dup2(ends[1], 2) == 2 && dup2(ends[1], 1) == 1) {
            hunt(o, job);
        }
        _exit(0);
    }
    close(ends[1]);
    h->fd = ends[0];
}

/* Takes what it says; false when it has ended. */
static bool hunter_listen(struct hunter *h)
{
    char scratch[1024];
    bool is_full = h->size >= SAID_BYTES - sizeof scratch;
    ssize_t got = read(h->fd, scratch, sizeof scratch);
    int status = 0;

    if (got > 0) {
        if (is_full) { /* the end matters */
            memmove(h->said, h->said + SAID_BYTES / 2, h->size - SAID_BYTES / 2);
            h->size -= SAID_BYTES / 2;
        }
        memcpy(h->said + h->size, scratch, (size_t)got);
        h->size += (size_t)got;
        h->said[h->size] = '\0';
        return true;
    }
    close(h->fd);
    h->fd = -1;
    h->has_failed = waitpid(h->pid, &status, 0) == h->pid && status != 0;
    return false;
}

static void hunter_stop(struct hunter *h)
{
    if (h->fd >= 0) {
        kill(h->pid, SIGKILL);
        close(h->fd);
        (void)waitpid(h->pid, NULL, 0);
        h->fd = -1;
    }
}

/* Waits until one of them has failed or all are done; NULL = none found anything. */
static struct hunter *first_to_fail(struct hunter *hunters, unsigned count)
{
    unsigned left = count;

    while (left > 0) {
        struct pollfd fds[JOBS_MAX];

        for (unsigned i = 0; i < count; i++) {
            fds[i] = (struct pollfd){ hunters[i].fd, POLLIN, 0 };
        }
        if (poll(fds, count, -1) <= 0) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            if (hunters[i].fd >= 0 && fds[i].revents != 0 && !hunter_listen(&hunters[i])) {
                left--;
                if (hunters[i].has_failed) {
                    return &hunters[i];
                }
            }
        }
    }
    return NULL;
}

/* ---- What was found ---- */

static void copy_line(char *to, size_t size, const char *from)
{
    size_t length = strcspn(from, "\n");

    length = length < size ? length : size - 1;
    memcpy(to, from, length);
    to[length] = '\0';
}

/* The check, seed and step, from what a failed run says at its end. */
static bool find_parse(struct find *f, const char *said)
{
    const char *invariant = strstr(said, "refkeeper: ");
    const char *line = strstr(said, "# seed ");
    unsigned long long seed, step;

    if (line != NULL &&
        sscanf(line, "# seed %llu, step %llu, %lf s", &seed, &step, &f->simulated_s) == 3) {
        line = strstr(line, " s: ");
        copy_line(f->check, sizeof f->check, line == NULL ? "?" : line + 4);
    } else if ((line = strstr(said, "# signal ")) != NULL &&
               sscanf(line, "# signal %*d at seed %llu, step %llu", &seed, &step) == 2) {
        copy_line(f->check, sizeof f->check, invariant == NULL ? line : invariant + 11);
    } else {
        return false;
    }
    f->seed = seed;
    f->step = step;
    return true;
}

/* One seed again, in a process of its own; what it said goes to `h`. */
static void again(struct hunter *h, uint64_t seed)
{
    struct teeth_options one = { .first = seed, .budget_s = 0, .jobs = 1 };

    hunter_start(h, &one, 0);
    while (h->fd >= 0 && hunter_listen(h)) {
    }
}

/* The seed shows the same again, and nothing without the tooth. */
static bool is_confirmed(const struct find *f)
{
    static struct hunter h;
    struct find second = { 0 };
    enum tooth tooth = tooth_biting;
    bool is_same;

    again(&h, f->seed);
    is_same = h.has_failed && find_parse(&second, h.said) && second.step == f->step &&
              strcmp(second.check, f->check) == 0;
    tooth_biting = TOOTH_NONE;
    again(&h, f->seed);
    tooth_biting = tooth;
    return is_same && !h.has_failed;
}

/* True when it was found. */
static bool try_tooth(const struct teeth_options *o, enum tooth tooth)
{
    static struct hunter hunters[JOBS_MAX];
    struct find f = { 0 };
    double started_s = real_s();
    const struct hunter *found;
    bool is_found;

    tooth_biting = tooth;
    for (unsigned i = 0; i < o->jobs; i++) {
        hunter_start(&hunters[i], o, i);
    }
    found = first_to_fail(hunters, o->jobs);
    f.real_s = real_s() - started_s;
    for (unsigned i = 0; i < o->jobs; i++) {
        hunter_stop(&hunters[i]);
    }
    is_found = found != NULL && find_parse(&f, found->said) && is_confirmed(&f);
    if (is_found) {
        printf("tooth %-26s %6.1f s  seed %-6" PRIu64 " %s\n", tooth_name(tooth), f.real_s, f.seed,
               f.check);
    } else if (found != NULL) {
        printf("tooth %-26s NOT CONFIRMED: %.*s\n", tooth_name(tooth), 300, found->said);
    } else {
        printf("tooth %-26s NOT FOUND in %.0f s: %s\n", tooth_name(tooth), f.real_s,
               tooth_text(tooth));
    }
    tooth_biting = TOOTH_NONE;
    return is_found;
}

int teeth_run(const struct teeth_options *o)
{
    unsigned tried = 0, found = 0;

    for (unsigned i = TOOTH_NONE + 1; i < TOOTH_COUNT; i++) {
        if (o->only == NULL || strcmp(o->only, tooth_name((enum tooth)i)) == 0) {
            tried++;
            found += try_tooth(o, (enum tooth)i);
        }
    }
    printf("teeth: %u of %u found\n", found, tried);
    return tried > 0 && found >= (o->least == 0 ? tried : o->least) ? 0 : 1;
}

#endif
