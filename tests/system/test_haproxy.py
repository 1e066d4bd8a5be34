#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real haproxy with the configuration of conf/, kept current by haproxy-sync; and git daemon."""
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from cluster import CLI, Cluster, check, die_with_parent, free_ports, run_tests, wait_until
from served import ENV, git
from storages import Repo, Storage, in_cluster

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf")
PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
HAPROXY = shutil.which("haproxy", path=PLACES)

CLUSTER = Cluster(3)
S = {}
ROUTER = None


class Router:
    def __init__(self):
        self.maps = os.path.join(CLUSTER.directory, "maps")
        os.makedirs(self.maps)
        self.port, = free_ports(1)
        self.url = "http://127.0.0.1:%d/" % self.port
        self.socket = os.path.join(self.maps, "admin.sock")
        own = os.path.join(self.maps, "haproxy.cfg")
        with open(own, "w") as f:
            f.write("global\n    stats socket %s mode 600 level admin\n" % self.socket)
        self.sync_words = [CLI, "--endpoints", CLUSTER.endpoints, "haproxy-sync", "--maps",
                           self.maps, "--socket", self.socket]
        subprocess.run([*self.sync_words, "--once"], check=True, timeout=60)
        self.haproxy = subprocess.Popen(
            [HAPROXY, "-db", "-f", own,
             "-f", os.path.join(CONF, "haproxy", "refkeeper-router.cfg")],
            preexec_fn=die_with_parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "REFKEEPER_MAPS": self.maps,
                 "REFKEEPER_BIND": "127.0.0.1:%d" % self.port})
        self.sync = subprocess.Popen(self.sync_words, preexec_fn=die_with_parent)
        wait_until(lambda: self.get("nothing.git/info/refs")[0] == 404, 20, "haproxy")

    def get(self, path, headers=None):
        request = urllib.request.Request(self.url + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")
        except (urllib.error.URLError, ConnectionError):
            return 0, ""

    def wait_status(self, path, status, service="git-receive-pack"):
        wait_until(lambda: self.get("%s/info/refs?service=%s" % (path, service))[0] == status, 20,
                   "%s answers %d" % (path, status))

    def close(self):
        for p in (self.sync, self.haproxy):
            p.terminate()
            p.wait(20)


def repo(path, names):
    r = Repo(CLUSTER, path, [S[n] for n in names])
    ROUTER.wait_status(path, 200)
    git(r.work, "remote", "set-url", "o", ROUTER.url + path)
    return r


def pushes_and_clones_find_their_storage():
    for path, names in (("h/a.git", ["s1"]), ("h/b.git", ["s2"])):
        r = repo(path, names)
        oid = r.commit()
        r.push("main")
        check(in_cluster(CLUSTER, path)["refs/heads/main"] == oid, "decided")
        git(CLUSTER.directory, "clone", "-q", ROUTER.url + path, r.work + "-again")
        check(git(r.work + "-again", "rev-parse", "HEAD").strip() == oid, "cloned")


def unknown_repositories_are_not_found():
    status, text = ROUTER.get("h/nothing.git/info/refs?service=git-upload-pack")
    check(status == 404 and "no such" in text, text)
    check(ROUTER.get("h//a.git/info/refs")[0] == 404, "a second spelling")
    check(ROUTER.get("h/%61.git/info/refs")[0] == 404, "another")
    check(ROUTER.get("h/a.git/config")[0] == 404, "what is not git's protocol")


def a_frozen_repository_says_why():
    r = repo("h/f.git", ["s1"])
    r.push("main")
    CLUSTER.cli("repo", "freeze", r.path, "moving house, until noon")
    ROUTER.wait_status(r.path, 403)
    r.commit()
    out = r.push("main", code=128)
    check("moving house, until noon" in out, out)
    git(r.work, "fetch", "-q", "o")
    CLUSTER.cli("repo", "thaw", r.path)
    ROUTER.wait_status(r.path, 200)
    r.push("main")
    CLUSTER.cli("repo", "remove", r.path)
    ROUTER.wait_status(r.path, 404)


def fetches_go_to_replicas_and_a_deposed_primary_is_fenced():
    r = repo("h/m.git", ["s1", "s2"])
    r.push("main")
    r.wait_complete()
    line = "%s ok|%s|" % (r.path, S["s2"].server.url.split("//")[1])
    read = os.path.join(ROUTER.maps, "refkeeper-read.map")
    wait_until(lambda: line in open(read).read(), 30, "the replica has its turn")
    check(line not in open(os.path.join(ROUTER.maps, "refkeeper-write.map")).read(), "no pushes")
    CLUSTER.cli("primary", "set", "s2", r.path)
    wait_until(lambda: line in open(os.path.join(ROUTER.maps, "refkeeper-write.map")).read(), 20,
               "pushes go to the new primary")
    oid = r.commit()
    r.push("main")
    check(S["s2"].refs(r.path)["refs/heads/main"] == oid, "on the new primary")
    r.commit()
    out = git(r.work, "push", S["s1"].server.url + "/" + r.path, "main", code=1)
    check("not the primary" in out, out)
    # An epoch that a client makes up is taken away.
    git(r.work, "-c", "http.extraHeader=X-Git-Epoch: 1", "push", "-q", "o", "main")


def a_storage_that_is_down_is_unavailable():
    r = repo("h/d.git", ["s2"])
    CLUSTER.cli("storage", "set", "s2", "--state", "down")
    ROUTER.wait_status(r.path, 503)
    check("unavailable" in ROUTER.get(r.path + "/info/refs?service=git-upload-pack")[1], "says so")
    CLUSTER.cli("storage", "set", "s2", "--state", "active")
    ROUTER.wait_status(r.path, 200)


def git_daemon_asks_the_cluster():
    r = repo("h/g.git", ["s1", "s2"])
    r.push("main")
    r.wait_complete()
    ports = free_ports(2)
    hook = "'%s' hook daemon-access" % CLI
    daemons = [subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", "--port=%d" % port, "--export-all",
         "--enable=receive-pack", "--informative-errors", "--access-hook=" + hook,
         "--base-path=" + S[name].root, S[name].root], env=ENV, preexec_fn=die_with_parent,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, port in zip(("s1", "s2"), ports)]

    def answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return True
        except OSError:
            return False
    try:
        for port in ports:
            wait_until(lambda: answers(port), 20, "git daemon")
        urls = ["git://127.0.0.1:%d/%s" % (port, r.path) for port in ports]
        for n, url in enumerate(urls):
            git(CLUSTER.directory, "clone", "-q", url, r.work + "-daemon%d" % n)
        r.commit()
        git(r.work, "push", "-q", urls[0], "main")
        out = git(r.work, "push", urls[1], "main:x", code=128)
        check("pushes go to the storage s1" in out, out)
        CLUSTER.cli("repo", "freeze", r.path, "for a reason")
        out = git(r.work, "push", urls[0], "main:x", code=128)
        check("frozen: for a reason" in out, out)
        git(CLUSTER.directory, "ls-remote", urls[0])
        out = git(CLUSTER.directory, "ls-remote", urls[0] + "x", code=128)
        check("no such repository" in out or "not found" in out, out)
        CLUSTER.cli("repo", "thaw", r.path)
        CLUSTER.cli("repo", "remove", r.path)
        out = git(CLUSTER.directory, "ls-remote", urls[0], code=128)
        check("no such repository" in out, out)
    finally:
        for d in daemons:
            d.terminate()
            d.wait(20)


