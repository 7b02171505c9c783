"""Messages whose size both sides know: anything shorter or longer is another program's."""

from __future__ import annotations

import math

import numpy as np

from sotto.link import FrameError, Link
from sotto.mpc.sharing.ring import WORD_BYTES, Words


def receive_exactly(link: Link, name: str, size: int) -> bytearray:
    """The next message, called ``name`` and of ``size`` bytes.  Raises :class:`sotto.link.LinkError`."""
    return _checked(link, name, link.receive(name, limit=size), size)


def receive_words(link: Link, name: str, *shape: int) -> Words:
    """The words of this shape that the next message, called ``name``, consists of."""
    return np.frombuffer(receive_exactly(link, name, WORD_BYTES * math.prod(shape)), np.uint64).reshape(shape)


def exchange_words(link: Link, name: str, words: Words) -> Words:
    """Both sides' words called ``name`` at once: the peer's, of the same shape as this side's."""
    return np.frombuffer(exchange_exactly(link, name, words.tobytes()), np.uint64).reshape(words.shape)


def exchange_exactly(link: Link, name: str, payload: bytes, size: int | None = None) -> bytearray:
    """Both sides' messages called ``name`` at once; the peer's has ``size`` bytes, or as many as this side's."""
    size = len(payload) if size is None else size
    return _checked(link, name, link.exchange(name, payload, limit=size), size)


def _checked(link: Link, name: str, received: bytearray, size: int) -> bytearray:
    if len(received) != size:
        raise FrameError("wrong-length", f"{link.peer} sent another number of bytes of '{name}' than the network has")
    return received
