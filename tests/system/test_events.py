#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Events of real nodes: whoever goes on from `next` sees every acknowledged change once, in order,
whatever dies meanwhile; what is gone is said; history and undo."""
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import CLI, Cluster, RespError, check, run_tests, wait_until  # noqa: E402

REPO = "group/project.git"
SEED = int(os.environ.get("RK_SEED", "1"))
KILLS = int(os.environ.get("RK_EVENT_KILLS", "12"))
ROUND_UPDATES = 150
ABSENT = "0" * 40


def oid(n):
    return "%040x" % n


class Writer(threading.Thread):
    """Updates its refs one after the other; keeps what was acknowledged: (index, ref, old, new)."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number = cluster, number
        self.random = random.Random(SEED * 1000 + number)
        self.acknowledged = []
        self.is_stopping = False
        self.error = None

    def run(self):
        connection = None
        step = 0
        refs = ["refs/heads/w%d/%d" % (self.number, i) for i in range(5)]
        current = {r: "ABSENT" for r in refs}
        while not self.is_stopping and self.error is None:
            ref = self.random.choice(refs)
            step += 1
            new = oid(self.number << 64 | step)
            try:
                if connection is None:
                    node = self.random.choice(self.cluster.nodes)
                    connection = node.resp(5)
                index = connection.call("REF.UPDATE", REPO, ref, current[ref], new, "ACTOR",
                                        "w%d" % self.number)
                self.acknowledged.append((index, ref, current[ref], new))
                current[ref] = new
            except (OSError, ConnectionError, RespError) as error:
                if isinstance(error, RespError) and error.word in ("CONFLICT", "EXISTS"):
                    now = dict(kv.split("=", 1) for kv in str(error).split() if "=" in kv)
                    current[ref] = now["current"]  # an update of unknown outcome came through
                    continue
                connection = None
            except Exception as error:  # told by the main thread
                self.error = error


class Watcher(threading.Thread):
    """Asks FROM next, at another node whenever one fails."""

    def __init__(self, cluster, seed):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.random = random.Random(seed)
        self.events = []
        self.next = 1
        self.moves = 0
        self.is_stopping = False
        self.error = None

    def run(self):
        connection = None
        while not self.is_stopping and self.error is None:
            try:
                if connection is None:
                    connection = self.random.choice(self.cluster.nodes).resp(5)
                    self.moves += 1
                following, events = connection.call("EVENTS", "FROM", self.next, "BLOCK", 300,
                                                    "COUNT", self.random.randint(1, 200))
                check(following >= self.next, "next went back")
                self.events += events
                self.next = following
            except (OSError, ConnectionError):
                connection = None
            except RespError as error:
                # A node that was restarted behind a snapshot keeps less: another has it.
                check(error.word in ("COMPACTED", "OVERLOADED"), str(error))
                connection = None
            except Exception as error:  # told by the main thread
                self.error = error


def total(writers):
    for w in writers:
        if w.error is not None:
            raise w.error
    return sum(len(w.acknowledged) for w in writers)


def wait_progress(writers, count):
    target = total(writers) + count
    wait_until(lambda: total(writers) >= target, 60, "%d more updates" % count)


def check_events(events, writers, what):
    """In order, each once, every acknowledged one among them, and without a gap for any ref."""
    refs = [e for e in events if e[2] == "ref"]
    indexes = [e[0] for e in refs]
    check(indexes == sorted(set(indexes)), what + ": out of order, or twice")
    seen = {e[0]: (e[4], e[5], e[6], e[7]) for e in refs}
    for w in writers:
        for index, ref, old, new in w.acknowledged:
            want = (ref, None if old == "ABSENT" else old, new, "w%d" % w.number)
            check(seen.get(index) == want, "%s: %d is %s, acknowledged was %s" % (
                what, index, seen.get(index), want))
    current = {}
    for _, _, _, _, ref, old, new, _, _ in refs:
        check(current.get(ref) == old, "%s: a gap at %s: %s, then %s" % (
            what, ref, current.get(ref), old))
        current[ref] = new


def start_cli_watch(cluster, path):
    out = open(path, "w")
    return subprocess.Popen([CLI, "--endpoints", cluster.endpoints, "--timeout", "4s", "-o",
                             "jsonl", "watch", "--from", "1"], stdout=out,
                            stderr=subprocess.DEVNULL)


def cli_events(path):
    with open(path) as f:
        rows = [json.loads(line) for line in f.read().splitlines(keepends=True)
                if line.endswith("\n")]
    return [[r["index"], 0, r["kind"], r["path"], r["ref"], r["old"], r["new"], r["actor"],
             r["time"]] for r in rows]


