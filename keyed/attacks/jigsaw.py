"""Ciphertext-only attack on Shuffling: putting samples back in order by which of them go together.

Neighbouring samples are alike, the last of one block is like the first of the next, and how alike is known from any
public speech.  Orders that explain the correlations within and between encrypted blocks are found by the FAQ method for
quadratic assignment (Vogelstein et al. 2015), and improved by exchanging pairs: first until the correlations are most
like those of public speech, then until the decrypted speech is most plausible (:mod:`keyed.attacks.plausibility`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import quadratic_assignment

from keyed.attacks.moments import Moments
from keyed.attacks.plausibility import Judge
from keyed.errors import KeyedError
from keyed.keys import SALT_BYTES, Shuffling

Order = npt.NDArray[np.intp]
_FINALISTS = 3


def shuffling_from_statistics(
    encrypted: Moments, public: Moments, block_size: int, dimension: int, *, starts: int = 16, seed: int = 0
) -> Shuffling | None:
    """The key as the attacker guesses it; None when he finds nothing moved."""
    plain, seen = _fingerprints(public), _fingerprints(encrypted)
    judge = Judge(public, block_size, dimension)

    def distance(order: Order) -> float:
        return float(np.square(plain - seen[:, order][:, :, order]).sum())

    def implausibility(order: Order) -> float:
        return float(judge.implausibility(encrypted.covariances[None, :, order][:, :, :, order]))

    generator = np.random.default_rng(seed)  # an attacker's coin tosses, not a key's
    found = [_exchanged(_assigned(plain, seen, attempt, generator), distance) for attempt in range(starts)]
    found = sorted(found, key=implausibility)[:_FINALISTS]
    best = min((_exchanged(order, implausibility) for order in found), key=implausibility)
    try:
        return Shuffling(block_size, dimension, np.argsort(best).astype(np.int64), bytes(SALT_BYTES))
    except KeyedError:
        return None


def _fingerprints(moments: Moments) -> npt.NDArray[np.float64]:
    """Matrices (k, N, N) that a shuffling permutes on both sides: correlations, and mean and spread on a diagonal."""
    spread = moments.covariances[0].diagonal().clamp(min=1e-30).sqrt()
    correlations = (moments.covariances / (spread[:, None] * spread)).numpy()
    return np.concatenate([correlations, np.diag((moments.mean / spread).numpy())[None], np.diag(spread.numpy())[None]])


def _assigned(
    plain: npt.NDArray[np.float64], seen: npt.NDArray[np.float64], attempt: int, generator: np.random.Generator
) -> Order:
    """A first order.  Any mixture of the matrices is permuted alike, so each attempt looks at another one."""
    weights = np.ones(len(plain)) if attempt == 0 else generator.dirichlet(np.ones(len(plain)))
    one, other = np.tensordot(weights, plain, 1), np.tensordot(weights, seen, 1)
    options = {"maximize": True, "P0": "randomized" if attempt else "barycenter", "rng": generator}
    order: Order = quadratic_assignment(one, other, method="faq", options=options)["col_ind"]
    return order


def _exchanged(order: Order, cost: Callable[[Order], float]) -> Order:
    """Exchange two places while that costs less; order[i] is where number i went."""
    least = cost(order)
    improved = True
    while improved:
        improved = False
        for i in range(len(order)):
            for j in range(i + 1, len(order)):
                tried = order.copy()
                tried[i], tried[j] = order[j], order[i]
                value = cost(tried)
                if value < least - 1e-12:
                    order, least, improved = tried, value, True
    return order
