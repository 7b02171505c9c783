"""Both sides of a paradigm whose whole query is one round trip: Alice greets once a link, then each query is a message.

    Alice → Bob   hello    what her queries will be made with
    Bob → Alice   ready    that he can answer them; else he says why not, and the link is over
    Alice → Bob   query    ...
    Bob → Alice   reply    labels, and scores where they were asked for and he gives them

msgpack under a schema each, in sizes bounded before anything is read.  A question that does not come to its end, on
either side, ends the link (:func:`sotto.link.transaction`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from sotto.link.errors import BadValue, Coded, LinkClosed
from sotto.link.link import Link, fault_of_peer, transaction
from sotto.link.messages import decode, encode
from sotto.link.queries.answer import Answer, AnyReply, Reveal, read_reply, require_reveal

Hello = TypeVar("Hello")
Ready = TypeVar("Ready")
Query = TypeVar("Query")
Reply = TypeVar("Reply", bound=AnyReply)


@dataclass(frozen=True)
class RoundTrip(Generic[Hello, Ready, Query, Reply]):
    """Name and schema of each message (``msgspec.Struct`` types), and most bytes of those of the greeting."""

    hello: tuple[str, type[Hello], int]
    ready: tuple[str, type[Ready], int]
    query: tuple[str, type[Query]]
    reply: tuple[str, type[Reply]]


class RoundTripAlice(ABC, Generic[Hello, Ready, Query, Reply]):
    """The side that asks; a paradigm says what its greeting and its queries are."""

    def __init__(
        self, trip: RoundTrip[Hello, Ready, Query, Reply], reveal: Reveal, *, error: type[Coded] = BadValue
    ) -> None:
        """Raises ``error`` for another ``reveal``."""
        require_reveal(reveal, error)
        self._trip = trip
        self._reveal: Reveal = reveal
        self._ready: WeakKeyDictionary[Link, Ready] = WeakKeyDictionary()

    @abstractmethod
    def _hello(self) -> Hello:
        """What she greets with."""

    def _accept(self, ready: Ready) -> None:
        """Raises FrameError for what no Bob may announce."""

    def prepare(self, link: Link) -> None:
        """Once per link, done by :meth:`ask` if needed: make sure that Bob answers what she asks, before she does.

        Raises
        ------
        PeerError
            he does not; it says why. LinkError: the link failed.
        """
        self._greeted(link)

    def _greeted(self, link: Link) -> Ready:
        if link not in self._ready:
            name, kind, limit = self._trip.ready
            with transaction(link):
                link.send(self._trip.hello[0], encode(self._hello()))
                received = link.receive(name, limit=limit)
            ready = decode(received, kind)
            self._accept(ready)
            self._ready[link] = ready
        return self._ready[link]

    def _answer(
        self, query: Query, link: Link, *, count: int, classes: int | None, limit: int, warnings: tuple[str, ...]
    ) -> Answer:
        """What Bob says to ``query``, checked: see :func:`sotto.link.queries.answer.read_reply`; ``limit``: bytes."""
        name, kind = self._trip.reply
        message = encode(query)
        with transaction(link):
            link.send(self._trip.query[0], message)
            reply = link.receive(name, limit=limit)
        return read_reply(decode(reply, kind), count, classes, self._reveal).warned(*warnings)


class RoundTripBob(ABC, Generic[Hello, Ready, Query, Reply]):
    """The side that answers; ``reveal`` is the most he gives, and ``query_limit`` the bytes of a query at most."""

    def __init__(
        self,
        trip: RoundTrip[Hello, Ready, Query, Reply],
        reveal: Reveal,
        query_limit: int,
        *,
        error: type[Coded] = BadValue,
    ) -> None:
        """Raises ``error`` for another ``reveal``."""
        require_reveal(reveal, error)
        self._trip = trip
        self._reveal: Reveal = reveal
        self._query_limit = query_limit
        self._greeted: WeakKeyDictionary[Link, Hello] = WeakKeyDictionary()

    @abstractmethod
    def _greet(self, hello: Hello) -> Ready:
        """What a greeting is answered with.  Raises FrameError for queries that he would not understand."""

    @abstractmethod
    def _reply(self, query: Query, hello: Hello) -> Reply:
        """The answer to a query after that greeting.  Raises FrameError for what is no query."""

    def answer(self, link: Link) -> bool:
        """Greet Alice if she has not been greeted, and answer one query; False when she closed before a query.

        Raises
        ------
        FrameError
            she sent something that is no query for this model; she has been told. LinkTimeout.
        """
        (hello, greeting, most), (query, question) = self._trip.hello, self._trip.query
        while True:
            limits = {hello: most} | ({query: self._query_limit} if link in self._greeted else {})
            try:
                name, payload = link.receive_any(limits)
            except LinkClosed:
                return False
            except BaseException as error:
                link.fail(fault_of_peer(error))
                raise
            with transaction(link, reason=fault_of_peer):
                if name == query:
                    reply = self._reply(decode(payload, question), self._greeted[link])
                    link.send(self._trip.reply[0], encode(reply))
                    return True
                greeted = decode(payload, greeting)
                ready = self._greet(greeted)
                self._greeted[link] = greeted
                link.send(self._trip.ready[0], encode(ready))

    def serve(self, link: Link) -> None:
        """Answer until Alice closes."""
        while self.answer(link):
            pass
