"""One fault at a random moment of a session between real processes, and whether everybody behaved.

After a fault whoever is left must end with a clear error within the deadline, no session's process may stay, and the
next question, in a session of its own, must get the right answer.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import psutil

from sotto.bench.operations.parties.fault_proxy import Break, Kind, Way
from sotto.bench.operations.parties.load_client import LoadClient
from sotto.bench.operations.parties.services import Deployment, Service, ServiceError

#: Who is hit: a party's process in the session, its host (which holds the model and all sessions), all of a service
#: (which is then started again), or a link.
Victim = Literal[
    "alice", "bob", "dealer", "bob's host", "dealer's host", "dealer's service",
    "alice-bob", "alice-dealer", "bob-dealer",
]  # fmt: skip
LINKS: tuple[Victim, ...] = ("alice-bob", "alice-dealer", "bob-dealer")
_KINDS: tuple[Kind, ...] = get_args(Kind)
_WAYS: tuple[Way, ...] = get_args(Way)
_RESTART_SECONDS = 300.0
_RETRIES = 2  # a machine under load may be slower than the deadline; a retry is what `sotto alice --retries` does
_QUERIES_WATCHED = 3  # of a whole session, to know how long one takes


def victims_of(with_dealer: bool) -> tuple[Victim, ...]:
    """Everybody and everything that can be hit in a session with a dealer, or without."""
    return get_args(Victim) if with_dealer else ("alice", "bob", "bob's host", "alice-bob")


@dataclass(frozen=True)
class Trial:
    """What came of one fault.

    ``alice``: how she ended ("" is well: the fault came too late for her); ``said``: her error.  ``seconds``: from the
    fault to the last end.  ``hung``: who did not end in time.  ``unclear``: an end without a clear line.  ``right``:
    whether all answers before were right, and the next session's, for which she may try ``retries`` times more.
    """

    victim: str
    fault: str
    alice: str
    said: str
    seconds: float
    hung: str
    unclear: str
    right: bool
    next_seconds: float
    retries: int


@dataclass(frozen=True)
class Usual:
    """A whole session without faults: its length from Alice's first step, and bytes of each link by way."""

    label: int
    seconds: float
    bytes: dict[tuple[str, Way], int]


