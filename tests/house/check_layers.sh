#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# scripts/check-layers reports each planted violation, with file and line, and nothing else.

. "$RK_SRCDIR/tests/support/tap.sh"

tree=$tap_dir/tree
mkdir -p "$tree/src/raft" "$tree/src/node" "$tree/src/cli" "$tree/include/refkeeper"
cp "$RK_SRCDIR/src/layers.txt" "$tree/src/"

# plant FILE LINE...: replaces the one file under test.
plant() {
    rm -rf "$tree/src/raft/"* "$tree/src/node/"* "$tree/src/cli/"* "$tree/include/refkeeper/"*
    rm -rf "$tree/src/attic"
    file=$tree/$1
    shift
    mkdir -p "${file%/*}"
    printf '%s\n' "$@" >"$file"
}

reports() {
    "$RK_SRCDIR/scripts/check-layers" "$tree" >"$tap_dir/findings" && return 1
    cat "$tap_dir/findings"
    [ "$(cat "$tap_dir/findings")" = "$1" ]
}

passes() {
    "$RK_SRCDIR/scripts/check-layers" "$tree"
}

plant src/raft/step.c '#include "raft/raft.h"' '' '#include <string.h>' '#include "model/types.h"'
check "a pure layer with what it may include passes" passes

plant src/raft/step.c '#include "raft/raft.h"' '#include "storage/storage.h"'
check "a layer that is not below is reported" \
    reports 'src/raft/step.c:2: raft may not include storage'

plant src/raft/step.c '  #  include   "node/node.h"'
check "blanks in an include hide nothing" reports 'src/raft/step.c:1: raft may not include node'

plant src/raft/step.h '#include "cli/cli.h"'
check "headers are checked too" reports 'src/raft/step.h:1: raft may not include cli'

plant src/raft/timer.c '#include <time.h>'
check "the clock in a pure layer is reported" \
    reports 'src/raft/timer.c:1: raft may not include <time.h>'

plant src/raft/loop.c '#include <event2/event.h>'
check "libevent in a pure layer is reported" \
    reports 'src/raft/loop.c:1: raft may not include <event2/event.h>'

plant src/node/loop.c '#include <event2/event.h>' '#include <sys/socket.h>'
check "node may include what waits" passes

plant src/raft/step.c '#include "raft.h"'
check "an include without its layer is reported" \
    reports 'src/raft/step.c:1: include by layer/file.h, not by raft.h'

plant src/raft/step.c '#include "model/../storage/storage.h"'
check "a path that climbs is reported" \
    reports 'src/raft/step.c:1: include by layer/file.h, not by model/../storage/storage.h'

plant src/node/node.c '#include <refkeeper/client.h>'
check "the public headers are not for every layer" \
    reports 'src/node/node.c:1: node may not include refkeeper'

plant src/cli/main.c '#include <refkeeper/client.h>'
check "the tool includes the public headers" passes

plant src/cli/main.c '#include "refkeeper/client.h"'
check "public headers in quotes are reported" reports \
    'src/cli/main.c:1: layers are included in quotes, <refkeeper/...> in angle brackets'

plant include/refkeeper/client.h '#include "base/status.h"'
check "a public header that includes a layer is reported" \
    reports 'include/refkeeper/client.h:1: include may not include base'

plant src/attic/old.c ''
check "a folder that is no layer is reported" \
    reports 'src/attic/old.c:1: no layer of this name in src/layers.txt'

plant src/raft/step.c '#include HEADER'
check "a computed include is reported" reports 'src/raft/step.c:1: computed include'

done_testing
