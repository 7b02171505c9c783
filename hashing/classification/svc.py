"""The classifier on hashes: a support vector machine with the RBF-Hamming kernel.

The server trains it on hashes and never needs the key. What it keeps are hashes of training utterances, so whoever has
the key and the model has approximations of those utterances' features.

Source: Dias, Abad, Trancoso, §4.2.1. Kept and loaded as safetensors; nothing is pickled by this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sotto.hashing.classification.kernel import Hashes, hamming_kernel
from sotto.hashing.errors import HashFileError, HashingError
from sotto.hashing.smh.packing import PackedHashes, holds_symbols, pack
from sotto.hashing.tensor_file import read_file, write_file
from sotto.models.svm.one_vs_one import OneVsOne

Floats = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 1024  # queries whose kernel is in memory at one time


class _HammingSVC(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record in a classifier's file."""

    format: Literal["sotto-hamming-svc"]
    version: Literal[1]
    classes: tuple[str | int, ...]
    support: tuple[int, ...]
    k: int
    symbols: int
    C: float
    gamma: float
    fingerprint: str


class HammingSVC(ClassifierMixin, BaseEstimator):
    """scikit-learn classifier on hashes.

    Hashes come packed (:class:`sotto.hashing.smh.packing.PackedHashes`) or as arrays (n, M), as
    :class:`SecureModularHash` gives them; values other than 0 … 15 are compared for equality, which is slower.

    Parameters
    ----------
    C : float
        Cost of a training error.
    gamma : float
        γ of exp(-γ d_H²), with d_H from 0 to 1.

    Attributes
    ----------
    classes_ : ndarray (C,)
        The labels, sorted.
    support_hashes_ : PackedHashes or ndarray (S, M)
        Hashes of the support vectors, grouped by class.
    machines_ : models.one_vs_one.OneVsOne
        Coefficients of the pairwise machines.
    fingerprint_ : str
        Which key the training hashes were made with; empty when unknown.
    """

    def __init__(self, C: float = 3.0, gamma: float = 3.0) -> None:
        self.C = C
        self.gamma = gamma

    def fit(self, X: Hashes, y: npt.ArrayLike, *, fingerprint: str = "") -> Self:
        """Train on hashes ``X`` (n) and their labels (n,).

        Parameters
        ----------
        fingerprint
            of the key the hashes were made with, so that queries under another key are refused.
        """
        hashes, labels = self._training(X, y)
        check_classification_targets(labels)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise HashingError(
                "one-class", f"a classifier needs at least two classes; all labels are one class, {self.classes_[0]}"
            )
        svc = SVC(C=self.C, kernel="precomputed").fit(hamming_kernel(hashes, gamma=self.gamma), targets)
        self.machines_ = OneVsOne.of(svc)
        self.support_hashes_ = hashes[svc.support_]
        self.fingerprint_ = fingerprint
        self.n_features_in_ = hashes.symbols if isinstance(hashes, PackedHashes) else hashes.shape[1]
        return self

    def predict(self, X: Hashes) -> npt.NDArray[Any]:
        """Labels (n,): the largest score, which settles equal votes by margin, as ``SVC(break_ties=True)``."""
        positions = self._scores(X).argmax(axis=1)
        return self.classes_[positions]

    def decision_function(self, X: Hashes) -> Floats:
        """Scores as ``sklearn.svm.SVC``: (n, C), or (n,) with two classes, positive for the second."""
        scores = self._scores(X)
        return scores[:, 1] if len(self.classes_) == 2 else scores

    def answer(self, hashes: PackedHashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """What a server answers: positions in ``classes_`` (n,), as :meth:`predict`, and scores (n, C)."""
        scores = self._scores(hashes)
        return scores.argmax(axis=1), scores.astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Write the fitted classifier to ``path``, replacing what is there.

        Raises
        ------
        HashFileError
            it was not trained on hashes, or its labels are neither whole numbers nor text.
        """
        check_is_fitted(self)
        hashes = self.support_hashes_
        if not isinstance(hashes, PackedHashes):
            raise HashFileError("no-classifier", "only a classifier trained on hashes can be saved")
        if self.classes_.dtype.kind not in "iuU":
            raise HashFileError(
                "label-type", f"labels of type {self.classes_.dtype} cannot be saved; use whole numbers or text"
            )
        record = _HammingSVC(
            format="sotto-hamming-svc",
            version=1,
            classes=tuple(self.classes_.tolist()),
            support=self.machines_.support,
            k=hashes.k,
            symbols=hashes.symbols,
            C=float(self.C),
            gamma=float(self.gamma),
            fingerprint=self.fingerprint_,
        )
        tensors = {"dual": self.machines_.dual, "intercept": self.machines_.intercept, "planes": hashes.planes}
        write_file(path, tensors, record, private=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a classifier.

        Raises
        ------
        HashFileError
            missing, too large, malformed, or its parts do not fit together.
        """
        record, tensors = read_file(path, _HammingSVC, ("dual", "intercept", "planes"), private=False)
        try:
            machines = OneVsOne(tensors["dual"], tensors["intercept"], record.support)
            hashes = PackedHashes(tensors["planes"], record.k, record.symbols).checked()
            if len(hashes) != sum(record.support) or len(set(record.classes)) != len(record.support):
                raise HashingError("bad-support", "support vectors and classes do not fit together")
            if len({type(label) for label in record.classes}) != 1:
                raise HashingError("label-type", "the labels are partly numbers and partly text")
            if not (np.isfinite(record.gamma) and record.gamma > 0):
                raise HashingError("bad-gamma", "gamma is not a positive number")
        except ValueError as error:
            raise HashFileError("bad-file", f"{path}: {error}") from None
        classifier = cls(C=record.C, gamma=record.gamma)
        classifier.classes_ = np.array(record.classes)
        classifier.machines_, classifier.support_hashes_ = machines, hashes
        classifier.fingerprint_, classifier.n_features_in_ = record.fingerprint, record.symbols
        return classifier

    def _training(self, X: Hashes, y: npt.ArrayLike) -> tuple[Hashes, npt.NDArray[Any]]:
        """Training hashes, packed where they are hashes, and their labels."""
        if isinstance(X, PackedHashes):
            labels = np.asarray(y)
            if labels.shape != (len(X),):
                raise HashingError("wrong-shape", f"{len(X)} hashes need as many labels, not {labels.shape}")
            return X, labels
        values, labels = validate_data(self, X, y, dtype="numeric")
        k = max(2, 1 + int(values.max())) if holds_symbols(values) else 0
        return (pack(values, k) if k else values), labels

    def _scores(self, X: Hashes) -> Floats:
        check_is_fitted(self)
        if not isinstance(X, PackedHashes):
            X = validate_data(self, X, reset=False, dtype="numeric")
        rows = [X[start : start + _ROWS_AT_ONCE] for start in range(0, max(len(X), 1), _ROWS_AT_ONCE)]
        kernels = (hamming_kernel(some, self.support_hashes_, gamma=self.gamma) for some in rows)
        return np.concatenate([self.machines_.scores(self.machines_.decisions(kernel)) for kernel in kernels])
