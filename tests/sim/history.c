/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"

/* A beginning or an end; ends are linked to their beginnings. */
struct mark {
    struct mark *previous, *next;
    struct mark *end; /* of a beginning; NULL = never */
    const struct history_op *op;
    size_t number;
    uint64_t at;
};

/* Which operations were placed, and what the ref is at then. */
struct configuration {
    uint64_t hash;
    uint64_t value;
    uint64_t *placed; /* NULL = free slot */
};

struct search {
    struct mark *marks;
    struct mark head;
    size_t count, word_count;
    uint64_t *placed;
    struct configuration *seen;
    size_t seen_count, seen_capacity;
};

/* ---- The ref ---- */

static bool apply(const struct history_op *op, uint64_t value, uint64_t *ret_value)
{
    bool fits = !op->has_old || op->old == value;

    *ret_value = value;
    if (op->kind == HISTORY_READ) {
        return op->seen == value;
    }
    if (op->ended == HISTORY_OPEN) {
        *ret_value = op->new_value;
        return fits; /* without effect it need not be placed */
    }
    if (op->is_refused) {
        return !fits && op->seen == value;
    }
    *ret_value = op->new_value;
    return fits;
}

/* ---- Configurations ---- */

static uint64_t hash_of(const struct search *s, uint64_t value)
{
    uint64_t hash = value * 0x9e3779b97f4a7c15ULL;

    for (size_t i = 0; i < s->word_count; i++) {
        hash = (hash ^ s->placed[i]) * 0x100000001b3ULL;
        hash ^= hash >> 31;
    }
    return hash;
}

static void seen_put(struct search *s, struct configuration c)
{
    size_t i = c.hash & (s->seen_capacity - 1);

    while (s->seen[i].placed != NULL) {
        i = (i + 1) & (s->seen_capacity - 1);
    }
    s->seen[i] = c;
}

static void seen_grow(struct search *s)
{
    struct configuration *old = s->seen;
    size_t capacity = s->seen_capacity;

    s->seen_capacity = capacity == 0 ? 1024 : 2 * capacity;
    s->seen = heap_zalloc(s->seen_capacity * sizeof s->seen[0]);
    for (size_t i = 0; i < capacity; i++) {
        if (old[i].placed != NULL) {
            seen_put(s, old[i]);
        }
    }
    heap_free(old);
}

/* False when it was there before. */
static bool seen_add(struct search *s, uint64_t value)
{
    uint64_t hash = hash_of(s, value);
    size_t bytes = s->word_count * sizeof s->placed[0];

    if (2 * s->seen_count >= s->seen_capacity) {
        seen_grow(s);
    }
    for (size_t i = hash & (s->seen_capacity - 1); s->seen[i].placed != NULL;
         i = (i + 1) & (s->seen_capacity - 1)) {
        if (s->seen[i].hash == hash && s->seen[i].value == value &&
            memcmp(s->seen[i].placed, s->placed, bytes) == 0) {
            return false;
        }
    }
    seen_put(s, (struct configuration){ hash, value, heap_copy(s->placed, bytes) });
    s->seen_count++;
    return true;
}

/* ---- The list of marks ---- */

