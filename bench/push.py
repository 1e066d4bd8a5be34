#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/push.py: what a git push costs with hooks and guard, beside plain git, in one run.

    RK_BUILDDIR=build PYTHONPATH=tests/system python3 bench/push.py [REFS] [PUSHES] [ROUNDS]

Pushes PUSHES (30) times one ref and ROUNDS (5) times REFS (10,000) new refs at once, in turns to
a bare repository without hooks, to one whose pushes a three-node cluster on this machine decides,
and to one whose pushes also wait for a replica's agent (sync_replicas 1).  Prints medians and
ratios.  Before each push of one ref it waits for PAUSE_S, so that none pays for what agents do
after another.  TMPDIR should be new: where many files were removed a short while ago, ext4 takes
its time to make others.
"""
import os
import statistics
import sys
import time

from cluster import Cluster
from served import git
from storages import Repo, Storage

REFS = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
PUSHES = int(sys.argv[2]) if len(sys.argv) > 2 else 30
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
PAUSE_S = 0.06


def timed(work, *words):
    started = time.monotonic()
    git(work, "push", "-q", *words)
    return time.monotonic() - started


def main():
    cluster = Cluster(3)
    storages = []
    try:
        cluster.start()
        token = os.path.join(cluster.directory, "token")
        with open(token, "w") as f:
            f.write("secret of the bench\n")
        for name in ("s1", "s2"):
            storages.append(Storage(cluster, name, token=token))
            storages[-1].start()
        repo = Repo(cluster, "bench/sync0.git", storages[:1])
        sync = Repo(cluster, "bench/sync1.git", storages)
        sync.push("main")
        sync.wait_complete()
        sync.set_sync_replicas(1, token)
        plain = os.path.join(cluster.directory, "plain.git")
        git(cluster.directory, "init", "-q", "--bare", plain)
        work = sync.work
        targets = [("plain", plain), ("sync 0", repo.primary.place(repo.path)),
                   ("sync 1", sync.primary.place(sync.path))]
        for name, place in targets:
            git(work, "push", "-q", place, "main")
        one = {name: [] for name, _ in targets}
        for i in range(PUSHES):
            sync.commit()
            for name, place in targets:
                time.sleep(PAUSE_S)
                one[name].append(timed(work, place, "main"))
        medians = {name: 1000 * statistics.median(one[name]) for name in one}
        for name in one:
            print("one ref, %d pushes, %s: median %.1f ms, %+.1f ms against plain git" % (
                PUSHES, name, medians[name], medians[name] - medians["plain"]))
        git(work, "update-ref", "--stdin",
            stdin="".join("create refs/heads/b/%d HEAD\n" % i for i in range(REFS)))
        for atomic in ((), ("--atomic",)):
            many = {name: [] for name, _ in targets}
            for i in range(ROUNDS):
                refspec = "refs/heads/b/*:refs/heads/b%d%d/*" % (len(atomic), i)
                for name, place in targets:
                    many[name].append(timed(work, *atomic, place, refspec))
            base = statistics.median(many["plain"])
            for name in many:
                seconds = statistics.median(many[name])
                print("%d refs%s, %d pushes, %s: median %.2f s (%.2f to %.2f), %.2f times plain" % (
                    REFS, " atomic" if atomic else "", ROUNDS, name, seconds, min(many[name]),
                    max(many[name]), seconds / base))
    finally:
        for s in storages:
            s.close()
        cluster.close()


if __name__ == "__main__":
    main()
