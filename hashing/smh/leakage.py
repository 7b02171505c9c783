"""Leakage: the share of hash pairs whose Hamming distance says how far apart the feature vectors are.

Below the privacy threshold the distance of two hashes follows that of the vectors; above it all pairs look alike to
someone who sees one pair. This is the paper's figure (Dias, Abad, Trancoso, §4.2.2, Table 1). It counts pairs and is
not a security level: an observer of many hashes averages, and distances a little under saturation still tell something
(:func:`information_above`).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.spatial.distance import pdist
from scipy.special import ndtr
from scipy.stats import spearmanr

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.distance import distance_blocks, hamming_distances
from sotto.hashing.smh.packing import PackedHashes
from sotto.hashing.smh.theory import expected_distance, resolution_threshold, saturation

PAPER_THRESHOLDS = MappingProxyType({2: 0.475, 3: 0.65, 5: 0.775, 10: 0.875})
"""k to the Hamming distance the paper read off its figure 1 as the privacy threshold."""


def privacy_threshold(k: int, symbols: int) -> float:
    """The paper's threshold where it gives one, else the closed form's
    (:func:`sotto.hashing.smh.theory.resolution_threshold`).

    The two agree for its 2,816 symbols: 0.475, 0.65, 0.775, 0.875 against 0.472, 0.640, 0.777, 0.883. With far fewer
    symbols the paper's is too near saturation to tell related from unrelated pairs; give a threshold of your own.
    """
    return PAPER_THRESHOLDS.get(k, resolution_threshold(k, symbols))


def leakage(hashes: PackedHashes, other: PackedHashes | None = None, *, threshold: float | None = None) -> float:
    """Share of pairs with a Hamming distance below ``threshold``.

    Parameters
    ----------
    hashes
        n hashes under one key.
    other
        m further hashes; the pairs are then all n · m of one with the other, else all n (n - 1) / 2.
    threshold
        default :func:`privacy_threshold`.

    Raises
    ------
    HashingError
        fewer than one pair, or the hashes do not compare.
    """
    limit = privacy_threshold(hashes.k, hashes.symbols) if threshold is None else threshold
    if len(hashes) < (2 if other is None else 1) or (other is not None and not len(other)):
        raise HashingError("too-few-hashes", "leakage is a share of pairs: at least two hashes are needed")
    below = sum(
        int(np.count_nonzero(block < limit)) for _, block in distance_blocks(hashes, hashes if other is None else other)
    )
    if other is not None:
        return below / (len(hashes) * len(other))
    own = len(hashes) if limit > 0 else 0  # each hash with itself, at distance 0
    return (below - own) / (len(hashes) * (len(hashes) - 1))


def expected_leakage(
    distances: npt.ArrayLike, delta: float, *, k: int, symbols: int, threshold: float | None = None
) -> float:
    """The share of pairs at Euclidean ``distances`` (any shape) that will leak, averaged over keys.

    A pair's Hamming distance is a mean of ``symbols`` independent comparisons, so it is near Gaussian around the closed
    form; of unrelated pairs, too, some fall below the threshold by chance (3 % for k = 3, 0.65 and 2,816 symbols).
    """
    limit = privacy_threshold(k, symbols) if threshold is None else threshold
    cells = np.linspace(0.0, 3.0 * k, 4096)
    mean = np.interp(np.asarray(distances, np.float64) / delta, cells, expected_distance(cells, k, 1.0))
    deviation = np.sqrt(np.maximum(mean * (1.0 - mean), 1e-18) / symbols)
    return float(ndtr((limit - mean) / deviation).mean())


def delta_for_leakage(
    features: npt.ArrayLike,
    share: float,
    *,
    k: int = 3,
    measurements_per_coefficient: int = 32,
    threshold: float | None = None,
    pairs: int = 200_000,
) -> float:
    """The Δ at which a ``share`` of the pairs of ``features`` leaks, from the closed form.

    Use training features that may be known: the result is a public parameter.

    Parameters
    ----------
    features
        (n, L), as they will be hashed.
    share
        of the pairs, between 0 and 1.
    k
        number of symbols.
    measurements_per_coefficient
        parameter of the hash.
    threshold
        default :func:`privacy_threshold`.
    pairs
        about how many pairs to look at; of more features a regular subset is taken.

    Raises
    ------
    HashingError
        there is no such Δ; the message says why.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) < 3 or not 0 < share < 1:
        raise HashingError(
            "bad-features", "delta follows from at least three feature vectors (n, L) and a share between 0 and 1"
        )
    symbols = measurements_per_coefficient * x.shape[1]
    limit = privacy_threshold(k, symbols) if threshold is None else threshold
    if not 0 < limit < saturation(k):
        raise HashingError(
            "bad-threshold", f"the threshold is {limit:g}; use a Hamming distance between 0 and {saturation(k):.4g}"
        )
    distances = pdist(x[:: max(1, len(x) // max(3, int(np.sqrt(2 * pairs))))])
    scale = float(distances.max())
    if not scale > 0:
        raise HashingError("equal-features", "these features are all equal: no delta tells them apart")

    def excess(log_delta: float) -> float:
        return expected_leakage(distances, float(np.exp(log_delta)), k=k, symbols=symbols, threshold=limit) - share

    low, high = float(np.log(scale)) - 12.0, float(np.log(scale)) + 12.0
    if excess(low) >= 0:
        raise HashingError(
            "share-too-small",
            f"{100 * (excess(low) + share):.3g} % of the pairs are below the threshold whatever delta is, by chance or "
            "because the features are equal: ask for a larger share or use more measurements",
        )
    return float(np.exp(brentq(excess, low, high, xtol=1e-9)))


def information_above(hashes: PackedHashes, features: npt.ArrayLike, *, threshold: float | None = None) -> float:
    """Spearman correlation of Hamming with Euclidean distance among the pairs at or above the threshold.

    0 would mean that the pairs which "do not leak" indeed say nothing; how far it is above 0 is what the threshold
    hides.
    """
    x = np.asarray(features, np.float64)
    if len(x) != len(hashes):
        raise HashingError("wrong-shape", f"{len(hashes)} hashes and {len(x)} feature vectors do not belong together")
    limit = privacy_threshold(hashes.k, hashes.symbols) if threshold is None else threshold
    hamming = hamming_distances(hashes, hashes)[np.triu_indices(len(x), 1)]
    above = hamming >= limit
    if np.count_nonzero(above) < 3:
        raise HashingError("delta-too-large", "fewer than three pairs are above the threshold; use a smaller delta")
    return float(spearmanr(hamming[above], pdist(x)[above]).statistic)
