"""How far a norm's output can be from the float network's, proven for its layers together.

A norm divides x by s = sqrt(mean x² + epsilon), by way of a power of two found in steps, and layer by layer nothing can
be said: next to a step each factor jumps, and only their product does not.  Together:

*   what x is off by.  x / s has the Jacobian (1 - x xᵀ / (n s²)) / s, whose eigenvalues lie in [0, 1 / s], so no
    element moves by more than the length of the error over sqrt(epsilon): sqrt(n) times its largest element over that.
*   what the layers add.  |x| / s is at most sqrt(n), so a relative error of 1 / s counts sqrt(n) times.  x is rounded
    before it is squared, by u: s, the length of (x / sqrt(n), sqrt(epsilon)), moves by u at most.  The mean is rounded
    once more, epsilon too, and the curve of the root has an error of its own; all ask for the power of two at the same
    rounded word, so that they take the same.
*   the last product rounds both its factors, as any product may.

Holds where products of two secrets keep their words, which is so in the modes with a dealer; in mode ``two-party``
factors are cut to 16 bits before they are multiplied, and nothing is proven of a small variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.plan import Curve, ModelPlan

_ULP = 2.0**-16
_LEAST_KEPT = 11  # fraction bits with which the output stays within the limit that the plan states
_LEAST_ROOT = 0.49  # of what a variance is scaled into, [0.98, 4.1]


@dataclass(frozen=True)
class Norm:
    """A norm in a plan: x has number ``source``; ``kept``, ``rounded`` and ``inverse`` are the fraction bits to which x
    is rounded to be squared, the mean of ``count`` squares, and 1 / s.  ``inner``: values that mean nothing alone."""

    source: int
    kept: int
    rounded: int
    inverse: int
    count: int
    epsilon: float
    root: Curve
    inner: frozenset[int]

    def error(self, off: float, largest: float) -> float:
        """A bound of the output's error where x is off by ``off`` and at most ``largest``; infinite where none is."""
        epsilon_error = 2.0 ** -min(40, max(0, 17 - math.frexp(self.epsilon)[1]))  # as the lowering rounds it
        epsilon = self.epsilon - epsilon_error
        moved = (2.0 ** (1 - self.rounded) + epsilon_error) / epsilon
        if not 0 <= moved < 1 or self.kept < _LEAST_KEPT:
            return math.inf
        length, least = math.sqrt(self.count), math.sqrt(epsilon)
        slopes = [self.root.slope]
        for _, bend, _ in self.root.knots:
            slopes.append(slopes[-1] + bend)
        steepest = max(map(abs, slopes)) * 2.0**-self.root.slope_fraction
        root = self.root.error + (6 * _ULP * steepest + 6 * _ULP) / _LEAST_ROOT
        relative = (1 + 2.0 ** (1 - self.kept) / least) / math.sqrt(1 - moved) * (1 + root) - 1
        last = 2.0 ** (1 - self.inverse) + _ULP
        return length * (off / least + relative) + largest * last + _ULP * ((1 + relative) / least + last) + 4 * _ULP


def norms(plan: ModelPlan) -> dict[int, Norm]:
    """The norms of a plan, by the number of the layer that makes their output."""
    found = ((number, _norm(plan, layer)) for number, layer in enumerate(plan.layers))
    return {number: norm for number, norm in found if norm}


def _norm(plan: ModelPlan, last: layers.Layer) -> Norm | None:
    """What ends in ``last``, if it is a norm as :mod:`sotto.mpc.lowering.graph_builder` makes it."""
    walk = _Walk(plan)
    if not isinstance(last, layers.Multiply):
        return None
    inverse = walk.inner(last.other)
    power = walk.inner(inverse.source) if isinstance(inverse, layers.Round) else None
    if not isinstance(inverse, layers.Round) or not isinstance(power, layers.Multiply):
        return None
    root, roots = walk.inner(power.source), walk.inner(power.other)
    if not isinstance(root, layers.Bend) or not isinstance(roots, layers.Bend):
        return None
    curve, scaled = plan.curves[root.curve], walk.inner(root.source)
    if curve.name != "rsqrt" or not plan.curves[roots.curve].steps or not isinstance(scaled, layers.Add):
        return None
    product, added = walk.inner(scaled.source), walk.inner(scaled.other)
    if not isinstance(product, layers.Multiply) or not isinstance(added, layers.Times) or added.factor <= 0:
        return None
    powers, rounded = walk.inner(product.other), walk.at(product.source)
    if not isinstance(powers, layers.Bend) or not plan.curves[powers.curve].steps or added.source != product.other:
        return None
    if not powers.source == roots.source == product.source or not isinstance(rounded, layers.Round):
        return None
    mean = walk.at(rounded.source)
    if not isinstance(mean, layers.Mean):
        return None
    square = walk.at(mean.source)
    if not isinstance(square, layers.Multiply) or square.source != square.other:
        return None
    kept = walk.at(square.source)
    if not isinstance(kept, layers.Round) or kept.source != last.source:
        return None
    shape = plan.shapes()[mean.source]
    count = math.prod(shape[axis] for axis in mean.axes)
    return Norm(
        last.source, kept.fraction, rounded.fraction, inverse.fraction, count, added.factor / 2**added.shift,
        curve, frozenset(walk.seen),
    )  # fmt: skip


class _Walk:
    """From values to the layers that make them, past those that only shape them anew."""

    def __init__(self, plan: ModelPlan) -> None:
        self._plan = plan
        self.seen: set[int] = set()

    def at(self, value: int) -> layers.Layer | None:
        while value and isinstance(layer := self._plan.layers[value - 1], layers.Reshape):
            value = layer.source
        return self._plan.layers[value - 1] if value else None

    def inner(self, value: int) -> layers.Layer | None:
        """The same of a value that means nothing alone, which is noted."""
        self.seen.add(value)
        while value and isinstance(layer := self._plan.layers[value - 1], layers.Reshape):
            value = layer.source
            self.seen.add(value)
        return self._plan.layers[value - 1] if value else None
