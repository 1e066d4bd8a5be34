/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine alone, by shape and size of the set of refs, and beside it on the same refs two
 * C++ maps and git's own files.  [DESIGN 10]
 *
 *   bench/refdb [--rate N] [SHAPE|all] [REFS ...]     measures (100000 1000000 10000000)
 *   bench/refdb --emit SHAPE REFS                     prints the set: path, ref, oid
 *
 * Each case runs in a process of its own.  --rate: updates per second while the snapshot is
 * written (100000); 0 = as many as there can be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "refdb_measure.h"

#define SEED 1
#define SMALL_REFS 10 /* of each repository of that shape */
#define CASES_MAX 32
#define RATE_DEFAULT 100000
#define GIT_REFS_MAX 2000000 /* of a repository which git is asked to rewrite; above: computed */

/* A container of the C++ library. */
struct container {
    double bytes, lookup_ns, update_ns, list_ns, copy_ms;
};

/* What others need for the same refs; 0 = not known here. */
struct beside {
    struct container hash, tree;
    double packed_bytes;  /* git's packed-refs of all repositories */
    double git_bytes;     /* the packed-refs git wrote for the first repository ... */
    double formula_bytes; /* ... and what we say of it */
    double reftable_bytes;
    char git[64];
};

struct row {
    enum ref_shape shape;
    struct measured ours;
    struct beside beside;
};

static void emit(const struct ref_set *set)
{
    char path[REF_SET_TEXT_MAX], name[REF_SET_TEXT_MAX], hex[OID_HEX_BYTES_MAX + 1];

    for (uint64_t n = 0; n < set->ref_count; n++) {
        struct oid oid = ref_set_oid(set, n, 0);

        (void)ref_set_path(set, ref_set_repository_of(set, n), path);
        (void)ref_set_name(set, n, name);
        oid_format(&oid, hex);
        printf("%s\t%s\t%s\n", path, name, hex);
    }
}

/* ---- Ours ---- */

static void measure_in_child(const struct ref_set *set, double rate, struct measured *ret)
{
    int ends[2], status;
    pid_t child;

    (void)fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("fork");
        exit(1);
    }
    if (child == 0) {
        measure(set, rate, ret);
        _exit(write(ends[1], ret, sizeof *ret) == (ssize_t)sizeof *ret ? 0 : 1);
    }
    (void)close(ends[1]);
    if (read(ends[0], ret, sizeof *ret) != (ssize_t)sizeof *ret ||
        waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "a measuring process failed\n");
        exit(1);
    }
    (void)close(ends[0]);
}

static void print_measured(const struct measured *m)
{
    double refs = (double)m->refs;

    printf("  bytes per ref      %6.1f process, %.1f structure, %.1f process after a load "
           "(%.1f MiB)\n",
           m->process_bytes / refs, m->structure_bytes / refs, m->loaded_bytes / refs,
           m->process_bytes / 1048576);
    printf(
        "  ns                 %6.0f create, %.0f update, %.0f lookup; per ref %.0f list, %.0f in "
        "pages of 1,000\n",
        m->create_ns, m->update_ns, m->lookup_ns, m->list_ns, m->page_ns);
    printf("  digest             %6.0f ns per update\n", m->digest_ns);
    printf("  snapshot written   %6.2f s (CPU %.2f), %.1f MB, %.1f bytes per ref, %.0f updates "
           "meanwhile\n",
           m->write_s, m->write_cpu_s, m->write_bytes / 1e6, m->write_bytes / refs, m->during);
    printf("  longest pause      %6.2f ms (%.2f by the clock; freeze %.3f, thaw %.3f), memory "
           "+%.1f %%\n",
           m->pause_ms, m->pause_wall_ms, m->freeze_ms, m->thaw_ms, m->overhead * 100);
    printf("  snapshot loaded    %6.2f s (CPU %.2f), %.0f refs per second\n", m->load_s,
           m->load_cpu_s, refs / m->load_s);
}

/* ---- Others ---- */

