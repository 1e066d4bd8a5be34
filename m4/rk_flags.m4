dnl SPDX-License-Identifier: Apache-2.0
dnl
dnl Small checks of compiler and linker flags, and of optional libraries.

dnl RK_C_FLAGS(VARIABLE, FLAGS)
dnl Appends to VARIABLE each of FLAGS that the compiler takes without a warning.
AC_DEFUN([RK_C_FLAGS], [
for rk_flag in m4_normalize([$2]); do
    AC_MSG_CHECKING([whether $CC accepts $rk_flag])
    rk_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $rk_flag"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
        [AC_MSG_RESULT([yes])
         $1="$$1 $rk_flag"],
        [AC_MSG_RESULT([no])])
    CFLAGS=$rk_save_CFLAGS
done
])

dnl RK_LINK_FLAGS(VARIABLE, FLAGS)
dnl Appends to VARIABLE each of FLAGS that the linker takes without a warning.
AC_DEFUN([RK_LINK_FLAGS], [
for rk_flag in m4_normalize([$2]); do
    AC_MSG_CHECKING([whether $CC links with $rk_flag])
    rk_save_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS -Wl,--fatal-warnings $rk_flag"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()],
        [AC_MSG_RESULT([yes])
         $1="$$1 $rk_flag"],
        [AC_MSG_RESULT([no])])
    LDFLAGS=$rk_save_LDFLAGS
done
])

dnl RK_REQUIRE_LINK_FLAGS(FLAGS, OPTION)
dnl Ends configure when a program does not build with FLAGS, which OPTION asked for.
AC_DEFUN([RK_REQUIRE_LINK_FLAGS], [
AC_MSG_CHECKING([whether $CC builds with $1])
rk_save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS $1"
AC_LINK_IFELSE([AC_LANG_PROGRAM()],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([$CC cannot build with $1, which $2 needs])])
CFLAGS=$rk_save_CFLAGS
])

dnl RK_IF_OPTIMIZING(COMMANDS)
dnl Runs COMMANDS when CPPFLAGS and CFLAGS ask for optimization.
AC_DEFUN([RK_IF_OPTIMIZING], [
AC_MSG_CHECKING([whether CFLAGS ask for optimization])
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#ifndef __OPTIMIZE__
#error not optimizing
#endif
int rk_optimizing;
]])],
    [AC_MSG_RESULT([yes])
     $1],
    [AC_MSG_RESULT([no])])
])

