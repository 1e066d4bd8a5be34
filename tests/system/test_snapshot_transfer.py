#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A member that is far behind is sent a snapshot while updates go on: it catches up, nobody loses
the leader, and a transfer that is cut goes on at the byte, whichever side was killed.

    RK_TORTURE=long tests/system/test_snapshot_transfer.py

is one cluster whose snapshot file is 1 GiB, under 1,000 updates per second: a wiped member is
replaced, killed in the middle, while nobody loses the leader; then a member is added, and the
leader that sends to it is killed.  RK_TRANSFER_MIB and RK_UPDATES change either version.
"""
import base64
import filecmp
import hashlib
import os
import random
import shutil
import threading
import time
import urllib.request

from cluster import Cluster, RespError, check, run_tests, wait_until

IS_LONG = os.environ.get("RK_TORTURE") == "long"
# Of names; a snapshot of them is about as large.
STATE_MIB = int(os.environ.get("RK_TRANSFER_MIB", "1100" if IS_LONG else "24"))
UPDATES_PER_S = int(os.environ.get("RK_UPDATES", "1000" if IS_LONG else "200"))
SECONDS = 120 + STATE_MIB
LONG_RATE_MIB = 40
METER_SECONDS = 5  # the limit lets a quarter of a second through at once
REPO = "big/state.git"
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


def fill(cluster):
    """STATE_MIB MiB of names: 1,024 refs per MiB, each a kilobyte of drawn letters, which a
    snapshot keeps as they are."""
    draw = random.Random(1)
    r = cluster.wait_leader().resp(120)
    for i in range(STATE_MIB):
        refs = []
        for k in range(1024):
            name = "refs/heads/x" + base64.urlsafe_b64encode(draw.randbytes(750)).decode()
            refs += [name, "ABSENT", hashlib.sha1(b"%d %d" % (i, k)).hexdigest()]
        r.call("REF.TXN", REPO, "INDEPENDENT", 1024, *refs)
    r.close()


def cluster_with_state(rate):
    """Three nodes; the third is down and lacks entries that the others have cut."""
    c = Cluster(options=("--insecure-peer", "--snapshot-rate", rate, "--log-compact-bytes", "8GiB",
                         "--trailing-entries", "10", "--proposal-timeout", "60s",
                         "--snapshot-interval", "24h"))
    c.start()
    c.nodes[0].resp().call("REPO.REGISTER", REPO, "s1")
    away = c.followers()[0]
    away.kill()
    fill(c)
    for i in range(2):  # the log is cut no further than the older of two snapshots
        c.leader().resp().call("REPO.REGISTER", REPO, "other%d" % i)
        take_snapshots([n for n in c.nodes if n is not away])
    return c, away


def take_snapshots(nodes):
    """Of one index, as nothing is written meanwhile: one state is one file, byte by byte."""
    wait_until(lambda: len({n.status()["applied_index"] for n in nodes}) == 1, 60, "one index")
    for n in nodes:
        index = n.status()["applied_index"]
        n.resp().call("SNAPSHOT.TAKE")
        wait_until(lambda n=n, i=index: n.status()["snapshot_index"] >= i, 300, "a snapshot")
    files = [newest_snapshot(n) for n in nodes]
    for path in files[1:]:
        check(os.path.basename(path) == os.path.basename(files[0]), "%s" % files)
        check(filecmp.cmp(files[0], path, shallow=False), "%s and %s differ" % (files[0], path))


def newest_snapshot(node):
    names = [n for n in os.listdir(node.data_dir) if n.startswith("raft-snapshot-") and
             n.endswith(".dat")]
    return os.path.join(node.data_dir, max(names, key=lambda n: int(n.split("-")[2])))


def snapshot_bytes(node):
    return os.path.getsize(newest_snapshot(node))


class Updater(threading.Thread):
    """UPDATES_PER_S updates of one ref, sent ahead on one connection to the leader."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.stopping = threading.Event()
        self.count = 0
        self.took_s = []  # of each batch
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
                self.took_s.append(time.monotonic() - sent)
                self.count += batch
                ahead = started + self.count / UPDATES_PER_S - time.monotonic()
                self.stopping.wait(max(0, ahead))
        except Exception as error:  # told by the main thread
            self.error = error


    def stop(self):
        self.stopping.set()
        self.join(30)
        check(self.error is None, "an update failed: %s" % self.error)
        return self

    def figures(self):
        took = sorted(self.took_s)
        return "%d updates acknowledged, p50 %.1f, p99 %.1f, longest %.0f ms" % (
            self.count, 1000 * took[len(took) // 2], 1000 * took[len(took) * 99 // 100],
            1000 * took[-1])


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
        wait_caught_up(c, away, SECONDS)
        took = time.monotonic() - started
        updater.stop()
        m = metrics(away)
        print("# %d MiB in %.1f s; %s" % (
            m["snapshot_received_bytes_total"] / 2 ** 20, took, updater.figures()))
        check(m["snapshots_installed_total"] >= 1, "no snapshot was installed")
        check(m["snapshot_duplicate_bytes_total"] == 0, "bytes were received twice")
        check(leader.status()["term"] == term, "the leader was lost meanwhile")
        c.wait_equal(60)
        take_snapshots(c.nodes)  # one of them loaded its state, two made it
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


# ---- 1 GiB ----


class Meter(threading.Thread):
    """How fast a receiver took bytes over METER_SECONDS; it may be killed and started meanwhile."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.stopping = threading.Event()
        self.samples = []  # asked, answered, bytes

    def run(self):
        while not self.stopping.wait(0.2):
            asked = time.monotonic()
            value = received(self.node)
            self.samples.append((asked, time.monotonic(), value))

    def most_per_second(self):
        most, first = 0.0, 0
        for _, answered, value in self.samples:
            while answered - self.samples[first][0] > METER_SECONDS:
                first += 1
            if first > 0 and value >= self.samples[first - 1][2]:
                span = answered - self.samples[first - 1][0]
                most = max(most, (value - self.samples[first - 1][2]) / span)
        return most


def leader_changes(nodes):
    return [int(metrics(n)["raft_leader_changes_total"]) for n in nodes]


def undisturbed(c):
    """Updates alone: what the disk and the machine cost without a transfer."""
    updater = Updater(c.leader())
    updater.start()
    wait_until(lambda: updater.error or updater.count >= 10 * UPDATES_PER_S, 120, "updates")
    print("# no transfer: " + updater.stop().figures())


def replace_wiped(c, away):
    """The wiped member comes back under its name; it is killed in the middle; nobody elects."""
    leader = c.wait_leader()
    others = [n for n in c.nodes if n is not away]
    total = snapshot_bytes(leader)
    shutil.rmtree(away.data_dir)
    before = (leader.status()["term"], leader_changes(others))
    updater, meter = Updater(leader), Meter(away)
    started = time.monotonic()
    updater.start()
    meter.start()
    away.start()
    c.cli("member", "replace", away.name)
    wait_until(lambda: received(away) > total / 2, SECONDS, "half of the file")
    half = received(away)
    away.kill()
    away.start()
    wait_caught_up(c, away, SECONDS)
    took = time.monotonic() - started
    meter.stopping.set()
    meter.join()
    updater.stop()
    m = metrics(away)
    print("# replaced: file of %.0f MiB, %.0f before the kill, %.0f not sent again, %.0f after it;"
          " %.1f s, at most %.1f MiB per second" % tuple(
              [x / 2 ** 20 for x in (total, half, m["snapshot_resumed_bytes_total"],
                                     m["snapshot_received_bytes_total"])] +
              [took, meter.most_per_second() / 2 ** 20]))
    print("# replaced: " + updater.figures())
    check(m["snapshot_resumed_bytes_total"] >= half, "the transfer began anew")
    check(m["snapshot_resumed_bytes_total"] + m["snapshot_received_bytes_total"] == total,
          "more or less than the file was sent")
    check((leader.status()["term"], leader_changes(others)) == before, "the leader was lost")
    check(updater.count >= 0.9 * UPDATES_PER_S * took, "%d updates in %.0f s" % (
        updater.count, took))
    check(meter.most_per_second() <= 1.1 * LONG_RATE_MIB * 2 ** 20, "faster than snapshot-rate")


def add_and_kill_the_sender(c):
    """A new member; the leader that sends to it dies; the next one has the very file."""
    wait_until(lambda: c.cli("member", "list", "-o", "value").count("voter") == 3, SECONDS,
               "three voters")
    sender = c.wait_leader()
    total = snapshot_bytes(sender)
    for n in c.nodes:
        check(filecmp.cmp(newest_snapshot(sender), newest_snapshot(n), shallow=False),
              "%s has another file" % n.name)
    new = c.new_node("n4")
    new.start()
    c.cli("member", "add", new.name, "127.0.0.1:%d" % new.peer, "--learner")
    wait_until(lambda: received(new) > total / 2, SECONDS, "half of the file")
    sender.kill()
    updater = Updater(c.wait_leader(30))
    updater.start()
    wait_caught_up(c, new, SECONDS)
    updater.stop()
    m = metrics(new)
    print("# added, sender killed: %.0f MiB received, %.1f of them twice" % (
        m["snapshot_received_bytes_total"] / 2 ** 20,
        m["snapshot_duplicate_bytes_total"] / 2 ** 20))
    print("# added, sender killed: " + updater.figures())
    check(m["snapshot_received_bytes_total"] - m["snapshot_duplicate_bytes_total"] == total,
          "not one file was received")
    check(m["snapshot_duplicate_bytes_total"] <= SLACK, "the new leader began anew")
    sender.start()
    c.wait_equal(SECONDS)


def a_gibibyte_under_load():
    started = time.monotonic()
    c, away = cluster_with_state("%dMiB" % LONG_RATE_MIB)
    try:
        print("# %d MiB of names in %.0f s; snapshot of %.0f MiB" % (
            STATE_MIB, time.monotonic() - started, snapshot_bytes(c.leader()) / 2 ** 20))
        undisturbed(c)
        replace_wiped(c, away)
        add_and_kill_the_sender(c)
    finally:
        c.close()


if __name__ == "__main__":
    run_tests([a_gibibyte_under_load] if IS_LONG else [
        a_member_far_behind_catches_up_under_load,
        a_receiver_that_was_killed_goes_on_at_the_byte,
        a_new_leader_with_the_same_snapshot_goes_on_where_the_old_one_died,
    ])
