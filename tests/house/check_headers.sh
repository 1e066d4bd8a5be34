#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# scripts/check-headers reports headers that lean on what was included before them.

. "$RK_SRCDIR/tests/support/tap.sh"

tree=$tap_dir/tree
mkdir -p "$tree/src/base" "$tree/include/refkeeper"
unset CPPFLAGS CFLAGS PUBLIC_CPPFLAGS

guarded() {
    printf '#ifndef %s\n#define %s\n%s\n#endif\n' GUARD GUARD "$1"
}

run() {
    "$RK_SRCDIR/scripts/check-headers" "$tree" 2>/dev/null
}

reports() {
    run >"$tap_dir/findings" && return 1
    cat "$tap_dir/findings"
    grep -qxF "$1" "$tap_dir/findings"
}

guarded '#include <stddef.h>
size_t size_of(void);' >"$tree/src/base/good.h"
guarded 'int rk_thing(void);' >"$tree/include/refkeeper/good.h"
check "headers that stand alone pass" run

guarded 'size_t size_of(void);' >"$tree/src/base/bad.h"
check "a header that misses an include is reported" \
    reports '"base/bad.h": does not compile alone'

echo 'struct twice { int i; };' >"$tree/src/base/bad.h"
check "a header without a guard is reported" reports '"base/bad.h": does not compile alone'
rm "$tree/src/base/bad.h"

guarded 'int f(void); // not C90, but C99
static inline int g(void) { return typeof(1)1; }' >"$tree/include/refkeeper/bad.h"
check "a public header beyond C99 is reported" \
    reports '<refkeeper/bad.h>: does not compile alone'

guarded 'struct thing { int class; };' >"$tree/include/refkeeper/bad.h"
if command -v "${CXX:-c++}" >/dev/null; then
    check "a public header that C++ refuses is reported" \
        reports '<refkeeper/bad.h>: does not compile alone'
fi

done_testing
