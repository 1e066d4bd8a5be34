#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# scripts/check-symbols reports each symbol a pure layer may not use, with object and name.

. "$RK_SRCDIR/tests/support/tap.sh"

build=$tap_dir/build
mkdir -p "$build/.libs"

# archive LAYER CODE: makes liblayer.a of one object, thing.o.
archive() {
    printf '%s\n' "$2" >"$tap_dir/thing.c"
    # shellcheck disable=SC2086 # CC may carry options
    $CC -O0 -c -o "$tap_dir/thing.o" "$tap_dir/thing.c" &&
        rm -f "$build/.libs/lib$1.a" &&
        ar rc "$build/.libs/lib$1.a" "$tap_dir/thing.o"
}

reset() {
    for layer in model raft refdb wire; do
        archive "$layer" "int ${layer}_thing(void) { return 0; }"
    done
    archive base 'int base_thing(void) { return 0; }'
}

run() {
    "$RK_SRCDIR/scripts/check-symbols" "$RK_SRCDIR" "$build"
}

reports() {
    run >"$tap_dir/findings" && return 1
    cat "$tap_dir/findings"
    [ "$(cat "$tap_dir/findings")" = "$1" ]
}

reset
check "layers that need nothing pass" run

archive raft 'void *memcpy(void *, const void *, unsigned long); int base_thing(void);
int model_thing(void); unsigned long crc32(unsigned long, const unsigned char *, unsigned);
int f(char *a, char *b) { memcpy(a, b, crc32(0, 0, 0)); return base_thing() + model_thing(); }'
check "memory, checksums and the layers below pass" run

archive raft 'long time(long *); long f(void) { return time(0); }'
check "the clock is reported" reports 'libraft.a: thing.o: time is not allowed in a pure layer'

archive raft 'int raft_thing(void) { return 0; }'
archive refdb 'int rand(void); int getpid(void); int f(void) { return rand() + getpid(); }'
check "every symbol is reported, not only the first" reports \
    'librefdb.a: thing.o: getpid is not allowed in a pure layer
librefdb.a: thing.o: rand is not allowed in a pure layer'

reset
archive model 'int wire_thing(void); int f(void) { return wire_thing(); }'
check "a sibling layer is reported" \
    reports 'libmodel.a: thing.o: wire_thing is not allowed in a pure layer'

reset
archive wire 'int mempry(void); int f(void) { return mempry(); }'
check "a name that only begins like an allowed one is reported" \
    reports 'libwire.a: thing.o: mempry is not allowed in a pure layer'

reset
rm "$build/.libs/librefdb.a"
check "a library that is not there is reported" reports 'librefdb.a: not built'

reset
check_fails "a broken nm is no pass" env NM=false \
    "$RK_SRCDIR/scripts/check-symbols" "$RK_SRCDIR" "$build"

done_testing
