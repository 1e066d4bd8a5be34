/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The k-th allocation fails, for every k of a life of storage: the process ends with a message or
 * gets NOMEM, and the files it leaves open again with everything acknowledged.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/failing_allocation.h"
#include "support/store.h"
#include "support/tap.h"
#include "support/tmpdir.h"

enum { EXIT_REFUSED = 10 };

/* ---- The life ---- */

/* What a life tells as it goes on. */
struct told {
    uint64_t acknowledged; /* index */
    uint64_t allocations;
};

struct life {
    struct store t;
    int out; /* where it tells */
};

static void tell(const struct life *l, raft_index acknowledged)
{
    struct told told = { acknowledged, allocation_count() };

    if (write(l->out, &told, sizeof told) != sizeof told) {
        _exit(3);
    }
}

static bool append(struct life *l, raft_term term, size_t count)
{
    if (store_append_sync(&l->t, term, count, 200) != RK_OK) {
        return false;
    }
    tell(l, storage_last_index(l->t.s));
    return true;
}

static bool take_snapshot(struct life *l, raft_index index)
{
    return store_snapshot(&l->t, index, 1, 9) == RK_OK;
}

static bool read_back(struct life *l)
{
    struct buffer out = BUFFER_INIT;
    raft_index last = 0;
    enum rk_status status = storage_read(l->t.s, storage_first_index(l->t.s), UINT64_MAX, 100000,
                                         &out, &last, &l->t.why);

    buffer_release(&out);
    return status == RK_OK;
}

static bool truncate_tail(struct life *l)
{
    raft_index last = storage_last_index(l->t.s);

    tell(l, last - 2);
    return storage_truncate(l->t.s, last - 1, &l->t.why) == RK_OK;
}

static bool live(struct life *l)
{
    bool is_good = store_open(&l->t) == RK_OK && append(l, 1, 3) && append(l, 1, 30) &&
                   truncate_tail(l) && append(l, 2, 5) && take_snapshot(l, 10) &&
                   take_snapshot(l, 20) && storage_compact(l->t.s, 11, &l->t.why) == RK_OK &&
                   append(l, 2, 3) && read_back(l) &&
                   storage_tick(l->t.s, 5000, &l->t.why) == RK_OK;

    store_close(&l->t);
    return is_good && store_open(&l->t) == RK_OK && append(l, 3, 2);
}

_Noreturn static void live_in_child(const char *data_dir, uint64_t k, int out)
{
    struct life l = { .t = STORE_INIT(fs_posix(), data_dir), .out = out };
    bool is_whole;

    (void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* "out of memory", once for each k */
    allocation_fail(k);
    is_whole = live(&l);
    if (is_whole) {
        tell(&l, storage_last_index(l.t.s));
    }
    _exit(is_whole ? 0 : EXIT_REFUSED);
}

/* ---- Judgement ---- */

struct tally {
    uint64_t lives;
    uint64_t aborted;
    uint64_t refused;
    uint64_t whole;
    uint64_t bad;
};

static bool is_genuine(void *context, const struct entry *entry, uint64_t offset)
{
    (void)offset;
    *(bool *)context = *(bool *)context && store_entry_is_genuine(entry);
    return true;
}

static const char *judge_files(const char *data_dir, const struct told *told, struct errmsg *why)
{
    struct store t = STORE_INIT(fs_posix(), data_dir);
    bool all_genuine = true;
    const char *wrong = NULL;

    if (store_open(&t) != RK_OK) {
        wrong = "it does not open";
    } else if (t.recovered.log_last_index < told->acknowledged) {
        wrong = "an acknowledged entry is lost";
    } else if (storage_walk(t.s, 1, is_genuine, &all_genuine, &t.why) != RK_OK || !all_genuine) {
        wrong = "an entry is not what was appended";
    }
    *why = t.why;
    store_release(&t);
    return wrong;
}

static const char *judge_end(int status, struct tally *tally)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        tally->whole++;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_REFUSED) {
        tally->refused++;
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
        tally->aborted++;
    } else {
        return "it ended in another way";
    }
    return NULL;
}

/* The newest word of a child, all of which is read. */
static struct told hear(int in)
{
    struct told told = { 0, 0 };
    struct told next;

    while (read(in, &next, sizeof next) == sizeof next) {
        told = next;
    }
    return told;
}

static struct told live_once(uint64_t k, struct tally *tally)
{
    char *data_dir = tmpdir_make();
    struct errmsg why = ERRMSG_INIT;
    struct told told;
    const char *wrong;
    int ends[2];
    int status = 0;
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0) {
        abort();
    }
    if (child == 0) {
        live_in_child(data_dir, k, ends[1]);
    }
    (void)close(ends[1]);
    told = hear(ends[0]);
    (void)close(ends[0]);
    (void)waitpid(child, &status, 0);
    wrong = judge_end(status, tally);
    if (wrong == NULL) {
        wrong = judge_files(data_dir, &told, &why);
    }
    tally->lives++;
    if (wrong != NULL && tally->bad++ == 0) {
        tap_note("allocation %u: %s: %.150s", (unsigned)k, wrong, why.text);
    }
    tmpdir_remove(data_dir);
    return told;
}

int main(void)
{
    struct tally tally = { 0 };
    uint64_t count = live_once(0, &tally).allocations;

    for (uint64_t k = 1; k <= count; k++) {
        (void)live_once(k, &tally);
    }
    tap_result(tally.bad == 0 && count > 100 && tally.aborted > 0,
               "each of %u allocations fails: %u lives, %u ended by it, %u got NOMEM, %u did not "
               "need it, %u bad",
               (unsigned)count, (unsigned)tally.lives, (unsigned)tally.aborted,
               (unsigned)tally.refused, (unsigned)tally.whole, (unsigned)tally.bad);
    return tap_end();
}
