"""Worst-case intervals over slots or units: the proof that a packed or batched program cannot wrap around.

As in :mod:`sotto.he.planning.ranges`, intervals go through affine layers, and inside an activation every value is a
polynomial of the layer's output, whose range is taken exactly.  In a packed program every slot is followed, the garbage
between a sparse layer's windows included, because all slots share the modulus.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial

from sotto.he.network.network import Floats
from sotto.he.network.program import Constant, Machine, UnitLayer, Value
from sotto.he.network.schedule import Schedule, phases
from sotto.he.planning.ranges import polynomial_range

_IDENTITY = Polynomial([0.0, 1.0])
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Box:
    """``p`` of a real value in [low, high], slot by slot; with ``imaginary`` parts, [low, high] of those beside it."""

    low: Floats
    high: Floats
    p: Polynomial = field(default_factory=lambda: _IDENTITY)
    imaginary: tuple[Floats, Floats] | None = None

    def bounds(self) -> tuple[Floats, Floats]:
        """Least and largest (real part of the) value."""
        return (self.low, self.high) if self.p is _IDENTITY else polynomial_range(self.p, self.low, self.high)

    def magnitude(self) -> Floats:
        """Largest magnitude slot by slot."""
        low, high = self.bounds()
        real = np.maximum(np.abs(low), np.abs(high))
        if self.imaginary is None:
            return real
        return np.hypot(real, np.maximum(np.abs(self.imaginary[0]), np.abs(self.imaginary[1])))


class Intervals(Machine[Box]):
    """``peaks`` collects the magnitude at every point: the mean over the slots of a ciphertext, which bounds a
    plaintext coefficient, or with ``by_unit`` the largest over units that are ciphertexts of their own."""

    def __init__(self, schedule: Schedule, *, by_unit: bool) -> None:
        super().__init__(schedule)
        self.peaks: list[float] = []
        self._by_unit = by_unit

    def _met(self, x: Value[Box]) -> Value[Box]:
        magnitude = x.payload.magnitude()
        self.peaks.append(float(magnitude.max() if self._by_unit else magnitude.mean()) * _ROUNDING)
        return x

    def _times(self, x: Value[Box], constant: Constant) -> Box:
        box = x.payload
        if np.ndim(constant.value) == 0:
            return Box(box.low, box.high, box.p * float(np.real(constant.value)), None)
        factor = np.asarray(constant.value)
        low, high = _scaled(box.bounds(), factor.real)
        if not np.iscomplexobj(factor):
            return Box(low, high)
        rise = _scaled(box.bounds(), factor.imag)
        if box.imaginary is None:
            return Box(low, high, imaginary=rise)
        less, more = _scaled(box.imaginary, -factor.imag), _scaled(box.imaginary, factor.real)
        return Box(low + less[0], high + less[1], imaginary=(rise[0] + more[0], rise[1] + more[1]))

    def _plus(self, x: Value[Box], constant: Constant) -> Box:
        box, value = x.payload, constant.value
        if np.ndim(value) == 0:
            return Box(box.low, box.high, box.p + float(np.real(value)))
        other = np.asarray(value)
        imaginary = box.imaginary
        if imaginary is not None:
            imaginary = imaginary[0] + other.imag, imaginary[1] + other.imag
        low, high = box.bounds()
        return Box(low + other.real, high + other.real, imaginary=imaginary)

    def _add(self, x: Value[Box], y: Value[Box], related: bool) -> Box:
        a, b = x.payload, y.payload
        if a.low is b.low and a.high is b.high:  # of the same layer's output: still one polynomial
            return Box(a.low, a.high, a.p + b.p)
        imaginary = a.imaginary or b.imaginary
        if a.imaginary is not None and b.imaginary is not None:
            imaginary = a.imaginary[0] + b.imaginary[0], a.imaginary[1] + b.imaginary[1]
            if related:  # a value and its conjugate
                imaginary = None
        (low, high), (least, largest) = a.bounds(), b.bounds()
        return Box(low + least, high + largest, imaginary=imaginary)

    def _combine(self, x: Value[Box], layer: UnitLayer) -> Box:
        low, high = x.payload.bounds()
        positive, negative = np.maximum(layer.weights, 0), np.minimum(layer.weights, 0)
        least = low @ positive + high @ negative + layer.biases
        return Box(least, high @ positive + low @ negative + layer.biases)

    def _square(self, x: Value[Box]) -> Box:
        return Box(x.payload.low, x.payload.high, x.payload.p * x.payload.p)

    def _multiply(self, x: Value[Box], y: Value[Box]) -> Box:
        return Box(x.payload.low, x.payload.high, x.payload.p * y.payload.p)

    def _rotate(self, x: Value[Box], step: int) -> Box:
        def turned(values: Floats) -> Floats:
            return np.roll(values, -step)

        low, high = x.payload.bounds()
        imaginary = x.payload.imaginary
        if imaginary is not None:
            imaginary = turned(imaginary[0]), turned(imaginary[1])
        return Box(turned(low), turned(high), imaginary=imaginary)

    def _conjugate(self, x: Value[Box]) -> Box:
        box = x.payload
        # Copies, so that adding them to the value itself is not taken for a polynomial of one variable.
        imaginary = None if box.imaginary is None else (-box.imaginary[1], -box.imaginary[0])
        return Box(box.low.copy(), box.high.copy(), box.p, imaginary)

    def _turn_phase(self, x: Value[Box]) -> Box:
        low, high = x.payload.bounds()
        less, more = x.payload.imaginary or (np.zeros_like(low), np.zeros_like(low))
        phase = phases(len(low)).imag
        real, imaginary = _scaled((less, more), -phase), _scaled((low, high), phase)
        return Box(*real, imaginary=imaginary)

    def _relinearise(self, x: Value[Box]) -> Box:
        return x.payload

    def _rescale(self, x: Value[Box], scale: float) -> Box:
        return x.payload

    def _drop(self, x: Value[Box], level: int) -> Box:
        return x.payload


def everything(count: int, *, paired: bool) -> Box:
    """Any input in [-1, 1], ``count`` slots or units, with an imaginary part as well when features go in pairs."""
    ones = np.ones(count)
    return Box(-ones, ones, imaginary=(-ones, ones) if paired else None)


def _scaled(interval: tuple[Floats, Floats], factor: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    one, other = interval[0] * factor, interval[1] * factor
    return np.minimum(one, other), np.maximum(one, other)
