"""Ciphertext-only attack on Shuffling: putting samples back in order by which of them go together.

Neighbouring samples are alike, the last of one block is like the first of the next, and how alike is known from any
public speech.  The order that explains the correlations within and between encrypted blocks best is found by the FAQ
method for quadratic assignment (Vogelstein et al. 2015), from several starts, and improved by exchanging pairs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import quadratic_assignment

from keyed.attacks.moments import Moments
from keyed.errors import KeyedError
from keyed.keys import SALT_BYTES, Shuffling


def shuffling_from_statistics(
    encrypted: Moments, public: Moments, block_size: int, dimension: int, *, starts: int = 16, seed: int = 0
) -> Shuffling | None:
    """The key as the attacker guesses it; None when he finds nothing moved."""
    plain, seen = _fingerprints(public), _fingerprints(encrypted)
    generator = np.random.default_rng(seed)  # an attacker's coin tosses, not a key's
    best, most = np.arange(len(plain[0])), -np.inf
    for attempt in range(starts):
        # Any mixture of the covariances is permuted alike; each start looks at another one.
        weights = np.ones(len(plain)) if attempt == 0 else generator.dirichlet(np.ones(len(plain)))
        one, other = np.tensordot(weights, plain, 1), np.tensordot(weights, seen, 1)
        options = {"maximize": True, "P0": "randomized" if attempt else "barycenter", "rng": generator}
        order = quadratic_assignment(one, other, method="faq", options=options)["col_ind"]
        order, value = _exchanged(plain, seen, order)
        if value > most:
            best, most = order, value
    try:
        return Shuffling(block_size, dimension, np.argsort(best).astype(np.int64), bytes(SALT_BYTES))
    except KeyedError:
        return None


def _fingerprints(moments: Moments) -> npt.NDArray[np.float64]:
    """Matrices (k, N, N) that a shuffling permutes on both sides: correlations, and the mean on a diagonal."""
    spread = moments.covariances[0].diagonal().clamp(min=1e-30).sqrt()
    correlations = (moments.covariances / (spread[:, None] * spread)).numpy()
    return np.concatenate([correlations, np.diag((moments.mean / spread).numpy())[None], np.diag(spread.numpy())[None]])


def _exchanged(
    plain: npt.NDArray[np.float64], seen: npt.NDArray[np.float64], order: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], float]:
    """Exchange two places while that brings the matrices nearer; order[i] is where number i went."""

    def nearness(order: npt.NDArray[np.intp]) -> float:
        return -float(np.square(plain - seen[:, order][:, :, order]).sum())

    best = nearness(order)
    improved = True
    while improved:
        improved = False
        for i in range(len(order)):
            for j in range(i + 1, len(order)):
                tried = order.copy()
                tried[i], tried[j] = order[j], order[i]
                value = nearness(tried)
                if value > best + 1e-12:
                    order, best, improved = tried, value, True
    return order, best
