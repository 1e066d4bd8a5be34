# SPDX-License-Identifier: Apache-2.0
"""Real refkeeperd nodes on loopback for the system tests.

Every test makes a Cluster in a directory of its own and waits for events with a deadline, never for
time to pass.  Nodes die with the test (PR_SET_PDEATHSIG).  Results are printed as TAP.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("RK_BUILDDIR", os.getcwd())
DAEMON = os.environ.get("REFKEEPERD", os.path.join(BUILD, "refkeeperd"))
CLI = os.environ.get("REFKEEPER", os.path.join(BUILD, "refkeeper"))
KEPT = []  # the sockets of free_ports


class Failed(Exception):
    """A check that did not hold."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def wait_until(predicate, seconds, what):
    """Polls until predicate() is true; the deadline is the only wait of the tests."""
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed("not within %s s: %s" % (seconds, what))
        time.sleep(0.01)


def free_ports(count):
    """Ports of loopback that nothing listens on, kept until this process ends: the kernel gives a
    bound one to nobody who asks for any, though its server is down, and to those who share it by
    name, with SO_REUSEADDR, as servers do."""
    first = len(KEPT)
    for _ in range(count):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        KEPT.append(s)
    return [s.getsockname()[1] for s in KEPT[first:]]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class RespError(Exception):
    @property
    def word(self):
        return str(self).split(" ", 1)[0]


