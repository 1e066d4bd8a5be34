#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/tapfix.sh repairs cmocka's TAP and keeps exit statuses that tell something new.

# shellcheck disable=SC2016 # what is in single quotes is for the inner shell
. "$RK_SRCDIR/tests/support/tap.sh"

run() {
    sh "$RK_SRCDIR/tests/tapfix.sh" sh -c "$1"
}

exits() {
    run "$2"
    rc=$?
    echo "exit status $rc"
    [ "$rc" -eq "$1" ]
}

prints() {
    run "$2" >"$tap_dir/printed"
    cat "$tap_dir/printed"
    [ "$(cat "$tap_dir/printed")" = "$1" ]
}

hangs() {
    RK_TEST_SECONDS=1
    export RK_TEST_SECONDS
    exits 124 'echo not ok 1; exec tail -f /dev/null'
}

check "a pass stays a pass" exits 0 'echo ok 1; echo 1..1'
check "a failure that is told is not counted twice" exits 0 'echo not ok 1; exit 1'
check "a failure without a line stays one" exits 23 'echo ok 1; exit 23'
check "a crash stays one, whatever was told" exits 139 'echo not ok 1; kill -SEGV $$'
check "cmocka's skip is repaired" prints 'ok 3 # SKIP name' 'echo "not ok 3 # SKIP name"'
check "cmocka is asked for TAP" prints 'TAP' 'echo $CMOCKA_MESSAGE_OUTPUT'
check "a test that hangs is ended" hangs

done_testing
