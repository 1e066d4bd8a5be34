#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input on each port: an answer or a close, the node stays up, its memory bounded.

The peer, RESP and HTTP ports of one node are each given garbage, a length of 1 GiB, half a message
and 10,000 connections that say nothing.  All the time the cluster goes on taking updates, and the
node under attack still leads or follows as before.
"""
import os
import resource
import socket
import struct

from cluster import Cluster, Failed, check, run_tests, wait_until

IDLE = int(os.environ.get("RK_IDLE", "10000"))
RESIDENT_MIB_MAX = 128
REPO = "a/bad.git"

GARBAGE = os.urandom(4096)
INPUTS = {
    "peer": {
        "garbage": GARBAGE,
        "a length of 1 GiB": struct.pack(">IBBHI", 1 << 30, 1, 0, 0, 0),
        "half a frame": struct.pack(">IBBHI", 100, 1, 0, 0, 0) + b"x" * 20,
        "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "a TLS hello": bytes.fromhex("16030100c8010000c40303") + GARBAGE[:200],
    },
    "client": {
        "garbage": b"\x00" + GARBAGE,
        "an argument of 1 GiB": b"*2\r\n$3\r\nGET\r\n$1073741824\r\n",
        "a million arguments": b"*1000000\r\n",
        "a negative count": b"*-5\r\n",
        "half a request": b"*3\r\n$7\r\nREF.GET\r\n$1\r\n",
        "an endless line": b"*" + b"1" * 65536,
    },
    "http": {
        "garbage": GARBAGE + b"\r\n\r\n",
        "a body of 1 GiB":
            b"POST /v1/refs HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n",
        "half a head": b"GET /livez HTT",
        "an endless header": b"GET / HTTP/1.1\r\nX: " + b"a" * 1000000,
        "two lengths": b"POST /v1/refs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                       b"Content-Length: 2\r\n\r\nab",
    },
}


def resident_mib(node):
    with open("/proc/%d/status" % node.pid()) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def give(port, data):
    """What the port says until it closes; a deadline of the server's own ends half messages."""
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.settimeout(75)
    said = b""
    try:
        s.sendall(data)
        while len(said) < 65536:
            part = s.recv(65536)
            if not part:
                break
            said += part
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        s.close()
    return said


class Attacked:
    def __init__(self):
        self.cluster = Cluster()
        self.cluster.start()
        self.node = self.cluster.leader()
        self.cluster.nodes[0].resp().call("REPO.REGISTER", REPO, "s1")
        self.term = self.node.status()["term"]
        self.count = 0

    def check_alive(self, what):
        check(self.node.is_alive(), "%s killed the node\n%s" % (what, self.node.log_tail()))
        self.count += 1
        self.node.resp().call("REF.UPDATE", REPO, "refs/heads/x", "ANY", "%040x" % self.count)
        mib = resident_mib(self.node)
        check(mib < RESIDENT_MIB_MAX, "%s: %.0f MiB resident" % (what, mib))

    def ports(self):
        return {"peer": self.node.peer, "client": self.node.client, "http": self.node.http}

    def close(self):
        self.cluster.close()


def bad_bytes_are_answered_or_closed():
    a = Attacked()
    try:
        for name, port in a.ports().items():
            for what, data in INPUTS[name].items():
                try:
                    give(port, data)
                except socket.timeout:
                    raise Failed("%s port: %s: neither answered nor closed" % (name, what))
                a.check_alive("%s port: %s" % (name, what))
        check(a.node.status()["term"] == a.term, "the leader changed")
    finally:
        a.close()


def open_idle(port, held):
    """Opens IDLE connections; those the node closes at once do not count against it."""
    for _ in range(IDLE):
        s = socket.socket()
        s.settimeout(5)
        try:
            s.connect(("127.0.0.1", port))
            held.append(s)
        except OSError:
            s.close()


def ten_thousand_idle_connections_are_bounded():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 1000:
        print("# SKIP: only %d open files are allowed here" % hard)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    a = Attacked()
    try:
        for name, port in a.ports().items():
            held = []
            open_idle(port, held)
            check(a.node.is_alive(), "idle connections on the %s port killed the node" % name)
            mib = resident_mib(a.node)
            check(mib < RESIDENT_MIB_MAX, "%s port: %.0f MiB resident" % (name, mib))
            print("# %s port: %d connections opened, %.0f MiB resident" % (name, len(held), mib))
            # Another node goes on taking updates, also through the one under attack.
            other = [n for n in a.cluster.nodes if n is not a.node][0]
            other.resp().call("REF.UPDATE", REPO, "refs/heads/idle", "ANY",
                              "%040x" % (len(held) + 1))
            for s in held:
                s.close()
            wait_until(a.node.status, 20, "the node takes clients again")
            a.check_alive("idle connections on the %s port" % name)
        check(a.node.status()["term"] == a.term, "the leader changed")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        a.close()


run_tests([bad_bytes_are_answered_or_closed, ten_thousand_idle_connections_are_bounded])
