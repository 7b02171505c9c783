"""What the harness and the party processes it started tell one another, beside the links under measurement.

Parent and child trust each other: the child is the parent's own, and the pipe between them is theirs alone.  None of it
is counted.  A party's process gets its own orders and nothing of another party's.
"""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection

import msgspec

from sotto.link import Array


class Connect(msgspec.Struct, tag=True):
    """Parent to Alice: open a session with those who listen at these ports, by their roles."""

    ports: dict[str, int]


class Ready(msgspec.Struct, tag=True):
    """Alice, once a session: her links are open, all doors are made, nothing of the paradigm was said."""


class Prepare(msgspec.Struct, tag=True):
    """Parent to Alice: prepare the session."""


class Provision(msgspec.Struct, tag=True):
    """Parent to Alice: have ready what a query of ``examples`` needs and what does not depend on it."""

    examples: int


class Ask(msgspec.Struct, tag=True):
    """Parent to Alice: one query of a batch of features."""

    features: Array


class EndSession(msgspec.Struct, tag=True):
    """Parent to Alice: close this session's links."""


class CountNow(msgspec.Struct, tag=True):
    """Parent to Bob or the dealer, at any time while they serve: a :class:`Count`, please."""


class Count(msgspec.Struct, tag=True):
    """What one party has used: bytes it sent to anyone, its waits for somebody, milliseconds of its processor, and
    the most memory its process has held so far."""

    sent: int = 0
    rounds: int = 0
    busy_ms: float = 0.0
    peak_rss_mb: float = 0.0


def difference(later: Count, earlier: Count) -> Count:
    """What came between two counts; of the memory, the later peak."""
    return Count(
        later.sent - earlier.sent,
        later.rounds - earlier.rounds,
        later.busy_ms - earlier.busy_ms,
        later.peak_rss_mb,
    )


class Prepared(msgspec.Struct, tag=True):
    """Alice: the session stands; what preparing it took, her own process being made already.

    ``provisions``: whether this paradigm prepares each query ahead, in a phase of its own.
    """

    milliseconds: float
    traffic: Count
    provisions: bool


class Provisioned(msgspec.Struct, tag=True):
    """Alice: what the next query needs is there, with both parties."""

    milliseconds: float
    traffic: Count


class Answered(msgspec.Struct, tag=True):
    """Alice: the answer to one query."""

    milliseconds: float
    labels: Array
    scores: Array | None
    traffic: Count


class Refused(msgspec.Struct, tag=True):
    """Alice: these features cannot be asked about.  Nothing of them was sent, and the session goes on."""

    reason: str


class Seen(msgspec.Struct, tag=True):
    """One message as a party saw it; ``payload`` is its beginning, or all of it where that was asked for.

    ``at``: when, in seconds of this machine's monotonic clock, which is the same for all its processes.
    """

    direction: str
    peer: str
    name: str
    size: int
    payload: bytes
    at: float = 0.0


class Report(msgspec.Struct, tag=True):
    """A party at the end of a session, Alice at the end of all: totals of its process."""

    peak_rss_mb: float
    seen: list[Seen]
    notes: list[str] = []


class Failed(msgspec.Struct, tag=True):
    """Child: why it gave up, on one line."""

    reason: str
    trace: str


Message = (
    Connect | Ready | Prepare | Provision | Ask | EndSession | CountNow
    | Count | Prepared | Provisioned | Answered | Refused | Report | Failed
)  # fmt: skip
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


_telling = threading.Lock()  # a party counts itself beside its work, and both may have something to tell


def tell(pipe: Connection, message: Message) -> None:
    with _telling:
        pipe.send_bytes(msgspec.msgpack.encode(message))


def hear(pipe: Connection) -> Message:
    return _decoder.decode(pipe.recv_bytes())