def watchers_see_every_acknowledged_change_once_through_kills():
    cluster = Cluster()
    draw = random.Random(SEED)
    print("# seed %d, %d kills; replay: RK_SEED=%d RK_EVENT_KILLS=%d %s" % (
        SEED, KILLS, SEED, KILLS, "tests/system/test_events.py"))
    try:
        cluster.start()
        cluster.nodes[0].resp().call("REPO.REGISTER", REPO, "s1")
        writers = [Writer(cluster, i) for i in range(4)]
        watchers = [Watcher(cluster, SEED + i) for i in range(2)]
        path = os.path.join(cluster.directory, "watch.jsonl")
        cli = start_cli_watch(cluster, path)
        for t in writers + watchers:
            t.start()
        for k in range(KILLS):
            wait_progress(writers, ROUND_UPDATES)
            victim = cluster.leader() if k % 3 == 0 else draw.choice(cluster.nodes)
            if victim is None:
                victim = draw.choice(cluster.nodes)
            victim.kill()
            wait_progress(writers, ROUND_UPDATES)
            victim.start()
        for w in writers:
            w.is_stopping = True
        for w in writers:
            w.join(30)
        statuses = cluster.wait_equal()
        last = statuses[0]["applied_index"]
        for w in watchers:
            wait_until(lambda: w.error or w.next > last, 30, "a watcher at %d" % last)
            w.is_stopping = True
        for w in watchers:
            w.join(30)
            if w.error is not None:
                raise w.error
            check_events(w.events, writers, "watcher")
        check([e[:8] for e in watchers[0].events] == [e[:8] for e in watchers[1].events],
              "two watchers saw different things")
        newest = watchers[0].events[-1][0]
        wait_until(lambda: (cli_events(path) or [[0]])[-1][0] >= newest, 30, "the CLI at the end")
        cli.terminate()
        cli.wait()
        check_events(cli_events(path), writers, "refkeeper watch")
        print("# %d updates acknowledged, %d events; a watcher moved %d times" % (
            total(writers), len(watchers[0].events), max(w.moves for w in watchers)))
    finally:
        cluster.close()


def a_node_keeps_what_lies_behind_its_snapshot():
    """After a restart the events of entries that are applied again are there, older ones are
    refused with the oldest index; a node that installs a snapshot ends what waits."""
    cluster = Cluster(options=("--insecure-peer", "--trailing-entries", "0"))
    try:
        cluster.start()
        leader = cluster.wait_leader()
        r = leader.resp()
        r.call("REPO.REGISTER", REPO, "s1")
        away = cluster.followers()[0]
        waiting = away.resp(60)
        wait_until(lambda: away.status()["applied_index"] >= 2, 10, "the follower has it")
        for i in range(100):
            r.call("REF.UPDATE", REPO, "refs/heads/%d" % i, "ABSENT", oid(i + 1))
        before = r.call("EVENTS", "FROM", 1)
        check(r.call("SNAPSHOT.TAKE") == "STARTED", "no snapshot")
        wait_until(lambda: leader.status()["snapshot_index"] > 0, 10, "the snapshot")
        snapshot = leader.status()["snapshot_index"]
        for i in range(50):
            last = r.call("REF.UPDATE", REPO, "refs/heads/x%d" % i, "ABSENT", oid(i + 1))
        check(r.call("EVENTS", "FROM", 1)[1][:len(before[1])] == before[1], "the ring lost some")
        waiting.close()
        check(leader.stop() == 0, "stop")
        leader.start()
        wait_until(lambda: (leader.status() or {}).get("applied_index", 0) >= last, 20, "caught up")
        r = leader.resp()
        try:
            r.call("EVENTS", "FROM", 1)
            check(False, "events before the snapshot are still there?")
        except RespError as error:
            check(str(error).startswith("COMPACTED oldest=%d " % (snapshot + 1)), str(error))
        got = r.call("EVENTS", "FROM", snapshot + 1)
        refs = [e[4] for e in got[1]]
        check(refs == ["refs/heads/x%d" % i for i in range(50)], "refill: %s" % got)
        # The library asks the nodes that were not restarted.
        rows = json.loads(cluster.cli("-o", "json", "watch", "--from", "1", "--once"))
        check(len([x for x in rows if x["kind"] == "ref"]) == 150, "the CLI gave up too early")
    finally:
        cluster.close()


def a_snapshot_install_ends_what_waits():
    cluster = Cluster(options=("--insecure-peer", "--trailing-entries", "0",
                               "--log-compact-bytes", "1MiB", "--snapshot-interval", "1s"))
    try:
        cluster.start()
        leader = cluster.wait_leader()
        r = leader.resp()
        r.call("REPO.REGISTER", REPO, "s1")
        away = cluster.followers()[0]
        stale = away.status()["applied_index"]
        away.kill()
        # Two snapshots, so that the log is cut beyond what the follower has.
        for turn in range(3):
            for i in range(200):
                last = r.call("REF.UPDATE", REPO, "refs/heads/%d/%d" % (turn, i), "ABSENT", oid(1))
            wait_until(lambda: leader.status()["snapshot_index"] >= last, 20, "a snapshot")
        away.start()
        wait_until(lambda: away.status(), 20, "it answers")
        waiting = away.resp(60)
        waiting.send("EVENTS", "FROM", stale + 1, "BLOCK", 60000)
        reply = waiting.read()
        installed = "installed" in away.log_tail(200)
        if not installed:  # it may catch up from the log: then it has to tell everything
            check(not isinstance(reply, RespError), str(reply))
        else:
            check(isinstance(reply, RespError) and reply.word == "COMPACTED", str(reply))
        check(installed, "the follower was not sent a snapshot:\n" + away.log_tail())
    finally:
        cluster.close()


