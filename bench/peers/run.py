#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three refkeeperd, three etcd and three ZooKeeper, in turn, on one machine and disk, under the
same load: how many times better, beside the aims.

    cd BUILD_DIR && PYTHONPATH=../tests/system python3 ../bench/peers/run.py [--rounds N]

Nodes are on loopback, fdatasync is on, the leader is asked.  Each update is a compare-and-swap of
one of 100,000 refs (keys, nodes), each client has one request in flight.  Each round measures one
side after the other, the others being stopped; what is printed is the median of the rounds.  etcd
and the load generator for the peers are built with Go into --programs when they are not there;
ZooKeeper is Debian's (zookeeper), left out where it is not installed.  The machine has to be quiet:
it is said when it is not.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from cluster import CLI, Cluster, Failed, check, die_with_parent, free_ports, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
# What, clients, connections, further words, and how many times better than each peer is the aim.
LOADS = [
    ("update", 1, 1, (), {}),
    ("update", 64, 64, (), {"etcd": 6, "zookeeper": 2.5}),
    ("update", 256, 100, (), {"etcd": 12, "zookeeper": 4}),
    ("update", 1024, 100, (), {"etcd": 20, "zookeeper": 6}),
    ("update", 1024, 1024, (), {"etcd": 10}),
    ("read", 64, 64, ("reads",), {"etcd": 5}),
    ("read", 256, 100, ("reads",), {"etcd": 7}),
    ("read", 1024, 100, ("reads",), {"etcd": 12}),
    ("stale read", 1024, 100, ("reads", "stale"), {"etcd": 8}),
]
ZOOKEEPER = "/usr/share/zookeeper/bin/zkServer.sh"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def get(url, body=None):
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


def metric(port, name):
    return float(re.search(r"^%s (\S+)$" % name, get("http://127.0.0.1:%d/metrics" % port),
                           re.M).group(1))


class Refkeeper:
    name = "refkeeper"

    def __init__(self, directory, _programs):
        self.cluster = Cluster(3, directory=os.path.join(directory, self.name))
        os.makedirs(self.cluster.directory)

    def start(self):
        self.cluster.start()

    def stop(self):
        for n in self.cluster.nodes:
            n.kill(signal.SIGTERM)

    def pids(self):
        return [n.pid() for n in self.cluster.nodes]

    def applied(self):
        return metric(self.cluster.wait_leader().http, "refkeeper_raft_applied_index")

    def load(self, clients, connections, seconds, words, keys=100000, keep=False):
        flags = {"reads": ["--reads", "100"], "stale": ["--stale"]}
        return [CLI, "--endpoints", "127.0.0.1:%d" % self.cluster.wait_leader().client, "-o",
                "json", "bench", "--clients", str(clients), "--connections", str(connections),
                "--duration", "%ds" % seconds, "--keys", str(keys),
                *(f for w in words for f in flags[w]), *(["--keep"] if keep else [])]

    def restart_follower(self):
        """Seconds from the start of its process to a read of its own copy, and what it takes."""
        node = self.cluster.followers()[0]
        path = node.resp().call("REPO.LIST", "LIMIT", "1", "STALE")[2][0][1]
        node.kill()
        started = time.monotonic()
        node.start()

        def reads():
            try:
                return node.resp(1).call("REF.GET", path, "refs/heads/none", "STALE") is None
            except Exception:  # not yet
                return False
        wait_until(reads, 120, "a stale read")
        return time.monotonic() - started, resident_mib(node.pid())


class Peer:
    """Three nodes of another store; a class of it knows how to start one and to ask it."""

    def __init__(self, directory, programs):
        self.directory = os.path.join(directory, self.name)
        self.programs = programs
        os.makedirs(self.directory)
        self.processes = [None] * 3

    def spawn(self, i, command, env=None):
        log = open(os.path.join(self.directory, "%d.log" % i), "ab")
        self.processes[i] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, preexec_fn=die_with_parent,
                                             env={**os.environ, **(env or {})})
        log.close()

    def start(self):
        for i in range(3):
            self.start_one(i)
        wait_until(lambda: self.leader() is not None, 60, "a leader of " + self.name)

    def stop(self):
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            p.wait()

    def pids(self):
        return [p.pid for p in self.processes]

    def load(self, clients, connections, seconds, words, keys=100000, keep=False):
        return [os.path.join(self.programs, "peer_load"), "-store", self.name, "-endpoint",
                "127.0.0.1:%d" % self.clients[self.leader()], "-clients", str(clients),
                "-connections", str(connections), "-duration", "%ds" % seconds, "-keys", str(keys),
                *("-" + w for w in words), *(["-keep"] if keep else [])]

    def restart_follower(self):
        i = next(k for k in range(3) if k != self.leader())
        self.processes[i].kill()
        self.processes[i].wait()
        started = time.monotonic()
        self.start_one(i)
        wait_until(lambda: self.reads(i), 120, "a read of its own copy")
        return time.monotonic() - started, resident_mib(self.processes[i].pid)


