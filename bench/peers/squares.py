"""A chain of convolutions with polynomials of degree 2 as convolutions, squares and one linear layer.

Squares are completed: c₀ + c₁x + c₂x² is c₂(x + h)² + k, with h in the bias of the convolution before it, c₂ and k in
the layer after it.  There k becomes a bias that depends on the place, for a convolution pads with zeros, not with k.
Batch normalisation is in the convolution before it, and whatever follows the last square is measured as one affine map.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sotto.link import BadValue
from sotto.models.networks.polynomial import PolynomialReLU


@dataclass(frozen=True, eq=False, repr=False)
class Squared:
    """A convolution over time and the square of what it gives: ``weight`` (outputs, inputs, kernel), ``bias``
    (outputs, steps)."""

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    stride: int
    padding: int


@dataclass(frozen=True, eq=False, repr=False)
class Squares:
    """``convolutions`` one after the other, then ``weight`` (classes, outputs x steps) and ``bias`` (classes,)."""

    convolutions: tuple[Squared, ...]
    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    @classmethod
    def of(cls, module: nn.Module, steps: int) -> Squares:
        """The network that ``module`` is in evaluation mode, for so many time steps.

        Raises
        ------
        ValueError
            the module is no such chain.
        """
        chain = _chain(module)
        polynomials = {n: step for n, step in enumerate(chain) if isinstance(step, PolynomialReLU)}
        if not polynomials:
            raise BadValue("no-polynomial", f"{type(module).__name__} has no polynomial")
        convolutions = []
        values, factor, constant = torch.zeros(1, 0, steps, dtype=torch.float64), 1.0, 0.0
        with torch.no_grad():
            for before, number in itertools.pairwise([-1, *polynomials]):
                convolution = _convolution(chain[before + 1 : number])
                c0, c1, c2 = _degree_2(polynomials[number])
                values = torch.full((1, convolution.in_channels, values.shape[2]), constant, dtype=torch.float64)
                values = convolution(values) + c1 / (2 * c2)
                convolutions.append(
                    Squared(
                        (factor * convolution.weight).numpy(),
                        values[0].numpy(),
                        int(convolution.stride[0]),
                        int(convolution.padding[0]),
                    )
                )
                factor, constant = c2, c0 - c1**2 / (4 * c2)
            weight, bias = _affine(nn.Sequential(*chain[max(polynomials) + 1 :]), values.shape[1:], constant)
        return cls(tuple(convolutions), factor * weight, bias)


class _WholePolynomials(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, PolynomialReLU) or super().is_leaf_module(m, module_qualified_name)


def _chain(module: nn.Module) -> list[nn.Module]:
    """Its layers in their order; the shape of the input may be written anew before the first."""
    network = copy.deepcopy(module).double().eval()
    graph = _WholePolynomials().trace(network)
    for node in graph.nodes:
        called = node.op in ("call_function", "call_method") and node.target is not torch.reshape
        if called or len(node.users) > 1:
            raise BadValue("not-a-chain", f"{node.name} of {type(module).__name__} is no layer of a chain")
    return [network.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"]


def _convolution(steps: Sequence[nn.Module]) -> nn.Conv1d:
    """What stands before a polynomial as one convolution."""
    match [step for step in steps if not isinstance(step, nn.Dropout)]:
        case [nn.Conv1d() as folded]:
            pass
        case [nn.Conv1d() as convolution, nn.BatchNorm1d() as norm]:
            folded = fuse_conv_bn_eval(convolution, norm)
        case _:
            raise BadValue(
                "no-convolution",
                "only a convolution and a batch normalisation stand before a polynomial",
            )
    if folded.groups != 1 or folded.dilation != (1,) or isinstance(folded.padding, str):
        raise BadValue("wrong-convolution", "a convolution is in groups, dilated, or padded by name")
    return folded


def _degree_2(polynomial: PolynomialReLU) -> tuple[float, float, float]:
    coefficients = [float(c) for c in polynomial.coefficients]
    if len(coefficients) != 3 or coefficients[2] == 0:
        raise BadValue("wrong-degree", f"a polynomial of {len(coefficients)} coefficients: peers have degree 2")
    return coefficients[0], coefficients[1], coefficients[2]


def _affine(
    layers: nn.Module, shape: Sequence[int], constant: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The matrix and, for an input that has ``constant`` added everywhere, the bias of affine layers."""

    def through(values: Tensor) -> Tensor:
        found: Tensor = layers(values.reshape(-1, *shape))
        return found

    cells = int(np.prod(shape))
    units = torch.eye(cells, dtype=torch.float64)
    zero = through(torch.zeros(1, cells, dtype=torch.float64))
    bias = through(torch.full((1, cells), constant, dtype=torch.float64))
    return (through(units) - zero).T.numpy(), bias[0].numpy()
