#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What make install installs can be used: the programs run, and a program builds against the library
# with nothing but what pkg-config says.

. "$RK_SRCDIR/tests/support/tap.sh"

root=$tap_dir/root
prefix=$(sed -n 's/^prefix=//p' "$RK_BUILDDIR/refkeeper.pc")
libdir=$root$(pkg-config --variable=libdir "$RK_BUILDDIR/refkeeper.pc")

cat >"$tap_dir/program.c" <<'C'
#include <refkeeper/client.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    puts(rk_version());
    return strcmp(rk_version(), RK_VERSION) != 0;
}
C

build_program() {
    # pkg-config answers for the installed tree, below the directory we installed to.
    flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
        pkg-config --cflags --libs refkeeper) || return 1
    # shellcheck disable=SC2086 # flags and CC are lists of words
    $CC -std=c99 -Wall -Wextra -Werror -o "$tap_dir/program" "$tap_dir/program.c" $flags
}

check "make install works into an empty directory" \
    make -s -C "$RK_BUILDDIR" install DESTDIR="$root"
check "the daemon is installed" test -x "$root$prefix/sbin/refkeeperd"
check "the tool is installed" test -x "$root$prefix/bin/refkeeper"
check "the tool says its version" "$root$prefix/bin/refkeeper" version
check "a program builds with what pkg-config says" build_program
check "and runs against the installed library" \
    env LD_LIBRARY_PATH="$libdir" "$tap_dir/program"
check "make uninstall leaves no file behind" \
    make -s -C "$RK_BUILDDIR" uninstall DESTDIR="$root"
check "which is true" test -z "$(find "$root" -type f)"

done_testing