static void take_word(struct beside *b, const char *word, const char *value)
{
    const struct {
        const char *word;
        double *to;
    } words[] = {
        { "hash_bytes", &b->hash.bytes },         { "hash_lookup_ns", &b->hash.lookup_ns },
        { "hash_update_ns", &b->hash.update_ns }, { "hash_list_ns", &b->hash.list_ns },
        { "hash_copy_ms", &b->hash.copy_ms },     { "tree_bytes", &b->tree.bytes },
        { "tree_lookup_ns", &b->tree.lookup_ns }, { "tree_update_ns", &b->tree.update_ns },
        { "tree_list_ns", &b->tree.list_ns },     { "tree_copy_ms", &b->tree.copy_ms },
        { "packed_bytes", &b->git_bytes },        { "reftable_bytes", &b->reftable_bytes },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i].word) == 0) {
            *words[i].to = strtod(value, NULL);
        }
    }
    if (strcmp(word, "git") == 0) {
        (void)snprintf(b->git, sizeof b->git, "%s", value);
    }
}

/* Runs it with the set as its input; each line of its output is a word and a value. */
static void run_beside(const char *self, const char *tool, const struct ref_set *set, uint64_t refs,
                       struct beside *b)
{
    char folder[512], command[2048], word[64], value[64];
    char *slash;
    FILE *output;

    (void)snprintf(folder, sizeof folder, "%s", self);
    slash = strrchr(folder, '/');
    *(slash == NULL ? folder : slash) = '\0';
    (void)snprintf(command, sizeof command, "'%s' --emit %s %" PRIu64 " | %s%s%s", self,
                   ref_shape_name(set->shape), refs, tool[0] == '/' ? "" : folder,
                   tool[0] == '/' ? "" : "/", tool);
    output = popen(command, "r");
    while (output != NULL && fscanf(output, "%63s %63[^\n]", word, value) == 2) {
        take_word(b, word, value);
    }
    if (output == NULL || pclose(output) != 0) {
        fprintf(stderr, "%s: no figures\n", tool);
    }
}

/* git's packed-refs: a line of 46 bytes, then per ref the oid, a space, the name, an end. */
static double packed_refs_bytes(const struct ref_set *set, uint64_t count)
{
    char name[REF_SET_TEXT_MAX];
    double bytes = 46.0 * (double)(count / set->refs_per_repository);

    for (uint64_t n = 0; n < count; n++) {
        bytes += (double)(40 + 1 + ref_set_name(set, n, name).size + 1);
    }
    return bytes;
}

static void look_beside(const char *self, const struct ref_set *set, struct beside *b)
{
    const char *source = getenv("RK_SRCDIR");
    char script[512];

    run_beside(self, "refdb_hashmap hash", set, set->ref_count, b);
    run_beside(self, "refdb_hashmap tree", set, set->ref_count, b);
    b->packed_bytes = packed_refs_bytes(set, set->ref_count);
    b->formula_bytes = packed_refs_bytes(set, set->refs_per_repository);
    if (set->refs_per_repository > GIT_REFS_MAX) {
        return;
    }
    (void)snprintf(script, sizeof script, "%s/bench/refdb_git.sh",
                   source == NULL ? BENCH_SRCDIR : source);
    run_beside(self, script, set, set->refs_per_repository, b);
}

static void print_container(const char *name, const struct container *c, double refs)
{
    if (c->bytes == 0) {
        return; /* it did not run, and said so */
    }
    printf("  beside: %s: %.1f bytes per ref, %.0f ns lookup, %.0f ns update, %.0f ns per ref to "
           "list in order, %.0f ms to copy for a snapshot\n",
           name, c->bytes / refs, c->lookup_ns, c->update_ns, c->list_ns, c->copy_ms);
}

static void print_beside(const struct beside *b, const struct ref_set *set)
{
    double refs = (double)set->ref_count;

    print_container("std::unordered_map", &b->hash, refs);
    print_container("std::map", &b->tree, refs);
    printf("  beside: packed-refs: %.1f bytes per ref", b->packed_bytes / refs);
    if (b->git_bytes == 0) {
        printf(", computed\n");
        return;
    }
    printf("; of the first repository git %s wrote %.0f bytes, %s\n", b->git, b->git_bytes,
           b->git_bytes == b->formula_bytes ? "as computed" : "NOT as computed");
    if (b->reftable_bytes > 0) {
        printf("  beside: reftable: %.1f bytes per ref of the first repository\n",
               b->reftable_bytes / (double)set->refs_per_repository);
    } else {
        printf("  beside: reftable: git %s has none\n", b->git);
    }
}

/* ---- The table ---- */

