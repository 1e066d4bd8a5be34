#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""refkeeper.syncReplicas: what a push was told is done survives the loss of its primary's disk."""
import os
import socket

from cluster import Cluster, check, run_tests
from served import git
from storages import Repo, Storage, in_cluster, show, wait_complete

CLUSTER = Cluster(3)
TOKEN = os.path.join(CLUSTER.directory, "token")
S = {}


def make(path, names, count=1):
    r = Repo(CLUSTER, path, [S[n] for n in names])
    r.push("main")
    r.wait_complete()
    r.set_sync_replicas(count, TOKEN)
    return r


def pins(storage, path):
    return git(storage.place(path), "for-each-ref", "refs/refkeeper/pin")


def a_push_is_on_its_replica_before_it_is_decided():
    r = make("y/one.git", ["s1", "s2"])
    git(r.work, "tag", "-a", "-m", "t", "v1")
    for i in range(3):
        oid = r.commit()
        r.push("main", "main:b%d" % i, "v1", *([":b%d" % (i - 1)] if i > 0 else []))
        git(S["s2"].place(r.path), "cat-file", "-e", oid)
        git(S["s2"].place(r.path), "rev-list", "--objects", "--quiet", oid)
    r.wait_complete()
    r.check_equal()
    check(pins(S["s2"], r.path) == "", "what has landed is not pinned any more")


def a_replica_that_is_away_makes_the_push_fail_whole():
    r = make("y/away.git", ["s1", "s2"])
    before = in_cluster(CLUSTER, r.path)
    S["s2"].stop()
    r.commit()
    out = r.push("main", "main:x", code=1)
    check("0 of the 1 replicas" in out and "nothing was changed" in out, out)
    check(in_cluster(CLUSTER, r.path) == before, "nothing was decided")
    check(S["s1"].refs(r.path) == before, "nor written")
    S["s2"].start(init=False)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def one_of_two_replicas_is_enough_for_one():
    r = make("y/two.git", ["s1", "s2", "s3"])
    S["s2"].stop()
    r.commit()
    r.push("main")
    r.set_sync_replicas(2, TOKEN)
    r.commit()
    out = r.push("main", code=1)
    check("1 of the 2 replicas" in out, out)
    S["s2"].start(init=False)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def who_lacks_the_token_brings_nothing():
    host, port = S["s2"].agent.split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        hello = s.recv(20)
        check(hello[:4] == b"RKA1" and len(hello) == 20, hello)
        s.sendall(b"\0\0\0\4" + b"x" * 32 + b"head")
        answer = s.recv(4096)
        check(answer[:1] == b"\1" and b"token" in answer, answer)
    with socket.create_connection((host, int(port)), 10) as s:
        s.recv(20)
        s.sendall(b"\xff\xff\xff\xff" + b"x" * 32)
        check(s.recv(1) == b"", "a head without bound is refused")
    r = make("y/token.git", ["s1", "s2"])
    wrong = os.path.join(CLUSTER.directory, "wrong")
    with open(wrong, "w") as f:
        f.write("another secret, long enough\n")
    r.set_sync_replicas(1, wrong)
    r.commit()
    out = r.push("main", code=1)
    check("token" in out, out)


def an_acknowledged_push_survives_the_loss_of_its_primary():
    r = make("y/lost.git", ["s3", "s2"])
    # The replica may take packs but not follow events: the disk dies before it could fetch.
    for i in range(5):
        oid = r.commit()
        r.push("main", "main:b%d" % i)
    S["s3"].kill()
    wanted = in_cluster(CLUSTER, r.path)
    check(wanted["refs/heads/main"] == oid, "acknowledged")
    CLUSTER.cli("storage", "set", "s3", "--state", "down")
    out = CLUSTER.cli("drain", "s3", "--wait", "30s", "-o", "value", check_code=None)
    check(r.path in out and "moved" in out, out)
    check(show(CLUSTER.nodes[0], r.path)["primary"] == "s2", "moved")
    wait_complete(CLUSTER, r.path, ["s2"])
    check(S["s2"].refs(r.path) == wanted, "every acknowledged ref is there")
    git(S["s2"].place(r.path), "fsck", "--connectivity-only")
    clone = os.path.join(CLUSTER.directory, "clone")
    git(CLUSTER.directory, "clone", "-q", S["s2"].server.url + "/" + r.path, clone)
    check(git(clone, "rev-parse", "HEAD").strip() == oid, "and clones check it out")
    check(git(clone, "symbolic-ref", "HEAD").strip() == "refs/heads/main", "on the same branch")


def main():
    with open(TOKEN, "w") as f:
        f.write("a secret of these storages\n")
    CLUSTER.start()
    try:
        for name in ("s1", "s2", "s3"):
            S[name] = Storage(CLUSTER, name, ("--patience", "3s"), TOKEN)
            S[name].start()
        run_tests([a_push_is_on_its_replica_before_it_is_decided,
                   a_replica_that_is_away_makes_the_push_fail_whole,
                   one_of_two_replicas_is_enough_for_one, who_lacks_the_token_brings_nothing,
                   an_acknowledged_push_survives_the_loss_of_its_primary])
    finally:
        for s in S.values():
            if os.path.exists(s.root):
                s.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
