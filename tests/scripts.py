"""Scripts as processes, forked from the server that has imported what takes seconds (tests/conftest.py)."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from sotto.serving.service.hosting import one_thread_each, without_the_script


class Script:
    """``python FILE …`` in ``folder``, with pipes, which whoever starts it ends; used as ``subprocess.Popen`` is."""

    def __init__(self, file, *arguments, folder="."):
        server = multiprocessing.get_context("forkserver")
        stdin, our_stdin = server.Pipe(duplex=False)
        our_stdout, stdout = server.Pipe(duplex=False)
        our_stderr, stderr = server.Pipe(duplex=False)
        command = [str(file), *map(str, arguments)]
        self._process = server.Process(target=_run, args=(command, str(folder), stdin, stdout, stderr))
        with one_thread_each(), without_the_script():
            self._process.start()
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
