#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A few seeds of the simulator; that a seed is one run; that a usage error is one.
. "$RK_SRCDIR/tests/support/tap.sh"

sim=$RK_BUILDDIR/tests/sim/sim

hash_of() {
    "$sim" --seed "$1" --seconds 20 | sed -n 's/.*trace hash //p'
}

replays() {
    first=$(hash_of "$1")
    [ -n "$first" ] && [ "$first" = "$(hash_of "$1")" ] && [ "$first" != "$(hash_of "$2")" ]
}

check "forty seeds of twenty seconds hold" "$sim" --first 1 --count 40 --seconds 20
check "a seed is one run, to the bit" replays 7 8
check_fails "an unknown option is refused" "$sim" --no-such-option
done_testing
