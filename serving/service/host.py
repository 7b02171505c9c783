"""The host: one process that holds what is served and forks a process for every session.

It reads the first message of every client, brings pairs together at the dealer, counts, and refuses.  It has one
thread of Python and never waits for anybody, so that a fork copies no lock that somebody holds; threads that libraries
keep for their allocators take care of forks themselves.  What is secret to a session is drawn in the session's process,
after the fork.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import time
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from tqdm import tqdm

from sotto.link import LinkError
from sotto.serving.certificates.keys import server_tls
from sotto.serving.handshake import Refused
from sotto.serving.service import reports
from sotto.serving.service.admission import Admission, partner
from sotto.serving.service.arrivals import Arrival, Disconnected
from sotto.serving.service.reports import read_reports, receive_order, send_report
from sotto.serving.service.sessions import ServiceConfig, reason_of, run_session
from sotto.serving.terms import Terms

_TICK = 0.25  # seconds between two looks at deadlines
_KILL_AFTER = 2.0  # seconds between asking a session to end and ending it


def run_host(config: ServiceConfig, listener: socket.socket, control: Connection) -> None:
    """Entry point of the host's process."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # who started the host decides, and tells it through ``control``
    tqdm.monitor_interval = 0  # a progress bar while loading would leave a thread, and its lock, to the forks
    try:
        host = _Host(config, listener, control)
    except BaseException as error:
        with contextlib.suppress(OSError):
            send_report(control, reports.HostFailed(_known(error), traceback.format_exc()))
        raise SystemExit(1) from None
    host.serve()


def _known(error: BaseException) -> str:
    said = reason_of(error)
    return said if not said.startswith("internal") else f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


@dataclass
class _Running:
    """A session's process, as its host sees it."""

    number: int
    client: tuple[str, ...]
    pid: int
    pipe: int
    began: float
    buffer: bytearray = field(default_factory=bytearray)
    queries: int = 0
    sent: int = 0
    received: int = 0
    reason: str | None = None


