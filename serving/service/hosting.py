"""Starting a host process, and what there is to say to it; used by the services and by experiments alike."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
import types
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from sotto.serving.service.host import run_host
from sotto.serving.service.reports import Drain, HostReport, Retire, receive_from_host, send_report
from sotto.serving.service.sessions import ServiceConfig

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def warm_up(modules: Sequence[str]) -> None:
    """Import ``modules`` once in a fork server, from which :class:`HostProcess` then forks what is to be ``warm``.

    The server is a process started afresh: it holds no party's secret and nothing of this process but its environment,
    runs one thread, and draws no random number, so what is forked from it draws its own.  It ends with this process.
    The first call counts; where there is no forking nothing happens.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload(list(modules))
        with one_thread_each(), without_the_script(), _deaf_to_the_terminal():
            forkserver.ensure_running()
        _warm.append(True)


_warm: list[bool] = []


class HostProcess:
    """A host in a process of its own, which is never forked from this one; its sessions are forked from it.

    ``reports`` is readable when the host has something to say, and at its end.  ``warm``: from the server of
    :func:`warm_up`, if there is one.
    """

    def __init__(self, config: ServiceConfig, listener: socket.socket, *, warm: bool = False) -> None:
        context: Any = multiprocessing.get_context("forkserver" if warm and _warm else "spawn")
        self.reports: Connection
        self.reports, theirs = context.Pipe()
        self.loaded = False
        self._process: Any = context.Process(
            target=run_host, args=(config, listener, theirs), name=f"sotto-{config.role}", daemon=True
        )
        with one_thread_each(), without_the_script(), _deaf_to_the_terminal():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def receive(self) -> HostReport:
        """Its next report.  Raises ``EOFError`` when it has ended."""
        try:
            return receive_from_host(self.reports)
        except OSError:
            raise EOFError from None

    def discard_reports(self) -> None:
        """Read what it has said, and forget it: a host whose pipe is full serves nobody."""
        with contextlib.suppress(EOFError):
            while self.reports.poll():
                self.receive()

    def retire(self) -> None:
        """Take nobody new; sessions go on."""
        self._order(Retire())

    def drain(self, seconds: float) -> None:
        """Take nobody new, let sessions finish their queries, end after ``seconds`` at the latest."""
        self._order(Drain(seconds))

    def kill(self) -> None:
        """End a host that does not serve yet."""
        self._process.kill()

    def stop(self, seconds: float = 10.0) -> None:
        """End it now, sessions and all; harmless when it has ended already."""
        self.drain(0.0)
        with contextlib.suppress(OSError):
            self.reports.close()
        if not self._ended_within(seconds):
            self._process.kill()
            self._ended_within(3.0)

    def _ended_within(self, seconds: float) -> bool:
        # Not join(), which waits for everybody who holds the host's pipes: sessions may outlive a host that was killed.
        deadline = time.monotonic() + seconds
        while self._process.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _order(self, order: Retire | Drain) -> None:
        with contextlib.suppress(OSError):
            send_report(self.reports, order)


@contextlib.contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, not even while they load: who started them tells them to end."""
    resource_tracker.ensure_running()  # which would let the signals in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def without_the_script() -> Iterator[None]:
    """Processes started inside do not run the calling script again, which ``multiprocessing`` has them do otherwise.

    Nothing that a party is made from may be defined in that script, then; and a script, or a notebook, may start
    parties outside of an ``if __name__ == "__main__"``.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread each: sessions are what runs side by side, and a fork needs it."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
