#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Four pushers with real git through the router, while nodes and storages are killed in turn.

RK_STORM_SECONDS (30; in make check-long 600) and RK_STORM_SEED choose how long and what.  Every
pushed value is a commit of its own, and every push a user of its own, so that each event of the
cluster belongs to one push.  Afterwards: the events of every ref follow each other and end at the
cluster's value; that is what every storage has; each ref of a push that git called successful is
one event, of one it called rejected none (or one that was taken back), of one without an answer
either; an atomic push is all or nothing.
"""
import hashlib
import os
import random
import re
import subprocess
import sys
import threading
import time
import zlib

import gitsite
from cluster import RespError, check, run_tests, wait_until
from served import ENV, git

IS_LONG = os.environ.get("RK_TORTURE") == "long"
SECONDS = float(os.environ.get("RK_STORM_SECONDS", "600" if IS_LONG else "30"))
SEED = int(os.environ.get("RK_STORM_SEED", random.SystemRandom().randrange(1 << 32)))
REPOS = {"storm/one.git": ("s1", "s2", "s3"), "storm/two.git": ("s2", "s3", "s1")}
PUSHERS = 4
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Push:
    def __init__(self, name, path, is_atomic, wanted):
        self.name, self.path, self.is_atomic = name, path, is_atomic
        self.wanted = wanted  # ref -> new oid, None = deleted
        self.verdict = {}     # ref -> "ok", "rejected", "unknown", "none" (was so already)
        self.begin = self.end = 0  # events seen before and after it
        self.said = ""

    def judge(self, code, out):
        """What git said of each ref: --porcelain, one line each."""
        self.said = out
        for line in out.splitlines():
            found = re.match(r"^([ +\-*!=])\t[^:\t]*:(\S+)\t(.*)$", line)
            if not found or found.group(2) not in self.wanted:
                continue
            flag, ref, text = found.groups()
            if flag == "=":
                self.verdict[ref] = "none"
            elif flag != "!":
                self.verdict[ref] = "ok"
            elif "UNKNOWN" in text or "[remote failure]" in text:
                self.verdict[ref] = "unknown"
            else:
                self.verdict[ref] = "rejected"
        # "unable to access" is said of git's first request, before anything was sent.
        silent = "rejected" if "unable to access" in out else "unknown"
        for ref in self.wanted:
            self.verdict.setdefault(ref, silent if code != 0 else "ok")


class Pusher(threading.Thread):
    def __init__(self, storm, number):
        super().__init__(name="pusher %d" % number)
        self.storm, self.number = storm, number
        self.random = random.Random(SEED * 31 + number)
        self.work = os.path.join(storm.site.cluster.directory, "pusher%d" % number)
        self.pushes = []
        self.error = None
        git(storm.site.cluster.directory, "init", "-q", self.work)
        git(self.work, "hash-object", "-t", "tree", "-w", "--stdin", stdin="")

    def commit(self, text):
        """A commit nobody else makes; written as git would, without a process."""
        body = ("tree %s\nauthor a <a@b> 1700000000 +0000\ncommitter a <a@b> 1700000000 +0000\n"
                "\n%s\n" % (EMPTY_TREE, text)).encode()
        data = b"commit %d\0" % len(body) + body
        oid = hashlib.sha1(data).hexdigest()
        folder = os.path.join(self.work, ".git", "objects", oid[:2])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, oid[2:]), "wb") as f:
            f.write(zlib.compress(data))
        return oid

    def choose(self, i):
        """Few names, so that pushers meet; a/x and a are in each other's way."""
        r = self.random
        wanted = {}
        for _ in range(r.choice((1, 1, 2, 3, 6))):
            name = "refs/heads/" + r.choice(("a", "a/x", "b", "b/y", "b/y/z", "c", "d", "e"))
            if r.random() < 0.4:
                name = "refs/tags/p%d-%d" % (self.number, r.randrange(12))
            wanted[name] = None if r.random() < 0.3 else self.commit(
                "%d %d %s" % (self.number, i, name))
        if r.random() < 0.2:  # a swap of a name and a folder
            swap = r.choice((("refs/heads/a", "refs/heads/a/x"), ("refs/heads/a/x", "refs/heads/a"),
                             ("refs/heads/b", "refs/heads/b/y")))
            wanted[swap[0]] = None
            wanted[swap[1]] = self.commit("%d %d swap" % (self.number, i))
        return wanted

    def push(self, i):
        r = self.random
        push = Push("p%d-%d" % (self.number, i), r.choice(sorted(REPOS)), r.random() < 0.4,
                    self.choose(i))
        words = ["git", "-C", self.work, "-c", "http.extraHeader=X-Git-User: " + push.name, "push",
                 "--porcelain", "--no-verify", *(["--atomic"] if push.is_atomic else []),
                 self.storm.site.url + push.path,
                 *("+%s:%s" % (oid or "", ref) for ref, oid in push.wanted.items())]
        push.begin = len(self.storm.watcher.events)
        run = subprocess.run(words, capture_output=True, text=True, timeout=120, env=ENV,
                             check=False)
        push.end = len(self.storm.watcher.events)
        push.judge(run.returncode, run.stdout + run.stderr)
        self.pushes.append(push)

    def run(self):
        try:
            i = 0
            while not self.storm.is_over():
                i += 1
                self.push(i)
        except Exception as error:  # told by the test
            self.error = error


