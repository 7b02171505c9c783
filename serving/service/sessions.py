"""One session, in a process of its own: the handshake's end, the paradigm's door, query after query.

Whatever a client can make go wrong goes wrong here, in a process that holds this client's secrets alone and as much
memory as the limits allow.  Every wait has a deadline.  A session that is asked to end (SIGTERM) finishes its query.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn, Protocol

from sotto.link import LOOPBACK, Link, LinkError, PeerError, Shape, connect, encode
from sotto.link.identity import require_name
from sotto.serving import handshake
from sotto.serving.adapters import Hosted
from sotto.serving.certificates.keys import client_tls
from sotto.serving.handshake import Hello, Refused, Welcome, read_welcome, require_fit
from sotto.serving.limits import Limits
from sotto.serving.service.reports import MOST_ANSWERS, Answered, Ended, report

Address = tuple[str, int]

_REPORT_EVERY = 0.1  # seconds: two processes wake for every report


class Probe(Protocol):
    """What an experiment does with a session that it measures; services have none."""

    def begin(self, role: str) -> None:
        """In the session's process, first of all."""

    def watch(self, link: Link) -> Link:
        """See what crosses a link from now on."""

    def ready(self) -> None:
        """The handshake is over."""

    def done(self) -> None:
        """The session ended as it should."""

    def failed(self, error: BaseException) -> None:
        """It did not."""

    def died(self, code: int) -> None:
        """In the host: the session's process ended with ``code`` and may not have said why."""


class DealerHosted(Protocol):
    """What the dealer serves a pair with."""

    @property
    def modes(self) -> tuple[str, ...]: ...

    def serve(self, mode: str, alice: Link, bob: Link) -> None:
        """One session, until Alice closes."""

    def fresh(self) -> DealerHosted:
        """The same without what was made ahead of time."""


@dataclass(frozen=True)
class ServiceConfig:
    """All that one service is told.

    ``load`` makes what it serves, in its host process.  ``keys``: folder of its keys, None on loopback alone.
    ``dealer``: where Bob finds him; ``dealer_name``: the name that the dealer's certificate must have, None for any of
    the authority's.  ``token``: what clients must show besides.  ``denied``: names of certificates that
    are not served.  ``progress``: whether every single query is reported.
    """

    role: Literal["bob", "dealer"]
    load: Callable[[], Hosted | DealerHosted]
    keys: Path | None = None
    dealer: Address | None = None
    dealer_name: str | None = None
    limits: Limits = field(default_factory=Limits)
    token: bytes = field(default=b"", repr=False)
    shape: Shape = LOOPBACK
    denied: frozenset[str] = frozenset()
    progress: bool = True
    probe: Probe | None = None


class _Leaving(BaseException):
    """SIGTERM reached a session that was not in a query."""


class _Patience:
    """Turns SIGTERM into the end of the session: at once between queries, else after the query."""

    def __init__(self) -> None:
        self.idle = False
        self.leaving = False
        signal.signal(signal.SIGTERM, self._asked_to_leave)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def _asked_to_leave(self, number: int, frame: FrameType | None) -> None:
        self.leaving = True
        if self.idle:
            self.idle = False
            raise _Leaving

    def wait(self, link: Link, seconds: float) -> bool:
        """Whether the client says something in time.  Raises :class:`_Leaving` when the service wants to end."""
        self.idle = True
        try:
            if self.leaving:
                raise _Leaving
            return link.wait(seconds)
        finally:
            self.idle = False


