"""The network as a circuit that is cheap under encryption: every polynomial folded into as few products as it takes.

A product of ciphertexts costs a level of the modulus chain, an affine map can absorb any factor, shift or constant
for nothing.  So each activation is rewritten for the variable ``w = rho z + h``, where the scale ``rho`` makes it
monic and the shift ``h`` kills its second-highest term; both move into the weights before it, the sign and the
constant into the weights and biases after it:

    degree 2    w²                                                              1 product,  1 level
    degree 4    (w² + β)² + l w                                                 2 products, 2 levels
    degree 6    (w (w² + β) + γ)² + k (w² + β) + l w                            3 products, 3 levels

Any polynomial of these degrees has this form.  An evaluator that rescales by a prime ``q`` and goes on as if it
had divided by the scale Δ (as TenSEAL does) multiplies every product by Δ/q; these ``ratios`` are public and are
compensated in the weights, so that they cost no precision.

:func:`evaluate` runs the circuit over any :class:`Arithmetic`: ciphertexts
(:mod:`sotto.he.evaluation.tenseal_evaluator`), worst-case ranges (:mod:`sotto.he.planning.ranges`), slots in the clear
(:mod:`sotto.he.planning.slots`), noise (:mod:`sotto.he.planning.noise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.polynomial import Polynomial

from sotto.he.network.network import Floats, PolynomialNetwork

Value = TypeVar("Value")

#: Levels an activation of each degree consumes.
DEPTH = {2: 1, 4: 2, 6: 3}


@dataclass(frozen=True, repr=False)
class Activation:
    """A folded activation: the constants of the forms in the module's docstring."""

    degree: int
    beta: float = 0.0
    gamma: float = 0.0
    quadratic: float = 0.0
    linear: float = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Circuit:
    """Folded ``weights`` (inputs, outputs) and ``biases`` per layer, and the activation between each two."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    activations: tuple[Activation, ...]

    @property
    def levels(self) -> int:
        """Rescalings from input to logits."""
        return len(self.weights) + sum(DEPTH[activation.degree] for activation in self.activations)


class Arithmetic(Protocol[Value]):
    """What a circuit is evaluated over.  ``affine``, ``square``, ``multiply`` and ``scale`` consume one level."""

    def affine(self, x: Value, layer: int) -> Value: ...
    def square(self, x: Value) -> Value: ...
    def multiply(self, x: Value, y: Value) -> Value: ...
    def scale(self, x: Value, factor: float) -> Value: ...
    def shift(self, x: Value, constant: float) -> Value: ...
    def add(self, x: Value, y: Value) -> Value: ...


@dataclass(frozen=True, eq=False)
class ClearArithmetic:
    """Exact arithmetic on values (n, units) in the clear."""

    circuit: Circuit

    def affine(self, x: Floats, layer: int) -> Floats:
        return x @ self.circuit.weights[layer] + self.circuit.biases[layer]

    def square(self, x: Floats) -> Floats:
        return x * x

    def multiply(self, x: Floats, y: Floats) -> Floats:
        return x * y

    def scale(self, x: Floats, factor: float) -> Floats:
        return x * factor

    def shift(self, x: Floats, constant: float) -> Floats:
        return x + constant

    def add(self, x: Floats, y: Floats) -> Floats:
        return x + y


def evaluate(circuit: Circuit, x: Value, arithmetic: Arithmetic[Value]) -> Value:
    """The circuit's logits for the input ``x``."""
    for layer, activation in enumerate(circuit.activations):
        x = _activate(arithmetic.affine(x, layer), activation, arithmetic)
    return arithmetic.affine(x, len(circuit.activations))


def _activate(w: Value, activation: Activation, arithmetic: Arithmetic[Value]) -> Value:
    square = arithmetic.square(w)
    if activation.degree == 2:
        return square
    inner = arithmetic.shift(square, activation.beta)
    if activation.degree == 4:
        result = arithmetic.square(inner)
    else:
        result = arithmetic.square(arithmetic.shift(arithmetic.multiply(w, inner), activation.gamma))
        if activation.quadratic:
            result = arithmetic.add(result, arithmetic.scale(inner, activation.quadratic))
    if activation.linear:
        result = arithmetic.add(result, arithmetic.scale(w, activation.linear))
    return result


def fold(network: PolynomialNetwork, ratios: Sequence[float] | None = None) -> Circuit:
    """Fold the polynomials of ``network`` into its layers.

    Parameters
    ----------
    network
        what to evaluate.
    ratios
        the factor Δ/q each level puts on a product, in the order in which levels are consumed; None where
        the evaluator's rescaling is exact.
    """
    remaining = iter(ratios) if ratios is not None else None

    def ratio() -> float:
        return 1.0 if remaining is None else next(remaining)

    weights, biases, folded = [], [], []
    factor, constant = 1.0, 0.0  # the previous activation is factor * (what the circuit computes) + constant
    for index, layer in enumerate(network.layers):
        bias = layer.bias + constant * layer.weight.sum(axis=1)
        weight = layer.weight * (factor / ratio())
        if index < len(network.polynomials):
            form = monic(network.polynomials[index])
            weight, bias = weight * form.rho, bias * form.rho + form.shift
            drift = [ratio() for _ in range(DEPTH[form.activation.degree])]
            activation, gain = _compensate(form.activation, drift)
            factor, constant = form.sign / gain, form.sign * form.constant
            folded.append(activation)
        weights.append(np.ascontiguousarray(weight.T))
        biases.append(bias)
    return Circuit(tuple(weights), tuple(biases), tuple(folded))


@dataclass(frozen=True)
class Monic:
    """``p(z) = sign * (activation(rho z + shift) + constant)``."""

    rho: float
    shift: float
    sign: float
    constant: float
    activation: Activation


def monic(coefficients: Sequence[float]) -> Monic:
    """The form of the polynomial with these ``coefficients``, constant term first."""
    degree = len(coefficients) - 1
    sign = float(np.sign(coefficients[-1]))
    rho = float(abs(coefficients[-1]) ** (1 / degree))
    scaled = Polynomial(coefficients)(Polynomial([0.0, 1 / rho])) * sign
    shift = float(scaled.coef[degree - 1] / degree)
    m = [float(c) for c in scaled(Polynomial([-shift, 1.0])).coef]
    if degree == 2:
        return Monic(rho, shift, sign, m[0], Activation(2))
    if degree == 4:
        beta = m[2] / 2
        return Monic(rho, shift, sign, m[0] - beta * beta, Activation(4, beta=beta, linear=m[1]))
    beta, gamma = m[4] / 2, m[3] / 2
    quadratic, linear = m[2] - beta * beta, m[1] - 2 * beta * gamma
    constant = m[0] - gamma * gamma - quadratic * beta
    return Monic(rho, shift, sign, constant, Activation(6, beta, gamma, quadratic, linear))


def _compensate(activation: Activation, ratios: Sequence[float]) -> tuple[Activation, float]:
    """The activation whose products each carry a ratio, and the factor that its result then carries."""
    if activation.degree == 2:
        return activation, ratios[0]
    first, second = ratios[0], ratios[1]
    beta = first * activation.beta
    if activation.degree == 4:
        gain = second * first**2
        return Activation(4, beta=beta, linear=gain * activation.linear / first), gain
    gain = ratios[2] * (first * second) ** 2
    return (
        Activation(
            6,
            beta,
            first * second * activation.gamma,
            gain * activation.quadratic / (first * second),
            gain * activation.linear / first,
        ),
        gain,
    )
