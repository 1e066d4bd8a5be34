#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer written from docs/PROTOCOL.md takes part in a cluster, and a bad one does no harm.

Two members: n1 is this program, n2 a real node.  n1 has the smaller id, so it dials.
"""
import os
import random
import struct

import peer
from cluster import Cluster, check, run_tests, wait_until
from tracer import Tracer

SEED = int(os.environ.get("RK_TEST_SEED", "5"))

# What only a leader says: if we said it well-formed in n2's own term, n2 would have to stop, since
# a term has one leader.  Damage to these is the matter of tests/fuzz.
LEADERS = (peer.APPEND_ENTRIES, peer.INSTALL_SNAPSHOT, peer.TIMEOUT_NOW)
LEADERS_BYTES = [bytes([code]) for code in LEADERS]


class Follower:
    """n1: grants every vote, stores entries in memory, answers."""

    def __init__(self, connection):
        self.connection = connection
        self.log = []  # (term, index, command)
        self.leader_term = 0
        self.commit_index = 0
        self.others = []  # frames and messages that are somebody else's business

    def reply(self, m, code, flags=0, **fields):
        term = max(m["term"], self.leader_term)
        self.connection.send(peer.MESSAGE, peer.message(code, 1, 2, term, flags, **fields))

    def append(self, m):
        self.leader_term = m["term"]
        self.commit_index = max(self.commit_index, m["leader_commit"])
        if m["prev_log_index"] > len(self.log):
            self.reply(m, peer.APPEND_ENTRIES_REPLY, reject_index=m["prev_log_index"],
                       conflict_index=len(self.log), last_log_index=len(self.log))
            return
        for term, index, command in m["entries"]:
            check(index <= len(self.log) + 1, "a gap before index %d" % index)
            self.log[index - 1:] = [(term, index, command)]
        self.reply(m, peer.APPEND_ENTRIES_REPLY, 1, match_index=m["prev_log_index"] + m["count"],
                   last_log_index=len(self.log), read_sequence=m["read_sequence"])

    def turn(self):
        """Takes one frame."""
        kind, payload = self.connection.read()
        if kind != peer.MESSAGE:
            self.others.append((kind, payload))
            return
        m = peer.parse_message(payload)
        check(m["sender"] == 2 and m["target"] == 1, "not from n2 to n1")
        if m["code"] == peer.REQUEST_VOTE:
            self.reply(m, peer.REQUEST_VOTE_REPLY, 2 | (m["flags"] & 1))
        elif m["code"] == peer.APPEND_ENTRIES:
            self.append(m)
        else:
            self.others.append((kind, m))

    def turn_until(self, is_true):
        for _ in range(2000):  # each turn ends by a frame or by the socket's timeout
            if is_true():
                return
            self.turn()
        raise AssertionError("2000 frames and nothing of what was awaited")

    def take_other(self):
        self.turn_until(lambda: self.others)
        return self.others.pop(0)


def start_n2():
    cluster = Cluster(2)
    cluster.nodes[1].start()
    return cluster


def dial(cluster):
    node = cluster.nodes[1]

    def attempt():
        try:
            return peer.Connection(node.peer)
        except ConnectionRefusedError:
            check(node.is_alive(), node.log_tail())
            return None
    return wait_until(attempt, 10, "n2 listening")


def hello(**changes):
    return peer.Hello(1, 2, "n1", **changes)


def open_cluster(cluster):
    follower = Follower(dial(cluster))
    answer = follower.connection.shake_hands(hello())
    check(answer.sender == 2 and answer.target == 1 and answer.name == "n2", "another HELLO")
    check(answer.flags == 1 and answer.cluster_id == bytes(16), "n2 is not empty")
    follower.turn_until(lambda: follower.commit_index >= 1)
    return follower


def a_peer_written_from_the_page_takes_part():
    cluster = start_n2()
    try:
        follower = open_cluster(cluster)
        check(follower.log[0][2][0] in (16, 17), "the first entry is of Raft's own")

        # A forwarded command comes back at the place that the reply names, and is committed
        # because we acknowledge it.
        command = peer.register_repo("a/b.git", "s1")
        follower.connection.send(peer.FORWARD, struct.pack(">QI", 1000, 1) + peer.string(command))
        kind, payload = follower.take_other()
        check(kind == peer.FORWARD_REPLY, "frame %d" % kind)
        token, count, term, index = struct.unpack(">QIQQ", payload[:28])
        check((token, count, payload[28:]) == (1000, 1, b"\x02OK"), "reply %r" % payload)
        follower.turn_until(lambda: follower.commit_index >= index)
        check(follower.log[index - 1] == (term, index, command), "another entry is there")

        # A read index is confirmed by our echo of the round.
        follower.connection.send(peer.MESSAGE, peer.message(
            peer.READ_INDEX, 1, 2, follower.leader_term, token=123))
        kind, m = follower.take_other()
        check(m["code"] == peer.READ_INDEX_REPLY and m["token"] == 123, "%s" % m)
        check(m["flags"] == 1 and m["read_index"] >= index, "%s" % m)
        follower.connection.close()
    finally:
        cluster.close()


def what_does_not_belong_is_refused_with_a_word():
    cluster = start_n2()
    try:
        rows = [
            (hello(version_min=2, version_max=9), "UNSUPPORTED"),
            (peer.Hello(1, 3, "n1"), "FOREIGN"),   # meant for another node
            (peer.Hello(1, 2, "n7"), "FOREIGN"),   # an id under another name
            (peer.Hello(9, 2, "n9"), "FOREIGN"),   # nobody here
            (peer.Hello(2, 2, "n2"), "FOREIGN"),   # itself
        ]
        for refused, word in rows:
            connection = dial(cluster)
            try:
                connection.shake_hands(refused)
                check(False, "accepted, not %s" % word)
            except peer.Refused as refusal:
                check(refusal.args[0] == word and refusal.args[1] != "", "%s" % refusal)
            check(connection.is_closed(), "still open after HELLO_REFUSED")
            connection.close()
    finally:
        cluster.close()


def a_newer_hello_is_understood():
    cluster = start_n2()
    try:
        connection = dial(cluster)
        answer = connection.shake_hands(hello(version_max=2, flags=0x81, more=b"and more"))
        check(answer.version_max == 1, "n2 speaks version 1")
        connection.close()
    finally:
        cluster.close()


def dial_as_member(cluster, target):
    """From a cluster that admitted n2 as `target`; the connection and n2's answer."""
    connection = dial(cluster)
    try:
        return connection, connection.shake_hands(peer.Hello(
            7, target, "n1", cluster_id=b"c" * 16, target_name="n2", membership_index=500,
            flags=0, features=2))
    except peer.Refused as error:
        connection.close()
        return None, error.args[0]