class Etcd(Peer):
    name = "etcd"

    def __init__(self, directory, programs):
        super().__init__(directory, programs)
        ports = free_ports(6)
        self.clients, self.peers = ports[:3], ports[3:]

    def start_one(self, i):
        members = ",".join("e%d=http://127.0.0.1:%d" % (k, p) for k, p in enumerate(self.peers))
        client, peer = ("http://127.0.0.1:%d" % p for p in (self.clients[i], self.peers[i]))
        self.spawn(i, [
            os.path.join(self.programs, "etcd"), "--name", "e%d" % i, "--data-dir",
            os.path.join(self.directory, "e%d" % i), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", members,
            "--quota-backend-bytes", str(8 << 30), "--log-level", "error"])

    def leader(self):
        for i, port in enumerate(self.clients):
            try:
                answer = json.loads(get("http://127.0.0.1:%d/v3/maintenance/status" % port, b"{}"))
            except OSError:
                continue
            if answer.get("leader") == answer["header"]["member_id"]:
                return i
        return None

    def applied(self):
        return metric(self.clients[self.leader()], "etcd_server_proposals_applied_total")

    def reads(self, i):
        try:
            return get("http://127.0.0.1:%d/v3/kv/range" % self.clients[i],
                       b'{"key":"AA==","serializable":true}')
        except OSError:
            return False


class Zookeeper(Peer):
    """Its reads are always of a node's own copy, so it is compared by updates only."""
    name = "zookeeper"

    def __init__(self, directory, programs):
        super().__init__(directory, programs)
        ports = free_ports(9)
        self.clients = ports[:3]
        servers = "".join("server.%d=127.0.0.1:%d:%d\n" % (i + 1, ports[3 + i], ports[6 + i])
                          for i in range(3))
        for i in range(3):
            os.makedirs(self.place(i))
            with open(os.path.join(self.place(i), "myid"), "w") as f:
                f.write("%d\n" % (i + 1))
            with open(self.place(i) + ".cfg", "w") as f:
                f.write("tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\n"
                        "admin.enableServer=false\n4lw.commands.whitelist=*\n"
                        "dataDir=%s\nclientPort=%d\n%s" % (self.place(i), self.clients[i],
                                                           servers))

    def place(self, i):
        return os.path.join(self.directory, "z%d" % i)

    def start_one(self, i):
        self.spawn(i, [ZOOKEEPER, "start-foreground", self.place(i) + ".cfg"],
                   {"JMXDISABLE": "true", "ZOO_LOG_DIR": self.directory})

    def ask(self, i):
        """Its answer to srvr: lines of "Name: value"."""
        try:
            with socket.create_connection(("127.0.0.1", self.clients[i]), 2) as s:
                s.sendall(b"srvr")
                return dict(re.findall(r"^([\w ]+): (.*)$", s.makefile().read(), re.M))
        except OSError:
            return {}

    def leader(self):
        return next((i for i in range(3) if self.ask(i).get("Mode") == "leader"), None)

    def applied(self):
        return int(self.ask(self.leader())["Zxid"], 16) & 0xffffffff

    def reads(self, i):
        return "Mode" in self.ask(i)


def build(programs):
    wanted = [os.path.join(programs, p) for p in ("etcd", "peer_load")]
    if all(os.path.exists(p) for p in wanted):
        return
    check(shutil.which("go"), "etcd is not in %s, and there is no Go to build it" % programs)
    os.makedirs(programs, exist_ok=True)
    for name in ("go.mod", "load.go", "etcd.go", "zookeeper.go"):
        shutil.copy(os.path.join(HERE, name), programs)
    for name, package in (("peer_load", "."), ("etcd", "go.etcd.io/etcd/server/v3")):
        subprocess.run(["go", "build", "-mod=mod", "-o", name, package], cwd=programs, check=True)


