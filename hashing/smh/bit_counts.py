"""The compiled loop under :mod:`sotto.hashing.smh.distance`: XOR of bit planes, OR over the planes, population count.

Four rows go together, so that each word of the other side is read once for four hashes, and columns go in groups that
stay in the processor's cache. The compiler turns the inner loop into vector instructions. Compiled for each number of
planes that is asked for (half a second) and kept on disk by Numba, so that later processes do not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic

Planes = npt.NDArray[np.uint64]
Fill = Callable[[Planes, Planes, int, npt.NDArray[np.float64]], None]

_PLANES = types.Array(types.uint64, 3, "C", readonly=True)
_DISTANCES = types.Array(types.float64, 2, "C")
_GROUP = 64  # columns that are compared with all rows before the next ones: their planes stay in the second cache


def _count_bits(_: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


_population_count: Any = intrinsic(_count_bits)  # of a 64-bit word: the processor's instruction, seen by the vectoriser


@cache
def fill_distances(bits: int) -> Fill:
    """A function that writes the normalised Hamming distances of hashes with ``bits`` planes.

    It takes planes (n, bits, words) and (m, bits, words), the number of symbols, and a float64 array (n, m) to fill. It
    holds no lock of the interpreter, so threads may fill disjoint rows at the same time.
    """

    @numba.njit(types.void(_PLANES, _PLANES, types.int64, _DISTANCES), nogil=True, cache=True)
    def fill(x: Any, y: Any, symbols: Any, out: Any) -> None:
        n, _, words = x.shape
        m = y.shape[0]
        whole = n - n % 4
        for left in range(0, m, _GROUP):
            right = min(m, left + _GROUP)
            for i in range(0, whole, 4):
                for j in range(left, right):
                    c0 = c1 = c2 = c3 = np.uint64(0)
                    for w in range(words):
                        word = y[j, 0, w]
                        d0, d1 = x[i, 0, w] ^ word, x[i + 1, 0, w] ^ word
                        d2, d3 = x[i + 2, 0, w] ^ word, x[i + 3, 0, w] ^ word
                        for b in range(1, bits):
                            word = y[j, b, w]
                            d0 |= x[i, b, w] ^ word
                            d1 |= x[i + 1, b, w] ^ word
                            d2 |= x[i + 2, b, w] ^ word
                            d3 |= x[i + 3, b, w] ^ word
                        c0 += _population_count(d0)
                        c1 += _population_count(d1)
                        c2 += _population_count(d2)
                        c3 += _population_count(d3)
                    out[i, j], out[i + 1, j] = c0 / symbols, c1 / symbols
                    out[i + 2, j], out[i + 3, j] = c2 / symbols, c3 / symbols
            for i in range(whole, n):
                for j in range(left, right):
                    count = np.uint64(0)
                    for w in range(words):
                        differ = x[i, 0, w] ^ y[j, 0, w]
                        for b in range(1, bits):
                            differ |= x[i, b, w] ^ y[j, b, w]
                        count += _population_count(differ)
                    out[i, j] = count / symbols

    return fill
