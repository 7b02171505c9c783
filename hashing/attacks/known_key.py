"""Known key: how well someone with a hash and the stolen key (A, w) gets the features back.

Each symbol says that aᵢ·x + wᵢ lies in a cell of width Δ, modulo kΔ. The attacker has speech of other people, hence a
mean and covariance of the features, and takes the measurements one after the other
(:mod:`sotto.hashing.attacks.comb_filter`). Those he can predict best come first, so the wrapping is resolved early.
Where the result does not explain the hash he starts again from the utterance of his own whose hash is nearest, at the
distance the Hamming distance tells, then from the second nearest, and so on. Of this and of plain least squares
(:func:`least_squares`) he keeps what explains more symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sotto.hashing.attacks.comb_filter import Floats, filtered, gaussian
from sotto.hashing.errors import HashingError
from sotto.hashing.smh.distance import hamming_distances
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import pack
from sotto.hashing.smh.parameters import HashParameters
from sotto.hashing.smh.theory import euclidean_distance

Symbols = npt.NDArray[np.generic]

_UTTERANCES_AT_ONCE = 64
_EXPLAINED = 0.9  # share of a hash's symbols a good estimate reproduces; chance is 1/k
_ROUNDS = 50  # of least squares, each unwrapping around the last estimate; it settles in ten or so


@dataclass(frozen=True, eq=False, repr=False)
class Measurements:
    """What the attacker believes the key to be: matrix (M, L), dither (M,), and (M,) the variance of his error in a
    measurement, zero where he has the key itself."""

    matrix: Floats
    dither: Floats
    noise: Floats
    delta: float
    k: int

    @classmethod
    def of(cls, key: HashKey) -> Self:
        """The stolen key."""
        p = key.parameters
        return cls(key.matrix, key.dither, np.zeros(p.symbols), p.delta, p.k)

    def symbols(self, features: Floats) -> Symbols:
        """The hash symbols (n, M) he expects of features (n, L)."""
        return np.mod(np.floor((features @ self.matrix.T + self.dither) / self.delta), self.k).astype(np.uint8)

    def centres(self, symbols: Symbols) -> Floats:
        """Middle of the cells that aᵢ·x was found in, modulo the period: (n, M)."""
        return self.delta * (symbols.astype(np.float64) + 0.5) - self.dither


@dataclass(frozen=True)
class Recovery:
    """How near an attacker's estimates x̂ came to the features of ``utterances`` utterances.

    Attributes
    ----------
    relative_error
        median of ‖x̂ - x‖ / ‖x - μ‖; 1 is what guessing the mean μ of other speakers gives.
    correlation
        mean Pearson correlation of x̂ - μ with x - μ.
    recovered
        share of utterances with a relative error under 0.1.
    """

    utterances: int
    relative_error: float
    correlation: float
    recovered: float

    @classmethod
    def of(cls, estimate: Floats, truth: Floats, mean: Floats) -> Self:
        """Compare estimates (n, L) with the truth (n, L), relative to a guess ``mean`` (L,)."""
        away, found = truth - mean, estimate - mean
        errors = np.linalg.norm(estimate - truth, axis=1) / np.maximum(np.linalg.norm(away, axis=1), 1e-12)
        cosines = [
            np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else 0.0 for a, b in zip(away, found, strict=True)
        ]
        return cls(len(truth), float(np.median(errors)), float(np.mean(cosines)), float(np.mean(errors < 0.1)))


@dataclass(frozen=True)
class KnownKeyResult(Recovery):
    """What the attacker got; ``explained``: mean share of symbols that x̂ hashes to again."""

    explained: float = 0.0


def known_key_attack(
    features: npt.ArrayLike, key: HashKey, known: npt.ArrayLike, *, attempts: int = 4
) -> KnownKeyResult:
    """Hash ``features`` (n, L) under ``key``, recover them, and compare.

    Parameters
    ----------
    known
        (m, L) features of other people, from which the attacker takes mean and covariance.
    attempts
        starting points tried for hashes that no estimate explains.
    """
    x, prior = np.asarray(features, np.float64), np.asarray(known, np.float64)
    symbols = modular_hash(x, key)
    estimate = recover_features(symbols, key, prior, attempts=attempts)
    found = Recovery.of(estimate, x, prior.mean(axis=0))
    explained = float(np.mean(modular_hash(estimate, key) == symbols))
    return KnownKeyResult(found.utterances, found.relative_error, found.correlation, found.recovered, explained)


def recover_features(symbols: npt.ArrayLike, key: HashKey, known: npt.ArrayLike, *, attempts: int = 4) -> Floats:
    """Estimates (n, L) of the features behind hashes (n, M) under ``key``.

    Parameters
    ----------
    known
        (m, L) features of other people.
    attempts
        starting points tried, at least 1; the estimate that explains most symbols wins.

    Raises
    ------
    HashingError
        the hashes or ``known`` do not fit the key.
    """
    hashes, prior = _fitting(symbols, key.parameters, known)
    measurements = Measurements.of(key)
    best, explained = recover(hashes, measurements, prior, modular_hash(prior, key), attempts=attempts)
    simple = least_squares(hashes, key, prior)
    shares = np.mean(measurements.symbols(simple) == hashes, axis=1)
    better = shares > explained
    best[better], explained[better] = simple[better], shares[better]
    # An estimate that explains little more than chance went astray; the population's mean is nearer to the truth.
    best[explained < (1.0 + 1.0 / key.parameters.k) / 2.0] = prior.mean(axis=0)
    return best


def recover(
    hashes: Symbols, measurements: Measurements, known: Floats, known_hashes: Symbols, *, attempts: int
) -> tuple[Floats, Floats]:
    """Estimates (n, L) from hashes (n, M), a key or what the attacker believes it to be, and features (m, L) of other
    people with their hashes (m, M); and what share of its symbols each estimate explains (n,)."""
    mean, covariance = gaussian(known)
    best, explained = np.tile(mean, (len(hashes), 1)), np.full(len(hashes), -1.0)
    for attempt in range(min(max(1, attempts), 1 + len(known))):
        unexplained = np.flatnonzero(explained < _EXPLAINED)
        for start in range(0, len(unexplained), _UTTERANCES_AT_ONCE):
            rows = unexplained[start : start + _UTTERANCES_AT_ONCE]
            means, shares = np.tile(mean, (len(rows), 1)), np.ones(len(rows))
            if attempt:
                chosen, away = _nearest(hashes[rows], measurements, known_hashes, attempt)
                means, shares = known[chosen], np.minimum(away**2 / float(np.trace(covariance)), 1.0)
            estimate = _estimate(hashes[rows], measurements, means, shares, covariance)
            share = np.mean(measurements.symbols(estimate) == hashes[rows], axis=1)
            better = share > explained[rows]
            best[rows[better]], explained[rows[better]] = estimate[better], share[better]
    return best, explained


def _estimate(hashes: Symbols, measurements: Measurements, means: Floats, shares: Floats, covariance: Floats) -> Floats:
    """Filter from priors around ``means`` (n, L), as wide as the population's ``covariance`` times ``shares`` (n,)."""
    variances = np.einsum("ml,lj,mj->m", measurements.matrix, covariance, measurements.matrix, optimize=True)
    order = np.argsort(variances + measurements.noise)
    found, _ = filtered(
        measurements.matrix[order],
        measurements.centres(hashes)[:, order],
        means,
        shares[:, None, None] * covariance,
        cell=measurements.delta,
        period=measurements.k * measurements.delta,
        noise=measurements.noise[order],
    )
    return found


