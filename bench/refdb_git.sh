#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# refdb_git.sh: reads "path<TAB>ref<TAB>oid" lines of one repository and says how large the files
# are in which git keeps these refs. git itself writes them: it rewrites a packed-refs of ours for
# one ref more, whose line is then taken off.

set -eu
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(git version | cut -d' ' -f3)
echo "git $version"

cut -f2,3 | sort >"$work/refs"
repo=$work/packed.git
git init -q --bare "$repo"
tree=$(git -C "$repo" mktree </dev/null)
commit=$(GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a \
    git -C "$repo" commit-tree -m m "$tree")
{
    echo "# pack-refs with: peeled fully-peeled sorted "
    awk '{ print $2 " " $1 }' "$work/refs"
} >"$repo/packed-refs"
git -C "$repo" update-ref refs/zz/one-more "$commit"
git -C "$repo" pack-refs --all
echo "packed_bytes $(grep -v ' refs/zz/one-more$' "$repo/packed-refs" | wc -c)"

# Since 2.46, with the refs' own values: their objects need not be there.
git -C "$repo" update-ref -d refs/zz/one-more
if git -C "$repo" refs migrate --ref-format=reftable >/dev/null 2>&1; then
    git -C "$repo" pack-refs --all
    [ "$(git -C "$repo" for-each-ref --format='%(refname)' | wc -l)" -eq "$(wc -l <"$work/refs")" ]
    echo "reftable_bytes $(cat "$repo"/reftable/*.ref | wc -c)"
fi
