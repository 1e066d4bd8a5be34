#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No descriptor is left: connections are refused or wait, those there go on, files stay sound."""
import socket
import subprocess
import tempfile

from cluster import CLI, Cluster, RespError, check, wait_until
from torture import REPO, Skip, check_refs, list_refs, run, value

LIMIT = 96
NAMES = ["refs/heads/r%d" % i for i in range(10)]


def connect_all(port, count):
    """As many as the kernel takes; the node accepts only some of them."""
    held = []
    for _ in range(count):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), 5))
        except OSError:
            break
    return held


def update_all(connection, step):
    for name in NAMES:
        connection.call("REF.UPDATE", REPO, name, "ANY", value(step))


def descriptors_run_out():
    if subprocess.run(["prlimit", "--version"], capture_output=True).returncode != 0:
        raise Skip("needs prlimit")
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as directory:
        cluster = Cluster(1, ("--insecure-peer", "--trailing-entries", "5"), directory)
        node = cluster.nodes[0]
        held = []
        try:
            cluster.start()
            subprocess.run(["prlimit", "--pid", str(node.process.pid), "--nofile=%d" % LIMIT],
                           check=True)
            connection = node.resp(30)
            connection.call("REPO.REGISTER", REPO, "s1")
            update_all(connection, 1)
            held = connect_all(node.client, 2 * LIMIT)
            update_all(connection, 2)
            taken = 0
            try:
                connection.call("SNAPSHOT.TAKE")
                taken += 1
            except RespError:
                pass  # without a descriptor there is no snapshot now
            update_all(connection, 3)
            check(node.is_alive(), "it ended:\n" + node.log_tail(4))
            for s in held:
                s.close()
            wait_until(lambda: node.status() is not None, 30, "new connections are served again")
            connection.call("SNAPSHOT.TAKE")
            update_all(connection, 4)
            connection.close()
            check(node.stop() == 0, "no clean stop")
            fsck = subprocess.run([CLI, "fsck", node.data_dir], capture_output=True, text=True)
            check(fsck.returncode == 0, fsck.stdout)
            node.start()
            cluster.wait_leader()
            connection = node.resp(30)
            lost = check_refs(list_refs(connection), NAMES, [4] * len(NAMES), [4] * len(NAMES))
            connection.close()
            check(not lost, "lost %s" % lost)
            return "%d descriptors, %d connections: %d updates acknowledged meanwhile, 0 lost" % (
                LIMIT, len(held), 2 * len(NAMES))
        finally:
            for s in held:
                s.close()
            node.kill()


run([descriptors_run_out])
