#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any node at any time, under load: every acknowledged update is there afterwards.

    RK_KILLS=200 RK_SEED=1 tests/system/test_kill9.py

Each writer owns some refs and moves each along a chain of values by compare-and-swap, so at any
time a ref may only hold the value last acknowledged, or the one whose outcome is unknown.  Nodes
are killed in turn by a seeded draw; a round counts only when updates were acknowledged before the
kill and after it.  At the end all nodes must hold the same state, on line and by fsck.
"""
import os
import random
import threading

from cluster import Cluster, RespError, check, run_tests, wait_until

KILLS = int(os.environ.get("RK_KILLS", "200"))
SEED = int(os.environ.get("RK_SEED", "1"))
WRITERS = 4
REFS_PER_WRITER = 8
ROUND_UPDATES = 20
REPO = "load/kill.git"
AVAILABILITY = ("UNKNOWN", "NOLEADER", "OVERLOADED", "BEHIND")


def value(writer, ref, step):
    return "%08x%08x%08x%016x" % (writer + 1, ref + 1, 0, step + 1)


class Writer(threading.Thread):
    """Moves its refs along; remembers what was acknowledged and what may have happened.

    Values never repeat and each update names the value before it, so of the updates whose outcome
    is unknown at most one can still apply, and none once the ref has moved on."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number = cluster, number
        self.random = random.Random(SEED * 1000 + number)
        self.current = {r: None for r in range(REFS_PER_WRITER)}
        self.maybe = {r: set() for r in range(REFS_PER_WRITER)}
        self.step = 0
        self.count = self.unknown_count = 0
        self.is_stopping = False
        self.error = None

    def name(self, ref):
        return "refs/heads/w%d/r%d" % (self.number, ref)

    def run(self):
        connection = None
        while not self.is_stopping:
            try:
                if connection is None:
                    connection = self.random.choice(self.cluster.nodes).resp(15)
                self.update(connection, self.random.randrange(REFS_PER_WRITER))
            except (OSError, ConnectionError, RespError) as error:
                if isinstance(error, RespError) and error.word not in AVAILABILITY:
                    self.error = error
                    return
                if connection is not None:
                    connection.close()
                connection = None
            except Exception as error:  # told by the main thread
                self.error = error
                return

    def update(self, connection, ref):
        if self.maybe[ref]:
            now = connection.call("REF.GET", REPO, self.name(ref))
            self.check_value(ref, now)
            if now != self.current[ref]:
                self.current[ref], self.maybe[ref] = now, set()
        self.step += 1
        new = value(self.number, ref, self.step)
        may_conflict = bool(self.maybe[ref])
        self.maybe[ref].add(new)
        try:
            connection.call("REF.UPDATE", REPO, self.name(ref), self.current[ref] or "ABSENT", new)
        except RespError as error:
            if error.word != "UNKNOWN":
                self.maybe[ref].discard(new)
            if may_conflict and error.word in ("CONFLICT", "EXISTS"):
                return  # one of the unknown updates came through; the next look tells which
            self.unknown_count += error.word == "UNKNOWN"
            raise
        self.current[ref], self.maybe[ref] = new, set()
        self.count += 1

    def check_value(self, ref, now):
        allowed = {self.current[ref]} | self.maybe[ref]
        check(now in allowed, "%s is at %s, allowed %s" % (self.name(ref), now, allowed))


def total(writers):
    for w in writers:
        if w.error is not None:
            raise w.error
    return sum(w.count for w in writers)


def acknowledged_updates_survive_kills():
    survive(Cluster(), KILLS)


def acknowledged_updates_survive_kills_while_logs_are_cut():
    """Snapshots all the time and a short tail: who was away is often sent one."""
    survive(Cluster(options=("--insecure-peer", "--snapshot-interval", "1s",
                             "--trailing-entries", "10")), KILLS // 4, 25 * ROUND_UPDATES)


def survive(cluster, kills, round_updates=ROUND_UPDATES):
    draw = random.Random(SEED)
    print("# seed %d, %d kills; replay: RK_SEED=%d RK_KILLS=%d %s" % (
        SEED, kills, SEED, KILLS, "tests/system/test_kill9.py"))
    try:
        cluster.start()
        cluster.nodes[0].resp().call("REPO.REGISTER", REPO, "s1")
        writers = [Writer(cluster, i) for i in range(WRITERS)]
        for w in writers:
            w.start()
        leaders_killed = 0
        for _ in range(kills):
            wait_until_progress(writers, round_updates)
            victim = draw.choice(cluster.nodes)
            leaders_killed += cluster.leader() is victim
            victim.kill()
            wait_until_progress(writers, round_updates)
            victim.start()
        for w in writers:
            w.is_stopping = True
        for w in writers:
            w.join(30)
        print("# %d kills, %d of leaders, %d updates acknowledged, %d of unknown outcome" % (
            kills, leaders_killed, total(writers), sum(w.unknown_count for w in writers)))
        check_all(cluster, writers)
        for n in cluster.nodes:
            with open(n.log_path, errors="replace") as f:
                lines = f.read()
            print("# %s: %d snapshots taken, %d installed" % (
                n.name, lines.count(" taken"), lines.count(" installed")))
        for n in cluster.nodes:
            check(n.stop() == 0, n.name + " did not stop cleanly")
        cluster.fsck()
    except Exception:
        for n in cluster.nodes:
            print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))
        raise
    finally:
        cluster.close()


def wait_until_progress(writers, updates):
    target = total(writers) + updates
    wait_until(lambda: total(writers) >= target, 30, "%d more updates" % updates)


def check_all(cluster, writers):
    cluster.wait_equal()
    for node in cluster.nodes:
        connection = node.resp()
        for w in writers:
            for ref in range(REFS_PER_WRITER):
                w.check_value(ref, connection.call("REF.GET", REPO, w.name(ref), "STALE"))
        connection.close()


run_tests([acknowledged_updates_survive_kills,
           acknowledged_updates_survive_kills_while_logs_are_cut])
