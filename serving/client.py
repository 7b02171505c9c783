"""Alice's end: she opens a session with Bob, and with the dealer where there is one, and asks.

From the terms on, nothing that Bob, the dealer or the wire sees depends on her recordings or her answers: not which
messages there are, their sizes or their order, nor how a session ends.  A recording that gives no features goes out as
zeros, a label that is no class is shown, and she is told of both; whatever ends a session ends its links, and where a
reason is told it is what the other side sent, or the kind of an error, never a value of hers.

A session that failed is over; asking again means a new one, with new links, keys and randomness.  What was asked in a
session that failed should not be asked again: where the other side can make it fail, each attempt is another query.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.link import LOOPBACK, Answer, Link, LinkClosed, Role, Shape, connect, encode
from sotto.link.identity import require_name
from sotto.serving import registry
from sotto.serving.adapters import AliceAdapter, ClientCredentials, Front, published_front
from sotto.serving.certificates.keys import client_tls
from sotto.serving.errors import AdapterError
from sotto.serving.handshake import HELLO, WELCOME, WELCOME_BYTES, Hello, Refused, new_session, read_welcome
from sotto.serving.reveal import Reveal
from sotto.serving.service.sessions import Address
from sotto.serving.terms import Terms

if TYPE_CHECKING:
    from sotto.audio import Clip


@dataclass(frozen=True)
class ClientConfig:
    """What Alice wants and where; the mode is hers to name.  ``terms``: those she insists on, None for Bob's.

    ``bob_name``, ``dealer_name``: the names that their certificates must have, None for any of the authority's.
    ``opening_seconds``: how long a place, and the dealer's pairing, may take; ``seconds``: any other wait.
    """

    bob: Address
    paradigm: str
    mode: str
    reveal: Reveal = "class"
    dealer: Address | None = None
    keys: Path | None = None
    terms: Terms | None = None
    bob_name: str | None = None
    dealer_name: str | None = None
    seconds: float = 60.0
    opening_seconds: float = 60.0
    shape: Shape = LOOPBACK
    token: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Opened:
    """Links on which the handshake is over: to Bob and, where there is one, ``others["dealer"]``."""

    bob: Link
    others: Mapping[str, Link]
    terms: Terms


@contextlib.contextmanager
def opened(config: ClientConfig) -> Iterator[Opened]:
    """Links of a new session.  Raises :class:`sotto.link.LinkError`, one line; the service was told the same one."""
    tls = client_tls(config.keys)
    session = new_session()
    with contextlib.ExitStack() as stack:
        bob = _connect(config, config.bob, "bob", tls, stack)
        name = bob.identity.name if bob.identity else ""
        hello = Hello(
            role="alice",
            paradigm=config.paradigm,
            mode=config.mode,
            reveal=config.reveal,
            session=session,
            terms=config.terms.fingerprint if config.terms else "",
            token=config.token,
        )
        bob.send(HELLO, encode(hello))
        others = {}
        if config.dealer:
            dealer = others["dealer"] = _connect(config, config.dealer, "dealer", tls, stack)
            dealer.send(HELLO, encode(msgspec.structs.replace(hello, peer=name, terms="")))
        # Bob answers once the dealer has brought the two together, or says why that cannot be.
        welcome = read_welcome(_await_welcome(config, bob), "bob")
        if welcome.terms is None:
            raise _told(bob, Refused("no-terms", "bob publishes no terms: both sides need the same release"))
        if config.dealer:
            read_welcome(_await_welcome(config, dealer), "the dealer")
        yield Opened(bob, others, _agreed(config, bob, welcome.terms))


def _await_welcome(config: ClientConfig, link: Link) -> bytearray:
    try:
        return link.receive(WELCOME, limit=WELCOME_BYTES, timeout=config.opening_seconds)
    except LinkClosed:
        if config.keys:
            raise
        raise LinkClosed(
            "peer-closed",
            f"{link.peer} hung up without a word: it has stopped, or asks for certificates (then give --keys)",
        ) from None


def _connect(
    config: ClientConfig, address: Address, role: Role, tls: ssl.SSLContext | None, stack: contextlib.ExitStack
) -> Link:
    link = connect(
        *address, timeout=config.seconds, shape=config.shape, tls=tls, server_name=role, peer=role, role=role
    )  # fmt: skip
    stack.enter_context(link)
    require_name(link.identity, config.bob_name if role == "bob" else config.dealer_name, f"{address[0]}:{address[1]}")
    return link


def _agreed(config: ClientConfig, bob: Link, terms: Terms) -> Terms:
    """Bob's terms when they are what Alice wants; he knows hers by their fingerprint alone."""
    if config.terms and (difference := config.terms.difference(terms)):
        raise _told(bob, Refused("other-terms", f"bob serves other terms than alice holds: {difference}"))
    if (terms.paradigm, terms.mode) != (config.paradigm, config.mode):
        line = f"bob runs {terms.paradigm}/{terms.mode}, alice wants {config.paradigm}/{config.mode}"
        raise _told(bob, Refused("other-mode", line))
    return terms


