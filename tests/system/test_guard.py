#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing but the cluster's decisions changes a guarded storage, and git's maintenance goes on."""
import os
import signal
import subprocess

from cluster import CLI, Cluster, check, run_tests_on, wait_until
from served import ENV, Place, git

CLUSTER = Cluster(3)


def refs_in(count):
    """A place with some loose and some packed refs."""
    p = Place(CLUSTER)
    git(p.work, "update-ref", "--stdin",
        stdin="".join("create refs/heads/b/%d HEAD\n" % i for i in range(count)))
    git(p.work, "tag", "-a", "-m", "t", "v1")
    p.push("-q", "o", "main", "v1", "refs/heads/b/*:refs/heads/b/*")
    return p


def digest(p):
    return CLUSTER.nodes[0].resp().call("REPO.SHOW", p.path)


def a_stranger_changes_nothing():
    p = refs_in(3)
    before = p.check_equal()
    head = before["refs/heads/main"]
    p.commit()
    git(p.work, "push", "-q", "o", "main:refs/heads/side")  # brings the object
    side = p.on_disk()["refs/heads/side"]
    before = p.check_equal()
    for words in (("update-ref", "refs/heads/new", head),
                  ("update-ref", "refs/heads/main", side),
                  ("update-ref", "refs/heads/main", side, head),
                  ("update-ref", "-d", "refs/heads/main"),
                  ("update-ref", "-d", "refs/heads/main", head),
                  ("tag", "-d", "v1"),
                  ("branch", "-D", "b/1"),
                  ("branch", "-m", "b/1", "b/moved"),
                  ("branch", "-f", "b/2", side),
                  ("fetch", "-q", p.work, "+refs/heads/main:refs/remotes/w/main")):
        out = git(p.served, *words, code=None)
        check(p.on_disk() == before, "%s changed the disk\n%s" % (words, out))
    out = git(p.served, "update-ref", "refs/heads/new", head, code=128)
    check("did not decide" in out and "refs/heads/new" in out, out)
    many = "".join("create refs/heads/m/%d %s\n" % (i, head) for i in range(100))
    out = git(p.served, "update-ref", "--stdin", stdin=many, code=128)
    check("and 90 more" in out, out)
    check(p.check_equal() == before, "the refs are as before")
    p.close()


def what_the_cluster_has_already_may_come_to_the_disk():
    p = refs_in(1)
    head = p.on_disk()["refs/heads/main"]
    CLUSTER.cli("ref", "update", p.path, "refs/heads/late", head, "--create")
    git(p.served, "update-ref", "refs/heads/late", head)
    p.check_equal()
    CLUSTER.cli("ref", "delete", p.path, "refs/heads/late", "--old", head)
    git(p.served, "update-ref", "-d", "refs/heads/late")
    p.check_equal()
    many = ["refs/heads/m/%d" % i for i in range(100)]
    script = "".join("create %s %s\n" % (m, head) for m in many)
    CLUSTER.cli("ref", "update", p.path, "--stdin", stdin=script)
    git(p.served, "update-ref", "--stdin", stdin=script)
    check(len(p.check_equal()) == 103, "all of them")
    p.close()


def maintenance_changes_nothing():
    p = refs_in(20)
    before, said = p.check_equal(), digest(p)
    loose = os.path.join(p.served, "refs", "heads", "b", "7")
    check(os.path.exists(loose), "loose before")
    git(p.served, "pack-refs", "--all")
    check(not os.path.exists(loose), "packing finished")
    p.commit()
    p.push("-q", "o", "main", "main:b/7")  # loose again, over a packed one
    before, said = p.check_equal(), digest(p)
    for words in (("pack-refs", "--all", "--prune"), ("gc", "-q"), ("gc", "-q", "--prune=now"),
                  ("maintenance", "run", "--task=gc"), ("maintenance", "run", "--task=pack-refs"),
                  ("repack", "-adq"), ("fsck",), ("reflog", "expire", "--expire=now", "--all")):
        git(p.served, *words, code=None)
        check(p.on_disk() == before, "%s changed the disk" % (words,))
    git(p.served, "update-ref", "--stdin", stdin="verify refs/heads/main %s\n" %
        before["refs/heads/main"])
    git(p.served, "update-ref", "refs/heads/main", before["refs/heads/main"])
    git(p.served, "update-ref", "--stdin", stdin="start\nabort\n")
    git(p.served, "symbolic-ref", "HEAD", "refs/heads/b/3")
    check(p.check_equal() == before and digest(p) == said, "the cluster is as before")
    p.push("-q", "o", ":b/8", ":b/7")  # one packed only, one loose and packed
    check(len(p.check_equal()) == len(before) - 2, "both deleted")
    p.close()


