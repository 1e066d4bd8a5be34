/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim --seed N [--seconds S] [--steps N] [--trace]
 *     one run, with its trace hash
 * sim [--first N] [--count N | --budget S] [--jobs N] [--seconds S] [--all-kinds]
 *     seeds N, N + 1, ...: so many, or for so many seconds of real time, in so many processes;
 *     with --all-kinds a kind of fault that never happened is a failure
 * sim --teeth [--only NAME | --least N] [--first N] [--budget S] [--jobs N]
 *     each bug of base/teeth.h until a check fails, so long for each; all, or at least N, must
 *     be found.  RK_TOOTH=NAME in the environment and --aim --seed N show one again
 *
 * Exit status: 0 when everything held, 1 when a check failed (the seed is said), 2 usage.
 */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/run.h"
#include "sim/teeth.h"

#define BUDGET_S_DEFAULT 10

struct arguments {
    struct sim_options options;
    uint64_t first, count, budget_s, jobs;
    const char *only; /* tooth */
    uint64_t least;   /* teeth to find */
    bool is_single, is_teeth, wants_all_kinds;
};

static void on_abort(int number)
{
    char text[160];
    int size = snprintf(text, sizeof text,
                        "# signal %d at seed %llu, step %llu\n"
                        "# again: make check-sim SEED=%llu TRACE=1\n",
                        number, sim == NULL ? 0ULL : (unsigned long long)sim->options.seed,
                        sim == NULL ? 0ULL : (unsigned long long)sim->steps,
                        sim == NULL ? 0ULL : (unsigned long long)sim->options.seed);

    (void)!write(2, text, (size_t)size);
    _exit(1);
}

double real_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this process: what others do on the machine does not count. */
static uint64_t cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* ---- Reports ---- */

static void print_totals(const struct totals *t)
{
    double simulated_s = (double)t->simulated_ms / 1000;

    printf("sim: %" PRIu64 " seeds, %.1f hours of clusters in %.0f s of one core: %.0f times real "
           "time\n",
           t->runs, simulated_s / 3600, (double)t->cpu_ms / 1000,
           (double)t->simulated_ms / (double)(t->cpu_ms + 1));
    printf("sim: %" PRIu64 " updates, %" PRIu64 " refused, %" PRIu64 " reads, %" PRIu64
           " batches of them by lease, %" PRIu64 " answered again, %" PRIu64 " elections, %" PRIu64
           " starts, %" PRIu64 " events\n",
           t->updates_ok, t->updates_refused, t->reads_ok, t->reads_by_lease, t->replays,
           t->elections, t->restarts, t->steps);
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        printf("sim: fault %-14s %10" PRIu64 "  %s\n", fault_name((enum fault)i), t->faults[i],
               fault_text((enum fault)i));
    }
}

static unsigned kinds_made(const struct totals *t)
{
    unsigned count = 0;

    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        count += t->faults[i] > 0;
    }
    return count;
}

static void totals_add(struct totals *sum, const struct totals *more)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)more;

    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) {
        to[i] += from[i];
    }
}

/* ---- Many runs ---- */

/* The seeds of one process: every `jobs`-th. */
static void run_seeds(const struct arguments *a, uint64_t job, struct totals *totals)
{
    struct sim_options options = a->options;
    double started_s = real_s();

    for (uint64_t i = job;
         a->count != 0 ? i < a->count : real_s() - started_s < (double)a->budget_s; i += a->jobs) {
        options.seed = a->first + i;
        (void)run_seed(&options, totals);
    }
    totals->cpu_ms = cpu_ms();
}

/* Runs a job in a process of its own; the totals come back through the pipe. */
static pid_t start_job(const struct arguments *a, uint64_t job, int pipe_fd[2])
{
    pid_t pid;

    if (pipe(pipe_fd) != 0) {
        return -1;
    }
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct totals totals = { 0 };

        run_seeds(a, job, &totals);
        _exit(write(pipe_fd[1], &totals, sizeof totals) == sizeof totals ? 0 : 1);
    }
    close(pipe_fd[1]);
    return pid;
}

