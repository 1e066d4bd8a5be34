#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cluster's filter of refs with real git: hook, guard, agents and tools agree on it."""
import json
import os
import subprocess

from cluster import CLI, Cluster, check, run_tests, wait_until
from served import git
from storages import Repo, Storage, in_cluster, show

CLUSTER = Cluster(3)
S = {}
IGNORED = "refs/changes/01/1/1"


def filtered():
    CLUSTER.cli("filter", "set", "track:refs/changes/*/*/meta", "ignore:refs/changes/")


def unfiltered():
    CLUSTER.cli("filter", "set", "--clear")


def make(path):
    r = Repo(CLUSTER, path, [S["s1"], S["s2"]])
    r.push("main")
    r.wait_complete()
    return r


def an_untracked_ref_is_pushed_to_disk_and_nowhere_else():
    r = make("t/push.git")
    filtered()
    r.push("main:" + IGNORED, "main:refs/changes/01/1/meta")
    check(IGNORED not in in_cluster(CLUSTER, r.path), "not decided")
    check(IGNORED in S["s1"].refs(r.path), "on disk")
    r.wait_complete()  # the digest is without it, on both
    check(IGNORED not in S["s2"].refs(r.path), "not replicated")
    check("refs/changes/01/1/meta" in S["s2"].refs(r.path), "the tracked one is")
    # git's own old value is the judge.
    r.commit()
    r.push("+main:" + IGNORED)
    r.push(":" + IGNORED)
    check(IGNORED not in S["s1"].refs(r.path), "deleted")
    r.wait_complete()
    r.check_equal()
    unfiltered()


def what_git_writes_itself_passes_where_the_cluster_does_not_decide():
    r = make("t/guard.git")
    place = S["s1"].place(r.path)
    head = git(place, "rev-parse", "main").strip()
    out = git(place, "update-ref", IGNORED, head, code=128)
    check("did not decide" in out, out)
    filtered()
    git(place, "update-ref", IGNORED, head)
    git(place, "update-ref", "--stdin", stdin="".join(
        "create refs/changes/02/%d/1 %s\n" % (i, head) for i in range(50)))
    out = git(place, "update-ref", "refs/heads/x", head, code=128)
    check("refs/heads/x" in out, out)
    git(place, "update-ref", "refs/changes/03/1/meta", head, code=128)
    # Nobody calls that a difference.
    CLUSTER.cli("verify", r.path, place)
    out = CLUSTER.cli("scan", "s1", S["s1"].root, "--refs", "-o", "value", check_code=None)
    check(r.path not in out, out)
    check("verdict" not in CLUSTER.cli("resolve", r.path, place, "--delete"), "nothing to resolve")
    check(IGNORED in S["s1"].refs(r.path), "and nothing was deleted")
    unfiltered()
    out = CLUSTER.cli("verify", r.path, place, "-o", "value", check_code=4)
    check(len(out.splitlines()) == 51, "without the filter they are differences")


def values_from_before_the_filter_are_compared_until_they_change():
    r = make("t/before.git")
    r.push("main:" + IGNORED, "main:refs/changes/02/2/2")
    r.wait_complete()
    filtered()
    check(IGNORED in in_cluster(CLUSTER, r.path), "the cluster keeps what it has")
    r.commit()
    r.push("main")
    r.wait_complete()  # with values that the filter would leave out
    r.check_equal()
    r.push("+main:" + IGNORED)
    check(IGNORED not in in_cluster(CLUSTER, r.path), "from now on it is git's")
    r.wait_complete()
    for s in r.storages:
        CLUSTER.cli("verify", r.path, s.place(r.path))
    wait_until(lambda: "s2" in show(CLUSTER.wait_leader(), r.path)["complete"], 20, "complete")
    check(set(S["s2"].refs(r.path)) >= {IGNORED, "refs/changes/02/2/2"}, "the replica lost nothing")
    unfiltered()


def import_and_rebuild_leave_untracked_refs_out():
    root = os.path.join(CLUSTER.directory, "tree")
    place = os.path.join(root, "i/x.git")
    git(CLUSTER.directory, "clone", "-q", "--bare", S["s1"].place("t/push.git"), place)
    head = git(place, "rev-parse", "main").strip()
    git(place, "update-ref", IGNORED, head)
    filtered()
    CLUSTER.cli("import", "i/x.git", "s1", place)
    check(IGNORED not in in_cluster(CLUSTER, "i/x.git"), "import")
    CLUSTER.cli("verify", "i/x.git", place)
    # Copies that differ in untracked refs only do not freeze anything.
    other = os.path.join(CLUSTER.directory, "tree2", "i/x.git")
    git(CLUSTER.directory, "clone", "-q", "--mirror", place, other)
    git(other, "update-ref", "-d", IGNORED)
    run = subprocess.run([CLI, "--endpoints", CLUSTER.endpoints, "rebuild", "--resume", "--dry-run",
                          "s1=" + root, "s2=" + os.path.dirname(os.path.dirname(other)), "-o",
                          "json"], capture_output=True, text=True, timeout=60)
    check(run.returncode == 0 and json.loads(run.stdout) == [], run.stdout + run.stderr)
    unfiltered()


def main():
    CLUSTER.start()
    try:
        for name in ("s1", "s2"):
            S[name] = Storage(CLUSTER, name, ("--patience", "2s"))
            S[name].start()
        run_tests([an_untracked_ref_is_pushed_to_disk_and_nowhere_else,
                   what_git_writes_itself_passes_where_the_cluster_does_not_decide,
                   values_from_before_the_filter_are_compared_until_they_change,
                   import_and_rebuild_leave_untracked_refs_out])
    finally:
        for s in S.values():
            s.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
