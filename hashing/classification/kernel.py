"""The RBF-Hamming kernel: exp(-γ d_H²) with the normalised Hamming distance d_H of two hashes.

It needs no key, so the server computes it. As the paper gives it, it is not positive definite for every γ: -d_H² is
not conditionally positive definite, unlike -d_H. On hashes of speech its smallest eigenvalue is a little below zero for
small γ and positive for large ones; LIBSVM then stops at a stationary point, which has served as well.

Source: Dias, Abad, Trancoso, §4.2.1, equation 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.distance import hamming_distances
from sotto.hashing.smh.packing import PackedHashes, holds_symbols, pack

Hashes = PackedHashes | npt.NDArray[np.generic]


def hamming_kernel(x: Hashes, y: Hashes | None = None, *, gamma: float) -> npt.NDArray[np.float64]:
    """exp(-γ d_H²), (n, m) float64 in (0, 1]; usable as ``SVC(kernel=partial(hamming_kernel, gamma=...))``.

    Parameters
    ----------
    x
        n hashes, packed or as an array (n, M). Arrays of whole numbers 0 … 15 are packed first; others are compared
        for equality value by value, which is slower.
    y
        m hashes in the same form; None: those of ``x``.
    gamma
        γ, positive.
    """
    if not (np.isfinite(gamma) and gamma > 0):
        raise HashingError("bad-gamma", f"gamma is {gamma}; use a positive number")
    return np.exp(-gamma * equality_distances(x, x if y is None else y) ** 2)


def equality_distances(x: Hashes, y: Hashes) -> npt.NDArray[np.float64]:
    """Share of unequal coordinates (n, m): :func:`hamming_distances` for hashes, SciPy's for anything else."""
    if isinstance(x, PackedHashes) and isinstance(y, PackedHashes):
        return hamming_distances(x, y)
    first, second = _array(x), _array(y)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise HashingError("wrong-shape", f"hashes of shapes {first.shape} and {second.shape} cannot be compared")
    if holds_symbols(first) and holds_symbols(second):
        k = max(2, 1 + int(max(first.max(initial=0), second.max(initial=0))))
        return hamming_distances(pack(first, k), pack(second, k))
    return np.asarray(cdist(first.astype(np.float64), second.astype(np.float64), "hamming"))


def _array(hashes: Hashes) -> npt.NDArray[np.generic]:
    return hashes.unpack() if isinstance(hashes, PackedHashes) else np.asarray(hashes)
