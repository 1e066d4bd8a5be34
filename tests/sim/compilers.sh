#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A seed is one run with any compiler: the simulator as it was built here, and built anew by clang
# without optimization, give the same trace hashes. RK_COMPILERS=all: gcc and clang, -O0 and -O2.
. "$RK_SRCDIR/tests/support/tap.sh"

seeds="1 2 3 4 5 6 7 8 9 10 11 12"

# build CC OPTION: prints the simulator's path.
build() {
    where=$tap_dir/$1$2
    mkdir -p "$where" && cd "$where" || return 1
    "$RK_SRCDIR/configure" -q --disable-werror CC="$1" CFLAGS="$2" >configure.out 2>&1 &&
        make -s -j 2 tests/sim/sim >make.out 2>&1 || return 1
    echo "$where/tests/sim/sim"
}

hashes() {
    for seed in $seeds; do
        "$1" --seed "$seed" --seconds 15 | sed -n 's/.*trace hash/trace hash/p'
    done
}

same() {
    other=$(build "$1" "$2") || {
        tail -n 20 "$tap_dir/$1$2/make.out" "$tap_dir/$1$2/configure.out"
        return 1
    }
    hashes "$other" >"$tap_dir/others" && diff "$tap_dir/ours" "$tap_dir/others"
}

command -v clang >/dev/null 2>&1 || skip_all "clang is not installed"
hashes "$RK_BUILDDIR/tests/sim/sim" >"$tap_dir/ours"
check "there are hashes to compare" [ "$(sort -u "$tap_dir/ours" | wc -l)" -eq 12 ]
check "clang -O0 gives the same hashes" same clang -O0
if [ "${RK_COMPILERS:-pair}" = all ]; then
    check "clang -O2 gives the same hashes" same clang -O2
    check "gcc -O0 gives the same hashes" same gcc -O0
    check "gcc -O2 gives the same hashes" same gcc -O2
fi
done_testing
