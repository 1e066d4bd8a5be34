#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS on every port: nodes know each other by certificate, clients check the nodes'.

Three nodes with certificates of one CA; refkeeper, redis-cli and curl talk to them over TLS.
Plaintext is not answered. Pushes are decided, refused and guarded over TLS. A node whose
certificate names another one, or is signed by another CA, stays outside.
"""
import os
import shutil
import subprocess

from cluster import CLI, Cluster, RespError, check, run_tests, wait_until
from served import Place, git, hooks_with_openssl

TOP = os.environ.get("RK_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))


def make_certs(directory, *names):
    subprocess.run([os.path.join(TOP, "scripts/make-certs"), directory, *names], check=True,
                   stdout=subprocess.DEVNULL)


class TlsCluster(Cluster):
    """Nodes that speak nothing but TLS; asked by the command line only."""

    def __init__(self):
        super().__init__(options=())
        self.certs = os.path.join(self.directory, "certs")
        make_certs(self.certs, "n1", "n2", "n3")
        self.ca = os.path.join(self.certs, "ca.crt")

    def tls(self, node, name=None, certs=None):
        base = os.path.join(certs or self.certs, name or node.name)
        ca = os.path.join(certs or self.certs, "ca.crt")
        return ["--peer-ca", ca, "--peer-cert", base + ".crt", "--peer-key", base + ".key",
                "--client-cert", base + ".crt", "--client-key", base + ".key"]

    def ask(self, node, *arguments):
        endpoint = "127.0.0.1:%d" % node.client
        return subprocess.run([CLI, "--endpoints", endpoint, "--cacert", self.ca,
                               "--timeout", "5s", *arguments], capture_output=True, text=True,
                              timeout=60)

    def cli(self, *arguments, **more):
        return super().cli("--cacert", self.ca, *arguments, **more)

    def leader_name(self, node):
        run = self.ask(node, "-o", "value", "status")
        lines = [line.split("\t") for line in run.stdout.splitlines()]
        return next((line[1] for line in lines if line[0] == "leader" and len(line) > 1), "")

    def start_all(self):
        for node in self.nodes:
            node.start(extra=self.tls(node))
        for node in self.nodes:
            wait_until(lambda n=node: self.ask(n, "status", "-o", "json").returncode == 0, 20,
                       node.name + " answers")
        wait_until(lambda: '"leader": "n' in self.ask(self.nodes[0], "-o", "json", "status").stdout,
                   20, "a leader")


def everything_works_over_tls():
    c = TlsCluster()
    try:
        c.start_all()
        first, second = c.nodes[0], c.nodes[1]
        check(c.ask(first, "repo", "register", "a.git", "s1").returncode == 0, "register")
        run = c.ask(second, "ref", "update", "a.git", "refs/heads/x", "1" * 40, "--create")
        check(run.returncode == 0, run.stderr)
        said = subprocess.run(["redis-cli", "--tls", "--cacert", c.ca, "-p", str(second.client),
                               "REF.GET", "a.git", "refs/heads/x"], capture_output=True, text=True,
                              timeout=20).stdout
        check(said.strip() == "1" * 40, "redis-cli: " + said)
        url = "https://127.0.0.1:%d/v1/ref?path=a.git&ref=refs/heads/x" % first.http
        said = subprocess.run(["curl", "-s", "--cacert", c.ca, url],
                              capture_output=True, text=True, timeout=20).stdout
        check("1" * 40 in said, "curl: " + said)
        for node in c.nodes:
            check(node.stop() == 0, "exit code of " + node.name)
        c.fsck()
    finally:
        c.close()


def plaintext_is_not_answered():
    c = TlsCluster()
    try:
        c.start_all()
        try:
            answer = c.nodes[0].resp(5).call("PING")
            check(False, "answered in the clear: %s" % answer)
        except (OSError, ConnectionError, RespError):
            pass
        run = subprocess.run([CLI, "--endpoints", "127.0.0.1:%d" % c.nodes[0].client, "--timeout",
                              "3s", "status"], capture_output=True, text=True, timeout=30)
        check(run.returncode != 0, "a plaintext client was served")
        check(c.nodes[0].is_alive(), "the node died of it")
    finally:
        c.close()


def a_push_is_decided_over_tls():
    c = TlsCluster()
    try:
        c.start_all()
        p = Place(c)
        started, loaded = hooks_with_openssl(p.work, "push", "-q", "o", "main")
        check((started, loaded) == (2, 1), "of %d hooks %d loaded OpenSSL" % (started, loaded))
        check("refs/heads/main" in p.on_disk() and p.on_disk() == p.in_cluster(), "decided")
        # The guard asks over TLS, too: what the cluster has may catch up, nothing else.
        oid = p.commit()
        p.push("o", "main")
        git(p.served, "update-ref", "refs/heads/x", oid, code=128)
        c.cli("ref", "update", p.path, "refs/heads/x", oid, "--create")
        git(p.served, "update-ref", "refs/heads/x", oid)
        check(p.on_disk() == p.in_cluster(), "the guard's answers")
        # Nodes that another authority signed for are not believed.
        other = os.path.join(c.directory, "other")
        make_certs(other, "n1")
        git(p.served, "config", "refkeeper.cacert", os.path.join(other, "ca.crt"))
        p.commit()
        out = p.push("o", "main", code=1)
        check("TLS handshake" in out, out)
        out = git(p.served, "update-ref", "refs/heads/y", oid, code=128)
        check("TLS handshake" in out, out)
        check(p.on_disk() == p.in_cluster(), "nothing was changed")
        p.close()
    finally:
        c.close()


def a_node_with_a_wrong_certificate_stays_outside():
    c = TlsCluster()
    other = os.path.join(c.directory, "other")
    make_certs(other, "n3")
    try:
        c.nodes[0].start(extra=c.tls(c.nodes[0]))
        c.nodes[1].start(extra=c.tls(c.nodes[1]))
        for wrong in (c.tls(c.nodes[2], name="n2"), c.tls(c.nodes[2], certs=other)):
            c.nodes[2].start(extra=wrong)
            wait_until(lambda: "n3" in c.nodes[0].log_tail(), 20, "n1 says something of n3")
            # An empty cluster begins only when all its members are connected.
            check(c.leader_name(c.nodes[0]) == "", "a first election without the real n3")
            c.nodes[2].kill()
        shutil.rmtree(c.nodes[2].data_dir)
        c.nodes[2].start(extra=c.tls(c.nodes[2]))
        wait_until(lambda: '"leader": "n' in c.ask(c.nodes[0], "-o", "json", "status").stdout, 20,
                   "a leader once n3 is itself")
    finally:
        c.close()


run_tests([everything_works_over_tls, plaintext_is_not_answered, a_push_is_decided_over_tls,
           a_node_with_a_wrong_certificate_stays_outside])
