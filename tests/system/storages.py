# SPDX-License-Identifier: Apache-2.0
"""Storages with copies of repositories: git over http, hooks, an agent beside each."""
import os
import shutil
import subprocess
import urllib.parse

import githttp
from cluster import CLI, check, die_with_parent, flat_map, free_ports, wait_until
from served import ENV, git


class Storage:
    """One of them: a folder, a web server, an agent."""

    def __init__(self, cluster, name, options=(), token=None):
        self.cluster, self.name = cluster, name
        self.options = list(options)
        if token is not None:  # it takes packs of undecided pushes
            self.agent = "127.0.0.1:%d" % free_ports(1)[0]
            self.options += ["--listen", self.agent, "--token-file", token]
        self.root = os.path.join(cluster.directory, "storage-" + name)
        self.log_path = self.root + ".log"
        os.makedirs(self.root)
        self.server = githttp.start(self.root)
        self.process = None
        cluster.cli("storage", "set", name, "--http", self.server.url)

    def start(self, *extra, init=True):
        check(self.process is None, "the agent of %s runs already" % self.name)
        words = [CLI, "--endpoints", self.cluster.endpoints, "agent", "--storage", self.name,
                 "--root", self.root, *(["--init"] if init else []), *self.options, *extra]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=die_with_parent, env=ENV)

    def stop(self):
        """The agent dies, as in a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self):
        """The whole storage is gone: nothing answers, its disk is lost."""
        self.stop()
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.root)

    def place(self, path):
        return os.path.join(self.root, path)

    def refs(self, path):
        out = git(self.place(path), "for-each-ref", "--format=%(objectname) %(refname)")
        pairs = [line.split(" ") for line in out.splitlines()]
        check(all(len(pair) == 2 for pair in pairs), out)
        return {name: oid for oid, name in pairs if not name.startswith("refs/refkeeper/")}

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def close(self):
        self.stop()
        self.server.shutdown()


def show(node, path):
    r = node.resp()
    try:
        return flat_map(r.call("REPO.SHOW", path))
    finally:
        r.close()


def in_cluster(cluster, path):
    out = cluster.cli("ref", "list", path, "-o", "value")
    return {name: oid for oid, name in (line.split("\t") for line in out.splitlines())}


def wait_complete(cluster, path, names, seconds=30):
    """Every live node was told by these storages that they hold all of it."""
    def are_complete():
        return all(set(names) <= set(show(n, path)["complete"])
                   for n in cluster.nodes if n.is_alive())
    wait_until(are_complete, seconds, "%s complete on %s" % (path, names))


class Repo:
    """A repository on storages; its primary first."""

    def __init__(self, cluster, path, storages):
        self.cluster, self.path, self.storages = cluster, path, storages
        self.primary = storages[0]
        bare = self.primary.place(path)
        git(cluster.directory, "init", "-q", "--bare", "-b", "main", bare)
        git(bare, "config", "http.receivepack", "true")
        replicas = [s.name for s in storages[1:]]
        cluster.cli("repo", "create", path, self.primary.name,
                    *(["--replicas", ",".join(replicas)] if replicas else []))
        cluster.cli("hook", "install", bare, "--repo", path, "--storage", self.primary.name)
        self.work = os.path.join(cluster.directory, "work", path)
        git(cluster.directory, "init", "-q", "-b", "main", self.work)
        git(self.work, "remote", "add", "o",
            self.primary.server.url + "/" + urllib.parse.quote(path))
        self.commit()

    def set_sync_replicas(self, count, token):
        """On every copy: each may become the primary."""
        agents = ",".join("%s=%s" % (s.name, s.agent) for s in self.storages)
        for s in self.storages:
            wait_until(lambda: os.path.exists(s.place(self.path)), 30, "a copy on " + s.name)
            for key, value in (("syncReplicas", str(count)), ("agents", agents),
                               ("agentTokenFile", token)):
                git(s.place(self.path), "config", "refkeeper." + key, value)

    def commit(self):
        name = os.path.join(self.work, "file")
        with open(name, "a") as f:
            f.write("line\n")
        git(self.work, "add", "file")
        git(self.work, "commit", "-q", "-m", "c")
        return git(self.work, "rev-parse", "HEAD").strip()

    def push(self, *words, code=0):
        return git(self.work, "push", "-q", "o", *words, code=code)

    def wait_complete(self, seconds=30):
        wait_complete(self.cluster, self.path, [s.name for s in self.storages], seconds)

    def check_equal(self):
        """The cluster and every copy, ref by ref, with all objects."""
        wanted = in_cluster(self.cluster, self.path)
        for s in self.storages:
            check(s.refs(self.path) == wanted, "%s on %s: %s, wanted %s" % (
                self.path, s.name, s.refs(self.path), wanted))
            git(s.place(self.path), "fsck", "--connectivity-only")
        return wanted
