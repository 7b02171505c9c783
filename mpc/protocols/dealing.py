"""What the dealer makes for one session: the base of each mode's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from sotto.mpc.graph.program import Program

SECRET_BYTES = 32

#: A party, 0 for Alice and 1 for Bob, and a piece of what it is sent (:mod:`sotto.mpc.protocols.pieces`).
Piece: TypeAlias = tuple[int, bytes]


class Dealing(ABC):
    """What the dealer makes for one session out of its ``secret``, 32 bytes; bundles are fresh each time.

    ``weight_bytes``: about what the dealer holds for one weight.
    """

    weight_bytes: int

    def __init__(self, program: Program, secret: bytes) -> None:
        self._program = program
        self._secret = secret

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @abstractmethod
    def openings(self) -> Iterator[Piece]:
        """What Alice and Bob are sent once per session, before any bundle."""

    @abstractmethod
    def bundle(self, examples: int, number: int) -> Iterator[Iterable[Piece]]:
        """Bundle ``number`` in segments, each sent when Alice asks for it and exhausted before the next is made."""
