# SPDX-License-Identifier: Apache-2.0
"""Real pushes, decided by real nodes, applied by `refkeeper hook proc-receive`."""
import json
import os
import signal
import subprocess
import threading

from cluster import Cluster, check, run_tests_on, wait_until
from served import ENV, Place, git, hooks_with_openssl
from storages import show

CLUSTER = Cluster(3)


def create_update_delete():
    p = Place(CLUSTER)
    p.push("o", "main", "main:dev", "main:refs/notes/n")
    check(len(p.check_equal()) == 3, "three refs")
    p.commit()
    p.push("o", "main")
    p.push("o", "+main~1:main")
    p.push("o", ":dev")
    check(set(p.check_equal()) == {"refs/heads/main", "refs/notes/n"}, "what is left")
    p.close()


def sha256_repositories():
    p = Place(CLUSTER, ("--object-format=sha256",))
    p.push("o", "main", "main:dev")
    p.commit()
    p.push("o", "main", ":dev")
    disk = p.check_equal()
    check(len(disk["refs/heads/main"]) == 64, "64 digits")
    p.close()


def a_name_becomes_a_folder_in_one_push():
    p = Place(CLUSTER)
    p.push("o", "main", "main:a")
    p.push("o", "main:a/b", ":a")
    check("refs/heads/a/b" in p.check_equal(), "a/b")
    out = p.push("--atomic", "o", "main:a", ":a/b", code=1)
    check("NAMECONFLICT" in out or "refused" in out, out)
    check("refs/heads/a/b" in p.check_equal(), "a/b stays")
    p.close()


def a_refused_push_says_what_since_when_and_by_whom():
    p = Place(CLUSTER)
    p.push("o", "main", "main:x")
    other = "2" * 40
    p.cluster.cli("ref", "update", p.path, "refs/heads/x", other, "--force", "--actor", "mary jane")
    p.commit()
    out = p.push("o", "main", "main:x", code=1)
    check(other in out and "since log index" in out and "mary jane" in out, out)
    check(p.on_disk()["refs/heads/main"] == p.in_cluster()["refs/heads/main"], "main went through")
    check(p.in_cluster()["refs/heads/x"] == other, "the cluster's x stays")
    p.close()


def an_atomic_push_is_refused_whole():
    p = Place(CLUSTER)
    p.push("o", "main")
    p.cluster.cli("ref", "update", p.path, "refs/heads/x", "2" * 40, "--create")
    before = p.on_disk()
    p.commit()
    out = p.push("--atomic", "o", "main", "main:x", "main:y", code=1)
    check("fail to run proc-receive hook" not in out, out)
    check(out.count("remote rejected") == 3, out)
    check(p.on_disk() == before, "the disk is as before")
    check("refs/heads/y" not in p.in_cluster(), "so is the cluster")
    p.close()


def what_git_refuses_is_refused_first():
    p = Place(CLUSTER)
    p.push("o", "main", "main:d")
    git(p.served, "symbolic-ref", "HEAD", "refs/heads/main")
    check("deletion of the current branch prohibited" in p.push("o", ":main", code=1), "HEAD")
    check("funny refname" in p.push("o", "main:refs/foo", code=1), "refs/foo")
    git(p.served, "config", "receive.denyDeletes", "true")
    check("deletion prohibited" in p.push("o", ":d", code=1), "denyDeletes")
    git(p.served, "config", "receive.denyNonFastForwards", "true")
    p.commit()
    p.push("o", "main")
    check("non-fast-forward" in p.push("o", "+main~1:main", code=1), "denyNonFastForwards")
    hook = os.path.join(p.served, "hooks", "update")
    with open(hook, "w") as f:
        f.write("#!/bin/sh\necho \"asked for $1\"\n[ \"$1\" != refs/heads/no ]\n")
    os.chmod(hook, 0o755)
    out = p.push("o", "main:no", "main:yes", code=1)
    check("hook declined" in out and "asked for refs/heads/no" in out, out)
    check("refs/heads/yes" in p.check_equal(), "the other one went through")
    p.close()


