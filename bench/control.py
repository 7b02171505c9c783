"""What the harness and the party processes it started tell one another, beside the links under measurement.

Parent and child trust each other: the child is the parent's own, and the pipe between them is theirs alone.  None of it
is counted.  A party's process gets its own orders and nothing of another party's.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

import msgspec

from link import Array


class Listening(msgspec.Struct, tag=True):
    """Child: the ports it listens on, by the role of the peer expected there."""

    ports: dict[str, int]


class Connect(msgspec.Struct, tag=True):
    """Parent: where the listening roles wait for this party."""

    ports: dict[str, int]


class Ready(msgspec.Struct, tag=True):
    """Bob, once a session: he is made and waits for Alice."""


class Prepare(msgspec.Struct, tag=True):
    """Parent to Alice: open a session and prepare it."""


class Ask(msgspec.Struct, tag=True):
    """Parent to Alice: one query of a batch of features."""

    features: Array


class EndSession(msgspec.Struct, tag=True):
    """Parent to Alice: close this session's links."""


class Count(msgspec.Struct, tag=True):
    """Traffic of one party: bytes it sent to anyone, bytes it got from Bob and from the dealer, its waits."""

    sent: int = 0
    from_bob: int = 0
    from_dealer: int = 0
    rounds: int = 0


def difference(later: Count, earlier: Count) -> Count:
    """What came between two counts."""
    return Count(
        later.sent - earlier.sent,
        later.from_bob - earlier.from_bob,
        later.from_dealer - earlier.from_dealer,
        later.rounds - earlier.rounds,
    )


class Prepared(msgspec.Struct, tag=True):
    """Alice: the session stands; what preparing it took, her own process being made already."""

    milliseconds: float
    traffic: Count


class Answered(msgspec.Struct, tag=True):
    """Alice: the answer to one query."""

    milliseconds: float
    labels: Array
    scores: Array | None
    traffic: Count


class Seen(msgspec.Struct, tag=True):
    """One message as a party saw it; ``payload`` is its beginning, or all of it where that was asked for."""

    direction: str
    peer: str
    name: str
    size: int
    payload: bytes


class Report(msgspec.Struct, tag=True):
    """Child, last of all: totals of its process."""

    peak_rss_mb: float
    after_answers: list[Count]  # Bob: his totals after each answer, session by session
    seen: list[Seen]
    notes: list[str] = []


class Failed(msgspec.Struct, tag=True):
    """Child: why it gave up, on one line."""

    reason: str
    trace: str


Message = Listening | Connect | Ready | Prepare | Ask | EndSession | Prepared | Answered | Report | Failed
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def tell(pipe: Connection, message: Message) -> None:
    pipe.send_bytes(msgspec.msgpack.encode(message))


def hear(pipe: Connection) -> Message:
    return _decoder.decode(pipe.recv_bytes())
