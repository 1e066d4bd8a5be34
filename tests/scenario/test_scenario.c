/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the .txt files of this folder: commands to a virtual cluster, then `----`, then what the
 * nodes said about it, up to an empty line; as many such blocks as wanted.  `#` starts a
 * comment.  `make rewrite-scenarios` writes what was said into the files; review the diff.
 *
 *   cluster N [learners L] [spares S] [batch B]   N voters; S empty nodes that are no members
 *                     yet; B = entries per message
 *   log ID T...       its disk holds entries of these terms
 *   hard ID T [V]     its disk holds this term and vote
 *   start ID|all      bootstrap ID|all      crash ID [closed]     campaign ID
 *   timeout ID        the clock goes to its deadline
 *   change ID add|promote|remove N    the leader ID is asked to change the members
 *   transfer ID N     the leader ID is asked to hand over to N
 *   run MS            submit ID COUNT       read ID               compact ID TRAILING
 *   cut FROM TO       one direction; `all` for either end         heal [reopened]
 *   stall ID MS       its disk answers that much later
 *   append ID FROM TERM PREV PREV_TERM COMMIT   a message from nowhere, without entries
 *   state             a line for each node
 */
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "support/cluster.h"

#define WORDS_MAX 24
#define FILES_MAX 64

struct scenario {
    struct cluster *cluster;
    struct buffer said;
};

static void on_trace(void *context, time_ms now_ms, node_id node, const char *text)
{
    struct scenario *s = context;

    buffer_printf(&s->said, "[%5" PRId64 "] %" PRIu64 " > %s\n", now_ms, node, text);
}

static uint64_t number(const char *word)
{
    char *end;
    uint64_t value;

    assert_non_null(word);
    value = strtoull(word, &end, 10);
    assert_int_equal(*end, 0);
    return value;
}

/* ---- Commands ---- */

static void do_cluster(struct scenario *s, char **words, unsigned count)
{
    struct cluster_options options = {
        .voter_count = (unsigned)number(words[1]),
        .seed = 1,
        .election_timeout_ms = 150,
        .heartbeat_interval_ms = 50,
        .delay_min_ms = 10,
        .delay_max_ms = 10,
        .disk_min_ms = 5,
        .disk_max_ms = 5,
        .trace = on_trace,
        .context = s,
    };

    for (unsigned i = 2; i + 1 < count; i += 2) {
        if (strcmp(words[i], "learners") == 0) {
            options.learner_count = (unsigned)number(words[i + 1]);
        } else if (strcmp(words[i], "spares") == 0) {
            options.spare_count = (unsigned)number(words[i + 1]);
        } else if (strcmp(words[i], "batch") == 0) {
            options.append_count_max = (uint32_t)number(words[i + 1]);
        } else {
            fail_msg("cluster: what is %s?", words[i]);
        }
    }
    cluster_free(s->cluster);
    s->cluster = cluster_new(&options);
}

static void do_log(struct scenario *s, char **words, unsigned count)
{
    for (unsigned i = 2; i < count; i++) {
        cluster_put_entries(s->cluster, number(words[1]), number(words[i]), 1);
    }
}

static void do_hard(struct scenario *s, char **words, unsigned count)
{
    cluster_put_hard_state(s->cluster, number(words[1]), number(words[2]),
                           count > 3 ? number(words[3]) : 0);
}

static void do_start(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    if (strcmp(words[1], "all") == 0) {
        cluster_start_all(s->cluster);
    } else {
        cluster_start(s->cluster, number(words[1]));
    }
    cluster_run(s->cluster, cluster_now_ms(s->cluster) + 4); /* the connections are made */
}

static void do_bootstrap(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    for (node_id id = 1; id <= cluster_size(s->cluster); id++) {
        if (strcmp(words[1], "all") == 0 || number(words[1]) == id) {
            cluster_bootstrap(s->cluster, id);
        }
    }
}

static void do_crash(struct scenario *s, char **words, unsigned count)
{
    cluster_crash(s->cluster, number(words[1]), false, count > 2);
}

static void do_campaign(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    cluster_campaign(s->cluster, number(words[1]));
}

static void do_timeout(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    cluster_fire(s->cluster, number(words[1]));
}

static void do_run(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    cluster_run(s->cluster, cluster_now_ms(s->cluster) + (time_ms)number(words[1]));
}

