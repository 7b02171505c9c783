"""Known pairs: what someone without the key learns from hashes whose features he knows.

A server that holds labelled hashes of a corpus it also has, or a client who asked for hashes of clips of his own, is in
this place. Two attackers:

* :func:`learn_measurements` learns the key. A row aᵢ is an unknown Gaussian vector and every known pair measures it
  once: aᵢ·x + wᵢ lies in the cell that the symbol names, modulo kΔ. That is the attack with a known key with the parts
  exchanged, and the same filter solves it (:mod:`sotto.hashing.attacks.comb_filter`). Only differences to one of the
  known utterances are measured, so the unknown dither is confined to one cell from the start; pairs near it come first,
  while the row is still uncertain. A key so learnt opens further hashes.
* :func:`regress_features` needs no model of the hash: kernel ridge regression from Hamming distances to features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.hashing.attacks.comb_filter import Floats, filtered
from sotto.hashing.attacks.known_key import Measurements, Recovery, Symbols, recover
from sotto.hashing.errors import HashingError
from sotto.hashing.smh.distance import hamming_distances
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import pack
from sotto.hashing.smh.parameters import HashParameters

_ROWS_AT_ONCE = 352  # rows of the key learnt together: 352 · 89² numbers are 22 MB
_SPREAD, _PENALTY = 1.0, 0.1  # of the regression: γ in units of one over the mean distance, and ridge


@dataclass(frozen=True)
class KnownPairsResult:
    """What an attacker with ``pairs`` known pairs got.

    Attributes
    ----------
    learnt
        features recovered through the learnt key.
    regressed
        features recovered by regression.
    key_correlation
        mean correlation of a learnt row of the key with the true one.
    predicted
        share of the symbols of unseen utterances that the learnt key predicts; chance is 1/k.
    """

    pairs: int
    learnt: Recovery
    regressed: Recovery
    key_correlation: float
    predicted: float


def known_pairs_attack(
    features: npt.ArrayLike, key: HashKey, known: npt.ArrayLike, *, measurements: int = 704, attempts: int = 4
) -> KnownPairsResult:
    """Hash ``features`` (n, L) and ``known`` (m, L) under ``key``, give the attacker the latter with their hashes and
    the former's hashes only, and compare what he makes of those with the truth.

    Parameters
    ----------
    measurements
        rows of the key he takes the trouble to learn, at most M.
    attempts
        starting points tried for hashes that no estimate explains.

    Raises
    ------
    HashingError
        the features do not fit the key, or fewer than two pairs are known.
    """
    x, pairs = np.asarray(features, np.float64), np.asarray(known, np.float64)
    symbols, known_symbols = modular_hash(x, key), modular_hash(pairs, key)
    rows = slice(0, min(measurements, key.parameters.symbols))
    learnt = learn_measurements(pairs, known_symbols[:, rows], key.parameters)
    estimate, _ = recover(symbols[:, rows], learnt, pairs, known_symbols[:, rows], attempts=attempts)
    regressed = regress_features(symbols, pairs, known_symbols, key.parameters.k)
    true = key.matrix[rows]
    norms = np.maximum(np.linalg.norm(learnt.matrix, axis=1) * np.linalg.norm(true, axis=1), 1e-12)
    mean = pairs.mean(axis=0)
    return KnownPairsResult(
        pairs=len(pairs),
        learnt=Recovery.of(estimate, x, mean),
        regressed=Recovery.of(regressed, x, mean),
        key_correlation=float(np.mean(np.sum(learnt.matrix * true, axis=1) / norms)),
        predicted=float(np.mean(learnt.symbols(x) == symbols[:, rows])),
    )


def learn_measurements(known: npt.ArrayLike, symbols: npt.ArrayLike, parameters: HashParameters) -> Measurements:
    """The key, as far as known features (m, L) and their hashes (m, M' ≤ M) tell: estimates of M' of its rows.

    The learnt dither is right up to whole periods; its noise is the variance of what the estimate predicts wrongly.

    Raises
    ------
    HashingError
        the arrays do not fit together or hold fewer than two pairs.
    """
    x, hashes = np.asarray(known, np.float64), np.asarray(symbols)
    if x.ndim != 2 or x.shape[1] != parameters.inputs or hashes.ndim != 2 or len(hashes) != len(x) or len(x) < 2:
        raise HashingError(
            "wrong-shape", f"features {x.shape} and hashes {hashes.shape} are no two or more pairs under this key"
        )
    delta, period = parameters.delta, parameters.k * parameters.delta
    origin = int(np.argmin(np.sum((x - x.mean(axis=0)) ** 2, axis=1)))
    # The unknown of a row: its L numbers, standard normal, and where aᵢ·x₀ + wᵢ lies within the cell of the symbol.
    directions = np.hstack([x - x[origin], np.ones((len(x), 1))])
    prior = np.diag(np.append(np.ones(parameters.inputs), delta**2 / 12))
    order = _from_near_to_far(directions, origin, prior, delta, period)
    behaviour = directions.T @ directions / len(directions)
    count = hashes.shape[1]
    matrix, dither, noise = np.empty((count, x.shape[1])), np.empty(count), np.empty(count)
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, count))
        centres = delta * (hashes[:, rows].T.astype(np.float64) + 0.5)
        means = np.zeros((len(centres), directions.shape[1]))
        means[:, -1] = centres[:, origin]
        found, covariances = filtered(
            directions[order],
            centres[:, order],
            means,
            np.tile(prior, (len(centres), 1, 1)),
            cell=delta,
            period=period,
        )
        matrix[rows] = found[:, :-1]
        dither[rows] = found[:, -1] - found[:, :-1] @ x[origin]
        noise[rows] = np.einsum("mij,ij->m", covariances, behaviour)
    return Measurements(matrix, dither, noise, delta, parameters.k)


def regress_features(symbols: Symbols, known: Floats, known_symbols: Symbols, k: int) -> Floats:
    """Estimates (n, L) of the features behind hashes (n, M), from known features (m, L) and their hashes (m, M)."""
    pairs = pack(known_symbols, k)
    among = hamming_distances(pairs, pairs)  # exp(-γ d) is positive definite; exp(-γ d²), the classifier's, is not
    asked = hamming_distances(pack(symbols, k), pairs)
    gamma = _SPREAD / max(float(among.mean()), 1e-12)
    mean = known.mean(axis=0)
    weights = np.linalg.solve(np.exp(-gamma * among) + _PENALTY * np.eye(len(known)), known - mean)
    return mean + np.exp(-gamma * asked) @ weights


def _from_near_to_far(
    directions: Floats, origin: int, prior: Floats, delta: float, period: float
) -> npt.NDArray[np.int64]:
    """All pairs but the origin, always the one whose measurement is predictable best after those before it.

    How much a measurement will tell is not known in advance; in the mean over keys its content fades with its variance
    v as the first harmonic of the comb, exp(-2π² v / period²), which is counted as so much more noise.
    """
    covariance = prior.copy()
    variances = np.einsum("nl,lj,nj->n", directions, prior, directions, optimize=True)
    variances[origin] = np.inf
    order = []
    for _ in range(len(directions) - 1):
        i = int(np.argmin(variances))
        order.append(i)
        spread = covariance @ directions[i]
        noise = delta**2 / 12 / max(float(np.exp(-2 * np.pi**2 * variances[i] / period**2)), 1e-9)
        total = variances[i] + noise
        covariance -= np.outer(spread, spread) / total
        variances = np.maximum(variances - (directions @ spread) ** 2 / total, 0.0)
        variances[i] = np.inf
    return np.array(order)
