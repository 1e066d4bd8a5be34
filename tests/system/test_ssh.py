#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""git over ssh: a forced command at the door takes each session to the repository's primary."""
import os
import shlex
import shutil
import subprocess

from cluster import CLI, Cluster, check, free_ports, run_tests, wait_until
from served import ENV, git

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
CLUSTER = Cluster(3)


class Door:
    """An sshd on a port of its own whose one key runs one command."""

    def __init__(self, directory, name, command):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, mode=0o700)
        self.port, = free_ports(1)
        keys = os.path.join(directory, "key")
        if not os.path.exists(keys):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys], check=True)
        host = os.path.join(self.directory, "host")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host], check=True)
        with open(keys + ".pub") as f:
            key = f.read()
        with open(os.path.join(self.directory, "authorized"), "w") as f:
            f.write('command="%s",restrict %s' % (command.replace('"', '\\"'), key))
        config = os.path.join(self.directory, "config")
        with open(config, "w") as f:
            f.write("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\n"
                    "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
                    "PermitRootLogin forced-commands-only\n"
                    "AcceptEnv GIT_PROTOCOL REFKEEPER_EPOCH\n" % (
                        self.port, host, os.path.join(self.directory, "authorized")))
        os.makedirs("/run/sshd", exist_ok=True)
        self.log = open(os.path.join(self.directory, "log"), "w")
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=self.log)

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


class Site:
    """Two storages and a router, each with its own door."""

    def __init__(self):
        directory = CLUSTER.directory
        self.ssh = os.path.join(directory, "bin", "ssh")
        os.makedirs(os.path.dirname(self.ssh))
        with open(self.ssh, "w") as f:
            f.write("#!/bin/sh\nexec /usr/bin/ssh -F none -i %s -o IdentitiesOnly=yes "
                    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
                    "\"$@\"\n" % os.path.join(directory, "key"))
        os.chmod(self.ssh, 0o755)
        self.roots, self.doors = {}, {}
        path = "PATH=%s:$PATH" % os.path.dirname(self.ssh)
        route = "%s --endpoints %s route --ssh \"$SSH_ORIGINAL_COMMAND\"" % (CLI, CLUSTER.endpoints)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        for name in ("s1", "s2"):
            self.roots[name] = os.path.join(directory, name)
            os.makedirs(self.roots[name])
            self.doors[name] = Door(directory, "door-" + name, "%s %s --local %s --root %s" % (
                path, route, name, shlex.quote(self.roots[name])))
            CLUSTER.cli("storage", "set", name, "--ssh",
                        "%s@127.0.0.1:%d" % (user, self.doors[name].port))
        self.doors["router"] = Door(directory, "door-router", "%s %s" % (path, route))
        self.url = "ssh://%s@127.0.0.1:%d/" % (user, self.doors["router"].port)
        self.env = {"GIT_SSH": self.ssh}
        wait_until(lambda: "only git-" in self.run("true"), 20, "the router's door")

    def run(self, *words):
        """What the router's door says to something that is not git."""
        user, port = self.url[6:-1].split("@")[0], self.doors["router"].port
        run = subprocess.run([self.ssh, "-p", str(port), user + "@127.0.0.1", *words],
                             capture_output=True, text=True, timeout=30, env=ENV)
        return run.stdout + run.stderr

    def create(self, path, storage):
        bare = os.path.join(self.roots[storage], path)
        git(CLUSTER.directory, "init", "-q", "--bare", "-b", "main", bare)
        CLUSTER.cli("repo", "create", path, storage)
        CLUSTER.cli("hook", "install", bare, "--repo", path, "--storage", storage)
        return bare

    def close(self):
        for door in self.doors.values():
            door.close()


SITE = None


def clone(path):
    work = os.path.join(CLUSTER.directory, "work", path)
    git(CLUSTER.directory, "clone", "-q", SITE.url + path, work, env=SITE.env)
    git(work, "checkout", "-q", "-B", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "c")
    return work, git(work, "rev-parse", "HEAD").strip()


def sessions_find_their_storage():
    for path, storage in (("team/a.git", "s1"), ("team/b c.git", "s2"), ("it's/d.git", "s2")):
        bare = SITE.create(path, storage)
        work, oid = clone(path)
        git(work, "push", "-q", "origin", "main", env=SITE.env)
        check(git(bare, "rev-parse", "main").strip() == oid, "on the disk of the primary")
        check(CLUSTER.cli("ref", "get", path, "refs/heads/main", "-o", "value").strip() == oid,
              "in the cluster")


def what_is_not_git_is_refused():
    for words in (("id",), ("git-upload-pack '/team/a.git'; id",), ("git-shell",), (),
                  ("git-upload-pack '/../../etc'",), ("git-upload-pack --help",)):
        out = SITE.run(*words)
        check("refkeeper route: " in out and "uid=" not in out, out)


def refusals_reach_the_user():
    out = git(CLUSTER.directory, "clone", SITE.url + "team/none.git", "x", code=128, env=SITE.env)
    check("no such repository" in out, out)
    work = os.path.join(CLUSTER.directory, "work", "team/a.git")
    CLUSTER.cli("repo", "freeze", "team/a.git", "moving house until noon")
    git(work, "commit", "-q", "--allow-empty", "-m", "c")
    out = git(work, "push", "origin", "main", code=128, env=SITE.env)
    check("moving house until noon" in out, out)
    git(work, "fetch", "-q", "origin", env=SITE.env)
    CLUSTER.cli("repo", "thaw", "team/a.git")
    git(work, "push", "-q", "origin", "main", env=SITE.env)


def main():
    global SITE
    if SSHD is None:
        print("1..0 # SKIP no sshd here")
        return
    CLUSTER.start()
    try:
        SITE = Site()
        run_tests([sessions_find_their_storage, what_is_not_git_is_refused,
                   refusals_reach_the_user])
    finally:
        if SITE is not None:
            SITE.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
