#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long no write is served when the leader is gone, and that none acknowledged is lost.

    RK_KILLS=50 RK_CUTS=50 tests/system/test_failover.py

The leader's process is killed (its host then closes the connections), or made silent (SIGSTOP: its
host answers for it, it says nothing), with default timeouts.  On each survivor one connection asks
for writes without a pause, each of a ref of its own; the time counts from the signal to the first
one acknowledged after it.  Others write all the time, to any node.  At the end every write that was
ever acknowledged must be there, on all nodes.
"""
import os
import signal
import statistics
import threading
import time

from cluster import Cluster, RespError, check, run_tests, wait_until

KILLS = int(os.environ.get("RK_KILLS", "10"))
CUTS = int(os.environ.get("RK_CUTS", "5"))
ELECTION_TIMEOUT_MS = 1000  # the default; a timeout is drawn from one to two of these
CUT_MS_MAX = 2 * 2 * ELECTION_TIMEOUT_MS
KILL_MS_MAX = CUT_MS_MAX  # far above the aim: a busy machine must not fail the test
REPO = "a/failover.git"


class Writer(threading.Thread):
    """Writes refs of its own over one connection until told to stop, or to its first success."""

    def __init__(self, cluster, node, name, until_success):
        super().__init__(daemon=True)
        self.cluster, self.node, self.name_prefix = cluster, node, name
        self.until_success = until_success
        self.is_stopping = False
        self.acknowledged = {}
        self.served_at = None
        self.count = 0

    def run(self):
        connection = None
        while not self.is_stopping:
            try:
                connection = connection or self.node.resp(30)
                self.write(connection)
                if self.until_success:
                    break
            except RespError:
                pass  # nobody leads, or it could not be learned: another one is tried
            except (OSError, ConnectionError):
                connection = None
                if not self.until_success:
                    self.node = self.cluster.nodes[(self.count + 1) % len(self.cluster.nodes)]
                    threading.Event().wait(0.01)
        if connection is not None:
            connection.close()

    def write(self, connection):
        self.count += 1
        ref = "refs/heads/%s/%d" % (self.name_prefix, self.count)
        oid = "%040x" % (self.count + 1)
        connection.call("REF.UPDATE", REPO, ref, "ABSENT", oid)
        self.served_at = time.monotonic()
        self.acknowledged[ref] = oid


class Failover:
    def __init__(self):
        self.cluster = Cluster()
        self.cluster.start()
        self.cluster.cli("repo", "register", REPO, "s1")
        self.acknowledged = {}
        self.round = 0
        self.load = [Writer(self.cluster, self.cluster.nodes[i % 3], "load%d" % i, False)
                     for i in range(4)]
        for w in self.load:
            w.start()

    def settled_leader(self):
        """The leader all nodes follow, once all of them run; else None."""
        statuses = [n.status() for n in self.cluster.nodes]
        if any(s is None for s in statuses) or len({s["leader"] for s in statuses}) != 1:
            return None
        leaders = [n for n, s in zip(self.cluster.nodes, statuses) if s["role"] == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def without_leader_ms(self, sig):
        """Sends the leader a signal; how long until a survivor acknowledges a write."""
        leader = wait_until(self.settled_leader, 30, "a leader that all follow")
        self.round += 1
        survivors = [n for n in self.cluster.nodes if n is not leader]
        probes = [Writer(self.cluster, n, "probe%d/%s" % (self.round, n.name), True)
                  for n in survivors]
        begun = time.monotonic()
        os.kill(leader.pid(), sig)
        for p in probes:
            p.start()
        wait_until(lambda: any(p.served_at for p in probes), 30, "a write served again")
        served = min(p.served_at for p in probes if p.served_at)
        if sig == signal.SIGKILL:
            leader.kill()
            leader.start()
        else:
            os.kill(leader.pid(), signal.SIGCONT)
        for p in probes:
            p.join(60)
            check(not p.is_alive(), "a writer still waits")
            self.acknowledged.update(p.acknowledged)
        return (served - begun) * 1000

    def check_nothing_lost(self):
        for w in self.load:
            w.is_stopping = True
        for w in self.load:
            w.join(60)
            check(not w.is_alive(), "a writer still waits")
            self.acknowledged.update(w.acknowledged)
        self.cluster.wait_equal()
        there = self.all_refs()
        lost = [r for r, oid in self.acknowledged.items() if there.get(r) != oid]
        check(not lost, "%d acknowledged writes are lost: %s" % (len(lost), lost[:5]))
        return len(self.acknowledged)

    def all_refs(self):
        connection = self.cluster.nodes[0].resp(30)
        there, after = {}, []
        while True:
            reply = connection.call("REF.LIST", REPO, *after, "LIMIT", 1000)
            there.update(zip(reply[3][::2], reply[3][1::2]))
            if reply[2] is None:
                connection.close()
                return there
            after = ["AFTER", reply[2]]

    def close(self):
        for n in self.cluster.nodes:
            if n.is_alive():
                os.kill(n.pid(), signal.SIGCONT)
        self.cluster.close()


def fail_over(sig, rounds, ms_max):
    f = Failover()
    try:
        times = [f.without_leader_ms(sig) for _ in range(rounds)]
        writes = f.check_nothing_lost()
    finally:
        f.close()
    text = "%d times, served again after %.0f ms median, %.0f ms worst; %d writes, 0 lost" % (
        rounds, statistics.median(times), max(times), writes)
    check(max(times) <= ms_max, "more than %d ms: %s" % (ms_max, text))
    return text


def the_leader_is_killed():
    return fail_over(signal.SIGKILL, KILLS, KILL_MS_MAX)


def the_leader_falls_silent():
    return fail_over(signal.SIGSTOP, CUTS, CUT_MS_MAX)


run_tests([the_leader_is_killed, the_leader_falls_silent])
