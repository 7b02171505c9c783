"""A service: it listens, keeps a host running, replaces it on SIGHUP, ends in order on SIGTERM, counts and writes down.

It reads nothing that a client sent.  A new model is loaded beside the old one: the new host takes new clients once it
serves, the old one ends with its last session; if the new model cannot be loaded, the old one stays.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

from sotto.link import Coded, LinkError, listen
from sotto.serving.certificates.keys import server_tls
from sotto.serving.service.hosting import HostProcess
from sotto.serving.service.monitoring.counters import Counters
from sotto.serving.service.monitoring.journal import Journal
from sotto.serving.service.reports import Closed, HostFailed, Loaded, Opened, Progress, Queue, TurnedAway
from sotto.serving.service.sessions import Address, ServiceConfig

_BIND_SECONDS = 3.0  # a service that was just killed may hold its port for a moment
_LONGEST_PAUSE = 30.0


class ServiceFailed(Coded, RuntimeError):
    """The service could not start; one line says why."""


class Supervisor:
    """One service.  ``announce`` is called with its address once clients are served."""

    def __init__(
        self,
        config: ServiceConfig,
        address: Address,
        *,
        journal: Journal,
        counters: Counters,
        announce: Callable[[Address], None] = lambda _: None,
    ) -> None:
        self._orders = config
        self._address = address
        self._journal = journal
        self._counters = counters
        self._announce = announce
        self._current: HostProcess | None = None
        self._coming: HostProcess | None = None
        self._leaving: list[HostProcess] = []
        self._signals: list[int] = []
        self._running: dict[HostProcess, int] = {}
        self._ending = 0  # how often the service was asked to end
        self._restart_at: float | None = None
        self._pause = 1.0

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C, and then until every session is over.

        Raises :class:`ServiceFailed` or :class:`sotto.link.LinkError` when it cannot start.
        """
        self._listener = self._bind()
        ours, theirs = socket.socketpair()
        for side in (ours, theirs):
            side.setblocking(False)
        before = {number: signal.signal(number, self._note_signal) for number in _SIGNALS}
        old_wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            self._coming = HostProcess(self._orders, self._listener)
            while self._hosts() or (self._restart_at is not None and not self._ending):
                self._turn(ours)
        finally:
            self._counters.set("up", 0)
            signal.set_wakeup_fd(old_wakeup)
            for host in self._hosts():
                host.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            for sock in (ours, theirs, self._listener):
                sock.close()
        self._journal.note("service.ended")

    def _turn(self, ours: socket.socket) -> None:
        hosts = {host.reports: host for host in self._hosts()}
        for ready in wait([*hosts, ours], timeout=0.5 if self._restart_at else None):
            if ready is ours:
                with contextlib.suppress(BlockingIOError):
                    ours.recv(4096)
            else:
                self._hear(hosts[ready])  # type: ignore[index]
        while self._signals:
            self._obey(self._signals.pop(0))
        if self._restart_at is not None and time.monotonic() >= self._restart_at and not self._ending:
            self._restart_at = None
            self._counters.add("host_restarts_total")
            self._coming = self._coming or HostProcess(self._orders, self._listener)

    def _hosts(self) -> list[HostProcess]:
        return [host for host in (self._current, self._coming, *self._leaving) if host]

    def _bind(self) -> socket.socket:
        tls = server_tls(self._orders.keys)  # wrong keys are told before anything is loaded
        deadline = time.monotonic() + _BIND_SECONDS
        while True:
            try:
                return listen(*self._address, tls=tls).detach()
            except LinkError as error:
                if time.monotonic() > deadline or "in use" not in str(error):
                    raise
                time.sleep(0.1)

    # -- what hosts say -----------------------------------------------------------------------------------------

    def _hear(self, host: HostProcess) -> None:
        try:
            report = host.receive()
        except EOFError:
            self._bury(host)
            return
        counters = self._counters
        match report:
            case Loaded() if self._ending:
                pass  # it said so before it was told to end: the listener is closed already
            case Loaded():
                self._take_over(host, report)
            case HostFailed():
                self._fail(host, report)
            case Progress():
                counters.queries(report.milliseconds, report.sent, report.received)
            case Queue() if host is self._current:
                counters.set("connections_arriving", report.arriving)
                counters.set("clients_waiting", report.waiting)
            case Opened():
                counters.add("sessions_opened_total")
                self._running[host] = report.running
                self._journal.note(
                    "session.opened", session=report.number, client=report.client, running=report.running,
                    waited_ms=report.waited_ms,
                )  # fmt: skip
            case Closed():
                counters.add("sessions_failed_total" if report.reason else "sessions_closed_total")
                self._running[host] = report.running
                self._journal.note(
                    "session.closed", level="warning" if report.reason else "info", session=report.number,
                    **{field: getattr(report, field) for field in _CLOSED}, reason=report.reason or "done",
                )  # fmt: skip
            case TurnedAway():
                counters.add("clients_refused_total")
                self._journal.note("client.refused", level="warning", client=report.client, reason=report.reason)
        counters.set("sessions_running", sum(self._running.values()))

    def _take_over(self, host: HostProcess, report: Loaded) -> None:
        host.loaded = True
        self._coming = None
        old, self._current = self._current, host
        self._pause = 1.0
        self._counters.set("up", 0 if self._ending else 1)
        if old:
            self._leaving.append(old)
            old.retire()
            self._counters.add("reloads_total")
        where = self._listener.getsockname()
        known = {"paradigm": report.paradigm, "mode": report.mode, "terms": report.terms}
        facts: dict[str, Any] = {key: value for key, value in known.items() if value}
        self._journal.note(
            "model.reloaded" if old else "service.serving",
            address=f"{where[0]}:{where[1]}", tls=self._orders.keys is not None,
            **facts,
        )  # fmt: skip
        if not old:
            self._announce((where[0], where[1]))

    def _fail(self, host: HostProcess, report: HostFailed) -> None:
        if host is self._coming and self._current is None and not self._counters.get("host_restarts_total"):
            self._coming = None
            host.stop()
            failure = ServiceFailed("start-failed", report.reason)
            failure.add_note(report.trace)
            raise failure
        self._journal.note("model.not_loaded", level="error", reason=report.reason)

    def _bury(self, host: HostProcess) -> None:
        """A host has ended."""
        host.stop()
        self._running.pop(host, None)
        self._counters.set("sessions_running", sum(self._running.values()))
        if host in self._leaving:
            self._leaving.remove(host)
        elif host is self._coming:
            self._coming = None
            if self._current:
                self._counters.add("reloads_failed_total")
                self._journal.note("reload.failed", level="error", reason="the model that was loaded before stays")
            elif not self._ending:
                if not self._counters.get("host_restarts_total"):
                    raise ServiceFailed(
                        "host-ended", f"the host process ended with code {host.exit_code} before it could serve"
                    )
                self._restart_later()
        else:
            self._current = None
            for gauge in ("up", "connections_arriving", "clients_waiting"):
                self._counters.set(gauge, 0)
            if not self._ending:
                self._journal.note("host.died", level="error", code=host.exit_code or 0)
                self._restart_later()

    def _restart_later(self) -> None:
        self._restart_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    # -- signals ------------------------------------------------------------------------------------------------

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
            return
        self._ending += 1
        self._counters.set("up", 0)
        seconds = self._orders.limits.drain_seconds if self._ending == 1 else 0.0
        self._journal.note("service.draining", seconds=seconds)
        self._listener.close()  # nobody shall wait for an answer that will not come
        for host in self._hosts():
            if host is self._coming:
                host.kill()
            else:
                host.drain(seconds)

    def _reload(self) -> None:
        if self._ending:
            return
        if self._coming:
            self._journal.note("reload.refused", level="warning", reason="a model is being loaded already")
            return
        self._journal.note("reload.began")
        self._coming = HostProcess(self._orders, self._listener)


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CLOSED = ("client", "queries", "seconds", "code", "running", "sent", "received")
