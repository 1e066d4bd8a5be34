#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# teeth.sh: the bugs of src/base/teeth.h that concern disks, one at a time, each against the test
# that must find it. RK_BUILDDIR is a build configured with --enable-teeth. One TAP line per tooth,
# with the test and the time it took; the same tests pass while no tooth bites.

. "$RK_SRCDIR/tests/support/tap.sh"

grep -q '^#define RK_TEETH' "$RK_BUILDDIR/config.h" || skip_all "needs a build with --enable-teeth"

RK_TORTURE=first
CMOCKA_MESSAGE_OUTPUT=TAP
export RK_TORTURE CMOCKA_MESSAGE_OUTPUT

now_ms() { date +%s%3N; }

# bites TOOTH TEST: the test fails, by a check of its own or by an assertion of the program.
bites() {
    started=$(now_ms)
    RK_TOOTH=$1 timeout 120 "$RK_BUILDDIR/$2" >"$tap_dir/output" 2>&1
    status=$?
    if [ "$status" -ne 0 ] && [ "$status" -ne 124 ]; then
        tap_line ok "$1: found by $2 in $(($(now_ms) - started)) ms"
        grep -hE '^#|^not ok' "$tap_dir/output" | head -n 2 | sed 's/^#* */#   /'
    else
        tap_line "not ok" "$1: not found by $2 in $(($(now_ms) - started)) ms, exit status $status"
        tap_show
    fi
}

bites VOTE_NOT_SYNCED tests/torture/crash_sweep
bites ACK_BEFORE_SYNC tests/torture/crash_sweep
bites DIRECTORY_NOT_SYNCED tests/torture/crash_sweep
bites LOG_CUT_BEFORE_SNAPSHOT tests/torture/crash_sweep
bites INDEX_APART_FROM_STATE tests/torture/crash_sweep
bites TERM_FORGOTTEN tests/torture/crash_sweep
bites SYNC_RETRIED tests/unit/storage/test_damage
bites ROT_TRUNCATED tests/torture/corruption_sweep
bites LENGTH_TRUSTED tests/torture/corruption_sweep
bites SUFFIX_DROPPED tests/paper/test_figure_2

for program in tests/torture/crash_sweep tests/torture/corruption_sweep \
    tests/unit/storage/test_damage tests/paper/test_figure_2; do
    check "no tooth bites, and $program passes" "$RK_BUILDDIR/$program"
done
done_testing
