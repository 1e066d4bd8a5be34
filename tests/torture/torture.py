# SPDX-License-Identifier: Apache-2.0
"""What the tests that attack real daemons share: results with counts, a shim in the daemon, refs
whose value tells how often they moved.

Each test is a function that returns the description of its result, counts included; it raises Skip
where this machine lacks something, and Failed when a check does not hold.
"""
import contextlib
import ctypes
import os
import signal
import struct
import sys
import threading

from cluster import BUILD, RespError, check

LONG = os.environ.get("RK_TORTURE") == "long"
REPO = "torture/a.git"
SHIM = os.path.join(BUILD, "tests/torture/.libs/shim.so")


class Skip(Exception):
    """This machine cannot run the test; says why."""


def run(tests):
    """TAP, one line per test with what it returned.  Exits."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clean-up runs
    print("1..%d" % len(tests))
    failed = 0
    for number, test in enumerate(tests, 1):
        try:
            print("ok %d - %s" % (number, test()))
        except Skip as reason:
            print("ok %d - %s # SKIP %s" % (number, test.__name__, reason))
        except Exception as error:  # a test may fail in any way; all of them are reported
            failed += 1
            print("not ok %d - %s" % (number, test.__name__))
            for line in ("%s: %s" % (type(error).__name__, error)).splitlines():
                print("# " + line)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


def own_mounts():
    """Mounts of this process are seen by nobody else, and end with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private, recursive = 0x20000, 1 << 18, 0x4000
    if libc.unshare(new_namespace) != 0 or libc.mount(b"none", b"/", None, private | recursive,
                                                      None) != 0:
        raise Skip("no mount namespaces: " + os.strerror(ctypes.get_errno()))


class Shim:
    """The shim of shim.c for daemons started within `with shim.armed(...)`."""

    def __init__(self, directory):
        if not os.path.exists(SHIM):
            raise Skip("no shim was built")
        self.counter = open(os.path.join(directory, "counter"), "w+b")
        self.reset()

    def reset(self):
        self.counter.seek(0)
        self.counter.write(bytes(8))
        self.counter.flush()

    def count(self):
        self.counter.seek(0)
        return struct.unpack("=Q", self.counter.read(8))[0]

    @contextlib.contextmanager
    def armed(self, what):
        self.reset()
        changed = {"LD_PRELOAD": SHIM, "RK_SHIM": what, "RK_SHIM_COUNTER": self.counter.name}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name in changed:
                del os.environ[name]


def value(step):
    return "%040x" % (step + (1 << 80)) if step else None


def step_of(text):
    return 0 if text is None else int(text, 16) - (1 << 80)


class Writer(threading.Thread):
    """Moves its refs on by one, all of them in one pipeline; only a reply makes a step count."""

    def __init__(self, node, number, refs=64, prefix="w"):
        super().__init__(daemon=True)
        self.node, self.prefix = node, "refs/heads/%s%d/" % (prefix, number)
        self.tried = [0] * refs
        self.acknowledged = [0] * refs
        self.count = 0
        self.refusals = {}
        self.is_stopping = False
        self.error = None

    def names(self):
        return [self.prefix + "%03d" % i for i in range(len(self.tried))]

    def run(self):
        try:
            connection = self.node.resp(120)
            while not self.is_stopping:
                self.round(connection)
            connection.close()
        except (OSError, ConnectionError) as error:
            self.error = error

    def round(self, connection):
        for i, name in enumerate(self.names()):
            self.tried[i] += 1
            connection.send("REF.UPDATE", REPO, name, "ANY", value(self.tried[i]))
        for i in range(len(self.tried)):
            reply = connection.read()
            if isinstance(reply, RespError):
                self.refusals[reply.word] = self.refusals.get(reply.word, 0) + 1
            else:
                self.acknowledged[i] = self.tried[i]
                self.count += 1


def list_refs(connection):
    """All refs of the repository, {name: value}; none when there is no repository."""
    refs, after = {}, ()
    while True:
        try:
            reply = connection.call("REF.LIST", REPO, *after, "LIMIT", 1000)
        except RespError as error:
            if error.word != "NOREPO":
                raise
            return {}
        refs.update(zip(reply[3][::2], reply[3][1::2]))
        if reply[2] is None:
            return refs
        after = ("AFTER", reply[3][-2])


def check_refs(refs, names, least, most):
    """Each ref has reached what was acknowledged and nothing that was never asked for."""
    lost = []
    for name, a, b in zip(names, least, most):
        step = step_of(refs.get(name))
        check(step <= b, "%s is at step %d, and %d is the highest ever asked for" % (name, step, b))
        if step < a:
            lost.append((name, a, step))
    return lost
