"""Secure Modular Hashing: h(x) = ⌊(A x + w) / Δ⌋ mod k, a hash whose Hamming distances follow Euclidean ones, up to a
point.

Close feature vectors have close hashes; beyond a distance set by Δ and k (:mod:`sotto.hashing.smh.theory`) all hashes
are equally far apart. Alice computes it with the secret key (A, w); the server sees hashes only.

Source: Dias, Abad, Trancoso, privacy-preserving paralinguistics, §4, equation 1; after Boufounos and Rane, secure
binary embeddings, which is the case k = 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.key import HashKey

Symbols = npt.NDArray[np.uint8]

_ROWS_AT_ONCE = 1024


def modular_hash(features: npt.ArrayLike, key: HashKey) -> Symbols:
    """Hash feature vectors.

    Parameters
    ----------
    features
        (n, L) finite numbers, L as the key was made for.
    key
        the secret.

    Returns
    -------
    (n, M) uint8, symbols 0 … k - 1. Not yet packed: see :func:`sotto.hashing.smh.packing.pack`.

    Raises
    ------
    HashingError
        the features do not fit the key, or one is not finite.
    """
    x = np.asarray(features, np.float64)
    parameters = key.parameters
    if x.ndim != 2 or x.shape[1] != parameters.inputs:
        raise HashingError(
            "wrong-shape", f"features of shape {x.shape} do not fit a hash key made for (n, {parameters.inputs})"
        )
    if not np.isfinite(x).all():
        raise HashingError(
            "not-finite", "features to be hashed hold values that are not finite; check the clips they came from"
        )
    hashes = np.empty((len(x), parameters.symbols), np.uint8)
    # In float64 a rounding difference between two batch sizes flips a symbol about once in 10¹³.
    for start in range(0, len(x), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        with np.errstate(over="ignore", invalid="ignore"):
            cells = np.floor((x[rows] @ key.matrix.T + key.dither) / parameters.delta)
        if not np.isfinite(cells).all():
            raise HashingError("too-large", "features to be hashed are too large; normalise them first")
        hashes[rows] = np.mod(cells, parameters.k)
    return hashes
