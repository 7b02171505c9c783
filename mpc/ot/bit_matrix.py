"""Bit matrices of an extension: sums over seeds' streams, and rows turned into blocks.

Row words hold 64 transfers each, the lowest bit first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sotto.mpc.sharing.compiled import IN, OUT, compiled
from sotto.mpc.sharing.ring import Words

_CHUNK = 512  # words of a row that are taken together, so that what is summed stays in the nearest cache


def folded(streams: Words, planes: Words, total: Words) -> None:
    """Sum rows of ``streams`` (2^k, words) into ``planes`` (k, words) and ``total`` (words,), overwriting both.

    ``total`` is the XOR of all rows, plane b of those whose number has bit b.
    """
    _fold(streams, planes, total)


def blocks_of(rows: Words) -> Words:
    """128 rows of bits (128, words) as one 128-bit block for each column, (64 · words, 2)."""
    out = np.empty((64 * rows.shape[1], 2), np.uint64)
    _transpose(rows, out)
    return out


@compiled(IN[2], OUT[2], OUT[1])
def _fold(streams: Any, planes: Any, total: Any) -> None:
    words = streams.shape[1]
    planes[:] = 0
    total[:] = 0
    for start in range(0, words, _CHUNK):
        stop = min(start + _CHUNK, words)
        for row in range(streams.shape[0]):
            for word in range(start, stop):
                total[word] ^= streams[row, word]
            for bit in range(planes.shape[0]):
                if row >> bit & 1:
                    for word in range(start, stop):
                        planes[bit, word] ^= streams[row, word]


@compiled(IN[2], OUT[2])
def _transpose(rows: Any, out: Any) -> None:
    square = np.empty(64, np.uint64)
    for word in range(rows.shape[1]):
        for half in range(2):
            for row in range(64):
                square[row] = rows[64 * half + row, word]
            # Swap ever smaller off-diagonal squares (Warren, "Hacker's Delight", section 7-3).
            width, mask = 32, np.uint64(0x00000000FFFFFFFF)
            while width:
                shift = np.uint64(width)
                for row in range(64):
                    if not row & width:
                        low, high = square[row], square[row + width]
                        moved = ((low >> shift) ^ high) & mask
                        square[row] = low ^ (moved << shift)
                        square[row + width] = high ^ moved
                width >>= 1
                mask ^= mask << np.uint64(width)
            for row in range(64):
                out[64 * word + row, half] = square[row]
