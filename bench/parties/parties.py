"""Alice, Bob and, where there is one, the dealer as operating-system processes, driven query by query.

Bob and the dealer are hosts and sessions of :mod:`sotto.serving`, as ``sotto bob`` and ``sotto dealer`` run them.
No process is forked from this one; each gets its own orders only and talks to the others over real
links; this process, which plays the experimenter and knows everything, stays out of their traffic.  Every wait ends: at
the timeout, or when a process dies.
"""

from __future__ import annotations

import functools
import multiprocessing
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt

from sotto.bench.parties import control, party
from sotto.bench.parties.child_process import ChildProcess, Failed, receive, send
from sotto.bench.parties.party import HostedParty, Measured, PartyConfig, PartySpec
from sotto.link import LOOPBACK, Array, Coded, Shape, listen
from sotto.serving.limits import Limits
from sotto.serving.service import sessions as serving_sessions
from sotto.serving.service.hosting import HostProcess
from sotto.serving.service.reports import HostFailed, Loaded

T = TypeVar("T")


class PartyError(Coded, RuntimeError):
    """A party's process failed or died; the message is one line per party that said why."""


class QueryRefused(PartyError):
    """Alice refused the features before anything of them was sent; the session goes on."""


@dataclass(frozen=True)
class Phase:
    """One step as Alice waited for it, and what each party used meanwhile, by role."""

    milliseconds: float
    counts: Mapping[str, control.Count]

    @property
    def bytes(self) -> int:
        """All that anyone sent."""
        return sum(count.sent for count in self.counts.values())


@dataclass(frozen=True)
class Asked:
    """An answered query: labels (n,) int64 and, where they were asked for, scores (n, classes) float32.

    ``offline`` is what was prepared for this query alone before Alice's features came in; None where nothing was.
    """

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None
    online: Phase
    offline: Phase | None


@dataclass
class _Service:
    """Bob or the dealer: a host that serves one part, its port, and the pipe on which its sessions report."""

    part: PartySpec
    host: HostProcess
    port: int
    pipe: Connection

    def end(self) -> None:
        self.host.stop()
        self.pipe.close()


