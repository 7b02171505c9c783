"""A public code in which every place of a word is the sum of ten places of a message: what learning parity with noise
is about.

Place i of the word of m is the sum of m at ten uniform places that a public key gives (AES-128 in counter mode).  With
m secret and random and noise e added, the word looks uniform: that is the assumption.  It is made here for *regular*
noise: e has one 1 in each block of 2^depth places.

Parameters: twice the noise of the emp-ot library's current Ferret (``emp-ot/tuning.h``, set "b10": 850 blocks of 2^10),
which its authors chose so that every published attack on a *random* code takes 2^128 operations or more: Gauss,
information set decoding in its forms and that for regular noise of Esser and Santini (CRYPTO 2024), the algebraic ones
of Briaud and Øygarden (EUROCRYPT 2023), the hybrid with guesses and "AGB 2.0" (eprint 2025/1476). A code with ten
places a row is not random: leave out the places that few rows use, until as many whole rows as places remain, some
43,000 of 65,536; then only so many rows must be free of noise, and the system is sparse. By our count that takes 2^98
operations with 850 blocks of 2^10, and 2^160 with 1,700 of 2^9. Nobody else has published that count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numba import types

from sotto.mpc.sharing.compiled import IN, OUT, compiled
from sotto.mpc.sharing.ring import Words

WEIGHT = 10  # places that are summed

Places = npt.NDArray[np.uint16]

_AT_ONCE = 1 << 14  # words of the code whose places are in memory at once; so many places are whole AES blocks
_PLACES = types.Array(types.uint16, 2, "C", readonly=True)


@dataclass(frozen=True)
class Noise:
    """``trees`` blocks of 2^``depth`` places, one 1 in each, over messages of 2^16 places."""

    trees: int
    depth: int

    @property
    def places(self) -> int:
        """Length of a word."""
        return self.trees << self.depth


MESSAGE = 1 << 16  # places of a message: as many as an index of 16 bits has
STANDARD = Noise(trees=1700, depth=9)


def add_encoded(message: Words, key: bytes, out: Words) -> None:
    """Add the word of ``message`` (2^16, 2) to ``out`` (n, 2), place by place."""
    for start in range(0, len(out), _AT_ONCE):
        part = out[start : start + _AT_ONCE]
        _add(message, places(key, start, len(part)), part)


def places(key: bytes, first: int, count: int) -> Places:
    """What is summed at the places ``first``, …, of a word (count, 10); ``first`` is a multiple of 4."""
    data = 2 * WEIGHT * count
    counter = (2 * WEIGHT * first // 16).to_bytes(16, "big")
    stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(data))
    return np.frombuffer(stream, np.uint16).reshape(count, WEIGHT)


@compiled(IN[2], _PLACES, OUT[2])
def _add(message: Any, indices: Any, out: Any) -> None:
    for row in range(out.shape[0]):
        low, high = out[row, 0], out[row, 1]
        for term in range(WEIGHT):
            place = indices[row, term]
            low ^= message[place, 0]
            high ^= message[place, 1]
        out[row, 0], out[row, 1] = low, high
