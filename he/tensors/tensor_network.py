"""Networks over tensors in the clear: sparse affine maps with a polynomial after each, in any acyclic order.

A convolution, a mean, a batch norm, a linear layer, a sum of residuals: between two activations all of that is one
affine map, and over encrypted slots it is evaluated as one.  So a network is a list of stages.  Stage k takes an affine
map of the input (value 0) and of earlier stages' results (values 1 to k) and applies a polynomial to every element; the
last stage applies none and gives the logits.  :mod:`sotto.he.tensors.exporting` makes one of a module.

Folded (:func:`fold`), every activation has one of the forms in :mod:`sotto.he.network.circuit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial.polynomial import polyval
from scipy.sparse import csr_array

from sotto.he.network.circuit import Activation, monic
from sotto.he.network.network import Floats, ModelRefused

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Stage:
    """One affine map and what follows it.

    Attributes
    ----------
    shape
        of one example of its result.
    weights
        for each value it takes, by number, a matrix (elements of the result, elements of the value).
    bias
        (elements,) float64.
    polynomial
        coefficients of the activation, constant term first; None for the last stage.
    """

    shape: Shape
    weights: Mapping[int, csr_array]
    bias: Floats
    polynomial: tuple[float, ...] | None


@dataclass(frozen=True, eq=False, repr=False)
class TensorNetwork:
    """``shape`` of one example, and the ``stages``."""

    shape: Shape
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        sizes = [self.inputs]
        for number, stage in enumerate(self.stages):
            last = number == len(self.stages) - 1
            if last != (stage.polynomial is None):
                raise ModelRefused("not-alternating", "a network needs one polynomial between each two affine maps")
            if not all(matrix.nnz for matrix in stage.weights.values()) or not stage.weights:
                raise ModelRefused("zero-layer", "the model has a layer whose weights are all zero: train it again")
            if any(not np.isfinite(matrix.data).all() for matrix in stage.weights.values()):
                raise ModelRefused("not-finite", "the model has weights that are not finite: train it again")
            if not np.isfinite(stage.bias).all():
                raise ModelRefused("not-finite", "the model has weights that are not finite: train it again")
            if stage.polynomial is not None:
                _require_activation(stage.polynomial)
            sizes.append(math.prod(stage.shape))
            if any(matrix.shape != (sizes[-1], sizes[source]) for source, matrix in stage.weights.items()):
                raise ModelRefused("layers-misfit", "the model's layers do not fit one another")

    def __repr__(self) -> str:
        shapes = " -> ".join("x".join(map(str, shape)) for shape in (self.shape, *(s.shape for s in self.stages)))
        degrees = [len(stage.polynomial) - 1 for stage in self.stages if stage.polynomial is not None]
        return f"TensorNetwork({shapes}, degrees={degrees})"

    @property
    def inputs(self) -> int:
        return math.prod(self.shape)

    @property
    def classes(self) -> int:
        return math.prod(self.stages[-1].shape)

    def logits(self, features: npt.ArrayLike) -> Floats:
        """Logits (n, classes) float64 of ``features`` (n, inputs) or (n, \\*shape), in the clear."""
        return self.preactivations(features)[-1]

    def preactivations(self, features: npt.ArrayLike) -> list[Floats]:
        """What every stage's affine map gives (n, elements), the logits last."""
        x = np.asarray(features, np.float64)
        values, found = [x.reshape(len(x), -1)], []
        for stage in self.stages:
            found.append(combined(stage.weights, stage.bias, values))
            if stage.polynomial is not None:
                values.append(np.asarray(polyval(found[-1], stage.polynomial)))
        return found


@dataclass(frozen=True, eq=False, repr=False)
class FoldedStage:
    """A stage whose activation is folded; ``activation`` is None for the last."""

    shape: Shape
    weights: Mapping[int, csr_array]
    bias: Floats
    activation: Activation | None


@dataclass(frozen=True, eq=False, repr=False)
class TensorCircuit:
    """The folded ``stages`` of a network over examples of ``shape``."""

    shape: Shape
    stages: tuple[FoldedStage, ...]

    @property
    def activations(self) -> tuple[Activation, ...]:
        return tuple(stage.activation for stage in self.stages if stage.activation is not None)

    @property
    def classes(self) -> int:
        return len(self.stages[-1].bias)


def combined(weights: Mapping[int, csr_array], bias: Floats, values: Sequence[Floats]) -> Floats:
    """The affine map of a stage over ``values``, each (n, elements)."""
    total = np.broadcast_to(bias, (len(values[0]), len(bias)))
    for source, matrix in weights.items():
        total = total + (matrix @ values[source].T).T
    return np.asarray(total)


def fold(network: TensorNetwork) -> TensorCircuit:
    """Fold the polynomials of ``network`` into its affine maps."""
    stages = []
    factors, constants = [1.0], [0.0]  # value k is factors[k] * (what the circuit computes) + constants[k]
    for stage in network.stages:
        bias = stage.bias.copy()
        weights = {}
        for source, matrix in stage.weights.items():
            bias += constants[source] * np.asarray(matrix.sum(axis=1)).ravel()
            weights[source] = matrix * factors[source]
        activation = None
        if stage.polynomial is not None:
            form = monic(stage.polynomial)
            weights = {source: matrix * form.rho for source, matrix in weights.items()}
            bias = bias * form.rho + form.shift
            activation = form.activation
            factors.append(form.sign)
            constants.append(form.sign * form.constant)
        stages.append(FoldedStage(stage.shape, weights, bias, activation))
    return TensorCircuit(network.shape, tuple(stages))


def _require_activation(coefficients: Sequence[float]) -> None:
    degree = len(coefficients) - 1
    if degree not in (2, 4, 6) or not np.isfinite(coefficients).all() or coefficients[-1] == 0:
        raise ModelRefused(
            "bad-degree",
            f"an activation is a polynomial of degree {degree}: ciphertexts take 2, 4 and 6, whose highest coefficient"
            " is not zero; fit one of those in its place",
        )
