"""Features that waste less of what may leak: coordinates along which classes differ, beside the others scaled down.

A hash tells which vectors are close. Among 88 standardised functionals most of what makes two utterances close is who
speaks, not the class; after this map more of it is the class. So fewer pairs have to leak for the same accuracy, and
those that leak say less of who speaks.

The map is linear, learnt from labelled features by those who hold the key, and needed by everyone who hashes; it
belongs with the key and the server needs it as little. It is itself a linear classifier, on speech about as good a one
as the server's (:meth:`DiscriminantFeatures.nearest_class`): use it where the server's part is to pool and to serve,
not where its model has to stay its own.

Source: Fisher's discriminant with the shrinkage of Ledoit and Wolf, as in scikit-learn.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.validation import check_is_fitted, validate_data

from sotto.hashing.errors import HashingError

Floats = npt.NDArray[np.float64]


class DiscriminantFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """scikit-learn transformer: standardised features (n, L) to (n, D + L) with D = min(C - 1, L) discriminants first.

    Parameters
    ----------
    weight : float
        Size of the features themselves beside the discriminants: their mean square is ``weight``² times that of the
        discriminants, all together. 0 leaves the discriminants alone, (n, D).

    Attributes
    ----------
    mean_ : ndarray (L,)
        Of the training features.
    directions_ : ndarray (L, D)
        Discriminant directions, scaled so that the training coordinates have mean square one.
    scale_ : float
        What the features are multiplied with.
    classes_, centres_ : ndarray (C,) and (C, D)
        Labels, and their training means along the directions.
    """

    def __init__(self, weight: float = 0.3) -> None:
        self.weight = weight

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn the directions from features (n, L) and labels (n,).

        Raises
        ------
        HashingError
            ``weight`` is negative, or one class alone. ValueError: the features vary nowhere.
        """
        x, labels = validate_data(self, X, y, dtype=np.float64)
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise HashingError("bad-weight", f"weight is {self.weight}; use zero or a positive number")
        if len(np.unique(labels)) < 2:
            raise HashingError("one-class", "discriminants need at least two classes; all labels are one class")
        learnt = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(x, labels)
        directions = learnt.scalings_[:, : min(len(learnt.classes_) - 1, x.shape[1])]
        self.mean_ = x.mean(axis=0)
        size = float(np.sqrt(np.mean(((x - self.mean_) @ directions) ** 2)))
        self.directions_ = directions / max(size, 1e-12)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        along = (x - self.mean_) @ self.directions_
        self.centres_ = np.stack([along[numbers == c].mean(axis=0) for c in range(len(self.classes_))])
        everything = float(np.mean((x - self.mean_) ** 2)) * x.shape[1]
        self.scale_ = self.weight * float(np.sqrt(directions.shape[1] / max(everything, 1e-12)))
        return self

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Map features (n, L)."""
        check_is_fitted(self)
        centred = validate_data(self, X, reset=False, dtype=np.float64) - self.mean_
        coordinates = centred @ self.directions_
        return np.hstack([coordinates, self.scale_ * centred]) if self.scale_ else coordinates

    def nearest_class(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Labels (n,) of the nearest class means along the directions: what the holder of this map answers alone."""
        check_is_fitted(self)
        along = (validate_data(self, X, reset=False, dtype=np.float64) - self.mean_) @ self.directions_
        labels: npt.NDArray[Any] = self.classes_[cdist(along, self.centres_).argmin(axis=1)]
        return labels

    @property
    def _n_features_out(self) -> int:
        return int(self.directions_.shape[1]) + (self.n_features_in_ if self.scale_ else 0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
