# SPDX-License-Identifier: Apache-2.0
"""A whole site of real programs: refkeeperd nodes, git storages, an nginx router.

Each storage is nginx, fcgiwrap and git http-backend with conf/nginx/refkeeper-storage.conf, and
an agent; all of it dies at once.  The router is nginx with conf/nginx/refkeeper-router.conf.  Who
pushes says so in a header, X-Git-User.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

from cluster import CLI, Cluster, check, die_with_parent, free_ports, wait_until
from served import ENV, git

ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours, see Program.kill

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf")
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin"
NGINX = shutil.which("nginx", path=PATH)
FCGIWRAP = shutil.which("fcgiwrap", path=PATH)


def is_possible():
    return NGINX is not None and FCGIWRAP is not None


def write_nginx(directory, server, upstream=""):
    """A whole configuration around the text of a server block; its path."""
    config = os.path.join(directory, "nginx.conf")
    with open(config, "w") as f:
        f.write("""
%(user)s daemon off; pid %(dir)s/pid; error_log %(dir)s/error.log; worker_processes 1;
events { worker_connections 512; }
http {
    access_log off; client_body_temp_path %(dir)s/body; proxy_temp_path %(dir)s/proxy;
    fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
    %(upstream)s
    server { %(server)s }
}
""" % {"user": "user root;" if os.getuid() == 0 else "", "dir": directory, "server": server,
            "upstream": upstream})
    return config


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


class Program:
    """Some processes in groups of their own; each dies with the test."""

    def __init__(self, directory):
        self.directory = directory
        self.groups = []

    def run(self, name, words, env=None):
        with open(os.path.join(self.directory, name + ".log"), "ab") as log:
            self.groups.append(subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
                start_new_session=True, env={**ENV, **(env or {})}))

    def kill(self, sig=signal.SIGKILL):
        for process in self.groups:
            try:
                os.killpg(process.pid, sig)
            except ProcessLookupError:
                pass
        for process in self.groups:
            process.wait(20)
            try:  # what its children started is ours now
                while True:
                    os.waitpid(-process.pid, 0)
            except ChildProcessError:
                pass
        self.groups = []


class Storage(Program):
    def __init__(self, cluster, name):
        super().__init__(os.path.join(cluster.directory, "storage-" + name))
        self.cluster, self.name = cluster, name
        self.root = os.path.join(self.directory, "git")
        os.makedirs(self.root)
        self.port, = free_ports(1)
        self.address = "127.0.0.1:%d" % self.port
        self.url = "http://%s/" % self.address
        cluster.cli("storage", "set", name, "--http", self.address)

    def start(self):
        socket = os.path.join(self.directory, "socket")
        if os.path.exists(socket):
            os.unlink(socket)
        config = write_nginx(self.directory, """
            listen %s; set $git_root %s; set $git_socket unix:%s; set $git_user $http_x_git_user;
            include %s;""" % (self.address, self.root, socket,
                              os.path.join(CONF, "nginx", "refkeeper-storage.conf")))
        self.run("cgi", [FCGIWRAP, "-f", "-c", "12", "-s", "unix:" + socket])
        self.run("nginx", [NGINX, "-p", self.directory, "-c", config])
        self.run("agent", [CLI, "--endpoints", self.cluster.endpoints, "agent", "--storage",
                           self.name, "--root", self.root, "--init"])
        wait_until(lambda: answers(self.url + "-alive") and os.path.exists(socket), 20, self.name)

    def remove_locks(self):
        """What a git that was killed leaves behind.  Nothing of this storage runs now."""
        check(not self.groups, "the storage runs")
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.endswith(".lock"):
                    os.unlink(os.path.join(folder, name))

    def place(self, path):
        return os.path.join(self.root, path)

    def refs(self, path):
        out = git(self.place(path), "for-each-ref", "--format=%(objectname) %(refname)")
        pairs = (line.split(" ") for line in out.splitlines())
        return {name: oid for oid, name in pairs if not name.startswith("refs/refkeeper/")}


class Site:
    def __init__(self, storages=("s1", "s2", "s3"), options=("--insecure-peer",)):
        self.cluster = Cluster(3, options=options)
        self.cluster.start()
        self.storages = {name: Storage(self.cluster, name) for name in storages}
        for s in self.storages.values():
            s.start()
        directory = os.path.join(self.cluster.directory, "router")
        os.makedirs(directory)
        self.router = Program(directory)
        port, = free_ports(1)
        self.url = "http://127.0.0.1:%d/" % port
        nodes = " ".join("server 127.0.0.1:%d max_fails=1 fail_timeout=1s;" % n.http
                         for n in self.cluster.nodes)
        config = write_nginx(directory, "listen 127.0.0.1:%d; include %s;" % (
            port, os.path.join(CONF, "nginx", "refkeeper-router.conf")),
                             "upstream refkeeper { %s keepalive 16; }" % nodes)
        self.router.run("nginx", [NGINX, "-p", directory, "-c", config])
        wait_until(lambda: answers(self.url), 20, "the router")

    def create(self, path, primary, replicas=(), head="refs/heads/main"):
        """A bare repository on each, decided by the cluster."""
        self.cluster.cli("repo", "create", path, primary, "--head", head,
                         *(["--replicas", ",".join(replicas)] if replicas else []))
        for name in (primary, *replicas):
            place = self.storages[name].place(path)
            git(self.cluster.directory, "init", "-q", "--bare", "-b",
                head.removeprefix("refs/heads/"), place)
            git(place, "config", "http.receivepack", "true")
            self.cluster.cli("hook", "install", place, "--repo", path, "--storage", name)

    def refs(self, path):
        out = self.cluster.cli("ref", "list", path, "-o", "value")
        return {name: oid for oid, name in (line.split("\t") for line in out.splitlines())}

    def show(self, path):
        reply = self.cluster.wait_leader().resp().call("REPO.SHOW", path)
        return dict(zip(reply[::2], reply[1::2]))

    def primary(self, path):
        return self.storages[self.show(path)["primary"]]

    def replicate(self, path):
        """Every storage of it holds what the cluster decided, ref by ref; returns that."""
        wanted = self.refs(path)
        show = self.show(path)
        copies = [self.storages[name] for name in show["replicas"]]

        def are_equal():
            return all(s.refs(path) == wanted for s in copies)
        wait_until(are_equal, 60, "%s is the same on all its storages: %s" % (path, show))
        for s in copies:
            self.cluster.cli("verify", path, s.place(path))
        return wanted

    def close(self):
        for program in (self.router, *self.storages.values()):
            program.kill()
        self.cluster.close()