class _Host:
    def __init__(self, config: ServiceConfig, listener: socket.socket, control: Connection) -> None:
        self._orders = config
        self._limits = config.limits
        self._control = control
        self._listener = listener
        self._tls = server_tls(config.keys)
        self._hosted: Any = config.load()
        self._selector = selectors.DefaultSelector()
        self._arrivals: set[Arrival] = set()
        self._waiting: deque[Arrival] = deque()
        self._running: dict[int, _Running] = {}
        self._by_client: Counter[str] = Counter()
        self._admission = Admission(config, self._hosted)
        self._numbers = 0
        self._queue = (0, 0)
        self._retired = False  # nobody new; who is here stays as long as it likes
        self._drain_until: float | None = None  # nobody new, and who is here has to go by then
        self._asked = False
        self._terminated = False
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(control, selectors.EVENT_READ, self._obey)
        gc.collect()
        gc.freeze()  # what is loaded stays shared with the sessions
        terms: Terms | None = getattr(self._hosted, "terms", None)
        self._tell(reports.Loaded(*((terms.paradigm, terms.mode, terms.fingerprint) if terms else ("mpc", "", ""))))

    def serve(self) -> None:
        """Until the service is drained and every session is over."""
        signal.signal(signal.SIGTERM, self._terminate)
        while not self._retired or self._running or self._arrivals or self._waiting:
            for key, _ in self._selector.select(_TICK):
                key.data(key.fileobj)
            self._look_at_deadlines()
            queue = (len(self._arrivals), len(self._waiting))
            if queue != self._queue:
                self._queue = queue
                self._tell(reports.Queue(*queue))

    # -- clients ------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        if len(self._arrivals) >= self._limits.arrivals:
            sock.close()
            self._tell(reports.TurnedAway("", f"{self._limits.arrivals} connections arrive already"))
            return
        try:
            arrival = Arrival(sock, self._tls, self._limits.arrival_seconds, self._orders.shape.shaped)
        except OSError:
            sock.close()
            return
        self._arrivals.add(arrival)
        self._selector.register(arrival.sock, selectors.EVENT_READ, lambda _: self._step(arrival))
        self._step(arrival)

    def _step(self, arrival: Arrival) -> None:
        """Go on with a connection that has not said what it wants."""
        try:
            events = arrival.step()
            if events is not None:
                self._selector.modify(arrival.sock, events, lambda _: self._step(arrival))
                return
            self._admit(arrival)
        except Disconnected:
            self._drop(arrival)
        except LinkError as error:
            self._refuse(arrival, str(error))
        except Exception as error:  # a client must not end the service, whatever it sends
            self._refuse(arrival, reason_of(error))

    def _admit(self, arrival: Arrival) -> None:
        """The hello is there: check it and start, or let it wait.  Raises :class:`sotto.link.LinkError` to refuse."""
        hello = arrival.hello
        if hello is None:
            return
        self._admission.check(arrival, hello, self._waiting)
        self._arrivals.discard(arrival)
        arrival.deadline = time.monotonic() + self._limits.wait_seconds
        self._selector.modify(arrival.sock, selectors.EVENT_READ, lambda _: self._spoke(arrival))
        self._waiting.append(arrival)
        self._start_waiting()
        if arrival in self._waiting and len(self._waiting) > self._limits.waiting:
            raise Refused("all-taken", f"all places of this {self._orders.role} are taken: try again later")

    def _start_waiting(self) -> None:
        """Begin the sessions of those who wait and for whom there is a place."""
        for arrival in list(self._waiting):
            if len(self._running) >= self._limits.sessions:
                return
            if arrival not in self._waiting or self._has_its_share(arrival):
                continue
            if self._orders.role == "bob":
                self._start({"alice": arrival})
                continue
            other = partner(arrival, self._waiting)
            if other and arrival.hello and other.hello and not self._has_its_share(other):
                self._start({arrival.hello.role: arrival, other.hello.role: other})

    def _has_its_share(self, arrival: Arrival) -> bool:
        return self._by_client[arrival.client] >= self._limits.per_client

    def _start(self, clients: dict[str, Arrival]) -> None:
        try:
            self._fork(clients)
        except OSError as error:
            reason = f"the {self._orders.role} cannot start a session ({error.strerror}): try again later"
            for arrival in clients.values():
                self._refuse(arrival, reason)

    def _spoke(self, arrival: Arrival) -> None:
        """A client that waits has nothing to say; most likely it has left."""
        if arrival.gone():
            self._drop(arrival)

    def _refuse(self, arrival: Arrival, reason: str) -> None:
        self._forget(arrival)
        arrival.refuse(reason)
        client = str(arrival.identity) if arrival.identity else "unknown"
        self._tell(reports.TurnedAway(client, reason))

    def _drop(self, arrival: Arrival) -> None:
        self._forget(arrival)
        arrival.close()

    def _forget(self, arrival: Arrival) -> None:
        self._arrivals.discard(arrival)
        with contextlib.suppress(ValueError):
            self._waiting.remove(arrival)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(arrival.sock)

    # -- sessions -----------------------------------------------------------------------------------------------

    def _fork(self, clients: dict[str, Arrival]) -> None:
        """A session for clients that wait.  Raises ``OSError`` when the system has no room for it; they wait still."""
        hosted = self._hosted
        if self._orders.role == "dealer" and not self._admission.may_take_stock(clients["alice"].client):
            hosted = hosted.fresh()
        reading, writing = os.pipe()
        # The session must not miss it when it is asked to end before it can listen; run_session lets the signal in.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            os.close(reading)
            os.close(writing)
            raise
        if pid == 0:
            self._become_session(clients, hosted, reading, writing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(writing)
        os.set_blocking(reading, False)
        now, names = time.monotonic(), tuple(arrival.client for arrival in clients.values())
        for arrival in clients.values():
            self._drop(arrival)
        self._numbers += 1
        running = _Running(self._numbers, names, pid, reading, now)
        self._running[reading] = running
        self._by_client.update(set(names))
        self._selector.register(reading, selectors.EVENT_READ, lambda _: self._hear(running))
        waited = (now - min(arrival.began for arrival in clients.values())) * 1e3
        self._tell(reports.Opened(running.number, ", ".join(names), pid, len(self._running), waited))

    def _become_session(self, clients: dict[str, Arrival], hosted: Any, reading: int, writing: int) -> None:
        """In the child: let go of everything that is not this session's, then serve it; never returns."""
        try:
            os.close(reading)
            kept = {arrival.sock.fileno() for arrival in clients.values()}
            others = [key.fd for key in self._selector.get_map().values()]
            self._selector.close()
            for handle in others:
                if handle not in kept:
                    os.close(handle)
            os.set_blocking(writing, False)
            seconds, shape = self._limits.message_seconds, self._orders.shape
            links = {role: each.link(timeout=seconds, shape=shape, peer=role) for role, each in clients.items()}
            hello = clients["bob" if self._orders.role == "dealer" else "alice"].hello
            if hello is not None:
                run_session(self._orders, hosted, links, hello, writing)
        finally:
            os._exit(70)

    def _hear(self, running: _Running) -> None:
        told, open_still = read_reports(running.pipe, running.buffer)
        for report in told:
            self._note(running, report)
        if not open_still:
            self._bury(running)

    def _note(self, running: _Running, report: reports.SessionReport) -> None:
        running.sent += report.sent
        running.received += report.received
        if isinstance(report, reports.Answered):
            running.queries += len(report.milliseconds)
            if self._orders.progress:
                self._tell(reports.Progress(running.number, report.milliseconds, report.sent, report.received))
        elif isinstance(report, reports.Ended):
            running.reason = report.reason

    def _bury(self, running: _Running) -> None:
        """The session's process is ending or has ended: its pipe is closed."""
        self._selector.unregister(running.pipe)
        os.close(running.pipe)
        del self._running[running.pipe]
        self._by_client.subtract(set(running.client))
        self._by_client += Counter()  # drops the zeros
        _, status = os.waitpid(running.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        reason = running.reason
        if reason is None:
            reason = f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"
            if self._orders.probe:
                self._orders.probe.died(code)
        self._tell(
            reports.Closed(
                number=running.number,
                client=", ".join(running.client),
                queries=running.queries,
                seconds=time.monotonic() - running.began,
                reason=reason,
                code=code,
                running=len(self._running),
                sent=running.sent,
                received=running.received,
            )
        )
        self._start_waiting()

    # -- time, and who started the host -------------------------------------------------------------------------

    def _look_at_deadlines(self) -> None:
        now = time.monotonic()
        if self._terminated and self._drain_until is None:
            self._drain(reports.Drain(self._limits.drain_seconds))
        for arrival in [each for each in self._arrivals if each.deadline < now]:
            self._refuse(arrival, f"nothing was said for {self._limits.arrival_seconds:g} s: connect again")
        for arrival in [each for each in self._waiting if each.deadline < now]:
            self._refuse(arrival, self._admission.why_it_waited(arrival, len(self._running)))
        if self._drain_until is not None and now > self._drain_until:
            self._end_sessions(now)

    def _end_sessions(self, now: float) -> None:
        """Time is up: ask once more, then stop asking."""
        if self._drain_until is not None and now > self._drain_until + _KILL_AFTER:
            self._signal(signal.SIGKILL)
        elif not self._asked:
            self._asked = True
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for running in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, number)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def _obey(self, control: Connection) -> None:
        try:
            order = receive_order(control)
        except (EOFError, OSError):
            order = reports.Drain(0.0)  # whoever started the host is gone
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(control)
        self._drain(order)

    def _drain(self, order: reports.Retire | reports.Drain) -> None:
        if not self._retired:
            self._retired = True
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self._listener)
            self._listener.close()
        if isinstance(order, reports.Retire):
            return
        first, until = self._drain_until is None, time.monotonic() + order.seconds
        self._drain_until = until if self._drain_until is None else min(until, self._drain_until)
        if first:
            for arrival in [*self._arrivals, *self._waiting]:
                self._refuse(arrival, f"the {self._orders.role} is shutting down: connect again later")
            if self._orders.role == "bob":
                self._signal(signal.SIGTERM)  # each finishes its query

    def _tell(self, report: reports.HostReport) -> None:
        with contextlib.suppress(OSError):
            send_report(self._control, report)