class Trials:
    """Faults in one deployment.  ``deadline``: seconds within which everybody has to be gone after one."""

    def __init__(self, deployment: Deployment, features: npt.NDArray[np.float32], deadline: float, seed: int) -> None:
        self._deployment = deployment
        self._features = features
        self._deadline = deadline
        self._draw = random.Random(seed)  # noqa: S311  which moments are tried can be repeated
        self.usual = self._watch()

    def run(self, victim: Victim) -> Trial:
        """One trial."""
        return self._break_link(victim) if victim in LINKS else self._kill(victim)

    def ask_once(self, seconds: float) -> LoadClient:
        """A session of its own with one query."""
        client = LoadClient(self._deployment, self._features, queries=1)
        client.await_end(seconds)
        client.close()
        return client

    def _watch(self) -> Usual:
        client = self.ask_once(_RESTART_SECONDS)  # whatever is slow the first time
        if client.ended or not client.answers:
            raise ServiceError("no-answer", f"alice gets no answer without any fault: {client.said}")
        started = time.monotonic()
        client = LoadClient(self._deployment, self._features, queries=_QUERIES_WATCHED)
        if not client.await_end(_RESTART_SECONDS) or client.ended:
            raise ServiceError("no-answer", f"alice gets no answers without any fault: {client.said}")
        seconds = time.monotonic() - started
        client.close()
        moved = {(name, way): proxy.last[way] for name, proxy in self._deployment.proxies.items() for way in _WAYS}
        self._settle()
        return Usual(client.answers[0].label, seconds, moved)

    def _kill(self, victim: Victim) -> Trial:
        moment = self._draw.uniform(0.0, self.usual.seconds)
        client = LoadClient(self._deployment, self._features)
        time.sleep(moment)
        restart: Callable[[], object] | None = None
        if victim == "alice":
            client.kill()
        elif victim == "dealer's service" and self._deployment.dealer:
            self._deployment.dealer.kill()
            restart = self._deployment.dealer.start
        else:
            service = self._service(victim)
            targets = [service.host] if victim.endswith("host") else self._session_of(service, client)
            before = len(service.events)
            for process in targets:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process is not None:
                        process.kill()
            if victim.endswith("host"):
                client.stop()  # sessions are processes of their own: hers goes on and may end well
                restart = partial(service.await_event, "service.serving", after=before, seconds=_RESTART_SECONDS)
        return self._aftermath(victim, "kill", client, restart)

    def _service(self, victim: Victim) -> Service:
        service = self._deployment.dealer if victim.startswith("dealer") else self._deployment.bob
        if service is None:
            raise ServiceError("no-dealer", "there is no dealer here")
        return service

    @staticmethod
    def _session_of(service: Service, client: LoadClient) -> Sequence[psutil.Process]:
        """The session's process, which may be a moment away; nothing when she ended before there was one."""
        deadline = time.monotonic() + _RESTART_SECONDS
        while not (found := service.sessions) and client.ended is None and time.monotonic() < deadline:
            client.receive(0.02)
        return found

    def _break_link(self, victim: Victim) -> Trial:
        way = self._draw.choice(_WAYS)
        most = max(1, self.usual.bytes[victim, way])
        what = Break(self._draw.choice(_KINDS), way, self._draw.randrange(most))
        proxy = self._deployment.proxies[victim]
        proxy.plan(what)
        client = LoadClient(self._deployment, self._features)
        ends = time.monotonic() + self.usual.seconds + self._deadline
        while not proxy.broke.is_set() and client.ended is None and time.monotonic() < ends:
            client.receive(0.01)
        proxy.plan(None)
        return self._aftermath(victim, what.kind, client, None)

    def _aftermath(self, victim: Victim, fault: str, client: LoadClient, restart: Callable[[], object] | None) -> Trial:
        """Wait for everybody's end, then ask again."""
        started = time.monotonic()
        hung, unclear = [], ""
        if not client.await_end(self._deadline):
            hung.append("alice")
        for service in self._deployment.services:
            try:
                service.await_idle(max(0.1, self._deadline - (time.monotonic() - started)))
            except ServiceError:
                hung.append(service.arguments[0])
        seconds = time.monotonic() - started
        if client.ended is not None and victim != "alice":
            unclear = _unclear(client)
        answers = list(client.answers)
        client.close()
        if restart:
            restart()
        self._settle()
        began = time.monotonic()
        after, retries = self.ask_once(_RESTART_SECONDS), 0
        while after.ended and retries < _RETRIES:
            after, retries = self.ask_once(_RESTART_SECONDS), retries + 1
        right = all(each.label == self.usual.label for each in [*answers, *after.answers])
        if after.ended or not after.answers:
            right, unclear = False, unclear or f"the next session failed: {after.said}"
        self._settle()
        return Trial(
            victim, fault, client.ended or "", client.said, seconds, ", ".join(hung), unclear, right,
            time.monotonic() - began, retries,
        )  # fmt: skip

    def _settle(self) -> None:
        """Let everything of the last session end; what stays is broken off so that trials are apart."""
        for proxy in self._deployment.proxies.values():
            proxy.plan(None)
        for service in self._deployment.services:
            try:
                service.await_idle(2.0)
            except ServiceError:
                for proxy in self._deployment.proxies.values():
                    proxy.cut_all()
                service.await_idle(self._deadline)


def _unclear(client: LoadClient) -> str:
    """Why her end is none that a user could understand, "" when it is."""
    if client.ended == "":
        return ""
    if client.ended == "died":
        return "alice's process died"
    if not client.said or "\n" in client.said or len(client.said) > 600 or "internal error" in client.said:
        return f"{client.ended}: {client.said[:200]!r}"
    known = ("Link", "Peer", "Frame", "Refused", "Protocol", "Cheating", "Plan", "Handshake", "Terms", "Door")
    return "" if str(client.ended).startswith(known) else f"{client.ended}: {client.said[:200]}"
