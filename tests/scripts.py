"""Scripts as processes, forked from a server that has imported what takes them seconds."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from sotto.serving.service.processes import start

#: What the server has imported.
WARM = (
    "torch",
    "sklearn.svm",
    "hypothesis",
    "sotto.bench.parties.party",
    "sotto.mpc.protocols.semi_honest.session",
    "sotto.mpc.protocols.malicious.session",
    "sotto.mpc.two_party.session",
    "sotto.mpc.crypten.session",
    "sotto.mpc.attacks.parties",
)


class Script:
    """``python FILE …`` in ``folder``, with pipes, which whoever starts it ends; used as ``subprocess.Popen`` is."""

    def __init__(self, file, *arguments, folder="."):
        stdin, our_stdin = multiprocessing.Pipe(duplex=False)
        our_stdout, stdout = multiprocessing.Pipe(duplex=False)
        our_stderr, stderr = multiprocessing.Pipe(duplex=False)
        command = [str(file), *map(str, arguments)]
        self._process = start(
            _run, command, str(folder), stdin, stdout, stderr, name="script", modules=WARM, daemon=False
        )
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(os.dup(end.fileno()), way)
            for end, way in ((our_stdin, "w"), (our_stdout, "r"), (our_stderr, "r"))
        )
        for end in (stdin, our_stdin, our_stdout, stdout, our_stderr, stderr):
            end.close()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def kill(self):
        self._process.kill()

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("script", timeout)
        for end in (self.stdin, self.stdout, self.stderr):
            end.close()

    def communicate(self, timeout):
        """Close its standard input, wait for its end, and return what it said, on standard output and error."""
        self.stdin.close()
        with ThreadPoolExecutor(2) as readers:
            said = [readers.submit(end.read) for end in (self.stdout, self.stderr)]
            self._process.join(timeout)
            if self.returncode is None:
                self.kill()
                raise subprocess.TimeoutExpired("script", timeout)
        return tuple(each.result() for each in said)


def _run(command, folder, *ends):
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    os.chdir(folder)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
