"""Alice's end: she opens a session with Bob, and with the dealer where there is one, and asks.

A session that failed is over; asking again means a new one, with new links, keys and randomness, so nothing of the
first is used twice and a retry is safe at any time.
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

from sotto.link import LOOPBACK, Answer, Link, LinkClosed, LinkError, Role, Shape, connect, encode
from sotto.serving.doors import AliceDoor, DoorError, Front, Own, Paradigm, paradigm, require_mode
from sotto.serving.handshake import HELLO, WELCOME, WELCOME_BYTES, Hello, Refused, new_session, read_welcome
from sotto.serving.keys import client_tls
from sotto.serving.service.sessions import Address
from sotto.serving.terms import Reveal, Terms

if TYPE_CHECKING:
    from sotto.audio import Clip


@dataclass(frozen=True)
class Wish:
    """What Alice wants and where.  An empty ``mode`` is Bob's; ``terms``: those she insists on, None for Bob's.

    ``bob_name``: the name that Bob's certificate must have, None for any Bob of the authority.
    ``opening_seconds``: how long a place, and the dealer's pairing, may take; ``seconds``: any other wait.
    """

    bob: Address
    paradigm: str
    mode: str = ""
    reveal: Reveal = "class"
    dealer: Address | None = None
    keys: Path | None = None
    terms: Terms | None = None
    bob_name: str | None = None
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
def opened(wish: Wish) -> Iterator[Opened]:
    """Links of a new session.  Raises :class:`sotto.link.LinkError`, one line; the service was told the same one."""
    tls = client_tls(wish.keys)
    session = new_session()
    with contextlib.ExitStack() as stack:
        bob = _connect(wish, wish.bob, "bob", tls, stack)
        name = bob.identity.name if bob.identity else ""
        if wish.bob_name is not None and name != wish.bob_name:
            raise LinkError(f"{wish.bob[0]}:{wish.bob[1]} is bob '{name}', not '{wish.bob_name}': check the address")
        hello = Hello(
            role="alice",
            paradigm=wish.paradigm,
            mode=wish.mode,
            reveal=wish.reveal,
            session=session,
            terms=wish.terms.fingerprint if wish.terms else "",
            token=wish.token,
        )
        bob.send(HELLO, encode(hello))
        others = {}
        if wish.dealer:
            dealer = others["dealer"] = _connect(wish, wish.dealer, "dealer", tls, stack)
            dealer.send(HELLO, encode(msgspec.structs.replace(hello, peer=name, terms="")))
        # Bob answers once the dealer has brought the two together, or says why that cannot be.
        welcome = read_welcome(_await_welcome(wish, bob), "bob")
        if welcome.terms is None:
            raise _refused(bob, "bob publishes no terms: both sides need the same release")
        if wish.dealer:
            read_welcome(_await_welcome(wish, dealer), "the dealer")
        yield Opened(bob, others, _agreed(wish, bob, welcome.terms))


def _await_welcome(wish: Wish, link: Link) -> bytearray:
    try:
        return link.receive(WELCOME, limit=WELCOME_BYTES, timeout=wish.opening_seconds)
    except LinkClosed:
        if wish.keys:
            raise
        raise LinkClosed(
            f"{link.peer} hung up without a word: he has stopped, or asks for certificates (then give --keys)"
        ) from None


def _connect(wish: Wish, address: Address, role: Role, tls: ssl.SSLContext | None, stack: contextlib.ExitStack) -> Link:
    link = connect(
        *address, timeout=wish.seconds, shape=wish.shape, tls=tls, server_name=role, peer=role, role=role
    )  # fmt: skip
    return stack.enter_context(link)


def _agreed(wish: Wish, bob: Link, terms: Terms) -> Terms:
    """Bob's terms when they are what Alice wants; he knows hers by their fingerprint alone."""
    if wish.terms and (difference := wish.terms.difference(terms)):
        raise _refused(bob, f"bob serves other terms than alice holds: {difference}")
    if terms.paradigm != wish.paradigm or wish.mode not in ("", terms.mode):
        raise _refused(bob, f"bob runs {terms.paradigm}/{terms.mode}, alice wants {wish.paradigm}/{wish.mode or 'any'}")
    return terms


def _refused(bob: Link, reason: str) -> Refused:
    bob.fail(reason)
    return Refused(reason)


class Session:
    """An open session: recordings in, classes out.  Belongs to one thread."""

    def __init__(self, links: Opened, module: Paradigm, own: Own) -> None:
        self.terms = links.terms
        self._links = links
        self._front: Front = module.front(own, links.terms)
        self._door: AliceDoor = module.alice(own, links.terms, links.others)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what labels stand for."""
        return self.terms.classes

    def features(self, clip: Clip) -> npt.NDArray[np.float32]:
        """What :meth:`ask` takes, made of one recording: (1, …) float32."""
        return self._front.compute(clip)

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

    def ask(self, features: npt.NDArray[np.float32]) -> Answer:
        """The answer for features (n, …).  Raises the paradigm's errors and :class:`sotto.link.LinkError`, one line
        each."""
        answer = self._door.ask(features, self._links.bob)
        if self.classes and not ((answer.labels >= 0) & (answer.labels < len(self.classes))).all():
            raise LinkError("bob answered with a class that he has not named: do not use this service")
        return answer


@contextlib.contextmanager
def session(wish: Wish, own: Own | None = None) -> Iterator[Session]:
    """A session of the paradigm and mode that ``wish`` names; closed at the end, told to the others when it fails."""
    module = paradigm(wish.paradigm)
    needs_dealer = module.needs_dealer(require_mode(module.MODES, wish.mode))
    what = f"{wish.paradigm} {wish.mode}".strip()
    if needs_dealer and wish.dealer is None:
        raise DoorError(f"{what} needs a dealer: say where he is with --dealer HOST:PORT")
    if not needs_dealer and wish.dealer is not None:
        raise DoorError(f"{what} has no dealer: leave --dealer out")
    with opened(wish) as links:
        try:
            session = Session(links, module, own or Own(reveal=wish.reveal))
            yield session
            session.close()
        except Exception:
            for link in (links.bob, *links.others.values()):
                link.fail("alice stopped")  # not why: that could tell what she noticed
            raise
