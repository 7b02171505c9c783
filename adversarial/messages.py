"""The four messages of this paradigm: Alice greets, Bob is ready; Alice sends representations, Bob replies.

msgpack under a schema, with a version in the first message and sizes bounded before anything is read.  A
representation crosses the link in float16: it halves the bytes and moves a logit by less than a thousandth of its size.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sotto.link import Array, Reply, Reveal, RoundTrip

VERSION: Literal[1] = 1
HELLO, READY, QUERY, REPLY = "adversarial.hello", "adversarial.ready", "adversarial.query", "adversarial.reply"
HELLO_LIMIT = 1 << 10
QUERY_LIMIT = 1 << 26


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sensor Alice runs, by the fingerprint of its weights, and the length of what it makes of a segment."""

    version: Literal[1]
    sensor: str
    dimension: int


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bob has a classifier for that sensor, with so many classes."""

    version: Literal[1]
    classes: int


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Representations, float16 (n, dimension)."""

    z: Array
    reveal: Reveal


TRIP = RoundTrip((HELLO, Hello, HELLO_LIMIT), (READY, Ready, HELLO_LIMIT), (QUERY, Query), (REPLY, Reply))
