"""The dealer's loop in our own modes: one program per session, one bundle per request, each number once.

Bundles come from the dealer's stock (:mod:`sotto.mpc.dealing.stock`) where it has some for the session's terms, fresh
ones otherwise.  A pair of links takes one dealing from it: each set-up destroys what the one before left over, so a
pair that set up again and again would empty the stock for everybody.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Protocol

from sotto.link import FrameError, Link, LinkClosed, decode
from sotto.mpc.dealing.stock import Stock, StockedDealing
from sotto.mpc.errors import PlanError, reason
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.program import Program
from sotto.mpc.messages import JOIN_LIMIT, QUERY_LIMIT, TERMS_LIMIT, Mode, Query, Terms, require_party
from sotto.mpc.protocols import memory
from sotto.mpc.protocols.dealing import SECRET_BYTES, Dealing


class DealerSession(Protocol):
    """What the dealer does for one set-up of both parties."""

    def serve(self, request: bytearray) -> None: ...

    def close(self) -> None: ...


class Supply(ABC):
    """Serves any number of sessions of one Alice and one Bob, one after the other.

    ``request_bytes``: the largest request.
    """

    request_bytes: int

    def __init__(self, mode: Mode, idle_timeout: float) -> None:
        self._mode = mode
        self._idle = idle_timeout

    def serve(self, alice: Link, bob: Link) -> None:
        """Serve until Alice closes her link.  Raises :class:`sotto.link.LinkError` after telling both parties why."""
        session: DealerSession | None = None
        try:
            while True:
                limits = {"dealer.join": JOIN_LIMIT} | ({"dealer.request": self.request_bytes} if session else {})
                try:
                    name, payload = alice.receive_any(limits, timeout=self._idle)
                except LinkClosed:
                    return
                if name == "dealer.join":
                    if session:
                        session.close()
                    session = None
                    require_party(payload, 0, self._mode)
                    require_party(bob.receive("dealer.join", limit=JOIN_LIMIT), 1, self._mode)
                    session = self._opened(alice, bob)
                elif session:
                    session.serve(payload)
        except BaseException as error:
            for link in (alice, bob):
                link.fail(reason(error))
            raise
        finally:
            if session:
                session.close()

    @abstractmethod
    def _opened(self, alice: Link, bob: Link) -> DealerSession:
        """A session of both, who have joined."""


class BundleSupply(Supply):
    """Bundles out of the stock or fresh, for one pair of links."""

    request_bytes = QUERY_LIMIT

    def __init__(self, mode: Mode, dealing: type[Dealing], idle_timeout: float, stock: Stock | None = None) -> None:
        super().__init__(mode, idle_timeout)
        self._stock = stock
        self._dealing = dealing

    def _opened(self, alice: Link, bob: Link) -> DealerSession:
        stock, self._stock = self._stock, None  # for the first session
        terms = alice.receive("dealer.terms", limit=TERMS_LIMIT)
        if terms != bob.receive("dealer.terms", limit=TERMS_LIMIT):
            raise FrameError(
                "other-network", "alice and bob told the dealer of different networks: open new links and prepare again"
            )
        agreed = decode(terms, Terms)
        try:
            program = compile_program(agreed.plan, agreed.ranges, agreed.reveal)
        except PlanError as error:
            raise FrameError("bad-plan", str(error)) from None
        needed = program.weights * self._dealing.weight_bytes + program.step_bytes
        if short := memory.shortage(needed, f"dealing for {program.weights} weights"):
            raise FrameError("no-memory", short)
        stocked = stock.claim(agreed, self._mode) if stock else None
        try:
            secret = stocked.secret if stocked else secrets.token_bytes(SECRET_BYTES)
            return _Session(program, self._dealing(program, secret), stocked, alice, bob, self._idle)
        except BaseException:
            if stocked:
                stocked.close()
            raise


class _Session:
    """Numbers the bundles of one session: first those in stock, then fresh ones."""

    def __init__(
        self, program: Program, dealing: Dealing, stocked: StockedDealing | None, alice: Link, bob: Link, idle: float
    ) -> None:
        self._program = program
        self._dealing = dealing
        self._stocked = stocked
        self._links = (alice, bob)
        self._idle = idle
        self._next = stocked.count if stocked else 0
        for party, piece in dealing.openings():
            self._links[party].send("dealer.session", piece)

    def serve(self, request: bytearray) -> None:
        """Make and send the next bundle, a long one segment by segment."""
        examples = decode(request, Query).examples
        if not 1 <= examples <= self._program.part:
            raise FrameError(
                "bad-count",
                f"alice asked the dealer for a bundle of {examples} examples, 1 to {self._program.part} fit",
            )
        stocked = self._stocked.take(examples) if self._stocked else None
        segments: Iterable[Iterable[tuple[int, bytes | memoryview]]]
        if stocked:
            segments = [enumerate(stocked)]
        else:
            number, self._next = self._next, self._next + 1
            segments = self._dealing.bundle(examples, number)
        for segment, made in enumerate(segments):
            if segment:
                self._links[0].receive("dealer.more", limit=0, timeout=self._idle)
            for party, piece in made:
                self._links[party].send("dealer.bundle", piece)
        if self._stocked:
            self._stocked.discard()

    def close(self) -> None:
        """What is left in stock fits no other session: destroy it."""
        if self._stocked:
            self._stocked.close()
