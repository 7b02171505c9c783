"""Words of fewer than 64 bits side by side, for the wire."""

from __future__ import annotations

from typing import Any

import numpy as np

from sotto.link import FrameError
from sotto.mpc.sharing.compiled import COUNT, IN, OUT, compiled
from sotto.mpc.sharing.ring import Words


def packed_bytes(count: int, bits: int) -> int:
    """Size of ``count`` packed words of ``bits`` bits: whole 64-bit words."""
    return 8 * (-(-count * bits // 64))


def pack(words: Words, bits: int) -> bytes:
    """The low ``bits`` bits, 1 to 64, of each word."""
    out = np.zeros(packed_bytes(words.size, bits) // 8, np.uint64)
    _pack(np.ascontiguousarray(words).reshape(-1), bits, out)
    return out.tobytes()


def unpack(data: bytes | bytearray | memoryview, count: int, bits: int) -> Words:
    """``count`` words of ``bits`` bits.  Raises :class:`FrameError` when the data hold another number."""
    if memoryview(data).nbytes != packed_bytes(count, bits):
        raise FrameError("wrong-length", "the peer sent another number of words than the network has")
    out = np.empty(count, np.uint64)
    _unpack(np.frombuffer(data, np.uint64), bits, out)
    return out


@compiled(IN[1], COUNT, OUT[1])
def _pack(words: Any, bits: int, out: Any) -> None:
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for number in range(len(words)):
        word, start = words[number] & mask, number * bits
        place, shift = start >> 6, np.uint64(start & 63)
        out[place] |= word << shift
        if (start & 63) + bits > 64:
            out[place + 1] |= word >> (np.uint64(64) - shift)


@compiled(IN[1], COUNT, OUT[1])
def _unpack(data: Any, bits: int, out: Any) -> None:
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for number in range(len(out)):
        start = number * bits
        place, shift = start >> 6, np.uint64(start & 63)
        word = data[place] >> shift
        if (start & 63) + bits > 64:
            word |= data[place + 1] << (np.uint64(64) - shift)
        out[number] = word & mask
