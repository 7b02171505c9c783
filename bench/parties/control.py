"""What the experimenter and the party processes it started tell one another, beside the links under measurement.

It goes over the pipes of :mod:`sotto.bench.parties.child_process`, and none of it is counted.
"""

from __future__ import annotations

import msgspec

from sotto.bench.parties.child_process import Failed
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


class Done(msgspec.Struct, tag=True):
    """Alice: what was asked for is done, in so many milliseconds and with so much sent.

    ``provisions``: whether this paradigm prepares each query ahead, in a phase of its own.  ``labels`` and ``scores``
    are of a query alone.
    """

    milliseconds: float
    traffic: Count
    provisions: bool
    labels: Array | None = None
    scores: Array | None = None


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


Message = Connect | Ready | Prepare | Provision | Ask | EndSession | CountNow | Count | Done | Refused | Report | Failed
