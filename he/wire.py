"""What Alice and Bob send one another: versioned msgpack under a schema, with sizes that follow from the parameters.

    Alice                                           Bob
      he.hello   Hello          ->
                                <-   he.model  Description      parameters, widths, bounds: public
      he.keys    Keys           ->                              size of the public material, then in pieces
      he.key     (raw bytes)    ->   ...
                                <-   he.ready  Ready
      he.query   Query          ->                              up to 16 ciphertexts
                                <-   he.answer Reply            one each, as they are done
      ...

Every field that sets a size is checked before anything of that size is allocated.  The ciphertexts and keys inside
are TenSEAL's serialisation, loaded by :mod:`he.contexts` and :mod:`he.tenseal_evaluator`, which check what came out.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec

from he.parameters import MAX_LEVELS, Parameters, ParametersRefused
from link import FrameError, Link, decode, encode

VERSION: Final[Literal[1]] = 1
MAX_PART = 16  # ciphertexts of one query message
PIECE = 1 << 24  # bytes of one piece of the keys
MAX_WIDTH = 1 << 14

_SMALL = 4096  # bytes: limit of the messages that hold no ciphertext

Mode = Literal["tenseal"]
Message = TypeVar("Message", bound=msgspec.Struct)


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alice opens a session."""

    version: Literal[1]


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Bob publishes about his model; ``proved`` and the bounds as in :class:`he.planning.Plan`."""

    version: Literal[1]
    mode: Mode
    inputs: int
    classes: int
    ring_degree: int
    base: tuple[int, ...]
    levels: int
    scale_bits: int
    special_bits: int
    proved: bool
    logit_bound: float

    def parameters(self) -> Parameters:
        """The parameter set, checked.  Raises :class:`link.FrameError` for one that is weak or malformed."""
        if not (1 <= self.inputs <= MAX_WIDTH and 1 <= self.classes <= MAX_WIDTH and len(self.base) <= MAX_LEVELS):
            raise FrameError("Bob describes a model of impossible size: both sides need the same release")
        if not 0 < self.logit_bound < float("inf"):
            raise FrameError("Bob declares no finite bound on his logits: do not use this model")
        try:
            parameters = Parameters(self.ring_degree, self.base, self.levels, self.scale_bits, self.special_bits)
        except ParametersRefused as error:
            raise FrameError(f"Bob asks for unacceptable parameters: {error}") from None
        if max(self.inputs, self.classes) > parameters.slots:
            raise FrameError("Bob describes a model that does not fit into a ciphertext")
        return parameters


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Announces ``size`` bytes of public key material, which follow in pieces of :data:`PIECE` bytes."""

    version: Literal[1]
    size: int


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bob has the keys."""

    version: Literal[1]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Encrypted feature vectors; ``last`` is false when the same query goes on in another message."""

    version: Literal[1]
    last: bool
    ciphertexts: tuple[bytes, ...]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The encrypted logits of one vector."""

    version: Literal[1]
    ciphertext: bytes


def send_keys(link: Link, material: bytes) -> None:
    """Send public key material in pieces."""
    link.send("he.keys", encode(Keys(VERSION, len(material))))
    view = memoryview(material)
    for start in range(0, len(view), PIECE):
        link.send("he.key", view[start : start + PIECE])


def receive_keys(link: Link, limit: int, timeout: float) -> bytes:
    """Public key material of at most ``limit`` bytes, each piece within ``timeout`` seconds."""
    size = decode(link.receive("he.keys", limit=_SMALL, timeout=timeout), Keys).size
    if not 0 < size <= limit:
        raise FrameError(f"Alice announced {size} bytes of keys, at most {limit} fit the parameters")
    pieces = bytearray()
    while len(pieces) < size:
        piece = link.receive("he.key", limit=min(PIECE, size - len(pieces)), timeout=timeout)
        if not piece:
            raise FrameError("Alice sent an empty piece of her keys")
        pieces += piece
    return bytes(pieces)


def query_limit(parameters: Parameters) -> int:
    """Most bytes of a ``he.query`` payload."""
    return MAX_PART * (parameters.query_bytes + 16) + _SMALL


def open_query(data: bytes | bytearray, parameters: Parameters) -> Query:
    """A query whose parts have sizes that the parameters allow, else :class:`link.FrameError`."""
    query = decode(data, Query)
    if not 1 <= len(query.ciphertexts) <= MAX_PART:
        raise FrameError(f"a query message holds 1 to {MAX_PART} ciphertexts")
    if any(len(ciphertext) > parameters.query_bytes for ciphertext in query.ciphertexts):
        raise FrameError("Alice sent a ciphertext larger than the parameters allow")
    return query


def receive_reply(link: Link, parameters: Parameters, timeout: float) -> bytes:
    """The next encrypted answer."""
    limit = parameters.answer_bytes
    reply = decode(link.receive("he.answer", limit=limit + _SMALL, timeout=timeout), Reply)
    if len(reply.ciphertext) > limit:
        raise FrameError("Bob sent a ciphertext larger than the parameters allow")
    return reply.ciphertext


def receive_small(link: Link, name: str, kind: type[Message], timeout: float | None = None) -> Message:
    """A message that holds no ciphertext."""
    return decode(link.receive(name, limit=_SMALL, timeout=timeout), kind)