static void print_table(const struct row *rows, unsigned count)
{
    static const char *const columns[] = {
        "shape",       "refs",      "bytes/ref process", "structure",
        "packed-refs", "std::map",  "hash map",          "create, update, lookup ns",
        "list ns",     "digest ns", "write s, MB",       "load s, refs/s",
        "pause ms",    "memory +%",
    };

    putchar('\n');
    for (unsigned i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        printf("| %s ", columns[i]);
    }
    printf("|\n");
    for (unsigned i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        printf("|---");
    }
    printf("|\n");
    for (unsigned i = 0; i < count; i++) {
        const struct measured *m = &rows[i].ours;
        const struct beside *b = &rows[i].beside;
        double refs = (double)m->refs;

        printf("| %s | %" PRIu64
               " | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f, %.0f, %.0f | %.0f | %.0f | "
               "%.2f, %.1f | %.2f, %.0f | %.1f | %.1f |\n",
               ref_shape_name(rows[i].shape), m->refs, m->process_bytes / refs,
               m->structure_bytes / refs, b->packed_bytes / refs, b->tree.bytes / refs,
               b->hash.bytes / refs, m->create_ns, m->update_ns, m->lookup_ns, m->list_ns,
               m->digest_ns, m->write_cpu_s, m->write_bytes / 1e6, m->load_cpu_s,
               refs / m->load_cpu_s, m->pause_ms, m->overhead * 100);
    }
}

struct wanted {
    bool shapes[REF_SHAPE_COUNT];
    uint64_t sizes[CASES_MAX / REF_SHAPE_COUNT];
    unsigned size_count;
    double rate;
};

static void run_all(const char *self, const struct wanted *w)
{
    struct row rows[CASES_MAX] = { 0 };
    unsigned count = 0;

    for (unsigned shape = 0; shape < REF_SHAPE_COUNT; shape++) {
        for (unsigned i = 0; w->shapes[shape] && i < w->size_count; i++) {
            struct ref_set set = ref_set_of((enum ref_shape)shape, w->sizes[i], SMALL_REFS, SEED);
            struct row *row = &rows[count++];

            row->shape = set.shape;
            printf("%s: %" PRIu64 " refs in %" PRIu64 " repositories, seed %d\n",
                   ref_shape_name(set.shape), set.ref_count, ref_set_repository_count(&set), SEED);
            measure_in_child(&set, w->rate, &row->ours);
            print_measured(&row->ours);
            look_beside(self, &set, &row->beside);
            print_beside(&row->beside, &set);
        }
    }
    print_table(rows, count);
}

static int usage(void)
{
    fprintf(stderr, "usage: refdb [--rate N] [giant|android|keep-around|small|all] [REFS ...]\n"
                    "       refdb --emit SHAPE REFS\n");
    return 2;
}

/* The words behind the options: one or all shapes, then sizes. */
static bool parse(char **words, int count, struct wanted *w)
{
    enum ref_shape shape;
    bool is_all = count == 0 || strcmp(words[0], "all") == 0;

    if (!is_all && !ref_shape_find(words[0], &shape)) {
        return false;
    }
    for (unsigned i = 0; i < REF_SHAPE_COUNT; i++) {
        w->shapes[i] = is_all || i == shape;
    }
    for (int i = 1; i < count && w->size_count < CASES_MAX / REF_SHAPE_COUNT; i++) {
        w->sizes[w->size_count++] = strtoull(words[i], NULL, 10);
        if (w->sizes[w->size_count - 1] < SMALL_REFS) {
            return false;
        }
    }
    if (w->size_count == 0) {
        w->sizes[0] = 100000;
        w->sizes[1] = 1000000;
        w->sizes[2] = 10000000;
        w->size_count = 3;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct wanted wanted = { .rate = RATE_DEFAULT };
    int next = 1;

    if (argc == 4 && strcmp(argv[1], "--emit") == 0) {
        uint64_t refs = strtoull(argv[3], NULL, 10);
        enum ref_shape shape;
        struct ref_set set;

        if (!ref_shape_find(argv[2], &shape) || refs < SMALL_REFS) {
            return usage();
        }
        set = ref_set_of(shape, refs, SMALL_REFS, SEED);
        emit(&set);
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "--rate") == 0) {
        wanted.rate = strtod(argv[2], NULL);
        next = 3;
    }
    if (!parse(argv + next, argc - next, &wanted)) {
        return usage();
    }
    run_all(argv[0], &wanted);
    return 0;
}
