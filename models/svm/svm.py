"""The support vector machine on eGeMAPS functionals: RBF kernel, one machine for each pair of classes.

The plaintext counterpart of the Hamming machine on hashes, and the baseline of Dias, Abad and Trancoso (§4.1). Fitted
with scikit-learn, kept as plain tensors in a module like every other model here, so that it is saved, loaded and asked
in the same way; scikit-learn's object is not kept and nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist
from sklearn.svm import SVC
from torch import nn

from sotto.link import BadValue
from sotto.models.svm.one_vs_one import OneVsOne, pairs
from sotto.models.svm.rbf_search import RBFSearch, search_rbf


class SVM(nn.Module):
    """K(x, z) = exp(-γ ‖x - z‖²) machines between ``classes`` classes.

    ``forward`` maps (n, inputs) float32 to scores (n, classes): votes plus a share below one half for the margins
    (scikit-learn's ``decision_function``); the largest is the answer, as for every model here, which settles equal
    votes by margin. :meth:`predict` settles them as LIBSVM does. Not differentiable.

    Parameters
    ----------
    inputs
        features of one example.
    support
        how many support vectors each class has; its length is the number of classes.
    gamma
        γ, positive.

    Raises
    ------
    ValueError
        fewer than two classes, no support vector, or γ not positive.
    """

    vectors: torch.Tensor
    dual: torch.Tensor
    intercept: torch.Tensor

    def __init__(self, inputs: int, support: Sequence[int], gamma: float) -> None:
        super().__init__()
        self.inputs, self.support, self.gamma = int(inputs), tuple(int(count) for count in support), float(gamma)
        classes = len(self.support)
        if inputs < 1 or classes < 2 or min(self.support) < 0 or not sum(self.support):
            raise BadValue("empty", "an SVM needs inputs, at least two classes and a support vector")
        if not (np.isfinite(self.gamma) and self.gamma > 0):
            raise BadValue("bad-gamma", f"gamma is {gamma}; use a positive number")
        self.register_buffer("vectors", torch.zeros(sum(self.support), inputs))
        self.register_buffer("dual", torch.zeros(classes - 1, sum(self.support), dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros(pairs(classes), dtype=torch.float64))

    @classmethod
    def of(cls, svc: SVC) -> SVM:
        """The module of a fitted ``sklearn.svm.SVC(kernel="rbf")``; classes by their position in ``svc.classes_``.

        Support vectors are kept in float32, which is exact for machines fitted on float32 features.
        """
        machines = OneVsOne.of(svc)
        module = cls(svc.support_vectors_.shape[1], machines.support, float(svc._gamma))
        module.vectors.copy_(torch.from_numpy(np.asarray(svc.support_vectors_)))
        module.dual.copy_(torch.from_numpy(machines.dual))
        module.intercept.copy_(torch.from_numpy(machines.intercept))
        return module.eval()

    @property
    def arguments(self) -> dict[str, int | float | tuple[int, ...]]:
        """What a :class:`sotto.models.weights.ModelRecord` says about it."""
        return {"inputs": self.inputs, "support": self.support, "gamma": self.gamma}

    def decisions(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Values of the pairwise machines, (n, pairs), from features (n, inputs)."""
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise BadValue("wrong-shape", f"features of shape {x.shape} do not fit an SVM made for (n, {self.inputs})")
        kernel = np.exp(-self.gamma * cdist(x, self.vectors.numpy().astype(np.float64), "sqeuclidean"))
        return self._machines().decisions(kernel)

    def predict(self, features: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Class indices (n,) with LIBSVM's choice among equal votes: what scikit-learn's ``SVC.predict`` answers."""
        return self._machines().labels(self.decisions(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self._machines().scores(self.decisions(x.detach().cpu().numpy()))
        return torch.from_numpy(scores.astype(np.float32)).to(x.device)

    def _machines(self) -> OneVsOne:
        return OneVsOne(self.dual.cpu().numpy(), self.intercept.cpu().numpy(), self.support)


def train_svm(
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    speakers: npt.ArrayLike,
    **search: Any,
) -> tuple[SVM, RBFSearch]:
    """Search C and γ on held-out speakers, then fit on everything.

    Parameters
    ----------
    features
        (n, inputs), normalised with statistics of these training speakers; standardised and clipped at three
        standard deviations works best on eGeMAPS.
    labels
        (n,) class indices 0 … C - 1, every class present.
    speakers
        (n,) who speaks.
    search
        ``costs``, ``spreads``, ``folds``: see :func:`sotto.models.svm.rbf_search.search_rbf`.

    Raises
    ------
    ValueError
        the arrays do not fit together, a class has no example, or there are too few speakers.
    """
    x, y = np.asarray(features, np.float32), np.asarray(labels)
    if x.ndim != 2 or y.shape != (len(x),):
        raise BadValue("shapes-differ", f"features {x.shape} and labels {y.shape} do not fit together")
    present = np.unique(y)
    if len(present) < 2 or not np.array_equal(present, np.arange(len(present))):
        raise BadValue(
            "bad-labels", "labels are class indices 0 to C - 1 with C at least 2, and every class needs an example"
        )
    squared = cdist(x.astype(np.float64), x.astype(np.float64), "sqeuclidean")
    found = search_rbf(squared, y, speakers, **search)
    return SVM.of(SVC(C=found.cost, gamma=found.gamma).fit(x.astype(np.float64), y)), found
