#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real refkeeperd dies at its k-th call that changes files, or its k-th allocation fails.

One short life - first start, updates, snapshots, compaction, a clean stop - is lived once to count
the calls.  Then it is lived again and again, each time ended at another call: before it, after it,
or in the middle of a write.  After that the daemon must start without the shim, with everything
acknowledged in it, and go on.

    RK_TORTURE=long takes every call in each way.
"""
import os
import random
import shutil
import subprocess
import tempfile

from cluster import CLI, Cluster, RespError, check, wait_until
from torture import LONG, REPO, Shim, check_refs, list_refs, run, step_of, value

OPTIONS = ("--insecure-peer", "--trailing-entries", "5", "--election-timeout", "200ms",
           "--heartbeat-interval", "20ms")
REFS = 8
ROUNDS = 4
KILLS = 25           # of the short version
FAILURES = 10
KILLED = (-9,)
IO_ERROR = (74,)
NO_MEMORY = (-6, 1)  # ends itself, or says that it cannot start
SEED = int(os.environ.get("RK_SEED", "1"))
NAMES = ["refs/heads/r%d" % i for i in range(REFS)]


class Life:
    """One member alone.  Remembers what it was promised."""

    def __init__(self, directory):
        self.cluster = Cluster(1, OPTIONS, tempfile.mkdtemp(dir=directory))
        self.node = self.cluster.nodes[0]
        self.acknowledged = [0] * REFS
        self.tried = [0] * REFS
        self.code = 0

    def live(self):
        """Until it dies or the end; True when it was the end."""
        self.node.start()
        try:
            wait_until(lambda: self.cluster.leader() or not self.node.is_alive(), 30, "a leader")
            if self.node.is_alive():
                connection = self.node.resp(30)
                connection.call("REPO.REGISTER", REPO, "s1")
                for _ in range(ROUNDS):
                    self.update(connection)
                    connection.call("SNAPSHOT.TAKE")
                connection.close()
                self.code = self.node.stop()
                return self.code == 0
        except (OSError, ConnectionError, RespError):
            pass  # it is dying: what was acknowledged counts
        self.code = self.node.process.wait(30)
        self.node.process = None
        return False

    def update(self, connection):
        for i, name in enumerate(NAMES):
            self.tried[i] += 1
            connection.call("REF.UPDATE", REPO, name, "ANY", value(self.tried[i]))
            self.acknowledged[i] = self.tried[i]

    def check(self, what):
        """Starts without the shim: nothing is lost, and it goes on."""
        self.node.start()
        wait_until(lambda: self.cluster.leader() or not self.node.is_alive(), 30, "a leader")
        check(self.node.is_alive(), "%s: does not start again:\n%s" % (what, self.node.log_tail(4)))
        connection = self.node.resp(30)
        refs = list_refs(connection)
        lost = check_refs(refs, NAMES, self.acknowledged, self.tried)
        check(not lost, "%s: lost %s" % (what, lost))
        connection.call("REPO.REGISTER", REPO, "s1")
        self.tried = [max(a, step_of(refs.get(n))) for a, n in zip(self.tried, NAMES)]
        self.update(connection)
        connection.close()
        check(self.node.stop() == 0, what + ": no clean stop")
        fsck = subprocess.run([CLI, "fsck", self.node.data_dir], capture_output=True, text=True)
        check(fsck.returncode == 0, "%s: fsck: %s" % (what, fsck.stdout))

    def close(self):
        self.node.kill()
        shutil.rmtree(self.cluster.directory, ignore_errors=True)


def count_calls(shim, directory, what):
    life = Life(directory)
    try:
        with shim.armed(what):
            check(life.live(), "the life without a fault ends early:\n" + life.node.log_tail())
        life.check("without a fault")
        return shim.count()
    finally:
        life.close()


def end_at(shim, directory, what, codes):
    """True when the life was cut short by it, with one of these exit codes."""
    life = Life(directory)
    try:
        with shim.armed(what):
            is_whole = life.live()
        check(is_whole or life.code in codes, "%s: exit code %d, wanted %s:\n%s" % (
            what, life.code, codes, life.node.log_tail(4)))
        life.check(what)
        return not is_whole
    finally:
        life.close()


def sweep(points, directory, shim, codes):
    return sum(end_at(shim, directory, what, codes) for what in points)


def drawn(count, calls):
    """Points spread over the whole life, at a drawn place each."""
    draw = random.Random(SEED)
    return [1 + int((i + draw.random()) * calls / count) for i in range(count)]


def killed_at_calls_that_change_files():
    ways = ("before:%d", "after:%d", "torn:%d:1", "torn:%d:2", "torn:%d:3")
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as directory:
        shim = Shim(directory)
        calls = count_calls(shim, directory, "count")
        if LONG:
            points = [way % k for k in range(1, calls + 1) for way in ways]
        else:
            points = [ways[i % len(ways)] % k for i, k in enumerate(drawn(KILLS, calls))]
        ended = sweep(points, directory, shim, KILLED)
        check(ended >= len(points) * 3 // 4, "only %d of %d were killed" % (ended, len(points)))
        return "killed at calls that change files, %d in a life: %d restarts, %d killed, 0 bad" % (
            calls, len(points), ended)


def each_failing_call_ends_it_and_costs_nothing():
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as directory:
        shim = Shim(directory)
        calls = count_calls(shim, directory, "count")
        points = range(1, calls + 1) if LONG else drawn(FAILURES, calls)
        ended = sweep(["eio:%d" % k for k in points], directory, shim, IO_ERROR)
        return "EIO from calls that change files: %d restarts, %d ended by it, 0 bad" % (
            len(points), ended)


def allocations_that_fail_cost_nothing():
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as directory:
        shim = Shim(directory)
        calls = count_calls(shim, directory, "countmem")
        points = drawn(1000 if LONG else FAILURES, calls)
        ended = sweep(["nomem:%d" % k for k in points], directory, shim, NO_MEMORY)
        return "one of %d allocations of the program fails: %d restarts, %d ended by it, 0 bad" % (
            calls, len(points), ended)


run([killed_at_calls_that_change_files, each_failing_call_ends_it_and_costs_nothing,
     allocations_that_fail_cost_nothing])