def a_checked_out_branch_is_left_alone():
    p = Place(CLUSTER)
    p.push("o", "main")
    tree = os.path.join(p.directory, "tree")
    git(p.served, "worktree", "add", "-q", tree, "main")
    p.commit()
    check("branch is currently checked out" in p.push("o", "main", code=1), "refused")
    p.push("o", "main:other")
    p.check_equal()
    p.close()


def five_thousand_refs_in_one_push():
    p = Place(CLUSTER)
    git(p.work, "update-ref", "--stdin",
        stdin="".join("create refs/heads/b/%d HEAD\n" % i for i in range(5000)))
    p.push("-q", "o", "refs/heads/b/*:refs/heads/b/*")
    check(len(p.check_equal()) == 5000, "all of them")
    p.close()


def a_lock_that_is_let_go_is_waited_for():
    p = Place(CLUSTER)
    p.push("o", "main")
    lock = os.path.join(p.served, "refs", "heads", "main.lock")
    open(lock, "w").close()
    p.commit()
    threading.Timer(0.7, os.unlink, [lock]).start()
    p.push("o", "main")
    p.check_equal()
    p.close()


def a_hook_that_dies_leaves_no_lock():
    p = Place(CLUSTER)
    p.push("o", "main")
    before = p.on_disk()
    lock = os.path.join(p.served, "refs", "heads", "main.lock")
    p.commit()
    epoch = str(show(CLUSTER.nodes[0], p.path)["epoch"])
    for n in CLUSTER.nodes[1:]:
        n.process.send_signal(signal.SIGSTOP)
    try:
        # With the epoch of its route it asks the cluster nothing before.
        push = subprocess.Popen(["git", "push", "-q", "o", "main"], cwd=p.work,
                                env=dict(ENV, REFKEEPER_EPOCH=epoch),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(lock), 10, "it is locked while the cluster decides")
        found = subprocess.run(["pgrep", "-f", "hooks/proc-receive"], capture_output=True,
                               text=True, check=True).stdout.split()
        hook, = [pid for pid in found
                 if os.path.realpath("/proc/%s/cwd" % pid) == os.path.realpath(p.served)]
        os.kill(int(hook), signal.SIGKILL)
        wait_until(lambda: not os.path.exists(lock), 10, "nobody is left who would commit it")
        check(push.wait(30) != 0, "the push failed")
    finally:
        for n in CLUSTER.nodes[1:]:
            n.process.send_signal(signal.SIGCONT)
    check(p.on_disk() == before, "the disk is as before")
    CLUSTER.wait_leader()
    p.push("o", "main")
    p.check_equal()
    p.close()


def a_refused_push_leaves_no_lock():
    p = Place(CLUSTER)
    p.push("o", "main", "main:x")
    p.cluster.cli("ref", "update", p.path, "refs/heads/new", "2" * 40, "--create")
    for words in (("--atomic", "main", "main:new"), ("main", "main:new")):
        p.commit()
        p.push("o", *words, code=1)
        left = [name for folder in os.walk(os.path.join(p.served, "refs")) for name in folder[2]
                if name.endswith(".lock")]
        check(not left, "locks: %s" % left)
    check(p.on_disk()["refs/heads/main"] == p.in_cluster()["refs/heads/main"], "the second one")
    p.close()


def a_disk_that_refuses_makes_it_take_the_decision_back():
    p = Place(CLUSTER)
    p.push("o", "main")
    # A ref the cluster does not know stands in the way on the disk alone.
    git(p.served, "-c", "core.hooksPath=/dev/null", "update-ref", "refs/heads/wall/brick",
        p.on_disk()["refs/heads/main"])
    p.commit()
    out = p.push("o", "main", "main:wall", "main:free", code=1)
    check("disk refused it" in out and "nothing was changed" in out, out)
    cluster = p.in_cluster()
    check("refs/heads/wall" not in cluster and "refs/heads/free" in cluster, str(cluster))
    out = p.push("--atomic", "o", "main:wall", "main:free2", code=1)
    check("disk refused it" in out, out)
    check("refs/heads/free2" not in p.in_cluster(), "taken back, both")
    git(p.served, "update-ref", "-d", "refs/heads/wall/brick")
    p.check_equal()
    p.close()


