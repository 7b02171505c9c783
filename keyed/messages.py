"""The four messages of this paradigm: Alice greets, Bob is ready; Alice queries, Bob replies.

msgpack under a schema, with a version in the first message and sizes bounded before anything is read.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sotto.link import Array, Reply, Reveal, RoundTrip

VERSION: Literal[1] = 1
HELLO, READY, QUERY, REPLY = "keyed.hello", "keyed.ready", "keyed.query", "keyed.reply"
HELLO_LIMIT = 1 << 10
QUERY_LIMIT = 1 << 28
REPLY_LIMIT = 1 << 28


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key Alice will encrypt under, by its public fingerprint."""

    version: Literal[1]
    fingerprint: str


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bob hosts a model for that key."""

    version: Literal[1]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Encrypted speech, float32 (n, ...)."""

    speech: Array
    reveal: Reveal


TRIP = RoundTrip((HELLO, Hello, HELLO_LIMIT), (READY, Ready, HELLO_LIMIT), (QUERY, Query), (REPLY, Reply))
