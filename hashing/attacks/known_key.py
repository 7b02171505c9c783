"""Known key: how well someone with a hash and the stolen key (A, w) gets the features back.

Each symbol says that aᵢ·x + wᵢ lies in a cell of width Δ, modulo kΔ. The attacker has speech of other people, hence a
mean and covariance of the features, and takes the measurements one after the other: given what he knows so far, aᵢ·x is
Gaussian; the symbol cuts out a comb of intervals; mean and covariance of the result are kept (assumed density
filtering). Measurements he can predict best come first, so the wrapping is resolved early. Where the result does not
explain the hash he starts again from the utterance of his own whose hash is nearest, at the distance the Hamming
distance tells, then from the second nearest, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from hashing.distance import hamming_distances
from hashing.errors import HashingError
from hashing.key import HashKey
from hashing.modular_hash import modular_hash
from hashing.packing import pack
from hashing.theory import euclidean_distance

Floats = npt.NDArray[np.float64]

_UTTERANCES_AT_ONCE = 64
_EXPLAINED = 0.9  # share of a hash's symbols a good estimate reproduces; chance is 1/k
_HOPELESS = 3.0  # periods of uncertainty beyond which a measurement says nothing: exp(-2π² 3²)
_RIDGE = 1e-3  # of the mean variance: a prior estimated from few utterances stays invertible


@dataclass(frozen=True)
class KnownKeyResult:
    """What the attacker got from ``utterances`` hashes.

    Attributes:
        relative_error: median of ‖x̂ - x‖ / ‖x - μ‖; 1 is what guessing the mean μ of other speakers gives.
        correlation: mean Pearson correlation of x̂ - μ with x - μ.
        recovered: share of utterances with a relative error under 0.1.
        explained: mean share of symbols that x̂ hashes to again.
    """

    utterances: int
    relative_error: float
    correlation: float
    recovered: float
    explained: float


def known_key_attack(
    features: npt.ArrayLike, key: HashKey, known: npt.ArrayLike, *, attempts: int = 4
) -> KnownKeyResult:
    """Hash ``features`` (n, L) under ``key``, recover them, and compare.

    Args:
        known: (m, L) features of other people, from which the attacker takes mean and covariance.
        attempts: starting points tried for hashes that no estimate explains.
    """
    x, prior = np.asarray(features, np.float64), np.asarray(known, np.float64)
    symbols = modular_hash(x, key)
    estimate = recover_features(symbols, key, prior, attempts=attempts)
    mean = prior.mean(axis=0)
    away, found = x - mean, estimate - mean
    norms = np.maximum(np.linalg.norm(away, axis=1), 1e-12)
    errors = np.linalg.norm(estimate - x, axis=1) / norms
    cosines = [
        np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else 0.0 for a, b in zip(away, found, strict=True)
    ]
    return KnownKeyResult(
        utterances=len(x),
        relative_error=float(np.median(errors)),
        correlation=float(np.mean(cosines)),
        recovered=float(np.mean(errors < 0.1)),
        explained=float(np.mean(modular_hash(estimate, key) == symbols)),
    )


def recover_features(symbols: npt.ArrayLike, key: HashKey, known: npt.ArrayLike, *, attempts: int = 4) -> Floats:
    """Estimates (n, L) of the features behind hashes (n, M) under ``key``.

    Args:
        known: (m, L) features of other people.
        attempts: starting points tried, at least 1; the estimate that explains most symbols wins.

    Raises:
        HashingError: the hashes or ``known`` do not fit the key.
    """
    hashes, prior = np.asarray(symbols), np.asarray(known, np.float64)
    p = key.parameters
    if hashes.ndim != 2 or hashes.shape[1] != p.symbols or prior.ndim != 2 or prior.shape[1] != p.inputs:
        raise HashingError(f"hashes {hashes.shape} or features {prior.shape} do not fit the key {key!r}")
    mean, covariance = _gaussian(prior)
    order = np.argsort(np.einsum("ml,lj,mj->m", key.matrix, covariance, key.matrix, optimize=True))
    best, explained = np.tile(mean, (len(hashes), 1)), np.full(len(hashes), -1.0)
    means, shares = best.copy(), np.ones(len(hashes))
    for attempt in range(min(max(1, attempts), 1 + len(prior))):
        unexplained = np.flatnonzero(explained < _EXPLAINED)
        if attempt:
            rows = hashes[unexplained]
            means[unexplained], shares[unexplained] = _nearest(rows, key, prior, attempt, float(np.trace(covariance)))
        for start in range(0, len(unexplained), _UTTERANCES_AT_ONCE):
            rows = unexplained[start : start + _UTTERANCES_AT_ONCE]
            estimate = _filtered(hashes[rows], key, means[rows], shares[rows, None, None] * covariance, order)
            share = (modular_hash(estimate, key) == hashes[rows]).mean(axis=1)
            better = share > explained[rows]
            best[rows[better]], explained[rows[better]] = estimate[better], share[better]
    # An estimate that explains little more than chance went astray; the population's mean is nearer to the truth.
    best[explained < (1.0 + 1.0 / key.parameters.k) / 2.0] = mean
    return best


def _nearest(
    hashes: npt.NDArray[np.generic], key: HashKey, prior: Floats, rank: int, variance: float
) -> tuple[Floats, Floats]:
    """For each hash the known features (n, L) whose hash is the ``rank``-th nearest, and (n,) by how much the squared
    distance to them is below the total ``variance`` of the population."""
    p = key.parameters
    distances = hamming_distances(pack(hashes, p.k), pack(modular_hash(prior, key), p.k))
    chosen = np.argsort(distances, axis=1)[:, rank - 1]
    away = euclidean_distance(distances[np.arange(len(hashes)), chosen], p.k, p.delta)
    return prior[chosen], np.minimum(away**2 / variance, 1.0)


def _gaussian(prior: Floats) -> tuple[Floats, Floats]:
    mean = prior.mean(axis=0)
    centred = prior - mean
    covariance = centred.T @ centred / len(prior)
    ridge = _RIDGE * max(float(np.trace(covariance)) / len(mean), 1e-12)
    return mean, covariance + ridge * np.eye(len(mean))


def _filtered(
    hashes: npt.NDArray[np.generic], key: HashKey, means: Floats, covariances: Floats, order: npt.NDArray[np.int64]
) -> Floats:
    """Posterior means (n, L) after all measurements in ``order``, from priors (n, L) and (n, L, L)."""
    p = key.parameters
    period = p.k * p.delta
    centres = p.delta * (hashes.astype(np.float64) + 0.5) - key.dither
    means, covariances = means.copy(), covariances.copy()
    for i in order:
        row = key.matrix[i]
        spread = covariances @ row
        variance = np.maximum(spread @ row, 1e-12)
        offset = centres[:, i] - means @ row
        offset -= period * np.round(offset / period)
        shift, left = _comb_moments(offset, variance, period, p.delta / 2)
        gain = spread / variance[:, None]
        means += gain * shift[:, None]
        covariances -= (gain * ((variance - left) / variance)[:, None])[:, :, None] * spread[:, None, :]
    return means


def _comb_moments(offset: Floats, variance: Floats, period: float, half: float) -> tuple[Floats, Floats]:
    """Mean and variance of z ~ N(0, variance), given that z is within ``half`` of offset + j · period for some j."""
    sigma = np.sqrt(variance)
    if sigma.min() > _HOPELESS * period:
        return np.zeros_like(offset), variance
    reach = int(np.ceil(6.0 * sigma.max() / period)) + 1
    centre = offset[:, None] + np.arange(-reach, reach + 1) * period
    low, high = (centre - half) / sigma[:, None], (centre + half) / sigma[:, None]
    # Differences of the smaller tail, which do not cancel.
    weight = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    at_low, at_high = np.exp(-0.5 * low**2), np.exp(-0.5 * high**2)
    scale = np.sqrt(2.0 * np.pi) * np.maximum(weight.sum(axis=1), 1e-300)
    first = (at_low - at_high).sum(axis=1) / scale
    second = 1.0 + (low * at_low - high * at_high).sum(axis=1) / scale
    impossible = weight.sum(axis=1) < 1e-250  # contradicts what was believed: keep the belief
    shift = np.where(impossible, 0.0, sigma * first)
    left = np.where(impossible, variance, variance * np.maximum(second - first**2, 1e-9))
    return shift, np.minimum(left, variance)
