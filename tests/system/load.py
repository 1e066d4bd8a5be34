# SPDX-License-Identifier: Apache-2.0
"""Writers that behave as librefkeeper does: numbered in a session, sent again until answered.

Each owns some refs and moves each along a chain of values by compare-and-swap.  A write that is
answered counts; one that gets a final refusal, or no answer within WRITE_SECONDS, is a failure of
the test.  At the end every ref must hold exactly the value last acknowledged.
"""
import random
import threading
import time

from cluster import RespError, check

RETRY = ("UNKNOWN", "NOLEADER", "OVERLOADED", "BEHIND")
WRITE_SECONDS = 15
REFS = 4


def value(writer, step):
    return "%08x%032x" % (writer + 1, step)


class Writer(threading.Thread):
    def __init__(self, cluster, number, repo, seed=1):
        super().__init__(daemon=True)
        self.cluster, self.number, self.repo = cluster, number, repo
        self.random = random.Random(seed * 1000 + number)
        self.current = {r: None for r in range(REFS)}
        self.session = self.connection = None
        self.sequence = self.step = 0
        self.count = self.retries = 0
        self.longest_s = 0.0
        self.why = []  # of being sent again
        self.node = None
        self.is_stopping = False
        self.error = None

    def name(self, ref):
        return "refs/heads/w%d/r%d" % (self.number, ref)

    def run(self):
        try:
            while not self.is_stopping:
                self.update(self.random.randrange(REFS))
        except Exception as error:  # told by the main thread
            self.error = error

    def call(self, *words):
        """Until there is a final answer, whichever node gives it."""
        deadline = time.monotonic() + WRITE_SECONDS
        while True:
            try:
                if self.connection is None:
                    node = self.random.choice([n for n in self.cluster.nodes if n.is_alive()])
                    self.node = node
                    self.connection = node.resp(3)
                return self.connection.call(*words)
            except (OSError, ConnectionError, RespError) as error:
                if isinstance(error, RespError) and error.word not in RETRY:
                    raise
                self.retries += 1
                self.why.append("%s %s: %r" % (time.strftime("%T"), self.node.name, error))
                self.drop()
                check(time.monotonic() < deadline, "%s: no answer in %d s, at last %r" % (
                    words, WRITE_SECONDS, error))

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def update(self, ref):
        if self.session is None:
            self.session = self.call("SESSION.OPEN")
        self.step += 1
        self.sequence += 1
        new = value(self.number, self.step)
        started = time.monotonic()
        self.call("REF.UPDATE", self.repo, self.name(ref), self.current[ref] or "ABSENT", new,
                  "REQID", self.session, self.sequence, self.sequence)
        took = time.monotonic() - started
        self.longest_s = max(self.longest_s, took)
        self.current[ref] = new
        self.count += 1


class Load:
    def __init__(self, cluster, repo="load/members.git", writers=4):
        self.cluster, self.repo = cluster, repo
        cluster.leader().resp().call("REPO.REGISTER", repo, "s1")
        self.writers = [Writer(cluster, i, repo) for i in range(writers)]
        for w in self.writers:
            w.start()

    def total(self):
        for w in self.writers:
            if w.error is not None:
                raise w.error
        return sum(w.count for w in self.writers)

    def longest_s(self):
        """Of one write since the last call."""
        longest = max(w.longest_s for w in self.writers)
        for w in self.writers:
            w.longest_s = 0.0
        return longest

    def retries(self):
        return sum(w.retries for w in self.writers)

    def stop(self):
        for w in self.writers:
            w.is_stopping = True
        for w in self.writers:
            w.join(WRITE_SECONDS + 5)
        return self.total()

    def check(self, node):
        """Exactly what was acknowledged last, as `node` has it."""
        connection = node.resp()
        for w in self.writers:
            for ref, expected in w.current.items():
                now = connection.call("REF.GET", self.repo, w.name(ref))
                check(now == expected, "%s at %s: %s, acknowledged was %s" % (
                    w.name(ref), node.name, now, expected))
        connection.close()
