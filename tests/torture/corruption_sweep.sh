#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
exec "$RK_BUILDDIR/tests/torture/corruption_sweep"
