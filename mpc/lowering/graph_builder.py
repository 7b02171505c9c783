"""What a plan is built with: to the linear steps of :mod:`sotto.mpc.lowering.linear_builder` functions and statistics,
whose curves and powers of two fit the ranges that their arguments are proven to stay in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import curves, layers
from sotto.mpc.graph.bounds.softmax_bound import least_total, most_total
from sotto.mpc.graph.plan import Curve
from sotto.mpc.lowering.linear_builder import Function, LinearBuilder, Wire, reduced

_MOST_PIECES = 64  # of a logarithm of a wide range in one curve, whose error is proven
_LEAST_TOTAL = 0.25  # of a softmax's exponentials, what is cut of them counted
_PRECISION = 12  # bits that a value keeps where it is scaled into a fixed interval


class Builder(LinearBuilder):
    """A plan in the making: all steps that operators are made of."""

    # -- functions ---------------------------------------------------------------------------------------------------

    def relu(self, wire: Wire) -> Wire:
        return self.emit(layers.ReLU(wire.number), wire.shape)

    def bend(self, wire: Wire, curve: Curve, function: Function | None = None) -> Wire:
        """A curve of every element; ``function`` is what it approximates, None where it is exact."""
        if curve not in self.curves:
            if function:
                self.functions[len(self.curves)] = function
            self.curves.append(curve)
        return self.emit(layers.Bend(wire.number, self.curves.index(curve)), wire.shape)

    def activation(self, wire: Wire, name: str, function: Function) -> Wire:
        return self.bend(wire, curves.activation(name, self.tolerance), function)

    def round(self, wire: Wire, fraction: int) -> Wire:
        return self.emit(layers.Round(wire.number, max(0, min(40, fraction))), wire.shape)

    def exp(self, wire: Wire) -> Wire:
        low, high = self.reach(wire)
        return self.bend(wire, curves.exponential(low, high, self.tolerance), torch.exp)

    def log(self, wire: Wire) -> Wire:
        if floored := self._floored(wire):
            source, floor = floored
            high = max(self.reach(wire)[1], 2 * floor)
            if math.log(high / floor) / math.sqrt(16 * self.tolerance) <= _MOST_PIECES:
                curve = curves.positive("log", floor, high, self.tolerance, _fraction(8 * floor), flat=True)
                return self.bend(source, curve, lambda x: x.clamp(min=floor).log())
        low, high = self._positive(wire, "a logarithm")
        pieces = math.log(high / low) / math.sqrt(16 * self.tolerance)
        if high <= low * 2**12 or pieces <= _MOST_PIECES:
            return self.bend(wire, curves.positive("log", low, high, self.tolerance, _fraction(low)), torch.log)
        scaled, steps = self._scaled(wire, low, high, 1, 0.0)
        log = self.bend(scaled, curves.positive("log", 0.98, 2.04, self.tolerance), torch.log)
        return self.add(log, steps(lambda j: j * math.log(2.0), 24, "logs"))

    def _floored(self, wire: Wire) -> tuple[Wire, float] | None:
        """What ``wire`` is but for a clamp from below by a positive number, and that number; None for anything else."""
        layer = self.layers[wire.number - 1] if wire.number else None
        curve = self.curves[layer.curve] if isinstance(layer, layers.Bend) else None
        if layer is None or curve is None or curve.name != "clamp" or len(curve.knots) > 1 or curve.slope:
            return None
        floor = curve.knots[0][0] / 2.0**curve.fraction
        return (Wire(layer.sources[0], wire.shape), floor) if floor > 0 else None

    def reciprocal(self, wire: Wire) -> Wire:
        low, high = self.reach(wire)
        if high < 0:
            return self.times(self.reciprocal(self.times(wire, -1.0)), -1.0)
        low, high = self._positive(wire, "a divisor")
        if high <= low * 2**10:
            curve = curves.positive("reciprocal", low, high, self.tolerance, _fraction(low))
            return self.bend(wire, curve, torch.reciprocal)
        scaled, steps = self._scaled(wire, low, high, 1, 0.0)
        inverse = self.bend(scaled, curves.positive("reciprocal", 0.98, 2.04, self.tolerance), torch.reciprocal)
        return self.multiply(inverse, steps(lambda j: 2.0**-j, 0, "powers"), self._over(0.02) / low)

    def sqrt(self, wire: Wire) -> Wire:
        low, high = self.reach(wire)
        least = (self.tolerance / 2) ** 2
        if high <= 0 or low < -1e-3:
            raise ModelRefused("negative-root", "the argument of a square root can be negative")
        if high <= least * 2**16:
            curve = curves.positive("sqrt", least, high, self.tolerance, _fraction(least))
            return self.bend(wire, curve, lambda x: x.clamp(min=0).sqrt())
        scaled, steps = self._scaled(wire, max(low, 2.0**-12), high, 2, 0.0)
        curve = curves.positive("sqrt", least, 4.1, self.tolerance, _fraction(least))
        root = self.bend(scaled, curve, lambda x: x.clamp(min=0).sqrt())
        return self.multiply(root, steps(lambda j: 2.0**j, 16, "roots"), self._over(0.05) * math.sqrt(high) + 0.1)

    def rsqrt(self, wire: Wire, epsilon: float = 0.0) -> Wire:
        """1 / sqrt(x + epsilon)."""
        low, high = self.reach(wire)
        low, high = max(low, 0.0) + epsilon, high + epsilon
        if low <= 0:
            raise ModelRefused("zero-reciprocal", "a reciprocal square root of what can be 0: add a small constant")
        scaled, steps = self._scaled(wire, low, high, 2, epsilon)
        root = self.bend(scaled, curves.positive("rsqrt", 0.98, 4.1, self.tolerance / 2), torch.rsqrt)
        return self.multiply(root, steps(lambda j: 2.0**-j, 0, "roots"), self._over(0.02) / math.sqrt(low))

    def _over(self, share: float) -> float:
        """By what to multiply the largest value of a function, so that no private one is above: errors count."""
        return 1 + max(share, share / 2 + self.tolerance)

    def _positive(self, wire: Wire, what: str) -> tuple[float, float]:
        low, high = self.reach(wire)
        if low <= 0:
            raise ModelRefused(
                "not-positive", f"{what} can be {low:.3g}, and must be positive: add a constant, or clamp it"
            )
        return low, high

    def _scaled(
        self, wire: Wire, low: float, high: float, octaves: int, epsilon: float
    ) -> tuple[Wire, Callable[[Callable[[int], float], int, str], Wire]]:
        """(x + epsilon) / 2^(octaves · j) with the j that brings it into [1, 2^octaves), and what depends on that j.

        The second result makes f(j): from the function, its fraction bits at least, its name.  All ask for j at one
        word, rounded as finely as the knots lie: a gate that had to round would do so at a threshold of its own, and
        next to a knot two gates would take different j.
        """
        base = 2.0**octaves
        first = math.floor(math.log(low, base))
        last = max(first, math.ceil(math.log(high, base)) - 1)
        spare, wanted = 58 - octaves - max(0, octaves * last), max(16, _PRECISION - octaves * first)
        if spare < _PRECISION // 2 - octaves * first:
            raise ModelRefused(
                "range-too-wide",
                f"a value can lie anywhere from {low:.3g} to {high:.3g}, too far apart: lower input_limit",
            )
        fraction = min(spare, wanted, 40)
        rounded = self.round(wire, fraction)

        def steps(value: Callable[[int], float], bits: int, name: str) -> Wire:
            places = [(base**j - epsilon, value(j)) for j in range(first + 1, last + 1)]
            least = min(abs(value(j)) or 1.0 for j in range(first, last + 1))
            bits = max(bits, -math.floor(math.log2(least)), 0)
            return self.bend(rounded, curves.stairs(name, places, value(first), fraction, bits))

        factor = steps(lambda j: base**-j, 0, "powers")
        scaled = self.multiply(rounded, factor, base * 1.02)
        if epsilon:
            scaled = self.add(scaled, self.times(factor, epsilon))
        return scaled, steps

    # -- statistics --------------------------------------------------------------------------------------------------

    def centred(self, wire: Wire, axes: Sequence[int]) -> Wire:
        """The value less its mean over ``axes``."""
        return self.subtract(wire, self.broadcast(self.mean(wire, axes, True), wire.shape))

    def mean_square(self, wire: Wire, axes: Sequence[int]) -> Wire:
        """Mean of squares over ``axes``, which stay, with as many fraction bits as a word holds."""
        kept = self.round(wire, self._squared_bits(wire, axes))
        return self.mean(self.multiply(kept, kept), axes, True)

    def _squared_bits(self, wire: Wire, axes: Sequence[int]) -> int:
        """Fraction bits that a value may have where the sum of its squares over ``axes`` fits into a word."""
        count = math.prod(wire.shape[axis] for axis in axes)
        bits = math.log2(max(map(abs, self.reach(wire))) + 1e-9)
        fraction = min(16, math.floor((57 - math.log2(count)) / 2 - bits))
        if fraction < 2:
            raise ModelRefused(
                "squares-too-large", "squares of a value of such a range do not fit into a word: lower input_limit"
            )
        return fraction

    def standardised(self, wire: Wire, axes: Sequence[int], epsilon: float, *, centre: bool = True) -> Wire:
        """Mean 0 and variance 1 over ``axes``; ``centre=False``: only divided by the root of the mean square.

        The result cannot exceed the root of how many elements there are, whatever the input.
        """
        if centre:
            wire = self.centred(wire, axes)
        wire = self.round(wire, 16)
        count = math.prod(wire.shape[axis] for axis in axes)
        inverse = self.rsqrt(self.mean_square(wire, axes), epsilon)
        least = 1 / math.sqrt(max(map(abs, self.reach(wire))) ** 2 + epsilon)
        inverse = self.round(inverse, 15 - math.floor(math.log2(least)))
        lost = 2.0 ** (1 - self._squared_bits(wire, axes)) * math.sqrt(count) + 2.0**-10  # of x, what is squared
        return self.multiply(wire, inverse, self._over(0.01) * (math.sqrt(count) + lost / math.sqrt(epsilon)))

    def variance(self, wire: Wire, axes: Sequence[int], correction: float, keep: bool) -> Wire:
        count = math.prod(wire.shape[axis] for axis in axes)
        if count <= correction:
            raise ModelRefused("one-element", "a variance of one element")
        square = self.mean_square(self.round(self.centred(wire, axes), 16), axes)
        return self.reshape(self.times(square, count / (count - correction)), reduced(wire.shape, axes, keep))

    def softmax(self, wire: Wire, axis: int, *, log: bool = False) -> Wire:
        if wire.shape[axis] == 1:
            return self.broadcast(self.constant(torch.tensor([0.0 if log else 1.0])), wire.shape)
        shifted = self.subtract(wire, self.broadcast(self.largest(wire, axis, True), wire.shape))
        count = wire.shape[axis]
        low, _ = self.reach(shifted)
        curve = curves.exponential(min(low, -1.0), 2.0**-10, self.tolerance / 2)
        powers = self.bend(shifted, curve, torch.exp)
        total = self.total(powers, [axis], True)
        least, most = least_total(curve, count), most_total(curve, count)
        if least < _LEAST_TOTAL:
            raise ModelRefused(
                "softmax-too-long",
                f"a softmax over {count} elements: what is cut of them may add up to its sum; it takes 8,192",
            )
        name = "log" if log else "reciprocal"
        function = torch.log if log else torch.reciprocal
        own = self.bend(total, curves.positive(name, least, most, self.tolerance / 2), function)
        if log:
            return self.subtract(shifted, self.broadcast(own, wire.shape))
        return self.multiply(powers, own, 1.0 + 4 * self.tolerance + count * 2.0**-12)


def _fraction(least: float) -> int:
    """Fraction bits that tell the least value of a domain from its neighbours."""
    return min(40, max(16, 8 - math.floor(math.log2(least))))
