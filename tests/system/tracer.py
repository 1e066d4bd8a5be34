# SPDX-License-Identifier: Apache-2.0
"""strace on a process that runs already, and goes on when it is let go."""
import shutil
import subprocess

from cluster import check, die_with_parent


class Tracer:
    def __init__(self, pid, *options):
        self.process = subprocess.Popen(["strace", "-f", *options, "-p", str(pid)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        line = self.process.stderr.readline()
        check(b" attached" in line, line)

    @staticmethod
    def is_there():
        return shutil.which("strace") is not None

    def let_go(self):
        """Kills strace: the kernel lets its processes go.  Asked to end it would first wait until
        each of them stops, and one inside vfork does not until its child has gone on, which strace
        holds."""
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
