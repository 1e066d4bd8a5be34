#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real nginx with the router configuration of conf/ between real git and real storages."""
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import githttp
from cluster import Cluster, check, free_ports, run_tests, wait_until
from served import git

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


class Router:
    """nginx in front of two storages that serve git over http."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.directory = os.path.join(cluster.directory, "nginx")
        os.makedirs(self.directory)
        self.port, = free_ports(1)
        self.url = "http://127.0.0.1:%d/" % self.port
        self.roots, self.servers = {}, {}
        for name in ("s1", "s2"):
            self.roots[name] = os.path.join(cluster.directory, name)
            os.makedirs(self.roots[name])
            self.servers[name] = githttp.start(self.roots[name])
            cluster.cli("storage", "set", name, "--http", self.servers[name].url)
        config = os.path.join(self.directory, "nginx.conf")
        with open(config, "w") as f:
            f.write("""
daemon off; pid %(dir)s/pid; error_log %(dir)s/error.log; worker_processes 1;
events { worker_connections 256; }
http {
    access_log off; client_body_temp_path %(dir)s/body; proxy_temp_path %(dir)s/proxy;
    fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
    upstream refkeeper { %(nodes)s keepalive 16; }
    server { listen 127.0.0.1:%(port)d; include %(conf)s; }
}
""" % {"dir": self.directory, "port": self.port,
                "conf": os.path.join(CONF, "nginx", "refkeeper-router.conf"),
                "nodes": " ".join("server 127.0.0.1:%d max_fails=1 fail_timeout=1s;" % n.http
                                  for n in cluster.nodes)})
        self.process = subprocess.Popen([NGINX, "-p", self.directory, "-c", config])
        wait_until(lambda: self.get("nothing.git/info/refs")[0] == 404, 20, "nginx")

    def create(self, path, primary="s1"):
        bare = os.path.join(self.roots[primary], path)
        git(self.cluster.directory, "init", "-q", "--bare", "-b", "main", bare)
        git(bare, "config", "http.receivepack", "true")
        self.cluster.cli("repo", "create", path, primary)
        self.cluster.cli("hook", "install", bare, "--repo", path, "--storage", primary)
        return bare

    def get(self, path, headers=None):
        request = urllib.request.Request(self.url + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read().decode(errors="replace")
        except (urllib.error.URLError, ConnectionError):
            return 0, {}, ""

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        for server in self.servers.values():
            server.shutdown()


def clone(router, path):
    work = os.path.join(router.cluster.directory, "work", path)
    git(router.cluster.directory, "clone", "-q", router.url + path, work)
    git(work, "checkout", "-q", "-B", "main")
    return work


def commit(work):
    git(work, "commit", "-q", "--allow-empty", "-m", "c")
    return git(work, "rev-parse", "HEAD").strip()


CLUSTER = Cluster(3)
ROUTER = None


def in_cluster(path, ref="refs/heads/main"):
    return CLUSTER.cli("ref", "get", path, ref, "-o", "value").strip()


def pushes_and_clones_find_their_storage():
    for path, storage in (("team/a.git", "s1"), ("team/b.git", "s2")):
        bare = ROUTER.create(path, storage)
        work = clone(ROUTER, path)
        oid = commit(work)
        git(work, "push", "-q", "origin", "main")
        check(in_cluster(path) == oid, "decided")
        check(git(bare, "rev-parse", "main").strip() == oid, "on the primary's disk")
        git(CLUSTER.directory, "clone", "-q", ROUTER.url + path, work + "-again")
        check(git(work + "-again", "rev-parse", "HEAD").strip() == oid, "cloned")


def unknown_repositories_are_not_found():
    status, headers, text = ROUTER.get("team/nothing.git/info/refs?service=git-upload-pack")
    check(status == 404 and headers["X-Git-Route"] == "unknown" and "no such" in text, text)
    check(ROUTER.get("team//a.git/info/refs")[0] == 404, "a second spelling")
    check(ROUTER.get("team/%2e%2e/a.git/info/refs")[0] == 404, "another")
    check(ROUTER.get("-refkeeper-route")[0] == 404, "the question itself is not for clients")
    out = git(CLUSTER.directory, "clone", ROUTER.url + "nothing.git", "x", code=128)
    check("not found" in out, out)


def a_frozen_repository_says_why():
    ROUTER.create("team/f.git")
    work = clone(ROUTER, "team/f.git")
    commit(work)
    git(work, "push", "-q", "origin", "main")
    CLUSTER.cli("repo", "freeze", "team/f.git", "moving house until noon")
    commit(work)
    out = git(work, "push", "origin", "main", code=128)
    check("moving house until noon" in out, out)
    git(work, "fetch", "-q", "origin")
    CLUSTER.cli("repo", "thaw", "team/f.git")
    git(work, "push", "-q", "origin", "main")


def a_storage_that_is_down_is_unavailable_and_says_so():
    ROUTER.create("team/d.git", "s2")
    CLUSTER.cli("storage", "set", "s2", "--state", "down")
    status, _, text = ROUTER.get("team/d.git/info/refs?service=git-upload-pack")
    check(status == 503 and "unavailable" in text, text)
    CLUSTER.cli("storage", "set", "s2", "--state", "active")


def a_moved_primary_is_followed_and_the_old_one_is_fenced():
    ROUTER.create("team/m.git", "s1")
    work = clone(ROUTER, "team/m.git")
    commit(work)
    git(work, "push", "-q", "origin", "main")
    shutil.copytree(os.path.join(ROUTER.roots["s1"], "team/m.git"),
                    os.path.join(ROUTER.roots["s2"], "team/m.git"))
    git(os.path.join(ROUTER.roots["s2"], "team/m.git"), "config", "refkeeper.storage", "s2")
    CLUSTER.cli("repo", "register", "team/m.git", "s2")
    CLUSTER.cli("primary", "set", "s2", "team/m.git", "--force", "test")
    oid = commit(work)
    git(work, "push", "-q", "origin", "main")
    check(git(os.path.join(ROUTER.roots["s2"], "team/m.git"), "rev-parse", "main").strip() == oid,
          "on the new primary")
    # Past the router, the old primary decides nothing.
    commit(work)
    out = git(work, "push", ROUTER.servers["s1"].url + "/team/m.git", "main", code=1)
    check("not the primary" in out, out)
    # An epoch that a client makes up is overwritten.
    git(work, "-c", "http.extraHeader=X-Git-Epoch: 1", "push", "-q", "origin", "main")


def a_dead_node_is_stepped_over():
    work = os.path.join(CLUSTER.directory, "work", "team/a.git")
    CLUSTER.wait_leader().kill()
    CLUSTER.wait_leader()
    oid = commit(work)
    git(work, "push", "-q", "origin", "HEAD:refs/heads/late")
    check(in_cluster("team/a.git", "refs/heads/late") == oid, "decided")


def without_a_cluster_the_answer_says_so():
    for n in CLUSTER.nodes:
        n.kill()
    status, headers, text = ROUTER.get("team/a.git/info/refs?service=git-upload-pack")
    check(status == 503 and headers["Retry-After"] == "1" and "No node" in text, text)


def main():
    global ROUTER
    if NGINX is None:
        print("1..0 # SKIP no nginx here")
        return
    CLUSTER.start()
    try:
        ROUTER = Router(CLUSTER)
        run_tests([pushes_and_clones_find_their_storage, unknown_repositories_are_not_found,
                   a_frozen_repository_says_why, a_storage_that_is_down_is_unavailable_and_says_so,
                   a_moved_primary_is_followed_and_the_old_one_is_fenced,
                   a_dead_node_is_stepped_over, without_a_cluster_the_answer_says_so])
    finally:
        if ROUTER is not None:
            ROUTER.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
