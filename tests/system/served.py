# SPDX-License-Identifier: Apache-2.0
"""A bare repository under a cluster's decision, and a clone to push from."""
import os
import shutil
import subprocess
import tempfile

from cluster import CLI, check

REPO = "group/project.git"
ENV = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b", "REMOTE_USER": "jane doe"}


def git(directory, *words, code=0, stdin=None, env=None):
    """Its output, both streams; fails on another exit code (None = any)."""
    run = subprocess.run(["git", "-C", directory, *words], capture_output=True, text=True,
                         input=stdin, timeout=120, env={**ENV, **(env or {})})
    check(code is None or run.returncode == code, "git %s: exit %d\n%s%s" % (
        " ".join(words), run.returncode, run.stdout, run.stderr))
    return run.stdout + run.stderr


def hooks_with_openssl(directory, *words):
    """Runs git; of the refkeeper it started, how many there were and how many loaded OpenSSL."""
    folder = tempfile.mkdtemp(prefix="refkeeper-loaded-")
    git(directory, *words, env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": os.path.join(folder, "of")})
    texts = []
    for name in os.listdir(folder):  # of.PID, as the dynamic linker tells what it does
        with open(os.path.join(folder, name), errors="replace") as f:
            texts.append(f.read())
    shutil.rmtree(folder)
    ours = [text for text in texts if "initialize program: " + CLI in text]
    return len(ours), len([text for text in ours if "libcrypto" in text])


class Place:
    """A cluster, a bare repository under it, and a clone to push from."""

    number = 0

    def __init__(self, cluster, init=()):
        Place.number += 1
        self.cluster = cluster
        self.path = "%d/%s" % (Place.number, REPO)
        self.directory = tempfile.mkdtemp(prefix="refkeeper-hook-")
        self.served = os.path.join(self.directory, "served.git")
        self.work = os.path.join(self.directory, "work")
        git(self.directory, "init", "-q", "--bare", *init, self.served)
        git(self.directory, "init", "-q", "-b", "main", *init, self.work)
        git(self.work, "remote", "add", "o", self.served)
        cluster.cli("storage", "set", "s1", "--http", "http://s1")
        cluster.cli("repo", "create", self.path, "s1")
        cluster.cli("hook", "install", self.served, "--repo", self.path, "--storage", "s1")
        self.commit()

    def commit(self):
        git(self.work, "commit", "-q", "--allow-empty", "-m", "c")
        return git(self.work, "rev-parse", "HEAD").strip()

    def push(self, *words, code=0):
        return git(self.work, "push", *words, code=code)

    def in_cluster(self):
        out = self.cluster.cli("ref", "list", self.path, "-o", "value")
        return {name: oid for oid, name in (line.split("\t") for line in out.splitlines())}

    def on_disk(self):
        out = git(self.served, "for-each-ref", "--format=%(objectname) %(refname)")
        return {name: oid for oid, name in (line.split(" ") for line in out.splitlines())}

    def check_equal(self):
        cluster, disk = self.in_cluster(), self.on_disk()
        check(cluster == disk, "cluster %s\ndisk %s" % (cluster, disk))
        self.cluster.cli("verify", self.path, self.served)
        return disk

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)
