"""C and γ of a support vector machine with kernel exp(-γ d²), searched on held-out speakers.

Works on a matrix of distances, so the Euclidean machine on features and the Hamming machine on hashes are searched by
the same code. A speaker is never in the training and in the validation part of a fold: chosen on random folds, C and γ
reward remembering who speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from sotto.link import BadValue

COSTS = (1.0, 3.0, 10.0, 30.0)
SPREADS = (0.1, 0.2, 0.4, 0.8, 1.6)


@dataclass(frozen=True)
class RBFSearch:
    """What a search chose.

    Attributes
    ----------
    cost
        C.
    gamma
        γ, in units of one over the squared distance.
    accuracy
        of that choice on held-out speakers, 0 to 1; chosen as the best, so slightly optimistic.
    grid
        every (C, γ, accuracy) tried.
    """

    cost: float
    gamma: float
    accuracy: float
    grid: tuple[tuple[float, float, float], ...]


def search_rbf(
    squared_distances: npt.ArrayLike,
    labels: npt.ArrayLike,
    speakers: npt.ArrayLike,
    *,
    costs: Sequence[float] = COSTS,
    spreads: Sequence[float] = SPREADS,
    folds: int = 5,
) -> RBFSearch:
    """Try every C with every γ and keep the pair with the best accuracy on held-out speakers.

    Parameters
    ----------
    squared_distances
        (n, n), between all training examples.
    labels, speakers
        (n,) each.
    costs
        values of C.
    spreads
        values of γ times the mean squared distance, so that one grid suits any scale.
    folds
        at most one for each speaker.

    Raises
    ------
    ValueError
        shapes differ, a grid is empty, or there are fewer than two speakers, folds or classes.
    """
    squared, y, groups = np.asarray(squared_distances, np.float64), np.asarray(labels), np.asarray(speakers)
    if squared.shape != (len(y), len(y)) or groups.shape != y.shape:
        raise BadValue(
            "shapes-differ",
            f"distances {squared.shape}, labels {y.shape} and speakers {groups.shape} do not fit together",
        )
    if not costs or not spreads or len(np.unique(y)) < 2:
        raise BadValue(
            "nothing-to-try", "a search needs values of C and γ to try, and examples of at least two classes"
        )
    count = min(folds, len(np.unique(groups)))
    if count < 2:
        raise BadValue(
            "too-few-speakers",
            "C and γ are searched on held-out speakers: at least two speakers and two folds are needed",
        )
    mean = float(squared.mean()) or 1.0
    gammas = [spread / mean for spread in spreads]
    right = np.zeros((len(costs), len(gammas)))
    for train, test in GroupKFold(count).split(squared, y, groups):
        for g, gamma in enumerate(gammas):
            right[:, g] += _right(squared, y, train, test, gamma, costs)
    best = divmod(int(right.argmax()), len(gammas))
    shares = right / len(y)
    grid = tuple(
        (float(cost), gamma, float(shares[c, g])) for c, cost in enumerate(costs) for g, gamma in enumerate(gammas)
    )
    return RBFSearch(float(costs[best[0]]), gammas[best[1]], float(shares[best]), grid)


def _right(
    squared: npt.NDArray[np.float64],
    labels: npt.NDArray[Any],
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
    gamma: float,
    costs: Sequence[float],
) -> list[int]:
    """How many of the examples ``test`` a machine trained on ``train`` gets right, for each C."""
    known = np.unique(labels[train])
    if len(known) < 2:
        return [int(np.count_nonzero(labels[test] == known[0]))] * len(costs)
    fitted = np.exp(-gamma * squared[np.ix_(train, train)])
    asked = np.exp(-gamma * squared[np.ix_(test, train)])
    machines = [SVC(C=cost, kernel="precomputed", break_ties=True).fit(fitted, labels[train]) for cost in costs]
    return [int(np.count_nonzero(machine.predict(asked) == labels[test])) for machine in machines]
