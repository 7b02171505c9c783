"""The four messages between Alice and Bob: hello and ready once per session, then one query and one answer each time.

    Alice → Bob   hashing.hello    version, k, M, fingerprint of the key, what she asks for
    Bob → Alice   hashing.ready    names of the classes, most hashes in one query
    Alice → Bob   hashing.query    n packed hashes
    Bob → Alice   hashing.answer   n labels, and scores where he agreed to give them

The fingerprint lets Bob refuse hashes that his classifier was not trained for; without that he would answer nonsense.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sotto.hashing.smh.packing import bytes_per_hash
from sotto.link import Array, Reveal, RoundTrip

HELLO, READY, QUERY, ANSWER = "hashing.hello", "hashing.ready", "hashing.query", "hashing.answer"

HELLO_LIMIT = 512
READY_LIMIT = 1 << 18
_ENVELOPE = 256  # bytes of field names, dtypes and shapes around the numbers
MOST_HASHES = 1 << 20
MOST_CLASSES = 1 << 10


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Alice's hashes are."""

    version: Literal[1]
    k: int
    symbols: int
    fingerprint: str
    reveal: Reveal


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Bob's classifier answers."""

    version: Literal[1]
    classes: tuple[str, ...]
    most: int


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``count`` hashes in wire form (:meth:`sotto.hashing.smh.packing.PackedHashes.to_bytes`)."""

    version: Literal[1]
    count: int
    hashes: bytes

    def __repr__(self) -> str:
        return f"<Query of {self.count} hashes>"


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``labels`` (n,) int64, positions in the classes; ``scores`` (n, classes) float32 where agreed."""

    version: Literal[1]
    labels: Array
    scores: Array | None


TRIP = RoundTrip((HELLO, Hello, HELLO_LIMIT), (READY, Ready, READY_LIMIT), (QUERY, Query), (ANSWER, Reply))


def query_limit(k: int, symbols: int, most: int) -> int:
    """Bytes of the largest query Bob accepts."""
    return most * bytes_per_hash(k, symbols) + _ENVELOPE


def reply_limit(count: int, classes: int, reveal: Reveal) -> int:
    """Bytes of the largest answer Alice accepts to ``count`` hashes."""
    return count * (8 + (4 * classes if reveal == "logits" else 0)) + _ENVELOPE