def two_pushers_of_one_branch_get_one_winner():
    p = Place(CLUSTER)
    p.push("o", "main")
    clones = []
    for i in range(2):
        clone = os.path.join(p.directory, "clone%d" % i)
        git(p.directory, "clone", "-q", p.served, clone)
        git(clone, "commit", "-q", "--allow-empty", "-m", "of %d" % i)
        clones.append(clone)
    for round_number in range(5):
        target = "HEAD:refs/heads/race%d" % round_number
        runs = [subprocess.Popen(["git", "-C", c, "push", "origin", target], env=ENV,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                for c in clones]
        outs = [r.communicate(timeout=60)[0] for r in runs]
        codes = sorted(r.returncode for r in runs)
        check(codes == [0, 1], "exit codes %s\n%s" % (codes, "\n".join(outs)))
    p.check_equal()
    p.close()


def a_fenced_storage_decides_nothing():
    p = Place(CLUSTER)
    p.push("o", "main")
    p.cluster.cli("storage", "set", "s2", "--http", "http://s2")
    p.cluster.cli("repo", "register", p.path, "s2")
    p.cluster.cli("primary", "set", "s2", p.path, "--force", "test")
    p.commit()
    out = p.push("o", "main", code=1)
    check("not the primary" in out, out)
    p.check_equal()
    p.close()


def a_renamed_repository_is_noticed():
    p = Place(CLUSTER)
    p.push("o", "main")
    p.cluster.cli("repo", "rename", p.path, "moved/" + p.path)
    p.commit()
    out = p.push("o", "main", code=1)
    check("RENAMED" in out or "NOREPO" in out or "renamed" in out, out)
    p.close()


def a_push_of_one_ref_starts_two_programs():
    p = Place(CLUSTER)
    p.push("o", "main")
    trace = os.path.join(p.directory, "trace")

    def started(*words):
        if os.path.exists(trace):
            os.unlink(trace)
        git(p.work, "push", "-q", *words, env={"GIT_TRACE2_EVENT": trace})
        with open(trace) as f:
            events = [json.loads(line) for line in f]
        run = [e["argv"] for e in events if e["event"] == "start"]
        return sorted(" ".join(argv[1:]) for argv in run if argv[0] == "git")

    p.commit()
    plain = os.path.join(p.directory, "plain.git")
    git(p.directory, "clone", "-q", "--bare", p.served, plain)
    git(p.work, "remote", "add", "plain", plain)
    ours = started("o", "main")
    for words in started("plain", "main"):  # those of git itself
        if words in ours:
            ours.remove(words)
    ours = [words for words in ours if " push -q" not in words]
    check(ours == ["-c core.hooksPath=/dev/null update-ref -z --stdin", "config --null --list"],
          ours)
    p.check_equal()
    p.close()


def without_tls_no_hook_loads_openssl():
    p = Place(CLUSTER)
    p.push("o", "main")
    p.commit()
    started, loaded = hooks_with_openssl(p.work, "push", "-q", "o", "main")
    check((started, loaded) == (2, 0), "of %d hooks %d loaded it" % (started, loaded))
    p.check_equal()
    p.close()


def push_options_are_taken_strictly():
    p = Place(CLUSTER)
    p.push("o", "main")
    p.commit()
    notified = os.path.join(p.directory, "options")
    hook = os.path.join(p.served, "hooks", "pre-receive")
    with open(hook, "w") as f:
        f.write("#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION >%s\n" % notified)
    os.chmod(hook, 0o755)
    p.push("-o", "refkeeper.reason=hotfix for #7", "-o", "ci.skip", "o", "main", "main:y")
    out = CLUSTER.cli("history", p.path, "refs/heads/main")
    check("jane doe (hotfix for #7)" in out, out)
    with open(notified) as f:
        check("GIT_PUSH_OPTION_1=ci.skip" in f.read(), "git hands all of them on")
    before = p.check_equal()
    p.commit()
    for option, text in (("refkeeper.wiat=1", "refkeeper.wiat=1 is not known here"),
                         ("refkeeper.reason=", "1 to 128 bytes"),
                         ("refkeeper.reason=" + "x" * 129, "1 to 128 bytes"),
                         ("refkeeper.reason=a\tb", "control characters"),
                         ("refkeeper.reasons=a", "is not known here"),
                         ("refkeeper.syncReplicas=-1", "takes a number"),
                         ("refkeeper.syncReplicas=99", "takes a number"),
                         ("refkeeper.syncReplicas=1", "agentTokenFile is not set")):
        out = p.push("-o", option, "o", "main", code=1)
        check(text in out, "%s: %s" % (option, out))
    out = p.push("-o", "refkeeper.reason=a", "-o", "refkeeper.reason=b", "o", "main", code=1)
    check("twice" in out, out)
    many = [word for i in range(257) for word in ("-o", "x%d" % i)]
    check("more than 256" in p.push(*many, "o", "main", code=1), "bounded")
    check(p.check_equal() == before, "nothing was decided")
    p.push("--atomic", "-o", "refkeeper.reason=" + "x" * 128, "o", "main")
    p.check_equal()
    p.close()


def post_receive_tells_a_later_push_from_a_disk_that_lies():
    p = Place(CLUSTER)
    first = git(p.work, "rev-parse", "HEAD").strip()
    p.push("o", "main", "main:gone", "main:b")
    second = p.commit()
    p.push("o", "main", ":gone")
    zeros = "0" * 40

    def confirm(*lines):
        run = subprocess.run([os.path.join(p.served, "hooks", "post-receive")], cwd=p.served,
                             env={**ENV, "GIT_DIR": "."}, input="".join(lines), text=True,
                             capture_output=True, timeout=60)
        return run.returncode, run.stderr

    # What a push sees whose refs another one changed before its post-receive ran.
    said = confirm("%s %s refs/heads/main\n" % (zeros, first),
                   "%s %s refs/heads/gone\n" % (zeros, first),
                   "%s %s refs/heads/b\n" % (zeros, first))
    check(said == (0, ""), said)
    with open(os.path.join(p.served, "refs/heads/main"), "w") as f:
        f.write(first + "\n")
    code, text = confirm("%s %s refs/heads/main\n" % (first, second),
                         "%s %s refs/heads/b\n" % (zeros, first))
    check(code == 4 and "refs/heads/main is not at " + second in text and "1 refs" in text, text)
    CLUSTER.cli("resolve", p.path, p.served)
    git(p.served, "pack-refs", "--all")
    check(confirm("%s %s refs/heads/main\n" % (first, second)) == (0, ""), "packed")
    p.check_equal()
    p.close()


def pushes_survive_the_death_of_the_leader():
    p = Place(CLUSTER)
    p.push("o", "main")
    leader = CLUSTER.wait_leader()
    leader.kill()
    p.commit()
    p.push("o", "main")
    leader.start()
    CLUSTER.wait_equal()
    p.check_equal()
    p.close()


def without_a_cluster_nothing_is_pushed():
    p = Place(CLUSTER)
    p.push("o", "main")
    before = p.on_disk()
    p.commit()
    for n in CLUSTER.nodes:
        n.kill()
    out = p.push("o", "main", "main:new", code=1)
    check("remote rejected" in out and "refkeeper" in out, out)
    check(p.on_disk() == before, "the disk is as before")
    os.unlink(os.path.join(p.served, "hooks", "proc-receive"))
    p.push("o", "main", code=1)
    check(p.on_disk() == before, "without the hook, too")
    p.close()
    CLUSTER.fsck()


run_tests_on(CLUSTER, [create_update_delete, sha256_repositories,
                       a_name_becomes_a_folder_in_one_push,
                       a_refused_push_says_what_since_when_and_by_whom,
                       an_atomic_push_is_refused_whole, what_git_refuses_is_refused_first,
                       a_checked_out_branch_is_left_alone, five_thousand_refs_in_one_push,
                       a_lock_that_is_let_go_is_waited_for,
                       a_hook_that_dies_leaves_no_lock, a_refused_push_leaves_no_lock,
                       a_disk_that_refuses_makes_it_take_the_decision_back,
                       two_pushers_of_one_branch_get_one_winner, a_fenced_storage_decides_nothing,
                       a_renamed_repository_is_noticed, a_push_of_one_ref_starts_two_programs,
                       without_tls_no_hook_loads_openssl, push_options_are_taken_strictly,
                       post_receive_tells_a_later_push_from_a_disk_that_lies,
                       pushes_survive_the_death_of_the_leader, without_a_cluster_nothing_is_pushed])