def states_nobody_knows_yet_pass():
    p = refs_in(1)
    env = {**ENV, "GIT_DIR": p.served}
    line = "%s %s refs/heads/main\n" % ("0" * 40, "1" * 40)
    for state, text, code in (("future", line, 0), ("preparing", line, 0), ("committed", line, 0),
                              ("aborted", line, 0), ("prepared", "", 0),
                              ("prepared", "0 ref:refs/heads/x refs/heads/sym\n", 0),
                              ("prepared", "%s %s HEAD\n" % ("0" * 40, "1" * 40), 0),
                              ("prepared", line, 4), ("prepared", "rubbish\n", 4)):
        run = subprocess.run([CLI, "hook", "reference-transaction", state], input=text, text=True,
                             env=env, capture_output=True, timeout=60)
        check(run.returncode == code, "%s %r: exit %d %s" % (state, text, run.returncode,
                                                              run.stderr))
    p.close()


def what_was_decided_and_not_written_is_found_and_resolved():
    p = refs_in(2)
    p.commit()
    git(p.work, "push", "-q", "o", "main:side")
    side = p.on_disk()["refs/heads/side"]
    # The disk will not let go of one ref, and the hook dies waiting.
    lock = os.path.join(p.served, "refs", "heads", "late.lock")
    open(lock, "w").close()
    push = subprocess.Popen(["git", "-C", p.work, "push", "o", "main:late"], env=ENV,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = os.path.join(p.served, "refkeeper")
    wait_until(lambda: p.in_cluster().get("refs/heads/late") == side, 20, "the decision")
    pid = int(os.listdir(journal)[0].split("-")[0])
    os.kill(pid, signal.SIGSTOP)  # it starts no further git
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        children = f.read().split()
    os.kill(pid, signal.SIGKILL)
    check(push.wait(60) != 0, "the pusher saw a failure")
    wait_until(lambda: not any(os.path.exists("/proc/" + c) for c in children), 20, "its git's end")
    os.unlink(lock)
    check("refs/heads/late" not in p.on_disk(), "decided, not written")
    out = CLUSTER.cli("doctor", p.served, "-o", "value", check_code=4)
    check("1 died half way" in out, out)
    out = CLUSTER.cli("resolve", p.path, p.served, "--dry-run", "-o", "value", check_code=4)
    check("update\twould" in out, out)
    CLUSTER.cli("resolve", p.path, p.served)
    check(p.check_equal()["refs/heads/late"] == side, "written now")
    check(os.listdir(journal) == [], "nothing is left over")
    out = CLUSTER.cli("doctor", p.served)
    check("git version 2." in out and ("2.54 tells hooks" in out or " 2.5" in out), out)
    p.close()


def objects_that_are_missing_are_not_made_up():
    p = refs_in(1)
    head = p.on_disk()["refs/heads/main"]
    lost = "1" * 40
    CLUSTER.cli("ref", "update", p.path, "refs/heads/main", lost, "--old", head)
    CLUSTER.cli("ref", "update", p.path, "refs/heads/gone", lost, "--create")
    git(p.served, "-c", "core.hooksPath=/dev/null", "update-ref", "refs/heads/alone", head)
    out = CLUSTER.cli("resolve", p.path, p.served, "-o", "value", check_code=4)
    check(out.count("objects are missing") == 2 and "only on disk" in out, out)
    check(p.in_cluster()["refs/heads/main"] == lost and p.on_disk()["refs/heads/main"] == head,
          "both as before")
    CLUSTER.cli("resolve", p.path, p.served, "--revert", "--delete")
    check("refs/heads/alone" not in p.check_equal(), "deleted on request")
    p.close()


def a_hook_of_somebody_else_is_not_overwritten():
    p = refs_in(1)
    hook = os.path.join(p.served, "hooks", "post-receive")
    text = "#!/bin/sh\ntouch notified\n"
    with open(hook, "w") as f:
        f.write(text)
    words = ("hook", "install", p.served, "--repo", p.path, "--storage", "s1")
    CLUSTER.cli(*words, check_code=4)
    with open(hook) as f:
        check(f.read() == text, "as it was")
    CLUSTER.cli(*words, "--keep-hooks")
    p.commit()
    p.push("-q", "o", "main")
    check(os.path.exists(os.path.join(p.served, "notified")), "it is called")
    p.check_equal()
    p.close()


def what_is_the_storages_own_is_no_difference():
    p = refs_in(1)
    head = p.on_disk()["refs/heads/main"]
    git(p.served, "update-ref", "refs/refkeeper/kept/7/heads/x", head)
    CLUSTER.cli("verify", p.path, p.served)
    CLUSTER.cli("resolve", p.path, p.served, "--delete")
    check("refs/refkeeper/kept/7/heads/x" in p.on_disk(), "it stays")
    p.close()


def fetches_and_renames_change_nothing_in_the_cluster():
    p = refs_in(3)
    before, said = p.check_equal(), digest(p)
    other = os.path.join(p.directory, "other.git")
    git(p.directory, "init", "-q", "--bare", other)
    git(p.served, "remote", "add", "elsewhere", other)
    for words in (("fetch", "-q", "--prune", "elsewhere", "+refs/*:refs/*"),
                  ("fetch", "-q", "--prune", "--prune-tags", "elsewhere"),
                  ("remote", "update", "--prune"), ("branch", "-m", "b/1", "renamed"),
                  ("branch", "-M", "b/1", "b/2"),
                  ("symbolic-ref", "refs/heads/alias", "refs/heads/main"),
                  ("pack-refs", "--all", "--prune"), ("gc", "-q", "--prune=now"),
                  ("maintenance", "run", "--task=gc")):
        out = git(p.served, *words, code=None)
        check(digest(p) == said, "%s changed the cluster\n%s" % (words, out))
        git(p.served, "symbolic-ref", "-d", "refs/heads/alias", code=None)
        check(p.on_disk() == before, "%s changed the disk\n%s" % (words, out))
    # git asks no hook when it copies a branch: it is found, and goes.
    git(p.served, "branch", "-c", "b/1", "copied", code=None)
    check(digest(p) == said, "branch -c changed the cluster")
    out = CLUSTER.cli("verify", p.path, p.served, "-o", "value", check_code=4)
    check(out.split()[0] == "refs/heads/copied", out)
    CLUSTER.cli("resolve", p.path, p.served, "--delete")
    check(p.check_equal() == before and digest(p) == said, "as before")
    p.close()


def without_a_cluster_the_disk_stands_still():
    p = refs_in(1)
    before = p.on_disk()
    for n in CLUSTER.nodes:
        n.kill()
    out = git(p.served, "update-ref", "-d", "refs/heads/main", code=128)
    check("stay as they are" in out, out)
    git(p.served, "pack-refs", "--all")  # asks nobody
    check(p.on_disk() == before, "the refs are as before")
    p.close()
    CLUSTER.fsck()


run_tests_on(CLUSTER, [a_stranger_changes_nothing,
                       what_the_cluster_has_already_may_come_to_the_disk,
                       maintenance_changes_nothing, states_nobody_knows_yet_pass,
                       what_was_decided_and_not_written_is_found_and_resolved,
                       objects_that_are_missing_are_not_made_up,
                       a_hook_of_somebody_else_is_not_overwritten,
                       what_is_the_storages_own_is_no_difference,
                       fetches_and_renames_change_nothing_in_the_cluster,
                       without_a_cluster_the_disk_stands_still])