def over_http(node, path):
    url = "http://127.0.0.1:%d%s" % (node.http, path)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers, answer.read().decode()


def the_map_over_http_says_the_same():
    CLUSTER.cli("repo", "create", "h/with space.git", "s1")
    CLUSTER.cli("repo", "create", "h/#n.git", "s1")
    CLUSTER.cli("repo", "freeze", "h/#n.git", "50% done | later")
    node = CLUSTER.wait_leader()
    for op in ("write", "read"):
        file = os.path.join(ROUTER.maps, "refkeeper-%s.map" % op)

        def is_same():
            lines = over_http(node, "/map/haproxy?op=" + op)[1].splitlines()
            with open(file) as f:
                there = sorted(f.read().splitlines())
            # Fetches may go to another replica that is in sync.
            if op == "read":
                lines = [line.split(" ")[0] for line in lines]
                there = [line.split(" ")[0] for line in there]
            return sorted(lines) == there
        wait_until(is_same, 20, op)
    text = over_http(node, "/map/haproxy?op=write&prefix=h/")[1]
    check("h/#n.git frozen|50%25%20done%20%7C%20later\n" in text, text)
    check("space" not in text, "a key has no blank")
    # Page by page.
    pages, after = "", ""
    while True:
        headers, page = over_http(node, "/map/haproxy?op=write&prefix=h/&limit=2&after=" + after)
        pages += page
        check(int(headers["X-Git-Index"]) > 0, "the index")
        after = headers.get("X-Git-Next")
        if after is None:
            break
    check(pages == text, "pages")
    try:
        over_http(node, "/map/haproxy?op=push")
        check(False, "a bad op was taken")
    except urllib.error.HTTPError as e:
        check(e.code == 400, str(e))
    routes = json.loads(over_http(node, "/v1/routes?op=write&prefix=h/%23")[1])
    check([r["state"] for r in routes["routes"]] == ["frozen"], str(routes))
    r = node.resp()
    index, following, maps = r.call("ROUTE.LIST", "WRITE", "PREFIX", "h/", "LIMIT", "1")
    check(int(index) > 0 and following == maps[0][1] and len(maps) == 1, str(maps))
    r.close()


