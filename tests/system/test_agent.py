#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`refkeeper agent`: replicas follow the primary, say what they hold, and lose nothing."""
import os
import shutil
import time

from cluster import Cluster, check, run_tests, wait_until
from served import git
from storages import Repo, Storage, in_cluster, show, wait_complete

CLUSTER = Cluster(3)
S = {}


def replicas_follow_every_push():
    r = Repo(CLUSTER, "a/one.git", [S["s1"], S["s2"], S["s3"]])
    r.push("main", "main:dev", "main:gone")
    r.wait_complete()
    check(len(r.check_equal()) == 3, "three refs")
    r.commit()
    r.push("main", ":gone", "main:a/b", "+main~1:dev")
    r.wait_complete()
    check(len(r.check_equal()) == 3, "gone is gone, a/b is there")
    git(r.work, "push", "-q", "o", ":a/b", "main:a")
    r.wait_complete()
    check("refs/heads/a" in r.check_equal(), "a folder became a name")
    for s in (S["s2"], S["s3"]):
        kept = git(s.place(r.path), "for-each-ref", "refs/refkeeper")
        check(kept == "", "what an event deleted is deleted: " + kept)
    CLUSTER.cli("repo", "set-head", r.path, "refs/heads/dev")
    wait_until(lambda: all(git(s.place(r.path), "symbolic-ref", "HEAD").strip() ==
                           "refs/heads/dev" for s in r.storages), 20, "HEAD everywhere")


def tags_and_sha256_and_many_refs():
    r = Repo(CLUSTER, "a/many.git", [S["s1"], S["s2"]])
    git(r.work, "tag", "-a", "-m", "t", "v1")
    git(r.work, "update-ref", "--stdin",
        stdin="".join("create refs/heads/b/%d HEAD\n" % i for i in range(2000)))
    r.push("main", "v1", "refs/heads/b/*:refs/heads/b/*")
    r.wait_complete()
    check(len(r.check_equal()) == 2002, "all of them")


def how_far_behind_a_replica_is_is_known():
    r = Repo(CLUSTER, "a/behind.git", [S["s1"], S["s2"]])
    r.push("main")
    r.wait_complete()
    before = show(CLUSTER.nodes[0], r.path)
    S["s2"].stop()
    r.commit()
    r.push("main")
    after = show(CLUSTER.nodes[0], r.path)
    seen = dict(zip(after["replicas"], after["seen"]))
    check("s2" not in after["complete"], "not in sync")
    check(seen["s2"] == before["last_index"], "as of its last index: %s" % seen)
    check(after["last_index"] > seen["s2"], "and that is behind")
    S["s2"].start(init=False)
    r.wait_complete()
    r.check_equal()


def what_was_deleted_while_it_was_away_is_deleted():
    r = Repo(CLUSTER, "a/away.git", [S["s1"], S["s2"]])
    r.push("main", "main:old")
    r.wait_complete()
    index = os.path.join(S["s2"].root, ".refkeeper", "index")
    last = show(CLUSTER.nodes[0], r.path)["last_index"]
    wait_until(lambda: os.path.exists(index) and int(open(index).read()) > last, 20,
               "the place in the events is saved")
    S["s2"].stop()
    r.push(":old")
    S["s2"].start(init=False)
    r.wait_complete()
    check(git(S["s2"].place(r.path), "for-each-ref", "refs/refkeeper") == "", "nothing is kept")
    r.check_equal()


def a_ref_nobody_decided_is_kept_aside_and_not_deleted():
    r = Repo(CLUSTER, "a/kept.git", [S["s1"], S["s2"]])
    oid = r.commit()
    r.push("main")
    r.wait_complete()
    copy = S["s2"].place(r.path)
    git(copy, "-c", "core.hooksPath=/dev/null", "update-ref", "refs/heads/stray", oid)
    r.commit()
    r.push("main")
    r.wait_complete()
    r.check_equal()
    kept = git(copy, "for-each-ref", "refs/refkeeper/kept")
    check(oid in kept and kept.strip().endswith("heads/stray"), kept)
    # Nobody can see or push what is the storage's own.
    out = git(CLUSTER.directory, "ls-remote", S["s2"].server.url + "/" + r.path)
    check("refkeeper" not in out, out)
    out = r.push("main:refs/refkeeper/x", code=1)
    check("refs/refkeeper" in out and "refs/refkeeper/x" not in in_cluster(CLUSTER, r.path), out)


def a_push_that_died_is_written_by_the_primarys_agent():
    r = Repo(CLUSTER, "a/died.git", [S["s1"], S["s2"]])
    r.push("main")
    r.wait_complete()
    oid = r.commit()
    r.push("main:side")  # brings the object
    CLUSTER.cli("ref", "update", r.path, "refs/heads/main", oid, "--force")
    wait_complete(CLUSTER, r.path, ["s1", "s2"], 60)
    check(r.check_equal()["refs/heads/main"] == oid, "decided, and now on every disk")