static void do_submit(struct scenario *s, char **words, unsigned count)
{
    enum rk_status status = cluster_submit(s->cluster, number(words[1]),
                                           (unsigned)number(words[2]));

    (void)count;
    if (status != RK_OK) {
        buffer_printf(&s->said, "submit: %s\n", rk_status_word(status));
    }
}

static void do_read(struct scenario *s, char **words, unsigned count)
{
    uint64_t failed = cluster_reads_failed(s->cluster);

    (void)count;
    cluster_read(s->cluster, number(words[1]));
    if (cluster_reads_failed(s->cluster) > failed) {
        buffer_printf(&s->said, "read: NOLEADER\n");
    }
}

static void do_compact(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    assert_true(cluster_compact(s->cluster, number(words[1]), (unsigned)number(words[2])));
}

static void do_cut(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    for (node_id from = 1; from <= cluster_size(s->cluster); from++) {
        for (node_id to = 1; to <= cluster_size(s->cluster); to++) {
            if ((strcmp(words[1], "all") == 0 || number(words[1]) == from) &&
                (strcmp(words[2], "all") == 0 || number(words[2]) == to)) {
                cluster_cut(s->cluster, from, to, true);
            }
        }
    }
}

static void do_heal(struct scenario *s, char **words, unsigned count)
{
    (void)words;
    cluster_heal(s->cluster, count > 1);
}

static void say_refusal(struct scenario *s, const char *what, const char *why)
{
    if (why != NULL) {
        buffer_printf(&s->said, "%s: %s\n", what, why);
    }
}

static void do_change(struct scenario *s, char **words, unsigned count)
{
    node_id id = number(words[1]), member = number(words[3]);
    const char *why = "what change?";

    (void)count;
    if (strcmp(words[2], "add") == 0) {
        why = cluster_add(s->cluster, id, member, false);
    } else if (strcmp(words[2], "promote") == 0) {
        why = cluster_promote(s->cluster, id, member);
    } else if (strcmp(words[2], "remove") == 0) {
        why = cluster_remove(s->cluster, id, member);
    }
    say_refusal(s, "change", why);
}

static void do_transfer(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    say_refusal(s, "transfer", cluster_transfer(s->cluster, number(words[1]), number(words[2])));
}

static void do_stall(struct scenario *s, char **words, unsigned count)
{
    (void)count;
    cluster_stall_disk(s->cluster, number(words[1]),
                       cluster_now_ms(s->cluster) + (time_ms)number(words[2]));
}

static void do_append(struct scenario *s, char **words, unsigned count)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES };

    assert_int_equal(count, 7);
    m.to = number(words[1]);
    m.from = number(words[2]);
    m.term = number(words[3]);
    m.u.append_entries.prev_log_index = number(words[4]);
    m.u.append_entries.prev_log_term = number(words[5]);
    m.u.append_entries.leader_commit = number(words[6]);
    cluster_inject(s->cluster, &m);
    cluster_run(s->cluster, cluster_now_ms(s->cluster));
}

/* The terms of the log, and what is committed of it. */
static void say_node(struct scenario *s, node_id id)
{
    const struct raft *r = cluster_raft(s->cluster, id);
    struct raft_status status;

    if (r == NULL) {
        buffer_printf(&s->said, "%" PRIu64 " down\n", id);
        return;
    }
    raft_get_status(r, &status);
    buffer_printf(
        &s->said, "%" PRIu64 " %-13s term %" PRIu64 " leader %" PRIu64 " commit %" PRIu64 " log",
        id, raft_role_name(status.role), status.current_term, status.leader, status.commit_index);
    if (status.log_first_index > 1) {
        buffer_printf(&s->said, " ..%" PRIu64, status.log_first_index - 1);
    }
    for (raft_index i = status.log_first_index; i <= status.log_last_index; i++) {
        buffer_printf(&s->said, " %" PRIu64, raft_term_at(r, i));
    }
    buffer_printf(&s->said, "\n");
}

static void do_state(struct scenario *s, char **words, unsigned count)
{
    (void)words;
    (void)count;
    for (node_id id = 1; id <= cluster_size(s->cluster); id++) {
        say_node(s, id);
    }
}