class Resp:
    """A small RESP2 client: bounded by a deadline per read, no retries."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, *arguments):
        out = [b"*%d\r\n" % len(arguments)]
        for a in arguments:
            a = a if isinstance(a, bytes) else str(a).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(a), a))
        self.socket.sendall(b"".join(out))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return RespError(rest.decode(errors="replace"))
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"*":
            return [self.read() for _ in range(size)]
        data = self.file.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("closed")
        return data[:-2].decode(errors="surrogateescape")

    def call(self, *arguments):
        self.send(*arguments)
        reply = self.read()
        if isinstance(reply, RespError):
            raise reply
        return reply

    def close(self):
        self.file.close()
        self.socket.close()


def flat_map(reply):
    return dict(zip(reply[::2], reply[1::2]))


class Node:
    def __init__(self, cluster, name, peer, client, http):
        self.cluster = cluster
        self.name = name
        self.peer, self.client, self.http = peer, client, http
        self.data_dir = os.path.join(cluster.directory, name)
        self.log_path = os.path.join(cluster.directory, name + ".log")
        self.process = None
        self.is_joining = False  # admitted later: it is not told who the first members were

    def command(self, extra=()):
        return [DAEMON, "--name", self.name, "--data-dir", self.data_dir,
                "--listen-peer", "127.0.0.1:%d" % self.peer,
                "--listen-client", "127.0.0.1:%d" % self.client,
                "--listen-http", "127.0.0.1:%d" % self.http,
                *(["--join"] if self.is_joining else
                  ["--initial-members", self.cluster.initial_members]),
                *self.cluster.options, *extra]

    def start(self, wrapper=(), extra=()):
        check(self.process is None, self.name + " runs already")
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*wrapper, *self.command(extra)], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, preexec_fn=die_with_parent)
        log.close()
        self.is_wrapped = bool(wrapper)

    def pid(self):
        """Of refkeeperd itself; under a wrapper such as strace it is the child."""
        if not self.is_wrapped:
            return self.process.pid
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            return int(f.read().split()[0])

    def kill(self, sig=signal.SIGKILL):
        if self.is_alive():
            os.kill(self.pid(), sig)
            self.process.wait()
        self.process = None

    def stop(self, seconds=10):
        """SIGTERM; the exit code."""
        os.kill(self.pid(), signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def resp(self, timeout=10):
        return Resp(self.client, timeout)

    def status(self):
        """CLUSTER.STATUS as a dict, or None while the node does not answer."""
        try:
            r = self.resp(2)
            try:
                return flat_map(r.call("CLUSTER.STATUS"))
            finally:
                r.close()
        except (OSError, ConnectionError, RespError):
            return None

    def take_snapshot(self, seconds=30):
        """A new one.  What others acknowledged this node may not have applied yet, and without
        anything new it takes none."""
        def has_news():
            status = self.status()
            return status and status["applied_index"] > status["snapshot_index"] and status
        before = wait_until(has_news, seconds, "something new on " + self.name)["snapshot_index"]
        connection = self.resp(30)
        answer = connection.call("SNAPSHOT.TAKE")
        connection.close()
        wait_until(lambda: (self.status() or {}).get("snapshot_index", 0) > before, seconds,
                   "a new snapshot of %s, which said %s" % (self.name, answer))

    def log_tail(self, lines=30):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])


class Cluster:
    def __init__(self, size=3, options=("--insecure-peer",), directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="refkeeper-test-")
        self.options = list(options)
        ports = free_ports(3 * size)
        self.nodes = [Node(self, "n%d" % (i + 1), *ports[3 * i:3 * i + 3]) for i in range(size)]
        self.initial_members = ",".join("%s=127.0.0.1:%d" % (n.name, n.peer) for n in self.nodes)

    def start(self):
        for n in self.nodes:
            n.start()
        self.wait_leader()

    def new_node(self, name):
        """One more node, not started: it joins when it is admitted."""
        node = Node(self, name, *free_ports(3))
        node.is_joining = True
        self.nodes.append(node)
        return node

    def leader(self):
        for n in self.nodes:
            if n.is_alive():
                status = n.status()
                if status and status.get("role") == "leader":
                    return n
        return None

    def wait_leader(self, seconds=15):
        return wait_until(self.leader, seconds, "a leader")

    def followers(self):
        leader = self.wait_leader()
        return [n for n in self.nodes if n is not leader and n.is_alive()]

    @property
    def endpoints(self):
        return ",".join("127.0.0.1:%d" % n.client for n in self.nodes)

    def cli(self, *arguments, check_code=0, stdin=None, env=None):
        """Runs refkeeper against this cluster; its stdout."""
        run = subprocess.run([CLI, "--endpoints", self.endpoints, *arguments], input=stdin,
                             capture_output=True, text=True, timeout=120,
                             env={**os.environ, **(env or {})})
        if check_code is not None:
            check(run.returncode == check_code, "refkeeper %s: exit %d, wanted %d\n%s%s" % (
                " ".join(arguments), run.returncode, check_code, run.stdout, run.stderr))
        return run.stdout

    def wait_equal(self, seconds=30):
        """All live nodes have applied the same index; their digests must be equal."""
        def equal():
            statuses = [n.status() for n in self.nodes if n.is_alive()]
            if any(s is None for s in statuses):
                return None
            indexes = {s["applied_index"] for s in statuses}
            return statuses if len(indexes) == 1 else None
        statuses = wait_until(equal, seconds, "all nodes at one applied index")
        check(len({s["digest"] for s in statuses}) == 1, "digests differ: %s" % statuses)
        return statuses

    def fsck(self):
        """Offline, after all nodes were stopped."""
        run = subprocess.run([CLI, "fsck", *[n.data_dir for n in self.nodes]], capture_output=True,
                             text=True, timeout=300)
        check(run.returncode == 0, "fsck: exit %d\n%s%s" % (run.returncode, run.stdout, run.stderr))

    def close(self):
        for n in self.nodes:
            n.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def run_tests(tests):
    """Runs functions as TAP; each gets nothing, raises on failure, and may return a text of what
    it found.  Exits."""
    print("1..%d" % len(tests))
    failed = 0
    for number, test in enumerate(tests, 1):
        started = time.monotonic()
        try:
            found = test()
            print("ok %d - %s%s # %.1f s" % (number, test.__name__, ": " + found if found else "",
                                             time.monotonic() - started))
        except Exception as error:  # a test may fail in any way; all of them are reported
            failed += 1
            print("not ok %d - %s" % (number, test.__name__))
            for line in ("%s: %s" % (type(error).__name__, error)).splitlines():
                print("# " + line)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


def run_tests_on(cluster, tests):
    """The same on one cluster that is there for all of them."""
    cluster.start()
    try:
        run_tests(tests)
    finally:
        cluster.close()
