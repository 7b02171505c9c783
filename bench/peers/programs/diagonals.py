"""A polynomial network of degree 2 as squares and matrix products by diagonals, in the slots of a ciphertext.

A vector lies in the slots index by index, each index ``stride`` times for as many queries, and is repeated over all
slots, so that turning the slots by ``stride`` turns every query's vector by one index.

Programs in other systems' environments import this module by its path: it needs NumPy only, and Python 3.10.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Value = TypeVar("Value")
Encoded = TypeVar("Encoded")
Encoding = TypeVar("Encoding", contravariant=True)


class Arithmetic(Protocol[Value, Encoding]):
    """What a network is evaluated over: ciphertexts, or slots in the clear.  Turns are by indices, to the left."""

    def turned(self, x: Value, steps: Sequence[int]) -> list[Value]: ...
    def turn(self, x: Value, step: int) -> Value: ...
    def weigh(self, values: Sequence[Value], weights: Sequence[Encoding]) -> Value: ...
    def add(self, x: Value, y: Value) -> Value: ...
    def shift(self, x: Value, bias: Encoding) -> Value: ...
    def rescale(self, x: Value) -> Value: ...
    def square(self, x: Value) -> Value: ...


@dataclass(frozen=True)
class Product:
    """How a matrix (outputs, inputs) is multiplied with a vector of ciphertext slots.

    Both sides are padded to powers of two, ``rows`` and ``columns``.  As many diagonals as the shorter side has are
    weighed and summed, ``babies`` of them between two giant steps; where the matrix is wide, the sum is folded over
    its ``columns / rows`` parts.  A result repeats itself after ``rows`` indices, as the next product wants it.
    """

    outputs: int
    inputs: int

    @property
    def rows(self) -> int:
        return _power_of_two(self.outputs)

    @property
    def columns(self) -> int:
        return _power_of_two(self.inputs)

    @property
    def diagonals(self) -> int:
        return min(self.rows, self.columns)

    @property
    def babies(self) -> range:
        """Turns of the input; they share its decomposition, so there are rather more of them than giant steps."""
        return range(1 << math.ceil(math.log2(self.diagonals) / 2))

    @property
    def giants(self) -> range:
        """Turns of the sums."""
        return range(0, self.diagonals, len(self.babies))

    @property
    def folds(self) -> list[int]:
        """Turns of the result, each added to it."""
        return [self.rows << power for power in reversed(range(int(math.log2(max(1, self.columns // self.rows)))))]

    @property
    def turns(self) -> set[int]:
        """All turns that need a key."""
        return {*self.babies, *self.giants, *self.folds} - {0}

    def weights(self, matrix: Floats, width: int) -> Floats:
        """The diagonals (diagonals, width) of a matrix (outputs, inputs), each turned back by its giant step."""
        padded = np.zeros((self.rows, self.columns))
        padded[: self.outputs, : self.inputs] = matrix
        number, index = np.arange(self.diagonals)[:, None], np.arange(width)[None, :]
        source = index - number // len(self.babies) * len(self.babies)
        return padded[source % self.rows, (source + number) % self.columns]


@dataclass(frozen=True)
class Layer(Generic[Encoded]):
    """A product with its weights and its bias in the slots."""

    product: Product
    weights: Sequence[Encoded]
    bias: Encoded


def products(widths: Sequence[int]) -> list[Product]:
    """The products of a network with such widths, inputs first."""
    return [Product(outputs, inputs) for inputs, outputs in itertools.pairwise(widths)]


def width(steps: Sequence[Product]) -> int:
    """Indices that a vector takes."""
    return max(max(step.rows, step.columns) for step in steps)


def depth(steps: Sequence[Product]) -> int:
    """Rescalings from input to logits: one for each product, one for each square between two."""
    return 2 * len(steps) - 1


def evaluate(layers: Sequence[Layer[Encoded]], x: Value, arithmetic: Arithmetic[Value, Encoded]) -> Value:
    """The logits of the vector ``x``."""
    x = _affine(layers[0], x, arithmetic)
    for layer in layers[1:]:
        x = _affine(layer, arithmetic.rescale(arithmetic.square(x)), arithmetic)
    return x


def _affine(layer: Layer[Encoded], x: Value, arithmetic: Arithmetic[Value, Encoded]) -> Value:
    product = layer.product
    babies = arithmetic.turned(x, product.babies)
    sums = [arithmetic.weigh(babies, layer.weights[giant : giant + len(babies)]) for giant in product.giants]
    total = sums[0]
    for giant, part in list(zip(product.giants, sums, strict=True))[1:]:
        total = arithmetic.add(total, arithmetic.turn(part, giant))
    total = arithmetic.rescale(total)
    for fold in product.folds:
        total = arithmetic.add(total, arithmetic.turn(total, fold))
    return arithmetic.shift(total, layer.bias)


def complete_squares(
    matrices: Sequence[Floats], biases: Sequence[Floats], polynomials: Sequence[Sequence[float]]
) -> tuple[list[Floats], list[Floats]]:
    """Matrices and biases of the same network with plain squares for its polynomials (constant term first).

    ``a z² + b z + c = ±(ρ z + h)² + k``: scale and shift go into the layer before, sign and constant into the next.

    Raises
    ------
    ValueError
        a polynomial is not of degree 2.
    """
    sign, constant = 1.0, 0.0
    folded: tuple[list[Floats], list[Floats]] = ([], [])
    for number, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
        weight, shift = sign * matrix, bias + constant * matrix.sum(axis=1)
        if number < len(polynomials):
            if len(polynomials[number]) != 3 or not polynomials[number][2]:
                raise ValueError("an activation is not a polynomial of degree 2, the only one written for this peer")
            c, b, a = polynomials[number]
            sign, scale = math.copysign(1.0, a), math.sqrt(abs(a))
            offset = sign * b / (2 * scale)
            weight, shift = scale * weight, scale * shift + offset
            constant = c - sign * offset**2
        folded[0].append(weight)
        folded[1].append(shift)
    return folded


def spread(vectors: Floats, size: int, width: int, stride: int) -> Floats:
    """Slots (width x stride,) of at most ``stride`` vectors (n, length), each padded to ``size`` and repeated."""
    slots = np.zeros((width, stride))
    padded = np.zeros((size, len(vectors)))
    padded[: vectors.shape[1]] = vectors.T
    slots[:, : len(vectors)] = np.tile(padded, (width // size, 1))
    return slots.ravel()


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()