def read_lines(node, query, until):
    """Lines of the stream until one satisfies `until`."""
    c = http.client.HTTPConnection("127.0.0.1", node.http, timeout=20)
    c.request("GET", "/v1/events" + query)
    response = c.getresponse()
    check(response.status == 200, "status %d" % response.status)
    lines = []
    while True:
        line = response.readline()
        if not line:
            break
        lines.append(json.loads(line))
        if until(lines[-1]):
            break
    c.close()
    return lines


def streams_are_resumed_at_another_node():
    cluster = Cluster()
    try:
        cluster.start()
        r = cluster.leader().resp()
        first = r.call("REPO.REGISTER", REPO, "s1")[0]
        r.call("REPO.REGISTER", "other.git", "s1")
        for i in range(20):
            r.call("REF.UPDATE", "other.git", "refs/heads/%d" % i, "ABSENT", oid(i + 1))
            last = r.call("REF.UPDATE", REPO, "refs/heads/%d" % i, "ABSENT", oid(i + 1))
        middle = first + 22
        one = read_lines(cluster.nodes[0], "?from=%d&prefix=group/" % first,
                         lambda x: x.get("index", 0) >= middle)
        at = one[-1]["index"] + 1
        two = read_lines(cluster.nodes[1], "?from=%d&prefix=group/" % at,
                         lambda x: x.get("index", 0) >= last)
        refs = [e["ref"] for x in one + two for e in x.get("events", []) if e["kind"] == "ref"]
        check(refs == ["refs/heads/%d" % i for i in range(20)], "%s" % refs)
        # A stream that waits is told of progress, and ended when the node stops.
        c = http.client.HTTPConnection("127.0.0.1", cluster.nodes[2].http, timeout=20)
        c.request("GET", "/v1/events?prefix=nothing")
        response = c.getresponse()
        begin = json.loads(response.readline())["next"]
        later = json.loads(response.readline())  # after 5 s of silence
        check(set(later) == {"next"} and later["next"] >= begin, "%s" % later)
        check(cluster.nodes[2].stop() == 0, "stop")
        rest = [json.loads(x) for x in response.read().splitlines()]
        check(all(set(x) == {"next"} for x in rest) and rest, "%s" % rest)
    finally:
        cluster.close()


def value_of(cluster, ref):
    return cluster.cli("-o", "value", "ref", "get", REPO, ref).strip()


def history_and_undo():
    cluster = Cluster()
    try:
        cluster.start()
        cluster.cli("repo", "register", REPO, "s1")
        cluster.cli("--actor", "alice", "ref", "update", REPO, "refs/heads/m", oid(1), "--create")
        cluster.cli("--actor", "bob", "ref", "update", REPO, "refs/heads/m", oid(2), "--old",
                    oid(1))
        rows = json.loads(cluster.cli("-o", "json", "history", REPO, "refs/heads/m"))
        check([(x["old"], x["new"], x["actor"]) for x in rows] ==
              [(None, oid(1), "alice"), (oid(1), oid(2), "bob")], "%s" % rows)
        check(all(x["time"].startswith("20") for x in rows), "no time")
        # One index with an update, a creation and a deletion goes back as a whole.
        script = "update refs/heads/m %s %s\ncreate refs/heads/n %s\n" % (oid(3), oid(2), oid(4))
        done = cluster.cli("-o", "json", "ref", "update", REPO, "--stdin", stdin=script)
        index = json.loads(cluster.cli("-o", "json", "history", REPO))[-1]["index"]
        cluster.cli("--actor", "carol", "undo", str(index))
        check(value_of(cluster, "refs/heads/m") == oid(2), done)
        cluster.cli("ref", "get", REPO, "refs/heads/n", check_code=3)
        last = json.loads(cluster.cli("-o", "json", "history", REPO))[-2:]
        check({x["actor"] for x in last} == {"carol"}, "%s" % last)
        # What moved since is not taken back, and nothing of that index is.
        cluster.cli("ref", "update", REPO, "refs/heads/m", oid(5), "--force")
        cluster.cli("undo", str(index), check_code=4)
        check(value_of(cluster, "refs/heads/m") == oid(5), "the value after undo")
        deletion = json.loads(cluster.cli("-o", "json", "ref", "delete", REPO, "refs/heads/m",
                                          "--old", oid(5)))["index"]
        cluster.cli("undo", str(deletion))
        check(value_of(cluster, "refs/heads/m") == oid(5), "the value after undo")
        registered = json.loads(cluster.cli("-o", "json", "history", REPO))[0]["index"]
        cluster.cli("undo", str(registered), check_code=2)
        cluster.cli("undo", "99999999", check_code=3)
    finally:
        cluster.close()


run_tests([watchers_see_every_acknowledged_change_once_through_kills,
           a_node_keeps_what_lies_behind_its_snapshot,
           a_snapshot_install_ends_what_waits,
           streams_are_resumed_at_another_node,
           history_and_undo])