@dataclass
class Parties:
    """A running set of parties.  Use as a context manager; :meth:`finish` gives every party's report.

    ``sessions``: for each session that Alice will open, with its own links and set-up, the part of every role; all
    sessions have the same roles.  ``timeout``: seconds any single wait may take, in the parties and here.
    ``keep_payloads``: bytes of each message kept for a transcript.  ``idle_seconds``: how long a session waits for its
    next query, None for ``timeout``.
    """

    sessions: Sequence[Mapping[str, PartySpec]]
    shape: Shape = LOOPBACK
    timeout: float = 120.0
    keep_payloads: int = 0
    idle_seconds: float | None = None
    _token: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    _alice: ChildProcess | None = None
    _services: dict[str, _Service] = field(default_factory=dict)
    _ahead: _Service | None = None  # the other Bob, where sessions have two, loaded before anything is timed
    _reports: dict[str, control.Report] = field(default_factory=dict)
    _opened: int = 0
    _provisions: bool = False

    def __enter__(self) -> Self:
        try:
            self._alice = self._start_alice()
            self._start(self.sessions[0])
            self._start_ahead()
            self._await_services()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.sessions[0])

    @property
    def provisions(self) -> bool:
        """Whether the open session prepares each query ahead."""
        return self._provisions

    def prepare(self) -> Phase:
        """Open a session and do all that comes before its first query."""
        for service in self._services.values():
            service.host.discard_reports()
        self._serve(self.sessions[self._opened])
        self._opened += 1
        self._order(control.Connect({role: service.port for role, service in self._services.items()}), control.Ready)
        done, phase = self._phase(control.Prepare())
        self._provisions = done.provisions
        return phase

    def ask(self, features: npt.NDArray[np.float32]) -> Asked:
        """One query of a batch, ``features`` (n, …) float32, prepared ahead where the paradigm does that."""
        offline = self.provision(len(features))
        done, online = self._phase(control.Ask(Array.of(features)))
        if done.labels is None:
            raise PartyError("no-classes", "alice: its answer has no classes")
        return Asked(
            done.labels.numpy(dtype="int64", shape=(len(features),)),
            None if done.scores is None else done.scores.numpy(dtype="float32", shape=(len(features), None)),
            online,
            offline,
        )

    def provision(self, examples: int) -> Phase | None:
        """Have ready what a query of ``examples`` needs; None where that is nothing, or lies ready already."""
        if not self._provisions:
            return None
        _, phase = self._phase(control.Provision(examples))
        return phase if phase.bytes else None

    def end_session(self) -> None:
        """Close the session's links, and take the reports of those who served it."""
        self._send("alice", control.EndSession())
        for role in self._services:
            report = self._expect(role, control.Report)
            before = self._reports.get(role)
            if before:
                report = control.Report(
                    max(before.peak_rss_mb, report.peak_rss_mb), before.seen + report.seen, before.notes + report.notes
                )
            self._reports[role] = report

    def finish(self) -> dict[str, control.Report]:
        """Wait until Alice has ended of herself, and return what each party reports."""
        return {"alice": self._expect("alice", control.Report), **self._reports}

    def _serve(self, parts: Mapping[str, PartySpec]) -> None:
        """Have everybody but Alice host its part of a session; who hosts that already goes on."""
        self._start(parts)
        self._await_services()

    def _start(self, parts: Mapping[str, PartySpec]) -> None:
        changed = [role for role, service in self._services.items() if service.part is not parts[role]]
        for role in list(self._services) if "dealer" in changed else changed:  # Bob has to know where the dealer is
            self._end_service(role)
        kinds: tuple[Literal["dealer", "bob"], ...] = ("dealer", "bob")
        for kind in kinds:
            if kind in parts and kind not in self._services:
                if self._ahead and self._ahead.part is parts[kind]:
                    self._services[kind], self._ahead = self._ahead, None
                else:
                    self._services[kind] = self._start_service(kind, parts[kind])

    def _start_ahead(self) -> None:
        """Two Bobs with one dealer: the second loads beside the first."""
        bobs = list({id(parts["bob"]): parts["bob"] for parts in self.sessions if "bob" in parts}.values())
        dealers = {id(parts.get("dealer")) for parts in self.sessions}
        if len(bobs) == 2 and len(dealers) == 1:
            self._ahead = self._start_service("bob", bobs[1])

    def _await_services(self) -> None:
        ahead = [("bob", self._ahead)] if self._ahead else []
        for role, service in (*self._services.items(), *ahead):
            if not service.host.loaded:
                self._await_loaded(role, service)

    def _start_service(self, role: Literal["bob", "dealer"], part: PartySpec) -> _Service:
        ours, theirs = multiprocessing.Pipe()
        dealer = self._services.get("dealer")
        with listen() as listener:
            port = listener.address[1]
            orders = serving_sessions.ServiceConfig(
                role=role,
                load=functools.partial(HostedParty, part, role == "bob" and "dealer" in self.roles),
                dealer=("127.0.0.1", dealer.port) if dealer and role == "bob" else None,
                limits=Limits(
                    sessions=1,
                    arrival_seconds=self.timeout,
                    wait_seconds=self.timeout,
                    idle_seconds=self.idle_seconds or self.timeout,
                    message_seconds=self.timeout,
                    session_mb=1 << 20,  # as much as there is: what it takes is measured
                ),
                token=self._token,
                shape=self.shape,
                progress=False,
                probe=Measured(theirs, self.keep_payloads),
            )
            host = HostProcess(orders, listener.detach(), modules=part.modules)
        theirs.close()
        return _Service(part, host, port, ours)

    def _await_loaded(self, role: str, service: _Service) -> None:
        deadline = time.monotonic() + self.timeout + 30
        while not service.host.loaded:
            if not wait([service.host.reports], timeout=max(0.0, deadline - time.monotonic())):
                raise PartyError(
                    "start-timeout", f"{role} did not start within {self.timeout + 30:g} s: raise --timeout"
                )
            try:
                report = service.host.receive()
            except EOFError:
                raise PartyError("ended", f"{role}: its process ended with code {service.host.exit_code}") from None
            if isinstance(report, HostFailed):
                error = PartyError("party-failed", f"{role}: {report.reason}")
                error.add_note(f"--- in {role}'s process ---\n{report.trace}")
                raise error
            service.host.loaded = isinstance(report, Loaded)

    def _end_service(self, role: str) -> None:
        self._services.pop(role).end()

    def _start_alice(self) -> ChildProcess:
        orders = PartyConfig(
            sessions=tuple(parts["alice"] for parts in self.sessions),
            shape=self.shape,
            timeout=self.timeout,
            token=self._token,
            keep_payloads=self.keep_payloads,
        )
        modules = self.sessions[0]["alice"].modules
        return ChildProcess(party.run_alice, orders, says=control.Message, name="alice", modules=modules)

    def _pipe(self, role: str) -> Connection:
        if role == "alice":
            if self._alice is None:
                raise PartyError("not-started", "the parties have not been started: use them as a context manager")
            return self._alice.pipe
        return self._services[role].pipe

    def _order(self, message: control.Message, answer: type[T]) -> T:
        self._send("alice", message)
        return self._expect("alice", answer)

    def _phase(self, order: control.Message) -> tuple[control.Done, Phase]:
        """One of Alice's steps, and what every party used for it."""
        before = self._counts()
        done = self._order(order, control.Done)
        after = self._counts()
        counts = {role: control.difference(after[role], before[role]) for role in before}
        return done, Phase(done.milliseconds, {"alice": done.traffic, **counts})

    def _counts(self) -> dict[str, control.Count]:
        """What Bob and the dealer have used so far; Alice, who may be at work, counts herself."""
        others = [role for role in self.roles if role != "alice"]
        for role in others:
            self._send(role, control.CountNow())
        return {role: self._expect(role, control.Count) for role in others}

    def _send(self, role: str, message: control.Message) -> None:
        try:
            send(self._pipe(role), message)
        except OSError:
            raise self._failure() from None

    def _expect(self, role: str, kind: type[T]) -> T:
        pipe = self._pipe(role)
        # A party ends its own waits at the timeout and says why; the margin lets it.
        if not wait([pipe], timeout=self.timeout + 30):
            raise PartyError(
                "report-timeout",
                f"{role} did not report within {self.timeout + 30:g} s: raise --timeout if it is only slow",
            )
        try:
            message = receive(pipe, control.Message)
        except (EOFError, OSError):
            raise self._failure() from None
        if isinstance(message, Failed):
            raise self._failure({role: message})
        if isinstance(message, control.Refused):
            raise QueryRefused("query-refused", message.reason)
        if not isinstance(message, kind):
            raise PartyError("out-of-turn", f"{role} reported {type(message).__name__} out of turn")
        return message

    def _failure(self, said: dict[str, Failed] | None = None) -> PartyError:
        """One error out of what every party says; the others get a moment to say it."""
        reasons = dict(said or {})
        deadline = time.monotonic() + 3
        for role in ("alice", *self._services):
            while role not in reasons and self._pipe(role).poll(max(0.0, deadline - time.monotonic())):
                try:
                    message = receive(self._pipe(role), control.Message)
                except (EOFError, OSError):
                    break
                if isinstance(message, Failed):
                    reasons[role] = message
        lines = [f"{role}: {failed.reason}" for role, failed in reasons.items()]
        if self._alice and "alice" not in reasons and (code := self._alice.exit_code()):
            lines.append(f"alice: its process ended with code {code}")
        error = PartyError("party-failed", "; ".join(lines) or "a party's process ended without saying why")
        for role, failed in reasons.items():
            if failed.trace:
                error.add_note(f"--- in {role}'s process ---\n{failed.trace}")
        return error

    def _stop(self) -> None:
        if self._alice:
            self._alice.end()
        for role in list(self._services):
            self._end_service(role)
        if self._ahead:
            self._ahead.end()
