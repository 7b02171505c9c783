"""How fast hashes are compared: bit planes against SciPy and a one-hot product, over k and sizes, one run each.

*one thread* and *threads*: :func:`sotto.hashing.hamming_distances`. *one-hot*: the symbols as 0/1 vectors of length k ·
M in float32, one matrix product on one thread with whatever BLAS NumPy has, the encoding counted apart. *SciPy*:
``cdist(…, "hamming")`` on the symbols in float64, as it would convert them. The memory-bandwidth limit is the time that
reading both sets of planes once and writing the float64 result once would take at the speed of copying a large array.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from sotto import hashing
from sotto.bench.request import Request
from sotto.bench.rows.machine import cores
from sotto.bench.rows.row import Row

DESCRIPTION = "comparing hashes: bit planes against SciPy and a one-hot BLAS product, memory and bandwidth"

_SYMBOLS = 2816
_REPEATS = 5
_KS = {"quick": (2, 3, 10), "full": (2, 3, 5, 10, 16)}
_SIZES = {
    "quick": ((1, 1000), (100, 1000), (3000, 3000)),
    "full": ((1, 1000), (32, 1000), (300, 300), (1000, 1000), (3000, 3000)),
}
_COPIED = 1 << 27  # bytes: several times the last cache

Symbols = npt.NDArray[np.uint8]
T = TypeVar("T")


def run(request: Request) -> Iterator[Row]:
    """A row for each k and size; every way's result is compared with the others' before its time is reported."""
    bandwidth = _bandwidth()
    request.say(f"copying moves {bandwidth / 1e9:.1f} GB/s")
    for k in _KS[request.preset]:
        for n, m in _SIZES[request.preset]:
            scipy = k == 3 or request.preset == "full"
            row = _row(k, n, m, bandwidth, scipy=scipy, seed=request.seed)
            found = row.metrics
            request.say(f"k = {k}, {n} × {m}: {found['one_thread_ms']:.3g} ms, one-hot {found['one_hot_ms']:.3g} ms")
            yield row


def _row(k: int, n: int, m: int, bandwidth: float, *, scipy: bool, seed: int) -> Row:
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(0, k, (count, _SYMBOLS), dtype=np.uint8) for count in (n, m))
    packed = hashing.pack(x, k), hashing.pack(y, k)
    hashing.hamming_distances(packed[0][:1], packed[1][:1])  # compiles
    found, alone = _timed(lambda: hashing.hamming_distances(*packed, threads=1))
    again, together = _timed(lambda: hashing.hamming_distances(*packed, threads=cores()))
    encoded, encoding = _timed(lambda: (_one_hot(x, k), _one_hot(y, k)))
    with threadpool_limits(1):
        product, multiplied = _timed(lambda: 1.0 - (encoded[0] @ encoded[1].T) / np.float32(_SYMBOLS))
    if not np.array_equal(found, again) or np.abs(found - product).max() > 1e-6:
        raise ValueError("two ways of comparing the same hashes disagree: report this with k and sizes")
    moved = sum(side.planes.nbytes for side in packed) + found.nbytes
    metrics: dict[str, float | None] = {
        "one_thread_ms": alone,
        "threads": float(cores()),
        "threads_ms": together,
        "threads_gain": alone / together,
        "packing_ms": _timed(lambda: (hashing.pack(x, k), hashing.pack(y, k)))[1],
        "one_hot_ms": multiplied,
        "one_hot_encoding_ms": encoding,
        "one_hot_over_bit_planes": multiplied / alone,
        "bandwidth_limit_ms": 1e3 * moved / bandwidth,
        "times_the_bandwidth_limit": alone / (1e3 * moved / bandwidth),
        "copy_gb_per_s": bandwidth / 1e9,
        "bytes_packed": float(sum(side.planes.nbytes for side in packed)),
        "bytes_one_hot": float(sum(side.nbytes for side in encoded)),
        "bytes_result": float(found.nbytes),
        "peak_bytes_block_by_block": _peak(*packed),
    }
    if scipy:
        values = x.astype(np.float64), y.astype(np.float64)
        slow, waited = _timed(lambda: cdist(*values, "hamming"), repeats=1)
        if not np.allclose(slow, found, rtol=0, atol=1e-12):
            raise ValueError("SciPy disagrees with the distances of packed hashes: report this with k and sizes")
        metrics |= {"scipy_ms": waited, "scipy_over_bit_planes": waited / alone}
    return Row(
        paradigm="plaintext",
        mode="hash-distances",
        seed=seed,
        n_queries=n,
        parameters={"k": k, "n": n, "m": m, "symbols": _SYMBOLS},
        metrics=metrics,
    )


def _timed(work: Callable[[], T], repeats: int = _REPEATS) -> tuple[T, float]:
    """The result, and milliseconds of the fastest of ``repeats`` runs: what the work takes when nobody disturbs it."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, 1e3 * (time.perf_counter() - start))
    return result, float(best)


def _one_hot(symbols: Symbols, k: int) -> npt.NDArray[np.float32]:
    return (symbols[:, :, None] == np.arange(k, dtype=np.uint8)).reshape(len(symbols), -1).astype(np.float32)


def _bandwidth() -> float:
    """Bytes read and written in a second by copying an array larger than the caches, on one thread."""
    source = np.ones(_COPIED // 8)
    target = np.empty_like(source)
    _, milliseconds = _timed(lambda: np.copyto(target, source))
    return 2 * source.nbytes / (milliseconds / 1e3)


def _peak(x: hashing.PackedHashes, y: hashing.PackedHashes) -> float:
    """Most bytes in use while all distances are read once, block by block, beyond the hashes themselves."""
    tracemalloc.start()
    for _ in hashing.distance_blocks(x, y, rows=64):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(peak)
