"""The decision of a multi-class support vector machine: one machine for each pair of classes, then a vote.

The same numbers and the same choice among equal votes as LIBSVM, which scikit-learn's ``SVC`` wraps, so that a machine
kept as plain arrays answers as the fitted one did. Nothing is pickled.

Source: Chang and Lin, LIBSVM: a library for support vector machines, §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sotto.link import BadValue

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OneVsOne:
    """Coefficients of the machines between ``C`` classes over ``S`` support vectors, grouped by class.

    Attributes
    ----------
    dual
        (C - 1, S) float64. The column of a support vector of class i holds its coefficients against the other
        classes in order.
    intercept
        (C (C - 1) / 2,) float64, pairs in the order (0, 1), (0, 2), …, (C - 2, C - 1).
    support
        how many support vectors each class has, in order.

    Raises
    ------
    ValueError
        the shapes do not fit together, or a number is not finite.
    """

    dual: Floats
    intercept: Floats
    support: tuple[int, ...]

    def __post_init__(self) -> None:
        classes = len(self.support)
        if classes < 2 or min(self.support) < 0:
            raise BadValue("too-few-classes", "a support vector machine has at least two classes")
        if self.dual.shape != (classes - 1, sum(self.support)) or self.intercept.shape != (pairs(classes),):
            raise BadValue(
                "wrong-shape",
                f"coefficients {self.dual.shape} do not fit {classes} classes and {sum(self.support)} vectors",
            )
        if self.dual.dtype != np.float64 or self.intercept.dtype != np.float64:
            raise BadValue("wrong-dtype", "coefficients of a support vector machine are float64")
        if not (np.isfinite(self.dual).all() and np.isfinite(self.intercept).all()):
            raise BadValue("not-finite", "coefficients of a support vector machine have to be finite")

    @classmethod
    def of(cls, svc: Any) -> Self:
        """The coefficients of a fitted ``sklearn.svm.SVC``."""
        # With two classes scikit-learn negates what LIBSVM returns, so that positive means the second class.
        sign = -1.0 if len(svc.classes_) == 2 else 1.0
        dual, intercept = sign * np.asarray(svc.dual_coef_, np.float64), sign * np.asarray(svc.intercept_, np.float64)
        return cls(dual, intercept, tuple(int(count) for count in svc.n_support_))

    @property
    def classes(self) -> int:
        return len(self.support)

    def decisions(self, kernel: npt.ArrayLike) -> Floats:
        """One value for each pair (i, j), positive in favour of i: (n, pairs), from the kernel (n, S)."""
        values = np.asarray(kernel, np.float64)
        bounds = np.concatenate([[0], np.cumsum(self.support)])
        spans = [slice(bounds[i], bounds[i + 1]) for i in range(self.classes)]
        result = np.empty((len(values), len(self.intercept)))
        for p, (i, j) in enumerate(combinations(range(self.classes), 2)):
            first = values[:, spans[i]] @ self.dual[j - 1, spans[i]]
            result[:, p] = first + values[:, spans[j]] @ self.dual[i, spans[j]] + self.intercept[p]
        return result

    def votes(self, decisions: Floats) -> npt.NDArray[np.int64]:
        """Pairs won by each class: (n, C)."""
        won = np.zeros((len(decisions), self.classes), np.int64)
        for p, (i, j) in enumerate(combinations(range(self.classes), 2)):
            first = decisions[:, p] > 0
            won[:, i] += first
            won[:, j] += ~first
        return won

    def labels(self, decisions: Floats) -> npt.NDArray[np.int64]:
        """Class index with the most votes, the lowest among equals, as LIBSVM: (n,)."""
        return self.votes(decisions).argmax(axis=1)

    def scores(self, decisions: Floats) -> Floats:
        """Votes plus a share below one half for the margins: (n, C), scikit-learn's ``decision_function``.

        With two classes: minus and plus the decision value. The largest score is the label, except that equal votes are
        settled by margin here and by order in :meth:`labels`.
        """
        if self.classes == 2:
            return np.concatenate([decisions, -decisions], axis=1)
        margins = np.zeros((len(decisions), self.classes))
        for p, (i, j) in enumerate(combinations(range(self.classes), 2)):
            margins[:, i] += decisions[:, p]
            margins[:, j] -= decisions[:, p]
        return self.votes(decisions) + margins / (3.0 * (np.abs(margins) + 1.0))


def pairs(classes: int) -> int:
    """How many pairs of classes there are."""
    return classes * (classes - 1) // 2
