"""Polynomial stand-ins for ReLU, the activation of networks that are evaluated under homomorphic encryption.

A ciphertext can only be added and multiplied, so ReLU is replaced by its least-squares polynomial of degree 2, 4
or 6 (Dias, Abad, Trancoso, "Exploring hashing and cryptonet based approaches for privacy-preserving speech
emotion recognition", section 5.2.1 and Table 3; the method is Chabanne et al., "Privacy-preserving classification
on deep neural network").

The table is the least-squares fit over inputs drawn from a standard normal distribution, which is what batch
normalisation makes of a pre-activation. :func:`fit_relu` reproduces it, with the weight function itself in place
of a random sample: every printed coefficient agrees within the spread of such a sample (5e-4 for degree 2, 2e-3
for degree 4, 4e-3 for degree 6) but one. The x⁴ coefficient of degree 4 is printed as -0.0388, and the fit
that gives the other four has -0.0166: with the printed one the polynomial is 1.2 at x = 3 where ReLU is 3 and
the fit 3.0, so we read it as a misprint. The table prints a cubic term of -0.0004 for degree 4, which is
sampling noise (ReLU is x/2 + |x|/2, so under a symmetric weight every odd term above x is zero), and leaves the
odd terms of degree 6 out.
"""

import copy
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sotto.link import BadValue

Coefficients = tuple[float, ...]
Source = Literal["fit", "table3"]

DEGREES = (2, 4, 6)

#: Table 3 as printed, constant term first.
TABLE_3: dict[int, Coefficients] = {
    2: (0.1992, 0.5002, 0.1997),
    4: (0.1500, 0.5012, 0.2981, -0.0004, -0.0388),
    6: (0.1249, 0.5000, 0.3729, 0.0, -0.0410, 0.0, 0.0016),
}

_TAIL = 10.0  # standard deviations; beyond, the weight is below 1e-22
_STEP = 1e-3


def fit_relu(degree: int, samples: ArrayLike | None = None) -> Coefficients:
    """Least-squares polynomial of ReLU, constant term first.

    Parameters
    ----------
    degree
        2, 4 or 6.
    samples
        pre-activations (any shape) over which to fit, for instance those of a layer on training data.
        None fits under the standard normal density, as the paper's Table 3 does.

    Raises
    ------
    ValueError
        the degree is not 2, 4 or 6, or the samples are too few, equal, or not finite.
    """
    _require_degree(degree)
    if samples is None:
        x = np.arange(-_TAIL, _TAIL + _STEP / 2, _STEP)
        fitted = np.polyfit(x, np.maximum(x, 0), degree, w=np.exp(-x * x / 4))  # polyfit squares its weights
        # The odd terms above x vanish by symmetry; what is left of them is rounding.
        return tuple(float(c) if i < 2 or i % 2 == 0 else 0.0 for i, c in enumerate(fitted[::-1]))
    x = np.asarray(samples, np.float64).ravel()
    if not np.isfinite(x).all() or len(np.unique(x)) <= degree:
        raise BadValue(
            "too-few-values", f"a fit of degree {degree} needs more than {degree} different, finite pre-activations"
        )
    return tuple(float(c) for c in np.polyfit(x, np.maximum(x, 0), degree)[::-1])


def relu_polynomial(degree: int, source: Source = "fit") -> Coefficients:
    """Coefficients for ReLU, constant term first: our own ``fit``, or ``table3`` as printed."""
    _require_degree(degree)
    if source not in ("fit", "table3"):
        raise BadValue("unknown-source", f'polynomial source is {source!r}; use "fit" or "table3"')
    return fit_relu(degree) if source == "fit" else TABLE_3[degree]


class PolynomialReLU(nn.Module):
    """A fixed polynomial applied to every value, by Horner's rule; same shape and dtype out as in."""

    coefficients: Tensor

    def __init__(self, degree: int = 2, source: Source = "fit", *, coefficients: Sequence[float] | None = None) -> None:
        """``coefficients``, constant term first, take the place of ``degree`` and ``source`` when given."""
        super().__init__()
        chosen = relu_polynomial(degree, source) if coefficients is None else tuple(map(float, coefficients))
        if len(chosen) < 2:
            raise BadValue(
                "too-few-coefficients", "a polynomial activation needs at least a constant and a linear coefficient"
            )
        self.register_buffer("coefficients", torch.tensor(chosen, dtype=torch.float64))

    @property
    def degree(self) -> int:
        return len(self.coefficients) - 1

    def forward(self, x: Tensor) -> Tensor:
        """The polynomial of every element of ``x``."""
        *lower, second, first = self.coefficients.to(x.dtype)
        result = first * x + second
        for coefficient in reversed(lower):
            result = result * x + coefficient
        return result

    def extra_repr(self) -> str:
        return f"degree={self.degree}"


def swap_relu(module: nn.Module, degree: int, source: Source = "fit") -> nn.Module:
    """A copy of a network trained with ReLU in which every ``nn.ReLU`` is a polynomial, as the paper does.

    Raises
    ------
    ValueError
        the network has no ``nn.ReLU`` to swap.
    """
    swapped = copy.deepcopy(module)
    found = False
    for parent in list(swapped.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, PolynomialReLU(degree, source))
                found = True
    if not found:
        raise BadValue("no-relu", f"{type(module).__name__} has no ReLU layer to swap for a polynomial")
    return swapped


def swap_relu_measured(module: nn.Module, degree: int, features: ArrayLike) -> nn.Module:
    """A copy of a network trained with ReLU in which every ``nn.ReLU`` is the polynomial fitted to its own inputs.

    Parameters
    ----------
    module
        the network, in evaluation mode.
    degree
        2, 4 or 6.
    features
        (n, ...) float32 training inputs of the network. Layer after layer, each polynomial is fitted over
        the pre-activations that they give with the polynomials before it in place.

    Raises
    ------
    ValueError
        the network has no ``nn.ReLU``, or a layer's inputs are too few, equal, or not finite.
    """
    swapped = swap_relu(module, degree)
    inputs = torch.from_numpy(np.asarray(features, np.float32))
    for layer in [each for each in swapped.modules() if isinstance(each, PolynomialReLU)]:
        seen: list[Tensor] = []
        watch = layer.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        with torch.no_grad():
            swapped(inputs)
        watch.remove()
        fitted = fit_relu(degree, seen[0].double().numpy())
        layer.coefficients = torch.tensor(fitted, dtype=torch.float64)
    return swapped


def _require_degree(degree: int) -> None:
    if degree not in DEGREES:
        raise BadValue("unknown-degree", f"polynomial degree is {degree}; use 2, 4 or 6")