def a_node_that_restarts_is_told_everything_again():
    r = Repo(CLUSTER, "a/told.git", [S["s1"], S["s2"]])
    r.push("main")
    r.wait_complete()
    node = CLUSTER.followers()[0]
    node.kill()
    node.start()
    wait_until(lambda: node.status(), 20, "it answers")
    wait_complete(CLUSTER, r.path, ["s1", "s2"])


def a_new_replica_is_filled():
    r = Repo(CLUSTER, "a/new.git", [S["s1"]])
    r.push("main")
    CLUSTER.cli("repo", "register", r.path, "s3")
    wait_complete(CLUSTER, r.path, ["s3"])
    check(S["s3"].refs(r.path) == in_cluster(CLUSTER, r.path), "all of it")
    CLUSTER.cli("doctor", S["s3"].place(r.path), check_code=4)  # it is not the primary
    CLUSTER.cli("repo", "rename", r.path, "b/moved.git")
    wait_until(lambda: os.path.exists(S["s3"].place("b/moved.git")), 20, "its folder moves")
    wait_complete(CLUSTER, "b/moved.git", ["s3"])


def a_lock_left_behind_is_named_and_stays():
    r = Repo(CLUSTER, "r/lock.git", [S["s1"], S["s2"]])
    r.push("main")
    r.wait_complete()
    place = S["s2"].place(r.path)
    lock = os.path.join(place, "refs/heads/main.lock")
    open(lock, "w").close()
    out = CLUSTER.cli("doctor", place, check_code=4)
    check("main.lock" not in out, "a young one may be of a git that works")
    old = time.time() - 100
    os.utime(lock, (old, old))
    out = CLUSTER.cli("doctor", place, check_code=4)
    check("refs/heads/main.lock, 10" in out and "remove it" in out, out)
    r.commit()
    r.push("main")
    wait_until(lambda: "refs/heads/main.lock is 10" in S["s2"].log() and "remove it" in
               S["s2"].log(), 20, "the agent says so")
    check(os.path.exists(lock), "it stays")
    S["s2"].stop()
    said = S["s2"].log().count("remove it")
    S["s2"].start(init=False)
    wait_until(lambda: S["s2"].log().count("remove it") > said, 20, "at its start, too")
    os.unlink(lock)
    r.wait_complete(70)
    r.check_equal()


def a_disk_that_is_not_mounted_is_left_alone():
    S["s3"].stop()
    hidden = S["s3"].root + ".away"
    os.rename(S["s3"].root, hidden)
    os.makedirs(S["s3"].root)
    S["s3"].start(init=False)
    check(S["s3"].process.wait(30) == 3, "refused")
    check("is its disk mounted?" in S["s3"].log(), S["s3"].log())
    check(os.listdir(S["s3"].root) == [], "nothing was written")
    S["s3"].stop()
    os.rmdir(S["s3"].root)
    os.rename(hidden, S["s3"].root)
    S["s3"].start(init=False)


def a_disk_that_lost_most_is_quarantined():
    repos = [Repo(CLUSTER, "q/%d.git" % i, [S["s1"], S["s2"]]) for i in range(4)]
    for r in repos:
        r.push("main")
    for r in repos:
        r.wait_complete()
    held = os.path.join(S["s2"].root, ".refkeeper", "held")
    wait_until(lambda: os.path.exists(held) and
               all(r.path in open(held).read() for r in repos), 20, "held is saved")
    S["s2"].stop()
    before = {}
    for r in repos:
        before[r.path] = in_cluster(CLUSTER, r.path)
        shutil.rmtree(S["s2"].place(r.path))
    S["s2"].start(init=False)
    check(S["s2"].process.wait(60) == 4, "it ends: " + S["s2"].log())
    check("quarantine" in S["s2"].log(), S["s2"].log())
    check("down" in CLUSTER.cli("storage", "list", "-o", "value").split("s2", 1)[1].split("\n")[0],
          "the storage is down")
    for r in repos:
        check(in_cluster(CLUSTER, r.path) == before[r.path], "the cluster forgot nothing")
        check(not os.path.exists(S["s2"].place(r.path)), "nothing is written meanwhile")
    S["s2"].stop()
    S["s2"].start(init=False)
    check(S["s2"].process.wait(30) == 4, "it stays so")
    S["s2"].stop()
    CLUSTER.cli("storage", "set", "s2", "--state", "active")
    S["s2"].start("--lift-quarantine", init=False)
    for r in repos:
        r.wait_complete()
        r.check_equal()


def main():
    CLUSTER.start()
    try:
        for name in ("s1", "s2", "s3"):
            S[name] = Storage(CLUSTER, name, ("--patience", "3s"))
            S[name].start()
        run_tests([replicas_follow_every_push, tags_and_sha256_and_many_refs,
                   how_far_behind_a_replica_is_is_known,
                   what_was_deleted_while_it_was_away_is_deleted,
                   a_ref_nobody_decided_is_kept_aside_and_not_deleted,
                   a_push_that_died_is_written_by_the_primarys_agent,
                   a_node_that_restarts_is_told_everything_again, a_new_replica_is_filled,
                   a_lock_left_behind_is_named_and_stays,
                   a_disk_that_is_not_mounted_is_left_alone,
                   a_disk_that_lost_most_is_quarantined])
    finally:
        for s in S.values():
            s.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
