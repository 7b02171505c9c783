"""Normalised Hamming distances between packed hashes: XOR of the bit planes, then a population count.

Two symbols differ where any plane differs, so planes are XORed, ORed together and counted. The work goes in blocks that
stay in the processor's cache; beyond the result, memory does not grow with the number of hashes, and
:func:`distance_blocks` gives the result itself block by block for those who only need to read it once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hashing.errors import HashingError
from hashing.packing import PackedHashes

Distances = npt.NDArray[np.float64]

_ROWS, _COLUMNS = 128, 256  # of a block: 256 KiB for each of the two 64-bit scratch arrays
_WORDS_PER_BYTE_COUNT = 3  # 3 words of 64 bits are the most a uint8 can count


def hamming_distances(x: PackedHashes, y: PackedHashes) -> Distances:
    """Share of symbols in which each hash of ``x`` (n) differs from each of ``y`` (m): (n, m) float64 in [0, 1].

    Raises:
        HashingError: the two sets have different k or numbers of symbols.
    """
    distances = np.empty((len(x), len(y)))
    for rows, block in distance_blocks(x, y):
        distances[rows] = block
    return distances


def distance_blocks(x: PackedHashes, y: PackedHashes, *, rows: int = _ROWS) -> Iterator[tuple[slice, Distances]]:
    """The rows of :func:`hamming_distances`, ``rows`` at a time: pairs of (slice of x, distances (rows, m))."""
    if (x.k, x.symbols) != (y.k, y.symbols):
        raise HashingError(
            f"hashes of {x.symbols} symbols with k = {x.k} cannot be compared with hashes of {y.symbols} symbols "
            f"with k = {y.k}"
        )
    columns = np.ascontiguousarray(y.planes.transpose(1, 2, 0))
    for start in range(0, len(x), rows):
        chosen = slice(start, min(start + rows, len(x)))
        counts = _counts(np.ascontiguousarray(x.planes[chosen].transpose(1, 2, 0)), columns)
        yield chosen, counts / x.symbols


def _counts(x: npt.NDArray[np.uint64], y: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Differing symbols of planes (bits, words, n) and (bits, words, m): (n, m)."""
    counts = np.zeros((x.shape[2], y.shape[2]), np.uint32)
    for top in range(0, x.shape[2], _ROWS):
        for left in range(0, y.shape[2], _COLUMNS):
            block = np.s_[top : top + _ROWS, left : left + _COLUMNS]
            _count_block(x[:, :, block[0]], y[:, :, block[1]], counts[block])
    return counts


def _count_block(x: npt.NDArray[np.uint64], y: npt.NDArray[np.uint64], counts: npt.NDArray[np.uint32]) -> None:
    """Add one block's differing symbols to ``counts``, one word of every hash at a time."""
    differ, plane = np.empty(counts.shape, np.uint64), np.empty(counts.shape, np.uint64)
    ones, few = np.empty(counts.shape, np.uint8), np.zeros(counts.shape, np.uint8)
    bits, words, _ = x.shape
    for word in range(words):
        np.bitwise_xor(x[0, word, :, None], y[0, word], out=differ)
        for b in range(1, bits):
            np.bitwise_xor(x[b, word, :, None], y[b, word], out=plane)
            np.bitwise_or(differ, plane, out=differ)
        np.bitwise_count(differ, out=ones)
        few += ones
        if word % _WORDS_PER_BYTE_COUNT == _WORDS_PER_BYTE_COUNT - 1 or word == words - 1:
            counts += few
            few[:] = 0
