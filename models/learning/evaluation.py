"""Scores of a classifier over speakers it has not heard."""

import numpy as np
from numpy.typing import ArrayLike

from sotto.link import BadValue


def accuracy(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of class indices (n,) that are predicted right."""
    y, guess = _pair(targets, predicted)
    return float((y == guess).mean())


def unweighted_average_recall(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over the classes in ``targets`` of the share predicted right: every class counts the same."""
    y, guess = _pair(targets, predicted)
    return float(np.mean([(guess[y == label] == label).mean() for label in np.unique(y)]))


def _pair(targets: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y, guess = np.asarray(targets), np.asarray(predicted)
    if y.ndim != 1 or y.shape != guess.shape or not len(y):
        raise BadValue(
            "shapes-differ", f"targets {y.shape} and predictions {guess.shape} must be equally many class indices"
        )
    return y, guess