static const struct {
    const char *name;
    unsigned words_min;
    void (*run)(struct scenario *s, char **words, unsigned count);
} commands[] = {
    { "cluster", 2, do_cluster },
    { "log", 2, do_log },
    { "hard", 3, do_hard },
    { "start", 2, do_start },
    { "bootstrap", 2, do_bootstrap },
    { "crash", 2, do_crash },
    { "campaign", 2, do_campaign },
    { "timeout", 2, do_timeout },
    { "run", 2, do_run },
    { "submit", 3, do_submit },
    { "read", 2, do_read },
    { "compact", 3, do_compact },
    { "cut", 3, do_cut },
    { "heal", 1, do_heal },
    { "change", 4, do_change },
    { "transfer", 3, do_transfer },
    { "stall", 3, do_stall },
    { "append", 7, do_append },
    { "state", 1, do_state },
};

static void run_command(struct scenario *s, const char *line)
{
    char copy[256];
    char *words[WORDS_MAX + 1] = { NULL };
    char *at = copy;
    unsigned count = 0;

    (void)snprintf(copy, sizeof copy, "%s", line);
    while (count < WORDS_MAX) {
        at += strspn(at, " ");
        if (*at == '\0') {
            break;
        }
        words[count++] = at;
        at += strcspn(at, " ");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, words[0]) == 0) {
            assert_true(count >= commands[i].words_min);
            commands[i].run(s, words, count);
            return;
        }
    }
    fail_msg("unknown command: %s", line);
}

/* ---- Files ---- */

static char *next_line(char **text)
{
    char *line = *text;
    char *end;

    if (line == NULL || *line == '\0') {
        return NULL;
    }
    end = strchr(line, '\n');
    if (end != NULL) {
        *end = '\0';
        *text = end + 1;
    } else {
        *text = NULL;
    }
    return line;
}

/* The file as it should be: everything but what was said stays. */
static struct buffer run_text(char *text)
{
    struct scenario s = { .said = BUFFER_INIT };
    struct buffer wanted = BUFFER_INIT;
    bool is_expected = false;
    char *line;

    while ((line = next_line(&text)) != NULL) {
        if (is_expected) {
            is_expected = *line != '\0';
            if (!is_expected) {
                buffer_put(&wanted, "\n", 1);
            }
            continue;
        }
        buffer_printf(&wanted, "%s\n", line);
        if (strcmp(line, "----") == 0) {
            buffer_put_slice(&wanted, buffer_slice(&s.said));
            buffer_clear(&s.said);
            is_expected = true;
        } else if (*line != '\0' && *line != '#') {
            run_command(&s, line);
        }
    }
    cluster_free(s.cluster);
    buffer_release(&s.said);
    buffer_put_u8(&wanted, 0);
    return wanted;
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text;
    size_t size;

    assert_non_null(file);
    text = heap_zalloc(256 * 1024);
    size = fread(text, 1, 256 * 1024 - 1, file);
    assert_true(size < 256 * 1024 - 1);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void run_file(void **state)
{
    const char *path = *state;
    char *text = read_text(path);
    char *before = heap_copy_text(text, strlen(text));
    struct buffer wanted = run_text(text);

    if (getenv("REWRITE") != NULL) {
        write_text(path, (const char *)wanted.data);
    } else if (strcmp(before, (const char *)wanted.data) != 0) {
        print_message("%s\n", (const char *)wanted.data);
        fail_msg("%s says something else now; see above", path);
    }
    buffer_release(&wanted);
    heap_free(before);
    heap_free(text);
}

static int is_scenario(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot != NULL && strcmp(dot, ".txt") == 0;
}

int main(void)
{
    static char paths[FILES_MAX][512];
    static char names[FILES_MAX][256];
    struct CMUnitTest tests[FILES_MAX] = { { 0 } };
    const char *source = getenv("RK_SRCDIR") != NULL ? getenv("RK_SRCDIR") : ".";
    char folder[256];
    struct dirent **entries;
    int count;

    (void)snprintf(folder, sizeof folder, "%s/tests/scenario", source);
    count = scandir(folder, &entries, is_scenario, alphasort);
    if (count <= 0 || count > FILES_MAX) {
        fprintf(stderr, "no scenarios in %s\n", folder);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/%s", folder, entries[i]->d_name);
        (void)snprintf(names[i], sizeof names[i], "%s", entries[i]->d_name);
        tests[i] = (struct CMUnitTest){ .name = names[i],
                                        .test_func = run_file,
                                        .initial_state = paths[i] };
        free(entries[i]);
    }
    free(entries);
    return _cmocka_run_group_tests("scenarios", tests, (size_t)count, NULL, NULL);
}