static int compare_marks(const void *a, const void *b)
{
    const struct mark *x = a;
    const struct mark *y = b;

    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static void unlink_mark(struct mark *m)
{
    m->previous->next = m->next;
    if (m->next != NULL) {
        m->next->previous = m->previous;
    }
}

static void relink_mark(struct mark *m)
{
    m->previous->next = m;
    if (m->next != NULL) {
        m->next->previous = m;
    }
}

static void lift(struct search *s, struct mark *begin)
{
    s->placed[begin->number / 64] |= UINT64_C(1) << (begin->number % 64);
    unlink_mark(begin);
    if (begin->end != NULL) {
        unlink_mark(begin->end);
    }
}

static void put_back(struct search *s, struct mark *begin)
{
    s->placed[begin->number / 64] &= ~(UINT64_C(1) << (begin->number % 64));
    if (begin->end != NULL) {
        relink_mark(begin->end);
    }
    relink_mark(begin);
}

static void make_marks(struct search *s, const struct history_op *ops)
{
    struct mark **begins = heap_alloc((s->count + 1) * sizeof begins[0]);
    size_t used = 0;

    for (size_t i = 0; i < s->count; i++) {
        s->marks[used++] = (struct mark){ .op = &ops[i], .number = i, .at = ops[i].began };
        if (ops[i].ended != HISTORY_OPEN) {
            PRE(ops[i].began < ops[i].ended);
            s->marks[used++] = (struct mark){ .op = NULL, .number = i, .at = ops[i].ended };
        }
    }
    qsort(s->marks, used, sizeof s->marks[0], compare_marks);
    s->head.next = NULL;
    for (size_t i = 0; i < used; i++) {
        struct mark *m = &s->marks[i];

        m->previous = i == 0 ? &s->head : &s->marks[i - 1];
        m->next = i + 1 < used ? &s->marks[i + 1] : NULL;
        if (m->op != NULL) {
            begins[m->number] = m;
        } else {
            begins[m->number]->end = m;
        }
    }
    s->head.next = used > 0 ? &s->marks[0] : NULL;
    heap_free(begins);
}

/* ---- The search ---- */

struct step {
    struct mark *mark;
    uint64_t value_before;
};

static bool search_run(struct search *s, size_t *ret_blame)
{
    struct step *steps = heap_alloc((s->count + 1) * sizeof steps[0]);
    size_t depth = 0;
    uint64_t value = 0, farthest = 0;
    struct mark *m = s->head.next;
    bool is_found = true;

    while (m != NULL) {
        uint64_t after;

        if (m->op != NULL) {
            if (apply(m->op, value, &after)) {
                lift(s, m);
                if (seen_add(s, after)) {
                    steps[depth++] = (struct step){ m, value };
                    value = after;
                    m = s->head.next;
                    continue;
                }
                put_back(s, m);
            }
            m = m->next;
        } else {
            if (m->at >= farthest) {
                farthest = m->at;
                *ret_blame = m->number;
            }
            if (depth == 0) {
                is_found = false;
                break;
            }
            depth--;
            put_back(s, steps[depth].mark);
            value = steps[depth].value_before;
            m = steps[depth].mark->next;
        }
    }
    heap_free(steps);
    return is_found;
}

/* ---- What cannot matter ---- */

static int compare_values(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The values somebody was told or required, sorted. */
static size_t wanted_values(const struct history_op *ops, size_t count, uint64_t *values)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == HISTORY_READ || ops[i].is_refused) {
            values[used++] = ops[i].seen;
        }
        if (ops[i].kind == HISTORY_UPDATE && ops[i].has_old) {
            values[used++] = ops[i].old;
        }
    }
    qsort(values, used, sizeof values[0], compare_values);
    return used;
}

/*
 * Copies what must be judged.  An update of unknown outcome whose value nobody met may as well
 * never have happened, and each that is kept doubles the search.
 */
static size_t keep_relevant(const struct history_op *ops, size_t count, struct history_op *kept,
                            size_t *numbers)
{
    uint64_t *values = heap_alloc((2 * count + 1) * sizeof values[0]);
    size_t value_count = wanted_values(ops, count, values);
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (ops[i].ended == HISTORY_OPEN &&
            (ops[i].kind == HISTORY_READ || bsearch(&ops[i].new_value, values, value_count,
                                                    sizeof values[0], compare_values) == NULL)) {
            continue;
        }
        numbers[used] = i;
        kept[used++] = ops[i];
    }
    heap_free(values);
    return used;
}

bool history_is_linearizable(const struct history_op *ops, size_t count, size_t *ret_blame)
{
    struct history_op *kept = heap_alloc((count + 1) * sizeof kept[0]);
    size_t *numbers = heap_alloc((count + 1) * sizeof numbers[0]);
    struct search s = { .count = keep_relevant(ops, count, kept, numbers) };
    size_t blame = 0;
    bool is_found;

    s.word_count = s.count / 64 + 1;
    s.marks = heap_alloc((2 * s.count + 1) * sizeof s.marks[0]);
    s.placed = heap_zalloc(s.word_count * sizeof s.placed[0]);
    make_marks(&s, kept);
    is_found = search_run(&s, &blame);
    *ret_blame = is_found ? 0 : numbers[blame];
    for (size_t i = 0; i < s.seen_capacity; i++) {
        heap_free(s.seen[i].placed);
    }
    heap_free(s.seen);
    heap_free(s.placed);
    heap_free(s.marks);
    heap_free(numbers);
    heap_free(kept);
    return is_found;
}