def _nearest(
    hashes: Symbols, measurements: Measurements, known_hashes: Symbols, rank: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each hash (n,) which known hash is the ``rank``-th nearest, and the Euclidean distance that this tells."""
    distances = hamming_distances(pack(hashes, measurements.k), pack(known_hashes, measurements.k))
    chosen = np.argsort(distances, axis=1)[:, rank - 1]
    found = distances[np.arange(len(hashes)), chosen]
    return chosen, euclidean_distance(found, measurements.k, measurements.delta)


def least_squares(symbols: npt.ArrayLike, key: HashKey, known: npt.ArrayLike) -> Floats:
    """Estimates (n, L) by regularised least squares, unwrapping every measurement around the last estimate.

    What an attacker does who does not mind the wrapping; it starts from the mean of ``known`` (m, L).
    """
    hashes, prior = _fitting(symbols, key.parameters, known)
    p = key.parameters
    period = p.k * p.delta
    mean, covariance = gaussian(prior)
    weight = p.delta**2 / 12 * np.linalg.inv(covariance)
    solve = np.linalg.inv(key.matrix.T @ key.matrix + weight)
    centres = Measurements.of(key).centres(hashes)
    estimate = np.tile(mean, (len(hashes), 1))
    for _ in range(_ROUNDS):
        residual = centres - estimate @ key.matrix.T
        residual -= period * np.round(residual / period)
        estimate = estimate + (residual @ key.matrix - (estimate - mean) @ weight) @ solve
    return estimate


def _fitting(symbols: npt.ArrayLike, parameters: HashParameters, known: npt.ArrayLike) -> tuple[Symbols, Floats]:
    hashes, prior = np.asarray(symbols), np.asarray(known, np.float64)
    fits = hashes.ndim == 2 and hashes.shape[1] == parameters.symbols
    if not fits or prior.ndim != 2 or prior.shape[1] != parameters.inputs or not len(prior):
        raise HashingError(
            "wrong-shape",
            f"hashes {hashes.shape} or features {prior.shape} do not fit the key, which is for {parameters.inputs} "
            f"features and gives {parameters.symbols} symbols",
        )
    return hashes, prior
