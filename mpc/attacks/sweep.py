"""Cheat after cheat, each in a session of its own: what the honest party made of it.

Three processes on this machine, the unmodified doors, real links.  Without a cheat the session gives the right class
and the places at which each party speaks; then every cheat is tried in a fresh session:

    caught      a check of the honest party failed (:class:`sotto.mpc.CheatingDetected`)
    refused     the honest party stopped at a message that was malformed, out of order, never came, or that the dealer
                did not take
    harmless    the right class came out
    unanswered  no class came out, and the honest party noticed nothing
    accepted    a wrong class came out and the honest party noticed nothing
    hung        the honest party was still waiting when its deadline had long passed
    allowed     the cheater chose its input (:data:`sotto.mpc.attacks.CHOICES_OF_INPUT`), and the answer is that input's

For a cheating Bob the honest party is Alice.  A cheating Alice is "accepted" when Bob served her to the end and what
she read is not the answer to the question she asked: an answer that Bob did not mean to give.  Honest sessions in
between show that a verdict is not the machine's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto.link import Link, LinkError, Listener, connect, listen
from sotto.mpc.alice import Alice
from sotto.mpc.attacks.cheats import KINDS, Cheat, Kind, Party, Place, TamperedLink, Tampering, skip_checks
from sotto.mpc.attacks.meanings import CHOICES_OF_INPUT, MEANINGS, meant
from sotto.mpc.attacks.parties import lowered, process_of, receive_from
from sotto.mpc.bob import Bob
from sotto.mpc.dealer import Dealer
from sotto.mpc.errors import CheatingDetected, MpcError
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.graph.layers import Shape
from sotto.mpc.lowering.lowered import LoweredModel
from sotto.mpc.messages import Agreement, Mode
from sotto.mpc.modes import needs_dealer, warm_up

_LOOK_SECONDS = 0.5
_START_SECONDS = 120.0  # three interpreters and torch
_BUSY_SECONDS = 10.0  # for a message to come on a busy machine; alterings are noticed at once

Verdict = Literal["caught", "refused", "harmless", "unanswered", "accepted", "hung", "allowed"]

_CONTROL_EVERY = 100  # cheats, then an honest session


@dataclass(frozen=True)
class Outcome:
    """One cheat: ``altered`` in words (None: its place never came up), the verdict, what the honest party said.

    ``sent`` are the cheater's messages, ``label`` the class that Alice took, if any.
    """

    cheat: Cheat
    altered: str | None
    verdict: Verdict
    said: str
    label: int | None
    milliseconds: float
    sent: list[Place]


@dataclass(frozen=True)
class Sweep:
    """All outcomes, the right class, and the places of both parties with their sizes in bytes."""

    mode: Mode
    right: int
    places: dict[Party, list[Place]]
    outcomes: list[Outcome]

    def count(self, verdict: Verdict) -> int:
        return sum(outcome.verdict == verdict for outcome in self.outcomes)


@dataclass(frozen=True)
class _Setting:
    network: LoweredModel
    agreed: Agreement
    features: npt.NDArray[np.float32]
    mode: Mode
    timeout: float


@dataclass(frozen=True)
class _Said:
    """What one party reports of one session."""

    error: str | None
    checked: bool  # the error came from a check
    label: int | None
    altered: str | None
    places: list[Place]
    milliseconds: float


def every_cheat(places: Mapping[Party, list[Place]], kinds: Sequence[Kind] = KINDS, repeats: int = 1) -> list[Cheat]:
    """Every kind at every place of both parties, ``repeats`` times with other words and bits."""
    return [
        Cheat(party, place.name, kind, seed=1 + number)
        for party, own in places.items()
        for place in own
        for kind in kinds
        for number in range(repeats)
    ]


@contextmanager
def cheating_parties(
    module: nn.Module | LoweredModel,
    input_shape: Shape,
    features: npt.ArrayLike,
    *,
    mode: Mode,
    timeout: float = 2.0,
    input_limit: float = DEFAULT_INPUT_LIMIT,
) -> Iterator[Adversary]:
    """Start the three processes for one example, features float32 (1, *input_shape).

    ``timeout``: seconds a party waits for a message, and so how long it takes to notice one that never comes.
    """
    network = lowered(module, input_shape, input_limit)
    agreed = Bob(network, None, mode=mode).agreement
    setting = _Setting(network, agreed, np.asarray(features, np.float32), mode, timeout)
    with (
        process_of(_run_dealer, setting) as dealer,
        process_of(_run_bob, setting) as bob,
        process_of(_run_alice, setting) as alice,
    ):
        ports = receive_from(dealer, _START_SECONDS)
        bob.send(ports[1])
        alice.send((ports[0], receive_from(bob, _START_SECONDS)))
        receive_from(alice, _START_SECONDS)
        yield Adversary(alice, bob, mode, timeout)


@dataclass
class Adversary:
    """The running parties.  Made by :func:`cheating_parties`."""

    _alice: Connection
    _bob: Connection
    _mode: Mode
    _timeout: float

    def honest(self) -> Sweep:
        """One session without a cheat: the right class and the places.  Raises :class:`sotto.mpc.MpcError` if it
        fails."""
        alice, bob = self._session(None)
        if alice.error or bob.error or alice.label is None:
            raise MpcError("honest-failed", f"the honest session failed: {alice.error or bob.error}")
        return Sweep(self._mode, alice.label, {"alice": alice.places, "bob": bob.places}, [])

    def attempt(self, cheat: Cheat, right: int) -> Outcome:
        """One session with one cheat."""
        alice, bob = self._session(cheat)
        cheater, honest = (bob, alice) if cheat.party == "bob" else (alice, bob)
        verdict = _verdict(honest, alice.label, right)
        if verdict in ("harmless", "accepted") and str(cheat) in CHOICES_OF_INPUT:
            verdict = "allowed"
        if honest.milliseconds > self._patience * 1e3:
            verdict = "hung"
        said = honest.error or "nothing"
        return Outcome(cheat, cheater.altered, verdict, said, alice.label, honest.milliseconds, cheater.places)

    def sweep(self, cheats: Sequence[Cheat], before: Sweep) -> Iterator[Outcome]:
        """Each cheat in turn.  Raises :class:`sotto.mpc.MpcError` when an honest session in between does not go as
        before."""
        for number, cheat in enumerate(cheats, 1):
            yield self.attempt(cheat, before.right)
            if (number % _CONTROL_EVERY == 0 or number == len(cheats)) and self.honest().right != before.right:
                raise MpcError("other-class", "an honest session after the cheats gave another class than before")

    @property
    def _patience(self) -> float:
        """A party may wait for several messages in a row, each up to the timeout; hanging is far beyond that."""
        return 4 * self._timeout + 10

    def _session(self, cheat: Cheat | None) -> tuple[_Said, _Said]:
        for party in (self._bob, self._alice):
            party.send(cheat)
        said: tuple[_Said, _Said] = (
            receive_from(self._alice, self._patience * 4),
            receive_from(self._bob, self._patience * 4),
        )
        return said


def tamper(
    module: nn.Module | LoweredModel,
    input_shape: Shape,
    features: npt.ArrayLike,
    *,
    mode: Mode,
    trials: int,
    seed: int = 0,
) -> Sweep:
    """``trials`` altered messages of Bob's queries, drawn without order from all that change what is computed."""
    with cheating_parties(module, input_shape, features, mode=mode, timeout=_BUSY_SECONDS) as adversary:
        before = adversary.honest()
        online: dict[Party, list[Place]] = {
            "bob": [place for place in before.places["bob"] if place.online and place.size]
        }
        cheats = every_cheat(online, ("flip", "consistent", "random"), repeats=-(-trials // len(online["bob"])))
        chosen = random.Random(seed).sample(cheats, min(trials, len(cheats)))  # noqa: S311  an experiment
        return Sweep(mode, before.right, before.places, list(adversary.sweep(chosen, before)))


def _run_dealer(parent: Connection, setting: _Setting) -> None:
    if needs_dealer(setting.mode):
        warm_up(setting.mode, dealing=True)
    with listen() as for_alice, listen() as for_bob:
        parent.send((None, (for_alice.address[1], for_bob.address[1])))
        while True:
            try:  # in a mode without a dealer nobody comes
                alice, bob = _accept(for_alice, setting, parent), _accept(for_bob, setting, parent)
                with alice, bob:
                    Dealer(mode=setting.mode, idle_timeout=4 * setting.timeout).serve(alice, bob)
            except LinkError:
                continue  # a cheated session; the next one is unharmed


def _run_bob(parent: Connection, setting: _Setting) -> None:
    with listen() as listener:
        dealer_port = parent.recv()
        warm_up(setting.mode)
        network = Bob(setting.network, None, mode=setting.mode, idle_timeout=setting.timeout)
        parent.send((None, listener.address[1]))
        while True:
            tampering = Tampering(_of("bob", parent.recv()))
            started = time.perf_counter()
            error: Exception | None = None
            try:
                with (
                    skip_checks(tampering.cheat),
                    _dial_dealer(dealer_port, setting) as dealer,
                    _accept(listener, setting, parent) as alice,
                ):
                    started = time.perf_counter()
                    bob = network.with_dealer(dealer and _lying(dealer, tampering))
                    with meant(_meaning(tampering), bob):
                        bob.answer(_lying(alice, tampering))
                    # The query is answered; what Alice says of it comes from her.
            except (MpcError, LinkError, RuntimeError, ValueError, TypeError) as caught:
                error = _own(caught, tampering.cheat)
            parent.send((None, _said(error, None, tampering, _milliseconds_since(started))))


def _run_alice(parent: Connection, setting: _Setting) -> None:
    dealer_port, bob_port = parent.recv()
    warm_up(setting.mode)
    parent.send((None, None))
    while True:
        tampering = Tampering(_of("alice", parent.recv()))
        started = time.perf_counter()
        error: Exception | None = None
        label: int | None = None
        try:
            with (
                skip_checks(tampering.cheat),
                _dial_dealer(dealer_port, setting) as dealer,
                _dial(bob_port, setting, "bob") as bob,
            ):
                started = time.perf_counter()
                alice = Alice(dealer and _lying(dealer, tampering), mode=setting.mode, agreed=setting.agreed)
                with meant(_meaning(tampering)):
                    label = int(alice.ask(setting.features, _lying(bob, tampering)).labels[0])
        except (MpcError, LinkError, RuntimeError, ValueError, TypeError) as caught:
            error = _own(caught, tampering.cheat)
        parent.send((None, _said(error, label, tampering, _milliseconds_since(started))))


def _own(caught: Exception, cheat: Cheat | None) -> Exception:
    """An error of ours; anything else is a bug, unless a cheater ran into what he had broken himself."""
    if cheat is None and not isinstance(caught, MpcError | LinkError):
        raise caught
    return caught


def _said(error: Exception | None, label: int | None, tampering: Tampering, milliseconds: float) -> _Said:
    checked = isinstance(error, CheatingDetected)
    return _Said(
        None if error is None else str(error), checked, label, tampering.altered, tampering.places, milliseconds
    )


def _verdict(honest: _Said, label: int | None, right: int) -> Verdict:
    if honest.error:
        return "caught" if honest.checked else "refused"
    if label is None:
        return "unanswered"
    return "harmless" if label == right else "accepted"


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3


def _of(party: Party, cheat: Cheat | None) -> Cheat | None:
    return cheat if cheat is not None and cheat.party == party else None


def _meaning(tampering: Tampering) -> str:
    """What the cheater starts from instead, "" for nothing else; it counts as what was altered."""
    if tampering.cheat is None or tampering.cheat.kind != "meaning":
        return ""
    tampering.altered = MEANINGS[str(tampering.cheat)]
    return str(tampering.cheat)


def every_meaning() -> list[Cheat]:
    """Every cheat in well-formed messages, of both parties."""
    found = []
    for meaning in MEANINGS:
        party, _, place = meaning.partition(":")
        found.append(Cheat("bob" if party == "bob" else "alice", place, "meaning"))
    return found


def _lying(link: Link, tampering: Tampering) -> Any:
    return TamperedLink(link, tampering)


def _accept(listener: Listener, setting: _Setting, parent: Connection) -> Link:
    """The next party, however long the experimenter thinks about the next cheat; ``EOFError`` once he is gone."""
    while True:
        try:
            link = listener.accept(timeout=_LOOK_SECONDS, peer="alice")
        except LinkError:
            if parent.poll():
                raise EOFError("the experimenter is gone") from None
            continue
        link.timeout = setting.timeout
        return link


def _dial_dealer(port: int, setting: _Setting) -> AbstractContextManager[Link | None]:
    return _dial(port, setting, "dealer") if needs_dealer(setting.mode) else nullcontext()


def _dial(port: int, setting: _Setting, peer: str) -> Link:
    return connect("127.0.0.1", port, timeout=setting.timeout, peer=peer)
