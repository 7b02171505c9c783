"""Normalised Hamming distances between packed hashes: XOR of the bit planes, then a population count.

Two symbols differ where any plane differs, so planes are XORed, ORed together and counted
(:mod:`sotto.hashing.smh.bit_counts`). Nothing is expanded: beyond the result no memory is needed, and
:func:`distance_blocks` gives the result itself block by block for those who only need to read it once. Large
comparisons go over all processors; small ones, such as a query against a classifier, stay on one, where they are done
before a second thread has started.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.bit_counts import fill_distances
from sotto.hashing.smh.packing import PackedHashes

Distances = npt.NDArray[np.float64]

_ROWS = 512
_PAYS = 1 << 25  # 64-bit words to compare before threads pay: some milliseconds' work, against a tenth to start them


def hamming_distances(x: PackedHashes, y: PackedHashes, *, threads: int | None = None) -> Distances:
    """Share of symbols in which each hash of ``x`` (n) differs from each of ``y`` (m): (n, m) float64 in [0, 1].

    Parameters
    ----------
    threads
        default as many as this process may use processors, and one where there is too little to share.

    Raises
    ------
    HashingError
        the two sets have different k or numbers of symbols, or ``threads`` is not positive.
    """
    _comparable(x, y)
    distances = np.empty((len(x), len(y)))
    _fill(distances, x, y, _threads(x, y, threads))
    return distances


def distance_blocks(
    x: PackedHashes, y: PackedHashes, *, rows: int = _ROWS, threads: int | None = None
) -> Iterator[tuple[slice, Distances]]:
    """The rows of :func:`hamming_distances`, ``rows`` at a time: pairs of (slice of x, distances (rows, m))."""
    _comparable(x, y)
    for start in range(0, len(x), rows):
        chosen = slice(start, min(start + rows, len(x)))
        yield chosen, hamming_distances(x[chosen], y, threads=threads)


def _fill(distances: Distances, x: PackedHashes, y: PackedHashes, threads: int) -> None:
    fill = fill_distances(x.planes.shape[1])
    one, other = np.ascontiguousarray(x.planes), np.ascontiguousarray(y.planes)
    if threads == 1:
        fill(one, other, x.symbols, distances)
        return
    bounds = [len(x) * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        parts = [
            pool.submit(fill, one[start:stop], other, x.symbols, distances[start:stop])
            for start, stop in pairwise(bounds)
        ]
        for part in parts:
            part.result()


def _threads(x: PackedHashes, y: PackedHashes, asked: int | None) -> int:
    if asked is not None and asked < 1:
        raise HashingError("bad-threads", f"threads is {asked}; use 1 or more")
    words = len(x) * len(y) * x.planes.shape[1] * x.planes.shape[2]
    wanted = _processors() if asked is None and words >= _PAYS else asked or 1
    return max(1, min(wanted, len(x)))


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _comparable(x: PackedHashes, y: PackedHashes) -> None:
    if (x.k, x.symbols) != (y.k, y.symbols):
        raise HashingError(
            "other-size",
            f"hashes of {x.symbols} symbols with k = {x.k} cannot be compared with hashes of {y.symbols} symbols "
            f"with k = {y.k}",
        )