class Watcher(threading.Thread):
    """Every event, from the first; asks another node when one dies."""

    def __init__(self, storm):
        super().__init__(name="watcher", daemon=True)
        self.storm = storm
        self.next = 0
        self.events = []
        self.error = None
        self.is_over = threading.Event()

    def read(self, node):
        r = node.resp(5)
        try:
            while True:
                following, events = r.call("EVENTS", "FROM", self.next, "COUNT", 1000, "BLOCK",
                                           1000)
                self.events += [e for e in events if e[2] == "ref"]
                self.next = following
        finally:
            r.close()

    def run(self):
        # With all nodes dead it must not spin: everybody else waits for the interpreter.
        while self.error is None and not self.is_over.wait(0.02):
            for node in self.storm.site.cluster.nodes:
                try:
                    if node.is_alive():
                        self.read(node)
                except RespError as error:
                    if error.word == "COMPACTED":
                        self.error = error
                except (OSError, ConnectionError):
                    pass


class Storm:
    def __init__(self, site):
        self.site = site
        self.random = random.Random(SEED)
        self.ends = None
        self.counts = {"nodes killed": 0, "storages killed": 0, "primaries moved": 0}
        self.pushers = [Pusher(self, i) for i in range(PUSHERS)]
        self.watcher = Watcher(self)

    def is_over(self):
        return time.monotonic() > self.ends or any(p.error for p in self.pushers)

    def count(self):
        return sum(len(p.pushes) for p in self.pushers)

    def wait_pushes(self, more):
        target = self.count() + more
        wait_until(lambda: self.is_over() or self.count() >= target, 120, "pushes go on")

    def kill_node(self):
        node = self.random.choice(self.site.cluster.nodes)
        node.kill()
        self.wait_pushes(self.random.randrange(4))
        node.start()
        wait_until(lambda: gitsite.answers("http://127.0.0.1:%d/readyz" % node.http), 20, node.name)
        wait_until(lambda: (node.status() or {}).get("role") in ("leader", "follower"), 30,
                   node.name + " is back")
        self.counts["nodes killed"] += 1

    def kill_storage(self):
        storage = self.site.storages[self.random.choice(sorted(self.site.storages))]
        storage.kill()
        storage.remove_locks()
        self.wait_pushes(self.random.randrange(4))
        storage.start()
        self.counts["storages killed"] += 1

    def move_primary(self):
        """To a replica that holds everything; refused while none does."""
        path = self.random.choice(sorted(REPOS))
        target = self.random.choice(REPOS[path])
        out = self.site.cluster.cli("primary", "set", target, path, "-o", "value", check_code=None)
        self.counts["primaries moved"] += out.endswith("\tOK\n")

    def run(self):
        self.ends = time.monotonic() + SECONDS
        self.watcher.start()
        for p in self.pushers:
            p.start()
        while not self.is_over():
            self.wait_pushes(6)
            self.random.choice((self.kill_node, self.kill_storage, self.move_primary))()
        for p in self.pushers:
            p.join(150)
            check(not p.is_alive(), p.name + " hangs")
            if p.error is not None:
                raise p.error

    def calm(self):
        """Everything runs; what was decided and not written is written; all copies are equal."""
        final = {}
        for path in REPOS:
            primary = self.site.primary(path)
            self.site.cluster.cli("resolve", path, primary.place(path), "--delete", check_code=None)
            final[path] = self.site.replicate(path)
        last = self.site.cluster.wait_leader().status()["applied_index"]
        wait_until(lambda: self.watcher.next > last or self.watcher.error, 30, "every event")
        check(self.watcher.error is None, "events: %s" % self.watcher.error)
        self.watcher.is_over.set()
        return final

    # ---- What must hold ----

    def check_chains(self, final):
        """Each event of a ref begins where the one before it ended."""
        values = {}
        for index, _, _, path, ref, old, new, actor, *_ in self.watcher.events:
            before = values.get((path, ref))
            check(before == old, "%s %s: event %s by %s begins at %s, not at %s" % (
                path, ref, index, actor, old, before))
            values[path, ref] = new
        now = {(path, ref): oid for path, refs in final.items() for ref, oid in refs.items()}
        check({k: v for k, v in values.items() if v is not None} == now,
              "the events do not end at what the cluster has")

    def check_pushes(self):
        mine = {}
        for e in self.watcher.events:
            mine.setdefault(e[7], []).append(e)
        totals = dict.fromkeys(("ok", "rejected", "unknown", "none"), 0)
        unknown_applied = 0
        for p in self.pushers:
            for push in p.pushes:
                events = mine.pop(push.name, [])
                kept = self.check_push(push, events)
                self.check_deletions(push, kept)
                for ref, verdict in push.verdict.items():
                    totals[verdict] += 1
                    unknown_applied += verdict == "unknown" and ref in kept
        print("# refs: %s; of the unknown %d were decided" % (totals, unknown_applied))
        check(totals["ok"] > 20 and totals["rejected"] > 0, "too little happened")
        strangers = {a for a in mine if a and re.match(r"p\d+-\d+$", a)}
        check(not strangers, "events of pushes nobody made: %s" % strangers)

    def check_push(self, push, events):
        """Returns the refs of which a change of this push stayed."""
        where = "%s (%s, atomic %s)\n%s\nevents %s" % (push.name, push.path, push.is_atomic,
                                                       push.said, events)
        kept = {}
        for _, _, _, path, ref, old, new, *_ in events:
            check(path == push.path and ref in push.wanted, "not its own: " + where)
            if ref in kept and kept[ref] == (new, old):
                del kept[ref]  # taken back
                continue
            check(ref not in kept, "%s twice: %s" % (ref, where))
            check(new == push.wanted[ref], "another value: " + where)
            kept[ref] = (old, new)
        for ref, verdict in push.verdict.items():
            if verdict == "ok" and push.wanted[ref] is not None:
                check(ref in kept, "%s: called successful, not there: %s" % (ref, where))
            elif verdict in ("rejected", "none"):
                check(ref not in kept, "%s: called rejected, but there: %s" % (ref, where))
        if push.is_atomic:
            real = [ref for ref in push.wanted if ref in kept or push.wanted[ref] is not None]
            check(len(kept) in (0, len(real)), "a part of an atomic push: " + where)
        return kept

    def check_deletions(self, push, kept):
        """git calls it a success to delete what is not there: then it was absent at some time.

        The watcher is late by less than the pusher's next push takes."""
        absent = {ref for ref, oid in push.wanted.items()
                  if oid is None and push.verdict[ref] == "ok" and ref not in kept}
        if not absent:
            return
        values = {}
        for i, event in enumerate(self.watcher.events):
            if i >= push.begin:
                absent -= {ref for ref in absent if values.get(ref) is None}
            if i > push.end + 200 or not absent:
                break
            if event[3] == push.path:
                values[event[4]] = event[6]
        absent -= {ref for ref in absent if values.get(ref) is None}
        check(not absent, "%s: deleted, but was never absent: %s" % (push.name, absent))


def whatever_dies_git_told_the_truth():
    site = gitsite.Site()
    try:
        for path, (primary, *replicas) in REPOS.items():
            site.create(path, primary, replicas)
        storm = Storm(site)
        storm.run()
        final = storm.calm()
        storm.check_chains(final)
        storm.check_pushes()
        print("# %d pushes in %.0f s; %s; %d events; %d refs at the end" % (
            storm.count(), SECONDS, storm.counts, len(storm.watcher.events),
            sum(len(refs) for refs in final.values())))
        for node in site.cluster.nodes:
            node.stop()
        site.cluster.fsck()
    finally:
        site.close()


def main():
    if not gitsite.is_possible():
        print("1..0 # SKIP no nginx or no fcgiwrap here")
        return
    print("# replay: RK_STORM_SEED=%d RK_STORM_SECONDS=%g %s" % (SEED, SECONDS, sys.argv[0]))
    run_tests([whatever_dies_git_told_the_truth])


if __name__ == "__main__":
    main()
