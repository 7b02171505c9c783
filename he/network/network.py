"""The plaintext network that an encrypted evaluation must reproduce: affine layers with polynomials between them.

This is Bob's secret.  Batch normalisation is folded into the layers before it
(:func:`sotto.models.networks.mlp.affine_layers`), and everything is float64, so that the difference between a decrypted
logit and this network's is the error of the encryption alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.polynomial.polynomial import polyval

from sotto.link import Coded

if TYPE_CHECKING:
    from torch import nn

    from sotto.models.networks.mlp import Affine

Floats = npt.NDArray[np.float64]


class ModelRefused(Coded, ValueError):
    """A model cannot be evaluated under encryption as it is; the message is one line that says why."""


@dataclass(frozen=True, eq=False, repr=False)
class PolynomialNetwork:
    """``layers`` and, between them, one polynomial each (coefficients, constant term first)."""

    layers: tuple[Affine, ...]
    polynomials: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.layers or len(self.polynomials) != len(self.layers) - 1:
            raise ModelRefused("not-alternating", "a network needs layers with one polynomial between each two")
        for layer in self.layers:
            if not (np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()):
                raise ModelRefused("not-finite", "the model has weights that are not finite: train it again")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.weight.shape[0] != after.weight.shape[1]:
                raise ModelRefused("layers-misfit", "the model's layers do not fit one another")
        for coefficients in self.polynomials:
            degree = len(coefficients) - 1
            if degree not in (2, 4, 6) or not np.isfinite(coefficients).all() or coefficients[-1] == 0:
                raise ModelRefused(
                    "bad-degree", "every activation must be a polynomial of degree 2, 4 or 6 that is really of it"
                )

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.widths))
        return f"PolynomialNetwork({widths}, degrees={[len(c) - 1 for c in self.polynomials]})"

    @classmethod
    def of(cls, module: nn.Module) -> PolynomialNetwork:
        """The network of a trained :class:`sotto.models.networks.mlp.MLP` with polynomial activations, in evaluation
        mode.

        Raises
        ------
        ModelRefused
            another architecture, or ReLU where a polynomial is needed.
        """
        from sotto.models.networks.mlp import MLP, activations, affine_layers  # torch, which Alice does without
        from sotto.models.networks.polynomial import PolynomialReLU

        if not isinstance(module, MLP):
            raise ModelRefused(
                "not-an-mlp", f"{type(module).__name__} is not an MLP, the only network evaluated under encryption"
            )
        polynomials = []
        for activation in activations(module):
            if not isinstance(activation, PolynomialReLU):
                raise ModelRefused(
                    "has-relu",
                    "ciphertexts have no ReLU: train with activation='poly2', 'poly4' or 'poly6', or swap it for"
                    " polynomials (models.networks.polynomial.swap_relu)",
                )
            polynomials.append(tuple(float(c) for c in activation.coefficients))
        return cls(affine_layers(module), tuple(polynomials))

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units of each layer, classes."""
        return (self.layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in self.layers))

    @property
    def inputs(self) -> int:
        return self.widths[0]

    @property
    def classes(self) -> int:
        return self.widths[-1]

    def logits(self, features: npt.ArrayLike) -> Floats:
        """Logits (n, classes) float64 of ``features`` (n, inputs), in the clear."""
        x = np.asarray(features, np.float64)
        for layer, coefficients in zip(self.layers, self.polynomials, strict=False):
            x = np.asarray(polyval(x @ layer.weight.T + layer.bias, coefficients), np.float64)
        return x @ self.layers[-1].weight.T + self.layers[-1].bias