def run_load(side, load, seconds):
    """What the load generator says; CPU seconds of the nodes per 1,000 updates in its last part."""
    what, clients, connections, words, _ = load
    samples = []
    child = subprocess.Popen(side.load(clients, connections, seconds, words),
                             stdout=subprocess.PIPE, text=True)
    while child.poll() is None:
        if what == "update" and clients == 1024:
            samples.append((time.monotonic(), cpu_seconds(side.pids()), side.applied()))
        time.sleep(0.25)
    out = child.stdout.read()
    check(child.returncode == 0, "%s: exit %d" % (child.args, child.returncode))
    found = json.loads(out)
    found = found[0] if isinstance(found, list) else found
    window = [s for s in samples if 1 < samples[-1][0] - s[0] < seconds - 1]
    if len(window) > 1:
        found["cpu"] = 1000 * (window[-1][1] - window[0][1]) / (window[-1][2] - window[0][2])
    return found


def measure(side, seconds, refs):
    found = {}
    side.start()
    for load in LOADS:
        if side.name == "zookeeper" and load[3]:
            continue
        found[load[:3]] = run_load(side, load, seconds)
        print("# %-9s %-10s %4d/%-4d %9.0f per second, p50 %6d, p99 %6d us" % (
            side.name, *load[:3], found[load[:3]]["per_second"], found[load[:3]]["p50_us"],
            found[load[:3]]["p99_us"]), flush=True)
    subprocess.run(side.load(64, 64, 1, (), keys=refs, keep=True), check=True,
                   stdout=subprocess.DEVNULL)
    time.sleep(3)  # what they do behind an answer belongs to no measurement
    found["restart"] = side.restart_follower()
    print("# %-9s restart of a follower with %d refs: %.2f s, %.0f MiB" % (
        side.name, refs, *found["restart"]), flush=True)
    side.stop()
    return found


def print_table(rounds):
    names = [n for n in rounds[0] if n != "refkeeper"]

    def row(what, unit, pick, aims, is_more_better):
        def median(side):
            try:
                return statistics.median(pick(r[side]) for r in rounds)
            except KeyError:  # not measured there
                return None
        ours = median("refkeeper")
        cells = [what, unit % ours]
        for name in names:
            theirs = median(name)
            if theirs is None:
                cells += ["", "", ""]
                continue
            cells += [unit % theirs, "%.1f" % (ours / theirs if is_more_better else theirs / ours),
                      "%g" % aims[name] if name in aims else ""]
        print("| %s |" % " | ".join(cells))

    heads = ["", "refkeeper"]
    for name in names:
        heads += [name, "times better", "aim"]
    print("\n| %s |\n|%s" % (" | ".join(heads), "---|" * len(heads)))
    for load in LOADS:
        row("%s, %d clients over %d" % load[:3], "%.0f/s",
            lambda r, k=load[:3]: r[k]["per_second"], load[4], True)
    one, many = LOADS[0][:3], LOADS[3][:3]
    row("update, one client, p50", "%.0f us", lambda r: r[one]["p50_us"], {"etcd": 2.5}, False)
    row("CPU of the nodes per 1,000 updates, %d clients over %d" % many[1:], "%.4f s",
        lambda r: r[many]["cpu"], {"etcd": 20}, False)
    row("restart of a follower", "%.2f s", lambda r: r["restart"][0], {}, False)
    row("resident after it", "%.0f MiB", lambda r: r["restart"][1], {}, False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--refs", type=int, default=1000000, help="for the restart")
    parser.add_argument("--programs", default=os.path.abspath("bench-peers"))
    parser.add_argument("--dir", help="where the data directories are made")
    o = parser.parse_args()
    build(o.programs)
    busy = os.getloadavg()[0]
    print("# load %.1f before it%s" % (busy, "" if busy < 0.5 else ": NOT QUIET"))
    rounds = []
    for number in range(o.rounds):
        directory = tempfile.mkdtemp(prefix="refkeeper-peers-", dir=o.dir)
        try:
            kinds = [Etcd, Refkeeper] + ([Zookeeper] if os.path.exists(ZOOKEEPER) else [])
            sides = [kind(directory, o.programs) for kind in kinds]
            rounds.append({s.name: measure(s, o.seconds, o.refs)
                           for s in (sides if number % 2 == 0 else sides[::-1])})
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    print_table(rounds)


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit("peers: %s" % error)