def _told(bob: Link, refused: Refused) -> Refused:
    bob.fail(str(refused))
    return refused


class Session:
    """An open session: recordings in, classes out.  Belongs to one thread.

    ``problems``: what she has to know of recordings that gave no features, for her alone.
    """

    def __init__(self, links: Opened, front: Front | None, door: AliceAdapter) -> None:
        self.terms = links.terms
        self.problems: list[str] = []
        self._links = links
        self._front = front
        self._door = door

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what labels stand for; :meth:`name` also takes labels that stand for none."""
        return self.terms.classes

    def name(self, label: int) -> str:
        """The class that a label stands for; for one that Bob has not named, or where he names none, its number."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)

    @property
    def links(self) -> Mapping[str, Link]:
        """The open links, by the role of the party at their other end."""
        return {"bob": self._links.bob, **self._links.others}

    def set_up(self) -> None:
        """Do what comes once a session; :meth:`prepare` and :meth:`ask` do it when it was not done."""
        self._door.prepare(self._links.bob)

    def features(self, clip: Clip) -> npt.NDArray[np.float32]:
        """What :meth:`ask` takes, made of one recording: (1, …) float32.

        A recording that gives none is zeros here, and :attr:`problems` says why: the session is open, and whether she
        asks must not depend on what she recorded.  Compute with :func:`front_before` ahead of a session to be refused.
        Raises :class:`sotto.serving.terms.TermsError` for a front end that nobody can use.
        """
        if self._front is None:
            raise AdapterError("no-features", "bob's model does not say which features it takes: ask with features")
        blank = self._front.blank()
        try:
            found = self._front.compute(clip)
            problem = "" if found.shape == blank.shape else f"{clip.source}: gives features of another shape"
        except Exception as error:
            found, problem = blank, str(error) or type(error).__name__
        if not problem:
            return found
        self.problems.append(problem)
        return blank

    def prepare(self, examples: int = 1, queries: int = 1) -> None:
        """Do everything that does not depend on the features of the next ``queries`` queries of so many examples."""
        self._door.prepare(self._links.bob)
        provision: Callable[[Link, int, int], None] | None = getattr(self._door, "provision", None)
        if provision:
            provision(self._links.bob, examples, queries)

    def close(self) -> None:
        """End the session: what was prepared and not used is kept where that is wanted, else destroyed."""
        close: Callable[[], None] | None = getattr(self._door, "close", None)
        if close:
            close()

    def ask(self, features: npt.ArrayLike) -> Answer:
        """The answer for features (n, …); its warnings say what to doubt.

        Raises the paradigm's errors and :class:`sotto.link.LinkError`, one line each, none of them for a value or a
        label.
        """
        answer = self._door.ask(features, self._links.bob)
        unnamed = int(np.count_nonzero((answer.labels < 0) | (answer.labels >= len(self.classes))))
        if not self.classes or not unnamed or answer.warnings:
            return answer
        return answer.warned(f"{unnamed} of {len(answer.labels)} labels are no class that bob has named")


def front_before(config: ClientConfig, own: ClientCredentials) -> Front | None:
    """What Alice does with a recording, where that is known before a session: from her folder, or the terms she holds.

    None where only Bob's terms will say it.  Raises :class:`sotto.serving.errors.AdapterError` where it is missing.
    """
    return registry.service(config.paradigm).front(own, config.terms)


@contextlib.contextmanager
def session(config: ClientConfig, own: ClientCredentials | None = None) -> Iterator[Session]:
    """A session of the paradigm and mode that ``config`` names; it and its links are closed whatever the end is."""
    own = own or ClientCredentials(reveal=config.reveal)
    needs_dealer = registry.paradigm(config.paradigm).needs_dealer(config.mode)
    what = f"{config.paradigm} {config.mode}".strip()
    if needs_dealer and config.dealer is None:
        raise AdapterError("dealer-needed", f"{what} needs a dealer: say where with --dealer HOST:PORT")
    if not needs_dealer and config.dealer is not None:
        raise AdapterError("no-dealer", f"{what} has no dealer: leave --dealer out")
    front = front_before(config, own)  # what is missing is missed before anybody is told
    with opened(config) as links:
        if front is None and links.terms.front:
            front = published_front(links.terms)
        alice = registry.service(config.paradigm).alice(own, links.terms, links.others)
        with contextlib.closing(Session(links, front, alice)) as made:
            yield made
