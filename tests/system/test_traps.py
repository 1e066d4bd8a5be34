#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The traps of git's reference-transaction hook, one test each, T1 to T20 of docs/GIT.md.

Each does something that a naive hook would misread, and looks whether the cluster's refs, by their
digest, and the disk are what they should be.
"""
import os
import subprocess

from cluster import CLI, Cluster, check, flat_map, run_tests_on
from served import ENV, Place, git

CLUSTER = Cluster(1)
ZEROS = "0" * 40


class Guarded(Place):
    """A place with refs, loose and packed, whose state is remembered."""

    def __init__(self, count=5):
        super().__init__(CLUSTER)
        git(self.work, "update-ref", "--stdin",
            stdin="".join("create refs/heads/b/%d HEAD\n" % i for i in range(count)))
        self.push("-q", "o", "main", "refs/heads/b/*:refs/heads/b/*")
        self.head = self.on_disk()["refs/heads/main"]
        self.remember()

    def digest(self):
        r = CLUSTER.nodes[0].resp()
        try:
            return flat_map(r.call("REPO.SHOW", self.path))["digest"]
        finally:
            r.close()

    def remember(self):
        self.before, self.said = self.check_equal(), self.digest()

    def check_unchanged(self, what):
        check(self.check_equal() == self.before and self.digest() == self.said, what)


def hook(p, state, lines, code):
    run = subprocess.run([CLI, "hook", "reference-transaction", state], input=lines, text=True,
                         env={**ENV, "GIT_DIR": p.served}, capture_output=True, timeout=60)
    check(run.returncode == code, "%s %r: exit %d %s" % (state, lines, run.returncode, run.stderr))


def t01_verify_is_no_deletion():
    p = Guarded()
    git(p.served, "update-ref", "--stdin", stdin="verify refs/heads/main %s\n" % p.head)
    p.check_unchanged("verify")
    git(p.served, "update-ref", "--stdin", code=128,
        stdin="verify refs/heads/main %s\ndelete refs/heads/b/1\n" % p.head)
    p.check_unchanged("a deletion beside a verify is refused")
    p.close()


def t02_packing_deletes_nothing():
    p = Guarded(20)
    for words in (("pack-refs", "--all"), ("gc", "-q"), ("maintenance", "run", "--task=pack-refs")):
        git(p.served, *words)
        p.check_unchanged(" ".join(words))
    git(p.served, "-c", "gc.auto=1", "-c", "gc.autoDetach=false", "gc", "--auto", "-q")
    p.check_unchanged("gc --auto")
    p.close()


def t03_a_deletion_tells_itself_twice():
    p = Guarded()
    git(p.served, "pack-refs", "--all")
    p.push("-q", "o", ":b/1")  # packed only
    p.commit()
    p.push("-q", "o", "main:b/2")  # loose over packed
    p.push("-q", "o", ":b/2")
    check(len(p.check_equal()) == 4, "two are gone, on both sides")
    p.close()


def t04_a_deletion_without_an_old_value_is_one():
    p = Guarded()
    for words in (("update-ref", "-d", "refs/heads/b/1"), ("branch", "-D", "b/2"),
                  ("fetch", "-q", "--prune", p.work, "+refs/heads/main:refs/heads/b/*")):
        git(p.served, *words, code=None)
        p.check_unchanged(" ".join(words))
    git(p.work, "branch", "-D", "b/3")
    git(p.served, "fetch", "-q", "--prune", p.work, "+refs/heads/*:refs/heads/*", code=None)
    p.check_unchanged("fetch --prune")
    p.close()


def t05_refused_refs_of_a_batch_are_not_believed():
    p = Guarded()
    p.commit()
    out = p.push("o", "main", "main:b", "main:b/1/x", code=1)  # two D/F conflicts
    check("rejected" in out, out)
    now = p.check_equal()
    check("refs/heads/b" not in now and "refs/heads/b/1/x" not in now, "refused on both sides")
    check(now["refs/heads/main"] != p.head, "the rest went through")
    p.close()


def t06_a_rename_of_a_branch_is_refused():
    p = Guarded()
    git(p.served, "branch", "-m", "b/1", "b/moved", code=128)
    p.check_unchanged("branch -m")
    # git calls no hook for a copy: it is found, and taken away on request.
    git(p.served, "branch", "-c", "b/1", "b/copied")
    out = CLUSTER.cli("verify", p.path, p.served, "-o", "value", check_code=4)
    check(out.startswith("refs/heads/b/copied"), out)
    CLUSTER.cli("resolve", p.path, p.served, "--delete")
    p.check_unchanged("branch -c")
    p.close()


def t07_symbolic_refs_are_no_values():
    p = Guarded()
    git(p.served, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    hook(p, "prepared", "%s ref:refs/heads/main refs/heads/alias\n" % ZEROS, 0)
    hook(p, "prepared", "ref:refs/heads/main %s refs/heads/alias\n" % ZEROS, 0)
    check(p.digest() == p.said, "the cluster is as before")
    CLUSTER.cli("verify", p.path, p.served)
    git(p.served, "symbolic-ref", "--delete", "refs/heads/alias")
    p.check_unchanged("a symbolic ref")
    p.close()


def t08_lines_about_head_are_skipped():
    p = Guarded()
    git(p.served, "symbolic-ref", "HEAD", "refs/heads/main")
    p.commit()
    p.push("-q", "o", "main")  # up to 2.47 git names HEAD, too
    p.remember()
    git(p.served, "update-ref", "HEAD", p.head, code=128)
    p.check_unchanged("update-ref HEAD is one of the branch")
    p.close()


def t09_a_copy_with_our_hooks_as_template_is_its_own():
    p = Guarded()
    clone = os.path.join(p.directory, "clone.git")
    git(p.directory, "clone", "-q", "--bare", "--template=" + p.served, p.served, clone, code=None)
    p.check_unchanged("a clone with the hooks as template")
    p.close()


def t10_what_was_prepared_leaves_nothing_behind():
    p = Guarded()
    for _ in range(3):
        hook(p, "preparing", "%s %s refs/heads/new\n" % (ZEROS, p.head), 0)
    git(p.served, "update-ref", "refs/heads/main", p.head, "1" * 40, code=128)
    p.check_unchanged("a lost lock")
    p.close()


def t11_aborted_may_come_at_any_time():
    p = Guarded()
    line = "%s %s refs/heads/new\n" % (ZEROS, p.head)
    hook(p, "aborted", line, 0)
    hook(p, "prepared", line, 4)
    hook(p, "aborted", line, 0)
    hook(p, "aborted", line, 0)
    p.check_unchanged("aborted, twice")
    p.close()


def t12_many_refs_are_few_transactions():
    p = Guarded(300)
    log = os.path.join(p.directory, "calls")
    text = ("#!/bin/sh\necho \"$1\" >>'%s'\n"
            "exec '%s' hook reference-transaction \"$@\"\n" % (log, CLI))
    guard = os.path.join(p.served, "hooks", "reference-transaction")
    os.unlink(guard)
    with open(guard, "w") as f:
        f.write(text)
    os.chmod(guard, 0o755)
    p.push("-q", "o", "refs/heads/b/*:refs/heads/c/*")
    check(len(p.check_equal()) == 601, "all of them")
    calls = open(log).read().split() if os.path.exists(log) else []
    check(len(calls) <= 4, "%d calls of the guard for 300 refs" % len(calls))
    p.close()


def t13_empty_transactions_pass():
    p = Guarded()
    hook(p, "prepared", "", 0)
    git(p.served, "update-ref", "--stdin", stdin="start\nprepare\ncommit\n")
    p.check_unchanged("an empty one")
    p.close()


def t14_states_of_the_future_pass():
    p = Guarded()
    hook(p, "pondering", "%s %s refs/heads/new\n" % (ZEROS, p.head), 0)
    p.check_unchanged("an unknown state")
    p.close()


def t15_a_hook_that_cannot_run_is_found():
    p = Guarded()
    CLUSTER.cli("doctor", p.served)
    for name in ("proc-receive", "reference-transaction", "post-receive"):
        path = os.path.join(p.served, "hooks", name)
        os.chmod(path, 0o644)
        out = CLUSTER.cli("doctor", p.served, "-o", "value", check_code=4)
        check("hooks/%s\twrong" % name in out, out)
        os.chmod(path, 0o755)
    os.chmod(os.path.join(p.served, "hooks", "proc-receive"), 0o644)
    p.commit()
    p.push("-q", "o", "main", code=1)
    p.check_unchanged("without proc-receive nothing is pushed")
    p.close()


def t16_all_input_is_read():
    p = Guarded()
    line = "%s %s HEAD\n" % (ZEROS, p.head)
    for state in ("prepared", "committed", "aborted", "pondering"):
        hook(p, state, line * 20000, 0)
    p.check_unchanged("much input")
    p.close()


def t17_an_update_to_the_same_value_is_none():
    p = Guarded()
    git(p.served, "update-ref", "refs/heads/main", p.head)
    git(p.served, "update-ref", "refs/heads/main", p.head, p.head)
    p.push("-q", "o", "main")
    p.check_unchanged("the same value")
    p.close()


def t18_a_deletion_of_what_is_not_there_is_fine():
    p = Guarded()
    # git push refuses by itself; another client asks.
    request = "%s %s refs/heads/none\0 report-status delete-refs\n" % ("1" * 40, ZEROS)
    packet = ("%04x" % (len(request) + 4)).encode() + request.encode() + b"0000"
    run = subprocess.run(["git", "receive-pack", "--stateless-rpc", p.served], input=packet,
                         capture_output=True, env=ENV, timeout=60)
    check(run.returncode == 0, run.stderr)
    p.check_unchanged("nothing was there: %r" % run.stdout)
    p.close()


def t19_a_name_becomes_a_folder():
    p = Guarded()
    p.push("-q", "o", "main:b/1/x", ":b/1")
    check("refs/heads/b/1/x" in p.check_equal(), "deletions first")
    p.remember()
    out = p.push("--atomic", "o", ":b/2", "main:b/2/x", code=1)
    check("rejected" in out, out)
    p.check_unchanged("atomic: refused as git does it")
    p.close()


def t20_without_loose_files_every_deletion_is_real():
    p = Guarded()
    git(p.served, "pack-refs", "--all")
    # As with reftable: no packed-refs.lock to tell a deletion by.
    git(p.served, "config", "core.repositoryFormatVersion", "1")
    git(p.served, "config", "extensions.refStorage", "reftable")
    out = git(CLUSTER.directory, "--git-dir", p.served, "rev-parse", "--git-dir", code=None)
    git(p.served, "config", "--file", os.path.join(p.served, "config"), "--unset",
        "extensions.refStorage", code=None)
    if "unknown repository extension" in out:
        # This git has none: the guard is asked as it would ask.
        hook(p, "prepared", "%s %s refs/heads/b/1\n" % (p.head, ZEROS), 0)  # no lock: no deletion
    open(os.path.join(p.served, "packed-refs.lock"), "w").close()
    hook(p, "prepared", "%s %s refs/heads/b/1\n" % (p.head, ZEROS), 4)
    os.unlink(os.path.join(p.served, "packed-refs.lock"))
    p.check_unchanged("no deletion went through")
    p.close()


run_tests_on(CLUSTER, [value for name, value in sorted(globals().items())
                       if name[0] == "t" and name[1:3].isdigit()])