def run_session(
    config: ServiceConfig, hosted: Hosted | DealerHosted, links: Mapping[str, Link], hello: Hello, pipe: int
) -> NoReturn:
    """The whole life of a session's process, from the fork to its end.  ``links`` are those of the clients, by role."""
    patience = _Patience()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _limit_memory(config.limits.session_mb)
    session = _Session(config, links, hello, pipe, patience)
    code = 1
    try:
        if config.probe:
            config.probe.begin(config.role)
        session.run(hosted)
        code = 0
    except _Leaving:
        session.give_up(f"the {config.role} is shutting down: connect again later")
        code = 0
    except BaseException as error:
        session.fail(error)
    finally:
        with contextlib.suppress(BaseException):
            session.close()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class _Session:
    def __init__(
        self, config: ServiceConfig, links: Mapping[str, Link], hello: Hello, pipe: int, patience: _Patience
    ) -> None:
        self._orders = config
        self._clients = links
        self._hello = hello
        self._pipe = pipe
        self._patience = patience
        self._links: list[Link] = list(links.values())
        self._told = (0, 0)
        self._answered: list[float] = []  # milliseconds of the queries not yet reported
        self._reported = 0.0

    def run(self, hosted: Hosted | DealerHosted) -> None:
        """Serve.  Raises what ended the session, when that is an error."""
        if self._orders.role == "dealer":
            self._deal(hosted)  # type: ignore[arg-type]
        else:
            self._answer(hosted)  # type: ignore[arg-type]
        if self._orders.probe:
            self._orders.probe.done()
        self._report_end("")

    def give_up(self, reason: str) -> None:
        for link in self._links:
            link.fail(reason)
        self._report_end("")

    def fail(self, error: BaseException) -> None:
        # What one party noticed can tell another something that it must not learn: doors say what they may.
        before_the_door = isinstance(error, Refused)
        for link in self._links:
            link.fail(str(error) if before_the_door else f"{self._orders.role} stopped")
        if self._orders.probe:
            self._orders.probe.failed(error)
        self._report_end(reason_of(error))

    def close(self) -> None:
        for link in self._links:
            link.close()

    def _answer(self, hosted: Hosted) -> None:
        limits, alice = self._orders.limits, self._clients["alice"]
        require_fit(self._hello, hosted.terms)
        others = {"dealer": self._join_dealer(alice, hosted.terms.mode)} if hosted.needs_dealer else {}
        door = hosted.make(others)
        alice.send(handshake.WELCOME, encode(Welcome(handshake.VERSION, hosted.terms)))
        self._watch([alice, *others.values()])
        queries = 0
        while self._await_query(alice):
            started = time.monotonic()
            if not door.answer(alice):
                return
            queries += 1
            self._answered.append(round((time.monotonic() - started) * 1e3, 3))
            if len(self._answered) == MOST_ANSWERS or time.monotonic() > self._reported + _REPORT_EVERY:
                self._report_answers()
            if queries == limits.queries:
                raise Refused(
                    "too-many-queries", f"a session has at most {limits.queries} queries here: open a new one"
                )
        raise Refused("idle-too-long", f"nothing was asked for {limits.idle_seconds:g} s: open a new session")

    def _await_query(self, alice: Link) -> bool:
        """Whether Alice says something in time; what was answered is reported when she pauses."""
        if self._answered and self._patience.wait(alice, _REPORT_EVERY):
            return True
        self._report_answers()
        return self._patience.wait(alice, self._orders.limits.idle_seconds)

    def _report_end(self, reason: str) -> None:
        self._report_answers()
        report(self._pipe, Ended(reason, *self._news()))

    def _report_answers(self) -> None:
        if self._answered:
            report(self._pipe, Answered(self._answered, *self._news()))
            self._answered, self._reported = [], time.monotonic()

    def _deal(self, hosted: DealerHosted) -> None:
        alice, bob = self._clients["alice"], self._clients["bob"]
        for link in (alice, bob):
            link.send(handshake.WELCOME, encode(Welcome(handshake.VERSION, None)))
        self._watch([alice, bob])
        self._patience.idle = True  # he has no query of his own to finish: his parties ask again
        hosted.serve(self._hello.mode, alice, bob)
        self._patience.idle = False

    def _join_dealer(self, alice: Link, mode: str) -> Link:
        """Bob's link to the dealer, once the dealer has brought him and this Alice together."""
        config = self._orders
        if config.dealer is None:
            raise Refused("no-dealer", "bob has no dealer for this paradigm: start it with --dealer")
        name = alice.identity.name if alice.identity else ""
        try:
            link = _join_dealer(config.dealer, mode, self._hello, name, config)
        except LinkError as error:
            raise Refused("dealer-refused", f"bob gets no session with the dealer: {error}") from None
        self._links.append(link)
        return link

    def _watch(self, links: Sequence[Link]) -> None:
        if self._orders.probe:
            for link in links:
                self._orders.probe.watch(link)
            self._orders.probe.ready()

    def _news(self) -> tuple[int, int]:
        """Bytes sent and received since this was last asked."""
        now = (
            sum(link.traffic.bytes_sent for link in self._links),
            sum(link.traffic.bytes_received for link in self._links),
        )
        news = (now[0] - self._told[0], now[1] - self._told[1])
        self._told = now
        return news


def _join_dealer(dealer: Address, mode: str, hello: Hello, peer: str, config: ServiceConfig) -> Link:
    """Bob's link to the dealer, who has Alice too.  ``peer``: the name in her certificate.

    Raises :class:`sotto.link.LinkError`.
    """
    seconds = config.limits.arrival_seconds
    tls = client_tls(config.keys)
    link = connect(
        *dealer, timeout=seconds, shape=config.shape, tls=tls, server_name="dealer", peer="dealer", role="dealer"
    )
    try:
        require_name(link.identity, config.dealer_name, f"{dealer[0]}:{dealer[1]}")
        own = Hello(
            role="bob",
            paradigm=hello.paradigm,
            mode=mode,
            session=hello.session,
            peer=peer,
            token=config.token,
        )
        link.send(handshake.HELLO, encode(own))
        wait = config.limits.wait_seconds + seconds
        read_welcome(link.receive(handshake.WELCOME, limit=handshake.WELCOME_BYTES, timeout=wait), "the dealer")
    except BaseException:
        link.close()
        raise
    link.timeout = config.limits.message_seconds
    return link


def reason_of(error: BaseException) -> str:
    """One line about an error for a log: our own texts, which hold no secret, and of others only the kind."""
    if isinstance(error, MemoryError):
        return "the session needs more memory than the limit session_mb allows"
    if isinstance(error, PeerError) or type(error).__module__.startswith("sotto."):
        return " ".join(str(error).split())[:500] or type(error).__name__
    return f"internal error ({type(error).__name__})"


def _limit_memory(megabytes: int) -> None:
    """At most so much more address space than now; a session that wants more fails alone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + (megabytes << 20)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the session's secrets
