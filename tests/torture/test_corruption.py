#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bytes rot in the files of one node of a real cluster while it is down.

Case by case a node is stopped or killed, one bit of one of its files is inverted, the other two go
on, and it is started again. It must come back with the state of the others, or refuse to start with
exit code 65 and the name of the damaged file; then the bit is put right, as a restored disk would
be, and it must come back. All the time what was acknowledged must be there.

    RK_CASES=n RK_SEED=n; RK_TORTURE=long is the full version.
"""
import os
import random

from cluster import Cluster, RespError, check, wait_until
from torture import LONG, REPO, check_refs, list_refs, run, value

CASES = int(os.environ.get("RK_CASES", "510" if LONG else "36"))
SEED = int(os.environ.get("RK_SEED", "1"))
OPTIONS = ("--insecure-peer", "--trailing-entries", "60", "--election-timeout", "600ms",
           "--heartbeat-interval", "60ms")
NAMES = ["refs/heads/r%02d" % i for i in range(30)]
CORRUPT = 65
AGAIN = ("NOLEADER", "UNKNOWN", "OVERLOADED", "BEHIND")


class Rot:
    def __init__(self, cluster, draw):
        self.cluster, self.draw = cluster, draw
        self.acknowledged = [0] * len(NAMES)
        self.tried = [0] * len(NAMES)
        self.counts = {}      # of each file: [cases, refused]
        self.updates = 0

    def ask(self, *arguments):
        """Any node that answers; None when the outcome stays unknown."""
        def once():
            for node in self.draw.sample(self.cluster.nodes, 3):
                if node.is_alive():
                    try:
                        connection = node.resp(20)
                        try:
                            return (connection.call(*arguments),)
                        finally:
                            connection.close()
                    except (OSError, ConnectionError):
                        pass
                    except RespError as error:
                        check(error.word in AGAIN, "%s: %s" % (arguments[0], error))
            return None
        return wait_until(once, 30, "an answer to " + arguments[0])[0]

    def update(self, count):
        for _ in range(count):
            i = self.draw.randrange(len(NAMES))
            self.tried[i] += 1
            self.ask("REF.UPDATE", REPO, NAMES[i], "ANY", value(self.tried[i]))
            self.acknowledged[i] = self.tried[i]
            self.updates += 1

    def check_all(self):
        for node in self.cluster.nodes:
            connection = node.resp(30)
            lost = check_refs(list_refs(connection), NAMES, self.acknowledged, self.tried)
            connection.close()
            check(not lost, "%s lost %s" % (node.name, lost))

    def damage(self, node):
        """Inverts a bit of a byte in use; returns how to put it right, and the file's name."""
        names = sorted(n for n in os.listdir(node.data_dir)
                       if n.startswith("raft-") and n.endswith(".dat"))
        kind = self.draw.choice(("log", "index", "state", "snapshot"))
        names = [n for n in names if n.startswith("raft-" + kind)] or names
        name = self.draw.choice(names)
        path = os.path.join(node.data_dir, name)
        with open(path, "rb") as f:
            used = len(f.read().rstrip(b"\0"))
        offset = self.draw.randrange(max(used, 1))
        if kind == "state":
            offset = self.draw.choice((0, 65536)) + self.draw.randrange(300)
        bit = 1 << self.draw.randrange(8)

        def invert():
            if not os.path.exists(path):
                return  # set aside
            with open(path, "r+b") as f:
                f.seek(offset)
                byte = f.read(1)
                if byte:
                    f.seek(offset)
                    f.write(bytes([byte[0] ^ bit]))
        invert()
        return invert, name

    def come_back(self, node, what):
        """True when it serves what the others do, False when it refused to start."""
        node.start()

        def settled():
            if not node.is_alive():
                return "refused"
            statuses = [n.status() for n in self.cluster.nodes]
            if any(s is None for s in statuses):
                return None
            return "equal" if len({s["applied_index"] for s in statuses}) == 1 else None
        if wait_until(settled, 40, what + ": neither back nor refused") == "equal":
            self.cluster.wait_equal(30)
            return True
        code = node.process.wait()
        node.process = None
        log = node.log_tail(3)
        check(code == CORRUPT, "%s: exit code %d\n%s" % (what, code, log))
        check("raft-" in log, "%s: the refusal names no file\n%s" % (what, log))
        return False

    def case(self, number):
        node = self.cluster.nodes[number % 3]
        if self.draw.random() < 0.5:
            node.stop(20)
        else:
            node.kill()
        repair, name = self.damage(node)
        kind = "snapshot" if "snapshot" in name else name[5:-4]
        what = "case %d, %s of %s" % (number, name, node.name)
        self.update(3)
        tally = self.counts.setdefault(kind, [0, 0])
        tally[0] += 1
        if not self.come_back(node, what):
            tally[1] += 1
            repair()
            check(self.come_back(node, what + ", put right"), what + ": still refused when right")

    def outlive_damage(self):
        """A damaged older snapshot is never used, and goes when there are two newer ones."""
        for node in self.cluster.nodes:
            for _ in range(2):
                self.update(1)
                node.take_snapshot()


def one_node_of_three_rots():
    cluster = Cluster(options=OPTIONS)
    rot = Rot(cluster, random.Random(SEED))
    try:
        cluster.start()
        rot.ask("REPO.REGISTER", REPO, "s1")
        for number in range(CASES):
            if number % 6 == 0:
                rot.update(40)
                for node in cluster.nodes:
                    connection = node.resp()
                    connection.call("SNAPSHOT.TAKE")
                    connection.close()
            rot.case(number)
            if number % 10 == 9:
                rot.check_all()
        rot.check_all()
        rot.outlive_damage()
        for node in cluster.nodes:
            node.stop(20)
        cluster.fsck()
    finally:
        cluster.close()
    return "bits of one node's files inverted: %d cases (%s), %d acknowledged updates, 0 silent, " \
        "0 lost" % (CASES, ", ".join("%s %d, %d refused" % (k, *rot.counts[k])
                                     for k in sorted(rot.counts)), rot.updates)


run([one_node_of_three_rots])
