#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The model of votes, durability and members holds in every order of steps, within its bounds, and
# each bug planted in it is found. Needs spin and a C compiler.
. "$RK_SRCDIR/tests/support/tap.sh"

# explore FLAG...: tries the model with these; every state must fit.
explore() {
    cd "$tap_dir" || return 1
    spin -a "$@" "$RK_SRCDIR/tests/model/raft.pml" >spin.log 2>&1 || return 1
    ${CC:-cc} -w -O2 -DSAFETY -DCOLLAPSE -DNOREDUCE -DMEMLIM=1000 -o pan pan.c || return 1
    ./pan -m100000 -n >pan.log 2>&1 || return 1
    ! grep -q 'max search depth too small\|out of memory\|aborted' pan.log
}

holds() {
    explore "$@" && grep -q 'errors: 0' "$tap_dir/pan.log"
}

fails() {
    explore "$@" && grep -q 'errors: 1' "$tap_dir/pan.log" &&
        grep -q 'assertion violated' "$tap_dir/pan.log"
}

told() {
    sed -n 's/^ *\([0-9.e+]* states, stored\)/# \1/p' "$tap_dir/pan.log"
}

votes="-DNODES=3 -DENTRIES=2 -DTERMS=2 -DCRASHES=2"
members="-DELECTIONS_AT_ONCE -DNODES=4 -DENTRIES=3 -DTERMS=3"

if ! command -v spin >/dev/null 2>&1; then
    skip_all "spin is not installed"
fi
# shellcheck disable=SC2086 # several flags each
{
    check "votes and crashes: one leader in a term, nothing committed is lost" holds $votes
    told
    check "a vote answered before it is durable is found" fails $votes -DVOTE_NOT_PERSISTED
    check "members that change: nothing committed is lost" holds $members
    told
    check "a change before a commit of the term is found" fails $members -DCHANGE_WITHOUT_COMMIT
}
done_testing
