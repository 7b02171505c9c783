"""Long messages in pieces, so that neither side holds one twice and the dealer holds none as a whole.

What is sent under one name is a row of arrays of words.  A piece ends where an array ends, and all but the last hold
:data:`PIECE_BYTES` or more: what is shorter than that is one message.  How many bytes come in all follows from the
plan, and a receiver takes no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from sotto.link import FrameError, Link
from sotto.mpc.sharing.ring import WORD_BYTES, Words

PIECE_BYTES = 1 << 26

_OTHER = "a message does not fit the network: start all three with one model and release"

Buffer = bytes | bytearray | memoryview


class Outbox(list[Words]):
    """Arrays on their way to one receiver."""

    size = 0

    def append(self, array: Words) -> None:
        self.size += array.nbytes
        super().append(array)

    def taken(self) -> bytes:
        """All that waits, which leaves."""
        joined = b"".join(array.data for array in self)
        self.clear()
        self.size = 0
        return joined


class Boxes:
    """Of both parties; :meth:`append` is for both.  Yields (party, piece)."""

    def __init__(self) -> None:
        self.each = (Outbox(), Outbox())
        self._begun = [False, False]

    def append(self, array: Words) -> None:
        for box in self.each:
            box.append(array)

    def full(self) -> Iterator[tuple[int, bytes]]:
        """The pieces that are large enough to go."""
        for party, box in enumerate(self.each):
            if box.size >= PIECE_BYTES:
                self._begun[party] = True
                yield party, box.taken()

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """The last ones of a message; what is put in from here on belongs to the next one."""
        for party, box in enumerate(self.each):
            if box.size or not self._begun[party]:
                yield party, box.taken()
            self._begun[party] = False


def whole(pieces: Iterable[tuple[int, bytes]]) -> tuple[bytes, bytes]:
    """All pieces of each party in one."""
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for party, piece in pieces:
        parts[party].append(piece)
    return b"".join(parts[0]), b"".join(parts[1])


def send(link: Link, name: str, arrays: Iterable[Words]) -> None:
    """Send ``arrays`` one after the other, in pieces."""
    box, begun = Outbox(), False
    for array in arrays:
        box.append(array)
        if box.size >= PIECE_BYTES:
            begun = True
            link.send(name, box.taken())
    if box.size or not begun:
        link.send(name, box.taken())


def receive(link: Link, name: str, size: int) -> Iterator[bytearray]:
    """The pieces of a message of ``size`` bytes.  Raises :class:`FrameError` for one that is shorter or longer."""
    while True:
        piece = link.receive(name, limit=size)
        size -= len(piece)
        if len(piece) % WORD_BYTES or (size and len(piece) < PIECE_BYTES):
            raise FrameError(
                "wrong-length", f"{link.peer} sent another number of bytes of '{name}' than the network has"
            )
        yield piece
        if not size:
            return


class Reader:
    """Takes arrays of words off the front of a message, of its pieces in order."""

    def __init__(self, pieces: Buffer | Iterable[Buffer]) -> None:
        self._pieces: Iterator[Buffer] = iter([pieces] if isinstance(pieces, Buffer) else pieces)
        self._words = np.empty(0, np.uint64)

    def take(self, *shape: int) -> Words:
        """The next words; :class:`FrameError` where a piece ends within them."""
        count = math.prod(shape)
        if count and not len(self._words):
            piece = next(self._pieces, b"")
            if len(piece) % WORD_BYTES:
                raise FrameError("wrong-length", _OTHER)
            self._words = np.frombuffer(piece, np.uint64)
        if len(self._words) < count:
            raise FrameError("wrong-length", _OTHER)
        taken, self._words = self._words[:count], self._words[count:]
        return taken.reshape(shape)

    def end(self) -> None:
        """Raise :class:`FrameError` unless everything was taken."""
        if len(self._words) or any(len(piece) for piece in self._pieces):
            raise FrameError("wrong-length", _OTHER)