static bool run_jobs(const struct arguments *a, struct totals *totals)
{
    int pipes[JOBS_MAX][2];
    pid_t pids[JOBS_MAX];
    bool is_good = true;

    for (uint64_t i = 0; i < a->jobs; i++) {
        pids[i] = start_job(a, i, pipes[i]);
    }
    for (uint64_t i = 0; i < a->jobs; i++) {
        struct totals one;
        int status = 1;

        if (pids[i] < 0 || read(pipes[i][0], &one, sizeof one) != sizeof one) {
            is_good = false;
        } else {
            totals_add(totals, &one);
        }
        if (pids[i] > 0) {
            is_good &= waitpid(pids[i], &status, 0) == pids[i] && status == 0;
            close(pipes[i][0]);
        }
    }
    return is_good;
}

static int run_many(const struct arguments *a)
{
    struct totals totals = { 0 };

    if (a->jobs == 1) {
        run_seeds(a, 0, &totals);
    } else if (!run_jobs(a, &totals)) {
        return 1;
    }
    print_totals(&totals);
    printf("sim: seeds from %" PRIu64 " on, %u of %u kinds of faults\n", a->first,
           kinds_made(&totals), FAULT_COUNT);
    return a->wants_all_kinds && kinds_made(&totals) < FAULT_COUNT ? 1 : 0;
}

static int run_one(const struct arguments *a)
{
    struct totals totals = { 0 };
    uint64_t hash = run_seed(&a->options, &totals);

    totals.cpu_ms = cpu_ms();
    print_totals(&totals);
    printf("sim: seed %" PRIu64 " trace hash %016" PRIx64 "\n", a->options.seed, hash);
    return 0;
}

/* ---- Arguments ---- */

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;

    *ret_number = strtoull(text, &end, 10);
    return *text != '\0' && *end == '\0';
}

static void take_argument(struct arguments *a, int name, uint64_t number)
{
    switch (name) {
    case 'T':
        a->is_teeth = true;
        break;
    case 'a':
        a->options.is_aimed = true;
        break;
    case 'k':
        a->wants_all_kinds = true;
        break;
    case 'l':
        a->least = number;
        break;
    case 's':
        a->options.seed = number;
        a->is_single = true;
        break;
    case 't':
        a->options.seconds = (int64_t)number;
        break;
    case 'n':
        a->options.steps_max = number;
        break;
    case 'v':
        a->options.is_tracing = true;
        break;
    case 'f':
        a->first = number;
        break;
    case 'c':
        a->count = number;
        break;
    case 'j':
        a->jobs = number;
        break;
    default:
        a->budget_s = number;
    }
}

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option names[] = {
        { "seed", required_argument, NULL, 's' },   { "seconds", required_argument, NULL, 't' },
        { "steps", required_argument, NULL, 'n' },  { "trace", no_argument, NULL, 'v' },
        { "first", required_argument, NULL, 'f' },  { "count", required_argument, NULL, 'c' },
        { "budget", required_argument, NULL, 'b' }, { "jobs", required_argument, NULL, 'j' },
        { "teeth", no_argument, NULL, 'T' },        { "only", required_argument, NULL, 'o' },
        { "least", required_argument, NULL, 'l' },  { "aim", no_argument, NULL, 'a' },
        { "all-kinds", no_argument, NULL, 'k' },    { NULL, 0, NULL, 0 },
    };
    uint64_t number = 0;
    int name;

    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (name == 'o') {
            a->only = optarg;
            continue;
        }
        if (name == '?' || (optarg != NULL && !parse_number(optarg, &number))) {
            return false;
        }
        take_argument(a, name, number);
    }
    return optind == argc && a->jobs >= 1 && a->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
    struct arguments a = { .first = 1, .jobs = 1, .budget_s = BUDGET_S_DEFAULT };

    if (!parse_arguments(argc, argv, &a)) {
        fprintf(stderr, "usage: sim --seed N [--seconds S] [--steps N] [--trace]\n"
                        "       sim [--first N] [--count N | --budget S] [--jobs N] "
                        "[--seconds S] [--all-kinds]\n"
                        "       sim --teeth [--only NAME | --least N] [--first N] [--budget S] "
                        "[--jobs N]\n");
        return 2;
    }
    /* Disks are memory that grows and goes: asking the system each time costs a fifth of it all. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (a.is_teeth) {
        return teeth_run(&(struct teeth_options){ a.first, (double)a.budget_s, (unsigned)a.jobs,
                                                  (unsigned)a.least, a.only });
    }
    return a.is_single ? run_one(&a) : run_many(&a);
}
