"""Alice, Bob and, where there is one, the dealer as operating-system processes, driven query by query.

Each process is started afresh (never forked), gets its own orders only, and talks to the others over real links; this
process, which plays the experimenter and knows everything, stays out of their traffic.  Every wait ends: at the
timeout, or when a process dies.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from bench import party
from bench.control import (
    Answered,
    Ask,
    Connect,
    Count,
    CountNow,
    EndSession,
    Failed,
    Listening,
    Message,
    Prepare,
    Prepared,
    Provision,
    Provisioned,
    Ready,
    Report,
    difference,
    hear,
    tell,
)
from bench.party import Orders, Part
from link import LOOPBACK, Array, Shape

T = TypeVar("T")
P = TypeVar("P", Prepared, Provisioned, Answered)

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class PartyError(RuntimeError):
    """A party's process failed or died; the message is one line per party that said why."""


@dataclass(frozen=True)
class Phase:
    """One step as Alice waited for it, and what each party used meanwhile, by role."""

    milliseconds: float
    counts: Mapping[str, Count]

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
class _Child:
    role: str
    process: Any
    pipe: Connection


@dataclass
class Parties:
    """A running set of parties.  Use as a context manager; :meth:`finish` gives every party's report.

    ``sessions``: for each session that Alice will open, with its own links and set-up, the part of every role; all
    sessions have the same roles.  ``timeout``: seconds any single wait may take, in the parties and here.
    ``keep_payloads``: bytes of each message kept for a transcript.
    """

    sessions: Sequence[Mapping[str, Part]]
    shape: Shape = LOOPBACK
    timeout: float = 120.0
    keep_payloads: int = 0
    _token: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    _children: dict[str, _Child] = field(default_factory=dict)
    _provisions: bool = False

    def __enter__(self) -> Self:
        try:
            for role in self.roles:
                self._children[role] = self._start(role)
            ports: dict[str, dict[str, int]] = {
                role: self._expect(role, Listening).ports for role in self.roles if role != "alice"
            }
            for role in ("bob", "alice"):
                known = {other: listening[role] for other, listening in ports.items() if role in listening}
                tell(self._children[role].pipe, Connect(known))
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
        self._expect("bob", Ready)
        prepared, phase = self._phase(Prepare(), Prepared)
        self._provisions = prepared.provisions
        return phase

    def ask(self, features: npt.NDArray[np.float32]) -> Asked:
        """One query of a batch, ``features`` (n, …) float32, prepared ahead where the paradigm does that."""
        offline = None
        if self._provisions:
            _, offline = self._phase(Provision(len(features)), Provisioned)
        answered, online = self._phase(Ask(Array.of(features)), Answered)
        scores = answered.scores
        return Asked(
            answered.labels.numpy(dtype="int64", shape=(len(features),)),
            None if scores is None else scores.numpy(dtype="float32", shape=(len(features), None)),
            online,
            offline if offline and offline.bytes else None,
        )

    def end_session(self) -> None:
        """Close the session's links."""
        self._tell("alice", EndSession())

    def finish(self) -> dict[str, Report]:
        """Wait until every party has ended of itself, and return what each one reports."""
        return {role: self._expect(role, Report) for role in self.roles}

    def _start(self, role: str) -> _Child:
        orders = Orders(
            role=role,
            sessions=tuple(parts[role] for parts in self.sessions),
            with_dealer="dealer" in self.roles,
            shape=self.shape,
            timeout=self.timeout,
            token=self._token,
            keep_payloads=self.keep_payloads,
        )
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=party.run, args=(orders, theirs), name=f"sotto-{role}", daemon=True)
        before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
        try:
            process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        theirs.close()
        return _Child(role, process, ours)

    def _order(self, message: Message, answer: type[T]) -> T:
        self._tell("alice", message)
        return self._expect("alice", answer)

    def _phase(self, message: Message, answer: type[P]) -> tuple[P, Phase]:
        """One of Alice's steps, and what every party used for it."""
        before = self._counts()
        done = self._order(message, answer)
        after = self._counts()
        counts = {role: difference(after[role], before[role]) for role in before}
        return done, Phase(done.milliseconds, {"alice": done.traffic, **counts})

    def _counts(self) -> dict[str, Count]:
        """What Bob and the dealer have used so far; Alice, who may be at work, counts herself."""
        others = [role for role in self.roles if role != "alice"]
        for role in others:
            self._tell(role, CountNow())
        return {role: self._expect(role, Count) for role in others}

    def _tell(self, role: str, message: Message) -> None:
        try:
            tell(self._children[role].pipe, message)
        except OSError:
            raise self._failure() from None

    def _expect(self, role: str, kind: type[T]) -> T:
        child = self._children[role]
        # A party ends its own waits at the timeout and says why; the margin lets it.
        if not wait([child.pipe], timeout=self.timeout + 30):
            raise PartyError(
                f"{role} did not report within {self.timeout + 30:g} s: raise --timeout if it is only slow"
            )
        try:
            message = hear(child.pipe)
        except (EOFError, OSError):
            raise self._failure() from None
        if isinstance(message, Failed):
            raise self._failure({role: message})
        if not isinstance(message, kind):
            raise PartyError(f"{role} reported {type(message).__name__} out of turn")
        return message

    def _failure(self, said: dict[str, Failed] | None = None) -> PartyError:
        """One error out of what every party says; the others get a moment to say it."""
        reasons = dict(said or {})
        deadline = time.monotonic() + 3
        for role, child in self._children.items():
            while role not in reasons and child.pipe.poll(max(0.0, deadline - time.monotonic())):
                try:
                    message = hear(child.pipe)
                except (EOFError, OSError):
                    break
                if isinstance(message, Failed):
                    reasons[role] = message
        lines = [f"{role}: {failed.reason}" for role, failed in reasons.items()]
        for role, child in self._children.items():
            child.process.join(0.2)
            if role not in reasons and child.process.exitcode not in (None, 0):
                lines.append(f"{role}: its process ended with code {child.process.exitcode}")
        error = PartyError("; ".join(lines) or "a party's process ended without saying why")
        for role, failed in reasons.items():
            error.add_note(f"--- in {role}'s process ---\n{failed.trace}")
        return error

    def _stop(self) -> None:
        for child in self._children.values():
            child.pipe.close()
            child.process.join(1)
            if child.process.is_alive():
                child.process.terminate()
                child.process.join(3)
            if child.process.is_alive():
                child.process.kill()
                child.process.join(3)
