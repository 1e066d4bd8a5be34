#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A whole site through the loss of a primary storage: HEAD and refs are the same afterwards."""
import os

import gitsite
from cluster import check, run_tests, wait_until
from served import git

SITE = None


def commit(work):
    git(work, "commit", "-q", "--allow-empty", "-m", "c")
    return git(work, "rev-parse", "HEAD").strip()


def branch_of_a_clone(path, name):
    work = os.path.join(SITE.cluster.directory, name)
    git(SITE.cluster.directory, "clone", "-q", SITE.url + path, work)
    return work, git(work, "symbolic-ref", "HEAD").strip()


def clones_after_a_failover_check_out_the_same_branch():
    path = "team/head.git"
    SITE.create(path, "s1", ("s2", "s3"))
    work = os.path.join(SITE.cluster.directory, "first")
    git(SITE.cluster.directory, "init", "-q", "-b", "main", work)
    oids = {}
    for branch in ("main", "release", "other"):
        git(work, "checkout", "-q", "-B", branch)
        oids[branch] = commit(work)
        git(work, "push", "-q", SITE.url + path, branch)
    check(branch_of_a_clone(path, "before")[1] == "refs/heads/main", "as it was made")
    SITE.cluster.cli("repo", "set-head", path, "refs/heads/release")
    copies = [SITE.storages[n] for n in ("s1", "s2", "s3")]
    wait_until(lambda: all(git(s.place(path), "symbolic-ref", "HEAD").strip() ==
                           "refs/heads/release" for s in copies), 30, "HEAD is on every copy")
    SITE.replicate(path)
    wait_until(lambda: set(SITE.show(path)["complete"]) >= {"s1", "s2", "s3"}, 30, "complete")
    check(branch_of_a_clone(path, "now")[1] == "refs/heads/release", "as it was set")
    SITE.storages["s1"].kill()
    SITE.cluster.cli("storage", "set", "s1", "--state", "down")
    SITE.cluster.cli("drain", "s1")
    primary = SITE.show(path)["primary"]
    check(primary != "s1", "moved")
    after, branch = branch_of_a_clone(path, "after")
    check(branch == "refs/heads/release", "a clone checks out " + branch)
    check(git(after, "rev-parse", "HEAD").strip() == oids["release"], "what was pushed there")
    oid = commit(after)
    git(after, "push", "-q", "origin", "release")
    check(SITE.storages[primary].refs(path)["refs/heads/release"] == oid, "pushes go on")


def main():
    global SITE
    if not gitsite.is_possible():
        print("1..0 # SKIP no nginx or no fcgiwrap here")
        return
    SITE = gitsite.Site()
    try:
        run_tests([clones_after_a_failover_check_out_the_same_branch])
    finally:
        SITE.close()


if __name__ == "__main__":
    main()
