#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A member that is far behind is sent a snapshot while updates go on: it catches up, nobody loses
the leader, and a transfer that is cut goes on at the byte, whichever side was killed.

    RK_TRANSFER_MIB=1024 RK_UPDATES=1000 tests/system/test_snapshot_transfer.py
"""
import hashlib
import os
import random
import threading
import time
import urllib.request

from cluster import Cluster, RespError, check, run_tests, wait_until

STATE_MIB = int(os.environ.get("RK_TRANSFER_MIB", "24"))
UPDATES_PER_S = int(os.environ.get("RK_UPDATES", "200"))
REPO = "big/state.git"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SLACK = 4 * 256 * 1024  # chunks on their way when a side dies


def metrics(node):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % node.http, timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return {line.split()[0].replace("refkeeper_", ""): float(line.split()[1])
            for line in lines if line and not line.startswith("#") and "{" not in line}


def received(node):
    try:
        return metrics(node)["snapshot_received_bytes_total"]
    except OSError:
        return 0


def cluster_with_state(rate):
    """Three nodes; the third is down and lacks entries that the others have cut."""
    draw = random.Random(1)
    c = Cluster(options=("--insecure-peer", "--snapshot-rate", rate, "--log-compact-bytes", "8GiB",
                         "--trailing-entries", "10", "--proposal-timeout", "60s"))
    c.start()
    c.nodes[0].resp().call("REPO.REGISTER", REPO, "s1")
    away = c.followers()[0]
    away.kill()
    r = c.wait_leader().resp(120)
    for i in range(STATE_MIB):
        refs = []
        for k in range(1024):
            name = "refs/heads/" + "".join(draw.choices(LETTERS, k=1000))
            refs += [name, "ABSENT", hashlib.sha1(b"%d %d" % (i, k)).hexdigest()]
        r.call("REF.TXN", REPO, "INDEPENDENT", 1024, *refs)
    r.close()
    for _ in range(2):  # the log is cut no further than the older of two snapshots
        c.leader().resp().call("REPO.REGISTER", REPO, "s%d" % draw.randrange(10 ** 9))
        take_snapshots([n for n in c.nodes if n is not away])
    return c, away


def take_snapshots(nodes):
    """Of one index, as nothing is written meanwhile: the files are equal."""
    wait_until(lambda: len({n.status()["applied_index"] for n in nodes}) == 1, 60, "one index")
    for n in nodes:
        index = n.status()["applied_index"]
        n.resp().call("SNAPSHOT.TAKE")
        wait_until(lambda n=n, i=index: n.status()["snapshot_index"] >= i, 300, "a snapshot")


def snapshot_bytes(node):
    names = [n for n in os.listdir(node.data_dir) if n.startswith("raft-snapshot-") and
             n.endswith(".dat")]
    newest = max(names, key=lambda n: int(n.split("-")[2]))
    return os.path.getsize(os.path.join(node.data_dir, newest))


class Updater(threading.Thread):
    """UPDATES_PER_S updates of one ref, sent ahead on one connection to the leader."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.stopping = threading.Event()
        self.count = 0
        self.slowest_s = 0.0
        self.error = None

    def run(self):
        try:
            r = self.node.resp(30)
            started = time.monotonic()
            while not self.stopping.is_set():
                due = int((time.monotonic() - started) * UPDATES_PER_S) + 1
                batch = max(1, min(due - self.count, 100))
                sent = time.monotonic()
                for i in range(batch):
                    r.send("REF.UPDATE", REPO, "refs/heads/moving", "ANY",
                           "%040x" % (self.count + i + 1))
                for _ in range(batch):
                    reply = r.read()
                    if isinstance(reply, RespError):
                        raise reply
                self.slowest_s = max(self.slowest_s, time.monotonic() - sent)
                self.count += batch
                ahead = started + self.count / UPDATES_PER_S - time.monotonic()
                self.stopping.wait(max(0, ahead))
        except Exception as error:  # told by the main thread
            self.error = error


def wait_caught_up(c, node, seconds):
    def caught_up():
        leader, status = c.leader(), node.status()
        if leader is None or status is None or not metrics(node)["snapshots_installed_total"]:
            return False
        other = leader.status()
        return other and int(status["applied_index"]) + 1000 >= int(other["applied_index"]) > 0
    wait_until(caught_up, seconds, node.name + " has caught up")


def a_member_far_behind_catches_up_under_load():
    c, away = cluster_with_state("0")
    try:
        leader = c.wait_leader()
        term = leader.status()["term"]
        updater = Updater(leader)
        updater.start()
        started = time.monotonic()
        away.start()
        wait_caught_up(c, away, 120 + STATE_MIB)
        took = time.monotonic() - started
        updater.stopping.set()
        updater.join(30)
        check(updater.error is None, "an update failed: %s" % updater.error)
        m = metrics(away)
        print("# %d MiB in %.1f s; %d updates (%.0f per second), slowest batch %.0f ms" % (
            m["snapshot_received_bytes_total"] / 2 ** 20, took, updater.count,
            updater.count / took, updater.slowest_s * 1000))
        check(m["snapshots_installed_total"] >= 1, "no snapshot was installed")
        check(m["snapshot_duplicate_bytes_total"] == 0, "bytes were received twice")
        check(leader.status()["term"] == term, "the leader was lost meanwhile")
        c.wait_equal(60)
    finally:
        c.close()


def a_receiver_that_was_killed_goes_on_at_the_byte():
    c, away = cluster_with_state("8MiB")
    try:
        total = snapshot_bytes(c.leader())
        away.start()
        wait_until(lambda: received(away) > total / 4, 60, "a quarter of the file")
        before = received(away)
        away.kill()
        away.start()
        wait_caught_up(c, away, 120)
        m = metrics(away)
        print("# %d bytes: %d before the kill, %d not sent again, %d after it" % (
            total, before, m["snapshot_resumed_bytes_total"], m["snapshot_received_bytes_total"]))
        check(m["snapshot_resumed_bytes_total"] >= before, "the transfer began anew")
        check(m["snapshot_resumed_bytes_total"] + m["snapshot_received_bytes_total"] == total,
              "more or less than the rest was sent")
        c.wait_equal(60)
    finally:
        c.close()


def a_new_leader_with_the_same_snapshot_goes_on_where_the_old_one_died():
    c, away = cluster_with_state("8MiB")
    try:
        sender = c.leader()
        total = snapshot_bytes(sender)
        away.start()
        wait_until(lambda: received(away) > total / 4, 60, "a quarter of the file")
        sender.kill()
        wait_caught_up(c, away, 120)
        m = metrics(away)
        print("# %d bytes: %d received in all, %d of them twice" % (
            total, m["snapshot_received_bytes_total"], m["snapshot_duplicate_bytes_total"]))
        check(m["snapshot_received_bytes_total"] - m["snapshot_duplicate_bytes_total"] == total,
              "not one file was received")
        check(m["snapshot_duplicate_bytes_total"] <= SLACK, "the new leader began anew")
        sender.start()
        c.wait_equal(60)
    finally:
        c.close()


if __name__ == "__main__":
    run_tests([
        a_member_far_behind_catches_up_under_load,
        a_receiver_that_was_killed_goes_on_at_the_byte,
        a_new_leader_with_the_same_snapshot_goes_on_where_the_old_one_died,
    ])
