# SPDX-License-Identifier: Apache-2.0
"""A disk that can stop, fail or lose its power, under a real file system of this kernel.

    file <- nbdkit <- nbdfuse <- loop device <- ext4 or xfs

nbdkit stopped by SIGSTOP is a power cut in the making: what the file holds then is what a disk
would hold.  The mounts live in a mount namespace of this process.
"""
import os
import shutil
import signal
import subprocess
import tempfile

from cluster import check, die_with_parent, wait_until
from torture import Skip

SIZE = 320 << 20  # xfs takes nothing smaller than 300 MiB
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


def require(kind=None):
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        raise Skip("needs /dev/fuse and loop devices")
    for program in ["nbdkit", "nbdfuse", "losetup"] + ([MAKE[kind][0]] if kind else []):
        if shutil.which(program) is None:
            raise Skip("needs " + program)


def loop_attach(path):
    run = subprocess.run(["losetup", "-f", "--show", path], capture_output=True, text=True)
    if run.returncode != 0:
        raise Skip("no loop device: " + run.stderr.strip())
    return run.stdout.strip()


def mount(device, at, options=()):
    run = subprocess.run(["mount", *options, device, at], capture_output=True, text=True)
    if run.returncode != 0:
        subprocess.run(["losetup", "-d", device])
        raise Skip("cannot mount: " + run.stderr.strip())


class Copy:
    """A copy of a disk's file, mounted: what is found there after the power came back."""

    def __init__(self, directory, file, kind):
        self.kind = kind
        self.path = os.path.join(directory, "copy.img")
        subprocess.run(["cp", "--sparse=always", file, self.path], check=True)
        self.device = None
        self.mountpoint = os.path.join(directory, "copy")

    def mount(self):
        os.makedirs(self.mountpoint, exist_ok=True)
        device = loop_attach(self.path)
        mount(device, self.mountpoint, ("-o", "nouuid") if self.kind == "xfs" else ())
        self.device = device

    def close(self):
        if self.device is not None:
            subprocess.run(["umount", self.mountpoint], check=True)
            subprocess.run(["losetup", "-d", self.device], check=True)
        os.unlink(self.path)


class Disk:
    def __init__(self, kind, can_fail=False):
        require(kind)
        self.kind = kind
        self.directory = tempfile.mkdtemp(prefix="refkeeper-disk-")
        self.file = os.path.join(self.directory, "disk.img")
        self.trigger = os.path.join(self.directory, "fails")
        self.mountpoint = os.path.join(self.directory, "mnt")
        self.nbd = os.path.join(self.directory, "nbd")
        self.processes = []
        self.device = None
        self.is_mounted = False
        try:
            self.start(can_fail)
        except BaseException:
            self.close()
            raise

    def start(self, can_fail):
        with open(self.file, "wb") as f:
            f.truncate(SIZE)
        os.mkdir(self.mountpoint)
        os.mkdir(self.nbd)
        socket = os.path.join(self.directory, "socket")
        filters = ["--filter=error"] if can_fail else []
        settings = ["error=EIO", "error-pwrite-rate=100%", "error-file=" + self.trigger]
        self.server = self.spawn(["nbdkit", "-f", "-U", socket, *filters, "file", self.file,
                                  *(settings if can_fail else [])])
        wait_until(lambda: os.path.exists(socket), 10, "nbdkit listens")
        self.spawn(["nbdfuse", self.nbd, "--unix", socket])
        wait_until(lambda: os.path.exists(os.path.join(self.nbd, "nbd")), 10, "nbdfuse is there")
        self.device = loop_attach(os.path.join(self.nbd, "nbd"))
        subprocess.run([*MAKE[self.kind], self.device], check=True, capture_output=True)
        self.mount()

    def spawn(self, command):
        with open(os.path.join(self.directory, "log"), "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def mount(self):
        mount(self.device, self.mountpoint)
        self.is_mounted = True

    def unmount(self):
        subprocess.run(["umount", self.mountpoint], check=True)
        self.is_mounted = False

    def stop(self):
        """Nothing reaches the disk any more, and nothing is answered."""
        os.kill(self.server.pid, signal.SIGSTOP)
        stat = "/proc/%d/stat" % self.server.pid

        def is_stopped():
            with open(stat) as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "T"
        wait_until(is_stopped, 5, "nbdkit has stopped")

    def go_on(self):
        os.kill(self.server.pid, signal.SIGCONT)

    def fail(self):
        """Each write fails from now on."""
        open(self.trigger, "w").close()

    def heal(self):
        os.unlink(self.trigger)

    def copy(self):
        return Copy(self.directory, self.file, self.kind)

    def close(self):
        if self.processes:
            self.go_on()
        if self.is_mounted:
            subprocess.run(["umount", self.mountpoint])
        if self.device is not None:
            subprocess.run(["losetup", "-d", self.device])
        if len(self.processes) > 1:
            subprocess.run(["fusermount3", "-u", self.nbd], capture_output=True)
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        check(not os.path.ismount(self.mountpoint), "still mounted: " + self.mountpoint)
        shutil.rmtree(self.directory, ignore_errors=True)
