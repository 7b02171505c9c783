"""How much error the encryption adds to a logit: the standard deviations of CKKS noise, carried along a circuit.

Sources, per real slot, in units of the encoded integer (ring degree N, ternary secret, error deviation 3.2; Cheon,
Kim, Kim, Song, "Homomorphic encryption for arithmetic of approximate numbers", section 3, with the average case in
place of the bounds):

* encryption and each rescaling: rounding errors uniform on [-1/2, 1/2] against the secret,
  ``sqrt(N/2 (1 + 2N/3) / 12)`` (the library encrypts under the key modulus and drops a prime, so that the
  encryption's own error is divided away);
* encoding a weight: rounding, ``sqrt(N/2 / 12)`` times the value it multiplies;
* switching keys after a rotation or a product, over the digits modulo each prime q, with the special prime P, at
  scale Δ²: ``sqrt(N/2 · N/12) · 3.2 · q / P`` from the spread of a digit, and from its mean q/2, which SEAL does not
  centre, ``sqrt(N/2) · 3.2 · (q/2) / P · |1 / sin(θ/2)|`` in the slot that belongs to the root of angle θ. That
  is 100 times the first in slot 0 (θ = π/N): the first class is noisier than the others.

The noises add up as if independent.  That makes this an estimate, not a bound: plans keep a margin of six
deviations, and tests hold measured errors against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.he.network.circuit import Circuit, evaluate
from sotto.he.network.network import Floats
from sotto.he.network.parameters import Parameters

SIGMA = 3.2
DEVIATIONS = 6.0

#: Up to this magnitude the error of a logit counts as it is, beyond in proportion to the logit.
LARGE_LOGIT = 64.0

#: Logits up to 64 are rounded to multiples of this, vectors with larger ones to a step larger in proportion.  It is
#: more than the largest error a plan accepts, eight deviations of its noise: the digits shown are the model's, but for
#: values that noise takes over a boundary, one in ten at that noise.  That is all that rounding hides: no statistical
#: distance is promised.
LOGIT_STEP = 2.0**-7


@dataclass(frozen=True, eq=False, repr=False)
class Noisy:
    """Values (n, units) and the variance of their error, same shape."""

    values: Floats
    variance: Floats


class Noise:
    """Arithmetic on values and the variance of their error."""

    def __init__(self, circuit: Circuit, parameters: Parameters) -> None:
        n, scale = parameters.ring_degree, 2.0**parameters.scale_bits
        self.circuit = circuit
        self.rescaling = n / 2 * (1 + 2 * n / 3) / 12 / scale**2
        self.encoding = n / 2 / 12 / scale**2
        self._spread, self._mean = _switching(parameters)

    def affine(self, x: Noisy, layer: int) -> Noisy:
        weight, bias = self.circuit.weights[layer], self.circuit.biases[layer]
        rows, columns = weight.shape
        encoded = (x.values**2).sum(axis=1, keepdims=True) * self.encoding
        # A rotation by i is made of the rotations in i's signed binary digits, a third of its bits on average;
        # all but the last of them carry the noise of the first slots away.
        rotations = sum(1 + i.bit_length() / 3 for i in range(1, rows))
        switched = rotations * self._spread + rows * self._mean[:columns]
        variance = x.variance @ weight**2 + encoded + 2 * self.rescaling + switched
        return Noisy(x.values @ weight + bias, variance)

    def square(self, x: Noisy) -> Noisy:
        return self._product(x.values**2, 4 * x.values**2 * x.variance + 2 * x.variance**2)

    def multiply(self, x: Noisy, y: Noisy) -> Noisy:
        # In a folded activation the second factor comes from the first, so their errors add up in full.
        deviation = np.abs(x.values) * np.sqrt(y.variance) + np.abs(y.values) * np.sqrt(x.variance)
        return self._product(x.values * y.values, deviation**2)

    def scale(self, x: Noisy, factor: float) -> Noisy:
        return Noisy(x.values * factor, x.variance * factor**2 + self.rescaling)

    def shift(self, x: Noisy, constant: float) -> Noisy:
        return Noisy(x.values + constant, x.variance)

    def add(self, x: Noisy, y: Noisy) -> Noisy:
        deviation = np.sqrt(x.variance) + np.sqrt(y.variance)
        return Noisy(x.values + y.values, deviation**2)

    def _product(self, values: Floats, variance: Floats) -> Noisy:
        units = values.shape[1]
        return Noisy(values, variance + self.rescaling + self._spread + self._mean[:units])


def _switching(parameters: Parameters) -> tuple[float, Floats]:
    """Variance of one key switching, at scale Δ²: the part equal in all slots, and the part by slot (slots,)."""
    n, scale = parameters.ring_degree, 2.0**parameters.scale_bits
    digits = sum(4.0 ** (bits - parameters.special_bits) for bits in parameters.chain[:-1])
    unit = n / 2 * SIGMA**2 * digits / scale**4
    powers = [pow(3, slot, 2 * n) for slot in range(parameters.slots)]  # slot j belongs to the root ζ^(3^j)
    return unit * n / 12, unit / 4 / np.sin(np.pi * np.array(powers) / (2 * n)) ** 2


def unit_noise(parameters: Parameters) -> float:
    """Deviation of the noise that one layer of a hundred inputs adds to a slot, at worst: a yardstick for sets."""
    n, scale = parameters.ring_degree, 2.0**parameters.scale_bits
    spread, mean = _switching(parameters)
    return math.sqrt(n / 2 * (2 * n / 3) / 12 / scale**2 + 300 * spread + 100 * float(mean.max()))


def logit_error(circuit: Circuit, parameters: Parameters, features: npt.ArrayLike) -> float:
    """Largest error to expect of a logit over ``features`` (n, inputs): six deviations of the noisiest one.

    Where a vector's logits exceed :data:`LARGE_LOGIT`, as polynomials make outliers do, the error counts in
    proportion to them.
    """
    arithmetic = Noise(circuit, parameters)
    values = np.asarray(features, np.float64)
    logits = evaluate(circuit, Noisy(values, np.full_like(values, arithmetic.rescaling)), arithmetic)
    size = np.maximum(1, np.abs(logits.values).max(axis=1) / LARGE_LOGIT)
    return DEVIATIONS * float((np.sqrt(logits.variance.max(axis=1)) / size).max())
