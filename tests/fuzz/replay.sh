#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Gives every fuzz target the files of its corpus. One TAP line per target.

n=0
for target in $RK_FUZZ_TARGETS; do
    n=$((n + 1))
    name=${target##*/}
    log=$target.replay
    set -- "$RK_SRCDIR/tests/fuzz/corpus/$name"/*
    if [ ! -f "$1" ]; then
        echo "not ok $n - $name: no corpus in tests/fuzz/corpus/$name"
    elif "$RK_BUILDDIR/$target" "$@" >"$log" 2>&1; then
        echo "ok $n - $name: $# inputs"
    else
        echo "not ok $n - $name"
        tail -n 30 "$log" | sed 's/^/# /'
    fi
    rm -f "$log"
done
if [ "$n" -eq 0 ]; then
    echo "1..0 # SKIP no fuzz targets"
else
    echo "1..$n"
fi