def said_to(cluster, target):
    connection, answer = dial_as_member(cluster, target)
    if connection is None:
        return answer
    connection.close()
    return answer.sender


def an_empty_node_takes_its_newest_identity():
    """A removed member that does not know it yet may be the first to mean it by name."""
    cluster = start_n2()
    try:
        check(said_to(cluster, 190) == 190, "the first identity")
        check(said_to(cluster, 438) == 438, "a newer one")
        check(said_to(cluster, 190) == "FOREIGN", "the older one again")
        check(cluster.nodes[1].stop() == 0, "no clean stop")
        cluster.nodes[1].start()
        check(said_to(cluster, 190) == "FOREIGN", "the older one after a restart")
        check(said_to(cluster, 438) == 438, "the newer one after a restart")
    finally:
        cluster.close()


def an_answer_to_a_leader_waits_until_the_identity_is_durable():
    """The HELLO does not, as nothing rests on it; the disk is slow, so what left early is lost."""
    if not Tracer.is_there():
        print("# SKIP: no strace to slow the disk with")
        return
    cluster = Cluster(2)
    n2 = cluster.nodes[1]
    try:
        n2.start(wrapper=["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e",
                          "inject=fdatasync:delay_enter=200000"])
        check(said_to(cluster, 190) == 190, "the first identity")
        connection, answer = dial_as_member(cluster, 438)
        check(answer.sender == 438, "a newer one")
        connection.send(peer.MESSAGE, peer.message(peer.APPEND_ENTRIES, 7, 438, 5))
        kind, payload = connection.read()
        n2.kill()
        check(kind == peer.MESSAGE, "frame %d" % kind)
        m = peer.parse_message(payload)
        check((m["code"], m["sender"], m["term"]) == (peer.APPEND_ENTRIES_REPLY, 438, 5), "%s" % m)
        connection.close()
        n2.start()
        check(said_to(cluster, 190) == "FOREIGN", "the older one after a restart")
        check(said_to(cluster, 438) == 438, "the newer one after a restart")
    finally:
        cluster.close()


def a_broken_frame_ends_the_connection():
    good = peer.frame(peer.MESSAGE, b"payload")
    broken = [
        b"\x01\x00\x00\x01\x03" + bytes(7),        # 16 MiB and one byte, told by the header alone
        b"\xff\xff\xff\xff" + good[4:12],
        good[:4] + b"\x06" + good[5:],             # no such type
        good[:5] + b"\x02" + good[6:],             # no such flag
        good[:-1] + b"X",                          # CRC
        peer.frame(peer.HELLO, hello().encode()),  # a second one
    ]
    cluster = start_n2()
    try:
        for data in broken:
            connection = dial(cluster)
            connection.shake_hands(hello())
            connection.socket.sendall(data)
            check(connection.is_closed(), "still open after %r" % data[:16])
            connection.close()
        connection = dial(cluster)
        connection.socket.sendall(good)  # before any HELLO
        check(connection.is_closed(), "still open after a message before HELLO")
        connection.close()
    finally:
        cluster.close()


def damaged(rng, payload):
    data = bytearray(payload)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    if rng.random() < 0.2:
        data = data[:rng.randrange(len(data))]
    return bytes(data)


def damaged_messages_with_good_frames_do_no_harm():
    rng = random.Random(SEED)
    cluster = start_n2()
    try:
        follower = open_cluster(cluster)
        term = follower.leader_term
        originals = [peer.message(code, 1, 2, term, last_log_index=5, token=1)
                     for code in peer.BODIES if code not in LEADERS]
        forward = struct.pack(">QI", 1, 1) + peer.string(peer.register_repo("x.git", "s1"))
        sent = 0
        while sent < 2000:
            try:
                if rng.random() < 0.2:
                    follower.connection.send(peer.FORWARD, damaged(rng, forward))
                else:
                    data = damaged(rng, rng.choice(originals))
                    if data[:1] not in LEADERS_BYTES:
                        follower.connection.send(peer.MESSAGE, data)
                sent += 1
            except OSError:  # n2 closed it, as it may
                follower.connection.close()
                follower.connection = dial(cluster)
                follower.connection.shake_hands(hello(flags=0))
        follower.connection.close()
        dial(cluster).shake_hands(hello(flags=0))
        check(cluster.nodes[1].is_alive(), cluster.nodes[1].log_tail())
    finally:
        cluster.close()


run_tests([
    a_peer_written_from_the_page_takes_part,
    what_does_not_belong_is_refused_with_a_word,
    a_newer_hello_is_understood,
    an_empty_node_takes_its_newest_identity,
    an_answer_to_a_leader_waits_until_the_identity_is_durable,
    a_broken_frame_ends_the_connection,
    damaged_messages_with_good_frames_do_no_harm,
])
