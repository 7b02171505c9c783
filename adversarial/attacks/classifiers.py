"""The architectures an attacker tries on z: each is trained from scratch, on clips of other people and recordings.

They differ in what they can see.  Adversarial training tends to leave what its own discriminator is blind to, so a
single architecture of the attacker's, and above all the discriminator's, underestimates what is left: the discriminant
of :class:`_Quadratic` sees differences in covariance that equal means hide, kernels and trees see local structure, and
the deep network has more capacity than the discriminator of the paper (section 3.2: 48, 32, 16), which is among them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]

FEWEST = 60
"""Training clips that every attack needs: the architectures are made for this many and more."""


class _Quadratic(ClassifierMixin, BaseEstimator):
    """Two normal distributions, each with its own covariance (shrunk after Ledoit and Wolf, 2004)."""

    def fit(self, z: Floats, answers: npt.NDArray[np.bool_]) -> Self:
        self.classes_ = np.array([False, True])
        self.normal_ = [LedoitWolf().fit(z[answers == answer]) for answer in self.classes_]
        self.prior_ = float(np.log(np.mean(answers) / np.mean(~answers)))
        return self

    def decision_function(self, z: Floats) -> Floats:
        no, yes = (-0.5 * (normal.mahalanobis(z) - np.linalg.slogdet(normal.precision_)[1]) for normal in self.normal_)
        return np.asarray(yes - no + self.prior_, np.float64)


def _network(seed: int, *layers: int, decay: float) -> MLPClassifier:
    return MLPClassifier(
        layers, alpha=decay, learning_rate_init=3e-3, max_iter=120, early_stopping=True, n_iter_no_change=12,
        batch_size=32, random_state=seed,
    )  # fmt: skip


ARCHITECTURES: Mapping[str, Callable[[int], ClassifierMixin]] = {
    "logistic": lambda seed: LogisticRegression(C=1.0, max_iter=2000),
    "logistic-strict": lambda seed: LogisticRegression(C=0.01, max_iter=2000),
    "linear-discriminant": lambda seed: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "quadratic-discriminant": lambda seed: _Quadratic(),
    "svm": lambda seed: SVC(C=1.0),
    "svm-smooth": lambda seed: SVC(C=3.0, gamma=0.002),
    "neighbours": lambda seed: KNeighborsClassifier(15, weights="distance"),
    "trees": lambda seed: ExtraTreesClassifier(200, min_samples_leaf=3, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.08, max_leaf_nodes=12, l2_regularization=1.0, random_state=seed
    ),
    "network": lambda seed: _network(seed, 48, 32, 16, decay=1e-3),
    "wide-network": lambda seed: _network(seed, 256, decay=1e-2),
    "deep-network": lambda seed: _network(seed, 128, 128, 64, 64, decay=1e-2),
}
"""Fresh classifiers by name; each takes a seed for its initial weights."""


@contextmanager
def fitting() -> Iterator[None]:
    """Many small fits: on one thread, as threads would only wait for one another, and stopped early without a word."""
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fresh(name: str, seed: int) -> ClassifierMixin:
    """An untrained classifier of this architecture, which standardises z for itself."""
    return make_pipeline(StandardScaler(), ARCHITECTURES[name](seed))


def scores(classifier: ClassifierMixin, z: Floats) -> Floats:
    """How strongly a two-class classifier believes in class 1 (n,), on a scale of its own."""
    if hasattr(classifier, "decision_function"):
        return np.asarray(classifier.decision_function(z), np.float64)
    return np.asarray(classifier.predict_proba(z)[:, 1], np.float64)
