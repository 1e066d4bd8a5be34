# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# TAP for tests written in shell:
#
#   . "$RK_SRCDIR/tests/support/tap.sh"
#   check "what must hold" COMMAND [ARG]...      passes when it exits 0; else shows its output
#   check_fails "what must be refused" COMMAND   passes when it does not
#   done_testing
#
# tap_dir is a directory of this test, removed at its end. cleanup, when the test defines it, runs
# before that.

tap_count=0
tap_dir=$(mktemp -d "${TMPDIR:-/tmp}/rk-test.${0##*/}.XXXXXX")

tap_exit() {
    if command -v cleanup >/dev/null; then
        cleanup
    fi
    rm -rf "$tap_dir"
}
trap tap_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tap_line() {
    tap_count=$((tap_count + 1))
    echo "$1 $tap_count - $2"
}

tap_show() {
    tail -n 40 "$tap_dir/output" | sed 's/^/#   /'
}

check() {
    tap_name=$1
    shift
    if "$@" >"$tap_dir/output" 2>&1; then
        tap_line ok "$tap_name"
    else
        tap_line "not ok" "$tap_name"
        echo "# failed: $*"
        tap_show
    fi
}

check_fails() {
    tap_name=$1
    shift
    if "$@" >"$tap_dir/output" 2>&1; then
        tap_line "not ok" "$tap_name"
        echo "# did not fail: $*"
        tap_show
    else
        tap_line ok "$tap_name"
    fi
}

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$tap_count"
}
