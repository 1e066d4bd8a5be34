#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# scripts/check-tidy reports each planted violation, and takes a waiver for it.

. "$RK_SRCDIR/tests/support/tap.sh"

tree=$tap_dir/tree
spdx='/* SPDX-License-Identifier: Apache-2.0 */'

# reset FILE: a tree with one file, read from stdin and named by a fragment.
reset() {
    rm -rf "$tree"
    mkdir -p "$tree/scripts" "$tree/src/raft" "$tree/${1%/*}"
    : >"$tree/scripts/tidy-waivers"
    cat >"$tree/$1"
    printf 'libraft_la_SOURCES = \\\n\t%s\n' "$1" >"$tree/src/raft/raft.am"
}

plant() {
    planted=$1
    shift
    printf '%s\n' "$@" | reset "$planted"
}

waive() {
    echo "$1" >"$tree/scripts/tidy-waivers"
}

# Prints N copies of a line.
repeat() {
    awk -v n="$1" -v line="$2" 'BEGIN { for (i = 0; i < n; i++) print line }'
}

run() {
    "$RK_SRCDIR/scripts/check-tidy" "$tree"
}

reports() {
    run >"$tap_dir/findings" && return 1
    cat "$tap_dir/findings"
    [ "$(cat "$tap_dir/findings")" = "$1" ]
}

function_of() {
    echo "$spdx"
    echo "static enum rk_status step_receive(struct raft *r,"
    echo "                                   int size)"
    echo "{"
    repeat "$(($1 - 2))" "    r->size += size;"
    echo "}"
}

function_of 70 | reset src/raft/step.c
check "a function of 70 lines passes" run

function_of 71 | reset src/raft/step.c
check "a function of 71 lines is reported by name" \
    reports 'src/raft/step.c:74: step_receive() has 71 lines, at most 70 [function]'

waive 'function src/raft/step.c:step_receive one switch over all messages'
check "a waiver lets it pass" run

function_of 70 | reset src/raft/step.c
waive 'function src/raft/step.c:step_receive one switch over all messages'
check "a waiver that nothing needs is reported" reports \
    'scripts/tidy-waivers:1: nothing needs "function src/raft/step.c:step_receive"'

waive 'function src/raft/step.c:step_receive'
check_fails "a waiver without a reason is refused" run

{
    echo "$spdx"
    echo "static const struct row rows[] = {"
    repeat 80 "    { 1, 2 },"
    echo "};"
} | reset src/raft/step.c
check "a long table is no function" run

{
    echo "$spdx"
    echo "int f(void) {"
    repeat 70 "    f();"
    echo "}"
} | reset src/raft/step.c
check "a brace at the end of the line hides no function" \
    reports 'src/raft/step.c:73: f() has 72 lines, at most 70 [function]'

{
    echo "$spdx"
    repeat 599 "int i;"
} | reset src/raft/step.c
check "a file of 600 lines passes" run

{
    echo "$spdx"
    repeat 600 "int i;"
} | reset src/raft/step.c
check "a file of 601 lines is reported" reports 'src/raft/step.c:601: over 600 lines [lines]'

{
    echo "$spdx"
    repeat 350 "int i;"
} | reset src/raft/step.h
check "a header of 351 lines is reported" reports 'src/raft/step.h:351: over 350 lines [lines]'

plant src/raft/step.c "$spdx" "/* $(repeat 94 x | tr -d '\n') */"
check "a line of 100 columns passes" run

plant src/raft/step.c "$spdx" "/* $(repeat 95 x | tr -d '\n') */"
check "a line of 101 columns is reported" \
    reports 'src/raft/step.c:2: 101 columns, at most 100 [columns]'

plant src/raft/step.c "$spdx" "/* $(repeat 94 ä | tr -d '\n') */"
check "columns are characters, not bytes" run

plant src/raft/step.c "$spdx" 'int f(char *a) { return strcpy(a, "b") != 0; }'
check "a banned call is reported" reports \
    'src/raft/step.c:2: strcpy() is banned: no bound; use snprintf, memcpy or a buffer [banned]'

plant src/raft/step.c "$spdx" '/* strcpy(a, b) would do */' '/* and' '   gets(a) */' \
    'const char *text = "rand()"; int my_rand(void);' 'int f(void) { return ops->gets(1); }'
check "words, strings and members are no calls" run

plant src/raft/step.c "$spdx" 'long f(void) { return time(0); }'
check "the clock in a pure layer is reported" \
    reports 'src/raft/step.c:2: time() in a pure layer [pure]'

plant src/node/step.c "$spdx" 'long f(void) { return time(0); }'
check "the clock in node passes" run

plant src/node/step.c "$spdx" 'void *f(void) { return malloc(1); }'
check "allocation beside the heap is reported" \
    reports 'src/node/step.c:2: malloc(): memory comes from base/heap.h [heap]'

plant src/base/heap.c "$spdx" 'void *f(void) { return malloc(1); }'
check "the heap itself may allocate" run

note=FIX; note=${note}ME
plant src/raft/step.c "$spdx" "/* $note: later */"
check "a note to self is reported" \
    reports 'src/raft/step.c:2: a note to self; finish it or write an issue [note]'

plant src/raft/step.c 'int i;'
check "a missing licence line is reported" \
    reports 'src/raft/step.c:1: no SPDX-License-Identifier: Apache-2.0 at its head [license]'

plant src/raft/raft_util.c "$spdx"
check "a name that says nothing is reported" \
    reports 'src/raft/raft_util.c:1: the name does not say what it holds [name]'

plant src/raft/step.c "$spdx"
printf '%s\n' "$spdx" >"$tree/src/raft/dead.c"
check "a file that no fragment names is reported" \
    reports 'src/raft/dead.c:1: no .am file names it [listed]'

plant src/raft/step.c "$spdx" '	int i;' 'int j; '
check "tabs and trailing blanks are reported" reports \
    'src/raft/step.c:2: a tab; indent with 4 spaces [blanks]
src/raft/step.c:3: blanks at the end of the line [blanks]'

nap=sle; nap=${nap}ep
plant tests/test_step.c "$spdx" "int f(void) { return $nap(1); }"
check "a test that sleeps is reported" reports \
    "tests/test_step.c:2: tests wait on an event or a virtual clock, they do not $nap [$nap]"

done_testing
