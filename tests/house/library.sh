#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# librefkeeper exports what its public headers declare, and nothing else.

. "$RK_SRCDIR/tests/support/tap.sh"

library=$RK_BUILDDIR/.libs/librefkeeper.so
[ -f "$library" ] || skip_all "no shared library was built"

# Each declaration from RK_API to its semicolon; the name stands before the first parenthesis.
cat "$RK_SRCDIR"/include/refkeeper/*.h "$RK_BUILDDIR/include/refkeeper/version.h" |
    grep -v '^#' | tr '\n' ' ' | sed 's/RK_API /\n&/g' |
    sed -n 's/^RK_API [^(]*[ *]\(rk_[a-z0-9_]*\)(.*/\1/p' | sort -u >"$tap_dir/declared"

nm -D --defined-only "$library" | awk '{ print $3 }' | sed 's/@.*//' | sort -u >"$tap_dir/exported"

check "the headers declare functions" test -s "$tap_dir/declared"
check "every declared function is exported, and nothing else" \
    diff "$tap_dir/declared" "$tap_dir/exported"

done_testing
