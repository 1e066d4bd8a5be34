#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Storages come and go: drain, rebalance, report, force-authoritative, and nothing is lost."""
import json
import os
import signal
import subprocess

from cluster import CLI, Cluster, check, die_with_parent, run_tests, wait_until
from served import git
from storages import Repo, Storage, in_cluster, show, wait_complete

CLUSTER = Cluster(3)
S = {}


def primaries():
    out = CLUSTER.cli("storage", "list", "-o", "json")
    return {s["name"]: int(s["primaries"]) for s in json.loads(out)}


def findings(path=None):
    words = ["report", "-o", "json"] + (["--prefix", path] if path else [])
    rows = json.loads(CLUSTER.cli(*words, check_code=None))
    return [(row["path"], row["finding"], row["storage"]) for row in rows]


def make(count, prefix, names):
    repos = [Repo(CLUSTER, "%s/%d.git" % (prefix, i), [S[n] for n in names]) for i in range(count)]
    for r in repos:
        r.push("main")
    for r in repos:
        r.wait_complete()
    return repos


def drain_moves_all_and_a_live_storage_goes_on():
    repos = make(4, "d", ["s1", "s2", "s3"])
    before = {r.path: in_cluster(CLUSTER, r.path) for r in repos}
    out = CLUSTER.cli("drain", "s1", "--dry-run", "-o", "value")
    check(out.count("would move") == 4 and primaries()["s1"] == 4, out)
    out = CLUSTER.cli("drain", "s1", "-o", "value")
    check(out.count("\tmoved") == 4, out)
    check(primaries() == {"s1": 0, "s2": 2, "s3": 2}, "spread: %s" % primaries())
    check("draining" in CLUSTER.cli("storage", "list"), "it gets no reads")
    for r in repos:
        check(in_cluster(CLUSTER, r.path) == before[r.path], "no ref moved")
        r.commit()
        out = r.push("main", code=1)  # the old primary
        check("not the primary" in out, out)
        primary = S[show(CLUSTER.nodes[0], r.path)["primary"]]
        git(r.work, "remote", "set-url", "o", primary.server.url + "/" + r.path)
        r.push("main")
        r.wait_complete()
        r.check_equal()
    CLUSTER.cli("storage", "set", "s1", "--state", "active")
    out = CLUSTER.cli("rebalance", "--dry-run", "-o", "value")
    check(out.count("would move") == 1, out)
    CLUSTER.cli("rebalance")
    check(sorted(primaries().values()) == [1, 1, 2], "even: %s" % primaries())
    for r in repos:
        CLUSTER.cli("repo", "remove", r.path)


def the_report_names_what_is_wrong():
    r, = make(1, "r", ["s1", "s2"])
    CLUSTER.cli("report", "--prefix", "r/")
    S["s2"].stop()
    r.commit()
    r.push("main")
    seen = findings("r/")
    check(("r/0.git", "behind", "s2") in seen, seen)
    check(("r/0.git", "at-risk", None) in seen, seen)
    CLUSTER.cli("report", "--prefix", "r/", check_code=4)
    out = CLUSTER.cli("drain", "s1", "--wait", "1ms", "-o", "value", check_code=4)
    check("stays" in out, out)
    CLUSTER.cli("storage", "set", "s1", "--state", "down")
    check(("r/0.git", "unavailable", "s1") in findings("r/"), findings("r/"))
    # One that has no agent says it once.
    r.primary.stop()
    git(S["s2"].place(r.path), "fetch", "-q", S["s1"].place(r.path), "main")
    out = CLUSTER.cli("report", "--from-storage", "s2", "--root", S["s2"].root, "-o", "value",
                      check_code=4)
    check("r/0.git\tdifferent" in out, out)
    CLUSTER.cli("resolve", r.path, S["s2"].place(r.path))
    CLUSTER.cli("report", "--from-storage", "s2", "--root", S["s2"].root)
    check("s2" in show(CLUSTER.nodes[0], r.path)["complete"], "told")
    for name in ("s1", "s2"):
        S[name].stop()
        S[name].start(init=False)
        CLUSTER.cli("storage", "set", name, "--state", "active")
    CLUSTER.cli("repo", "remove", r.path)


def a_dead_storage_is_drained_by_itself():
    repos = make(3, "w", ["s1", "s2"])
    alone, = make(1, "w1", ["s1"])
    before = {r.path: in_cluster(CLUSTER, r.path) for r in repos}
    watch = subprocess.Popen([CLI, "--endpoints", CLUSTER.endpoints, "drain", "--watch", "--after",
                              "3s", "-o", "jsonl"], stdout=subprocess.DEVNULL,
                             preexec_fn=die_with_parent)
    S["s1"].kill()
    wait_until(lambda: primaries()["s1"] == 1, 60, "its primaries move")
    watch.send_signal(signal.SIGTERM)
    watch.wait(20)
    check(show(CLUSTER.nodes[0], alone.path)["primary"] == "s1", "without a replica it stays")
    check((alone.path, "unavailable", "s1") in findings(), "and is reported")
    for r in repos:
        check(in_cluster(CLUSTER, r.path) == before[r.path], "nothing is lost")
        check(S["s2"].refs(r.path) == before[r.path], "the new primary has it")
        git(r.work, "remote", "set-url", "o", S["s2"].server.url + "/" + r.path)
        r.commit()
        r.push("main")


def a_lost_repository_goes_back_to_what_is_left_by_force():
    r, = make(1, "f", ["s2", "s3"])
    kept = in_cluster(CLUSTER, r.path)["refs/heads/main"]
    S["s3"].stop()
    lost = r.commit()
    r.push("main", "main:late")
    CLUSTER.cli("force-authoritative", r.path, "s3", check_code=2)  # without a reason
    out = CLUSTER.cli("force-authoritative", r.path, "s3", "--reason", "x", check_code=4)
    check(in_cluster(CLUSTER, r.path)["refs/heads/main"] == lost, "a live copy is complete: no")
    S["s2"].kill()
    CLUSTER.cli("storage", "set", "s2", "--state", "down")
    out = CLUSTER.cli("drain", "s2", "--wait", "1ms", "-o", "value", check_code=4)
    check(r.path in out and "stays" in out, out)
    out = CLUSTER.cli("force-authoritative", r.path, "s3", "--reason", "s2 burnt down", "--dry-run",
                      "-o", "value")
    check("refs/heads/late" in out and "would be lost" in out and "would go back" in out, out)
    check(in_cluster(CLUSTER, r.path)["refs/heads/main"] == lost, "nothing yet")
    CLUSTER.cli("force-authoritative", r.path, "s3", "--reason", "s2 burnt down", "--actor", "joan")
    check(in_cluster(CLUSTER, r.path) == {"refs/heads/main": kept}, "what s3 has")
    check(show(CLUSTER.nodes[0], r.path)["primary"] == "s3", "and it is the primary")
    check("joan" in CLUSTER.cli("history", r.path), "who did it is on record")
    S["s3"].start(init=False)
    wait_complete(CLUSTER, r.path, ["s3"])


def main():
    CLUSTER.start()
    try:
        for name in ("s1", "s2", "s3"):
            S[name] = Storage(CLUSTER, name, ("--patience", "3s"))
            S[name].start()
        run_tests([drain_moves_all_and_a_live_storage_goes_on, the_report_names_what_is_wrong,
                   a_dead_storage_is_drained_by_itself,
                   a_lost_repository_goes_back_to_what_is_left_by_force])
    finally:
        for s in S.values():
            if os.path.exists(s.root):
                s.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
