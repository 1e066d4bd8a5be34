#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The manual page says of every verb what --help says: the same usage, the same flags.

set -eu
page=$RK_SRCDIR/man/refkeeper.1
refkeeper=$RK_BUILDDIR/refkeeper
plain=$(sed 's/\\-/-/g' "$page")
number=0

verbs=$("$refkeeper" --help | sed -n '/^Verbs:/,/^$/s/^  //p')
echo "1..$(printf '%s\n' "$verbs" | wc -l)"
printf '%s\n' "$verbs" | {
    bad=0
    while IFS= read -r usage; do
        number=$((number + 1))
        usage=$(printf '%s' "$usage" | sed 's/ *$//')
        if printf '%s\n' "$plain" | grep -Fqx -- "$usage"; then
            echo "ok $number - $usage"
        else
            echo "not ok $number - the manual lacks: $usage"
            bad=1
        fi
    done
    exit "$bad"
}
