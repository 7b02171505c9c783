"""Worst-case magnitudes: how large any value of a circuit can become for any input in [-1, 1].

A CKKS value that outgrows the modulus wraps around without an error, so the modulus is chosen from a bound.  Here
the bound is a proof: intervals go through the affine layers, and inside an activation every intermediate value is a
polynomial of one variable, whose range over its interval is taken exactly, at the ends and the critical points.

The slots behind a vector's own hold copies of it, and where the copies meet the end of the ciphertext a matrix
product mixes them up (:mod:`sotto.he.planning.slots`).  Those slots are never read, but they share the modulus, so
their range is followed too: there, any unit may stand in for any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import Polynomial

from sotto.he.network.circuit import Circuit, evaluate
from sotto.he.network.network import Floats

_IDENTITY = Polynomial([0.0, 1.0])
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, eq=False)
class Peak:
    """The largest magnitude at one point of a circuit, and how many levels the circuit still consumes after it."""

    own: float
    other: float  # in slots that mix units up
    remaining: int

    def magnitude(self, mixed: float) -> float:
        """Bound on a coefficient of the plaintext when a share ``mixed`` of the slots mixes units up.

        A coefficient is an average over the slots, so that each slot counts with its share.
        """
        return (1 - mixed) * self.own + mixed * max(self.own, self.other)


@dataclass(frozen=True, eq=False, repr=False)
class Range:
    """A value inside an activation: the polynomial ``p`` of its input, which lies in [low, high] per unit."""

    low: Floats
    high: Floats
    other: tuple[float, float]
    p: Polynomial
    consumed: int

    def bounds(self) -> tuple[Floats, Floats]:
        """Least and largest value per unit."""
        return polynomial_range(self.p, self.low, self.high)

    def other_bounds(self) -> tuple[float, float]:
        low, high = polynomial_range(self.p, np.array([self.other[0]]), np.array([self.other[1]]))
        return float(low[0]), float(high[0])


def polynomial_range(p: Polynomial, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Least and largest value of ``p`` on each interval: at its ends or at a critical point inside."""
    ends = p(low), p(high)
    least, largest = np.minimum(*ends), np.maximum(*ends)
    for point in np.atleast_1d(p.deriv().roots()) if p.degree() > 1 else ():
        if abs(point.imag) <= 1e-6 * max(1.0, abs(point)):
            value = p(float(point.real))
            inside = (low < point.real) & (point.real < high)
            least = np.where(inside, np.minimum(least, value), least)
            largest = np.where(inside, np.maximum(largest, value), largest)
    return least, largest


@dataclass
class Ranges:
    """Interval arithmetic over a circuit; ``peaks`` collects the magnitudes met on the way."""

    circuit: Circuit
    peaks: list[Peak] = field(default_factory=list)

    def affine(self, x: Range, layer: int) -> Range:
        weight, bias = self.circuit.weights[layer], self.circuit.biases[layer]
        positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
        low, high = x.bounds()
        least, largest = x.other_bounds()
        least, largest = min(least, float(low.min())), max(largest, float(high.max()))
        other_low = positive.sum(0) * least + negative.sum(0) * largest + bias
        other_high = positive.sum(0) * largest + negative.sum(0) * least + bias
        return self._met(
            Range(
                low @ positive + high @ negative + bias,
                high @ positive + low @ negative + bias,
                (float(other_low.min()), float(other_high.max())),
                _IDENTITY,
                x.consumed + 1,
            )
        )

    def square(self, x: Range) -> Range:
        return self._met(self._with(x, x.p * x.p, x.consumed + 1))

    def multiply(self, x: Range, y: Range) -> Range:
        return self._met(self._with(x, x.p * y.p, max(x.consumed, y.consumed) + 1))

    def scale(self, x: Range, factor: float) -> Range:
        return self._met(self._with(x, x.p * factor, x.consumed + 1))

    def shift(self, x: Range, constant: float) -> Range:
        return self._met(self._with(x, x.p + constant, x.consumed))

    def add(self, x: Range, y: Range) -> Range:
        return self._met(self._with(x, x.p + y.p, max(x.consumed, y.consumed)))

    @staticmethod
    def _with(x: Range, p: Polynomial, consumed: int) -> Range:
        return Range(x.low, x.high, x.other, p, consumed)

    def _met(self, x: Range) -> Range:
        low, high = x.bounds()
        own = float(np.maximum(np.abs(low), np.abs(high)).max())
        other = max(map(abs, x.other_bounds()))
        remaining = self.circuit.levels - x.consumed
        self.peaks.append(Peak(own * _ROUNDING, other * _ROUNDING, remaining))
        return x


def worst_case(circuit: Circuit) -> list[Peak]:
    """The peaks of ``circuit`` over every input in [-1, 1]; the last one is that of the logits."""
    arithmetic = Ranges(circuit)
    ones = np.ones(circuit.weights[0].shape[0])
    evaluate(circuit, Range(-ones, ones, (-1.0, 1.0), _IDENTITY, 0), arithmetic)
    return arithmetic.peaks


def headroom_bits(peaks: list[Peak], scale_bits: int, mixed: float) -> float:
    """Bits that the last modulus needs above the scale, sign aside, so that none of ``peaks`` wraps."""
    return max(math.log2(max(peak.magnitude(mixed), 1e-300)) - peak.remaining * scale_bits for peak in peaks)
