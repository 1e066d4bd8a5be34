#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
[ ! -w /dev/shm ] || TMPDIR=/dev/shm # only what is in the files counts here, not that it is durable
export TMPDIR
exec "$RK_BUILDDIR/tests/torture/memory_sweep"