def requests(node, name):
    for line in over_http(node, "/metrics")[1].splitlines():
        if line.startswith("refkeeper_request") and 'request="%s"' % name in line:
            return int(float(line.split()[-1]))
    return 0


def nothing_is_listed_while_nothing_changes():
    maps = os.path.join(CLUSTER.directory, "idle-maps")
    os.makedirs(maps)
    r = CLUSTER.wait_leader().resp()
    for name in ("s8", "s9"):  # they have no agents: nobody knows what they hold
        r.call("STORAGE.SET", name, "HTTP", "10.0.0.1:80")
    for i in range(550):
        r.call("REPO.CREATE", "silent/%d.git" % i, "s8", "REPLICAS", "1", "s9")
    r.close()
    sync = subprocess.Popen([CLI, "--endpoints", CLUSTER.endpoints, "haproxy-sync", "--maps", maps,
                             "--refresh", "200ms"], preexec_fn=die_with_parent)
    try:
        write = os.path.join(maps, "refkeeper-write.map")
        wait_until(lambda: os.path.exists(write), 20, "maps")

        def asked(name):
            return sum(requests(n, name) for n in CLUSTER.nodes)
        ROUTER.sync.send_signal(signal.SIGSTOP)
        before = asked("REPO.LIST"), asked("CLUSTER.STATUS")
        wait_until(lambda: asked("CLUSTER.STATUS") >= before[1] + 5, 20, "five refreshes")
        check(asked("REPO.LIST") == before[0], "lists: %d" % (asked("REPO.LIST") - before[0]))
        stamp = os.stat(write).st_mtime_ns
        wait_until(lambda: asked("CLUSTER.STATUS") >= before[1] + 10, 20, "five more")
        check(os.stat(write).st_mtime_ns == stamp, "no file is written")
        CLUSTER.cli("repo", "create", "h/new.git", "s1")
        wait_until(lambda: "h/new.git" in open(write).read(), 20, "what is new comes by itself")
        check(asked("REPO.LIST") == before[0], "without a list")
    finally:
        ROUTER.sync.send_signal(signal.SIGCONT)
        sync.terminate()
        sync.wait(20)


def a_haproxy_that_restarts_has_what_is_current():
    ROUTER.haproxy.kill()
    ROUTER.haproxy.wait()
    CLUSTER.cli("repo", "create", "h/later.git", "s1")
    wait_until(lambda: "h/later.git" in
               open(os.path.join(ROUTER.maps, "refkeeper-write.map")).read(), 20, "in the file")
    check(ROUTER.sync.poll() is None, "haproxy-sync goes on")


def main():
    global ROUTER
    if HAPROXY is None:
        print("1..0 # SKIP no haproxy here")
        return
    CLUSTER.start()
    try:
        for name in ("s1", "s2"):
            S[name] = Storage(CLUSTER, name)
            S[name].start()
        ROUTER = Router()
        run_tests([pushes_and_clones_find_their_storage, unknown_repositories_are_not_found,
                   a_frozen_repository_says_why,
                   fetches_go_to_replicas_and_a_deposed_primary_is_fenced,
                   a_storage_that_is_down_is_unavailable, git_daemon_asks_the_cluster,
                   the_map_over_http_says_the_same, nothing_is_listed_while_nothing_changes,
                   a_haproxy_that_restarts_has_what_is_current])
    finally:
        if ROUTER is not None:
            ROUTER.close()
        for s in S.values():
            s.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
