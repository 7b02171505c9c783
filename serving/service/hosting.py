"""Starting a host process, and what there is to say to it; used by the services and by experiments alike."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import time
from multiprocessing.connection import Connection

from sotto.serving.service.host import run_host
from sotto.serving.service.processes import start
from sotto.serving.service.reports import Drain, HostReport, Retire, receive_from_host, send_report
from sotto.serving.service.sessions import ServiceConfig


class HostProcess:
    """A host in a process of its own, which is never forked from this one; its sessions are forked from it.

    ``reports`` is readable when the host has something to say, and at its end.  ``modules`` as in
    :func:`sotto.serving.service.processes.start`.
    """

    def __init__(self, config: ServiceConfig, listener: socket.socket, *, modules: tuple[str, ...] = ()) -> None:
        self.reports: Connection
        self.reports, theirs = multiprocessing.Pipe()
        self.loaded = False
        self._process = start(run_host, config, listener, theirs, name=f"sotto-{config.role}", modules=modules)
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
