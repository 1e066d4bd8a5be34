#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs/RAFT.md names a test for each of the 48 ways to fail, and each of them exists.
. "$RK_SRCDIR/tests/support/tap.sh"

doc=$RK_SRCDIR/docs/RAFT.md

# `file`: `name` pairs, one a line, with a tab between.
# shellcheck disable=SC2016 # these are backquotes, not commands
named() {
    grep -oE '`[^`]+`: `[^`]+`' "$1" | sed 's/^`\([^`]*\)`: `\([^`]*\)`$/\1	\2/'
}

exist() {
    named "$1" >"$tap_dir/named"
    [ "$(wc -l <"$tap_dir/named")" -ge 96 ] || { echo "too few are named"; return 1; }
    while IFS='	' read -r file name; do
        grep -qF -- "$name" "$RK_SRCDIR/$file" || echo "$file has no $name"
    done <"$tap_dir/named" >"$tap_dir/missing"
    cat "$tap_dir/missing"
    [ ! -s "$tap_dir/missing" ]
}

complete() {
    for number in $(seq 48); do
        grep -qE "^\\| $number \\| [^|]+ \\| .*\`: \`" "$doc" || {
            echo "no test for $number"
            return 1
        }
    done
}

check "each of the 48 has a test" complete
check "each test that is named exists" exist "$doc"
sed 's/match_never_moves_back/match_moves_back/' "$doc" >"$tap_dir/planted.md"
check_fails "a test that does not exist is told" exist "$tap_dir/planted.md"
done_testing
