"""How far a norm's output, or a deviation, can be from the float network's, proven for its layers together.

A norm divides x, n elements, by s = sqrt(mean x² + epsilon); x has lost its mean before, but where the norm keeps it.

*   what x is off by, d at most in each element.  x / s has the Jacobian (1 - x xᵀ / (n s²)) / s.  With
    x_i = √n s sin t, the absolute values in row i add up to at most cos² t + sin t cos t √(n - 1) over s, because the
    other elements' do to at most √(n - 1) √n s cos t; and that is at most (1 + √n) / 2.  So no element of the output
    moves by more than (1 + √n) d / (2 σ), σ being the least s: √epsilon, or more where the variance is known to be.
*   what the layers add.  x is rounded before it is squared, by u: s, the length of (x / √n, √epsilon), moves by u at
    most.  The mean is rounded once more, and epsilon: s² moves by m.  |x_i| / s is at most √n √(1 - epsilon / s²), so
    u counts √n u / σ, or √n u / (2 √epsilon) where that is less; m counts √n m / σ².  1 / s has the relative error of
    its function (:mod:`sotto.mpc.graph.bounds.function_bound`), which counts √n times.
*   1 / s is rounded before the last product; x is not.

**Of small variance** the bound says that an error may be magnified by as much as (1 + √n) / (2 √epsilon): a channel
that is next to constant is divided by √epsilon, its rounding too.  Nor can two values within ±√n be further apart than
2 √n.  Where the variance is at least v, √(v + epsilon) takes the place of √epsilon, which is what to look at where the
bound for all inputs says little.

**A deviation**, or another root of a mean square, is such a length: it moves by no more than its elements do, whatever
it is (:class:`MeanSquare`), where the root alone could move by the root of an error.  So a reciprocal or logarithm of a
mean square is taken for one of a length, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from sotto.mpc.graph import layers
from sotto.mpc.graph.bounds.function_bound import FLOAT, ULP, Argument, Walk, Wide, factor_error
from sotto.mpc.graph.plan import ModelPlan, Weights


@dataclass(frozen=True)
class Norm:
    """A norm in a plan: of ``count`` elements x, which have number ``source``.

    ``kept`` and ``inverse``: the fraction bits to which x is rounded to be squared, and 1 / s.  ``root`` makes 1 / s.
    ``limit``: what the plan says that no output is above.
    """

    source: int
    kept: int
    inverse: int
    count: int
    root: Wide
    limit: float

    @property
    def epsilon(self) -> float:
        return self.root.epsilon

    def magnifies(self, variance: float = 0.0) -> float:
        """What an error of the input is multiplied by at most, where the variance is at least ``variance``."""
        return (1 + math.sqrt(self.count)) / 2 / math.sqrt(variance + self.epsilon - self.root.epsilon_error)

    def error(self, off: float, largest: float, variance: float = 0.0) -> float:
        """A bound of the output's error where x is off by ``off``, is at most ``largest``, and its mean square is at
        least ``variance`` in the float network; infinite where none is proven."""
        known = max(0.0, math.sqrt(variance) - off)  # of the private x, and of all between
        own = self._own(known) + largest * 2.0 ** (1 - self.inverse) + ULP
        if math.sqrt(self.count) + own > self.limit:  # where a word of the output may have too few bits
            return math.inf
        return self.magnifies(known**2) * off + own

    def _own(self, known: float) -> float:
        """What the layers up to 1 / s add where the root of the private x's mean square is at least ``known``."""
        epsilon = self.epsilon - self.root.epsilon_error
        if epsilon <= 0:
            return math.inf
        rounded = 2.0 ** (1 - self.kept)
        moved = self.root.argument_error + (ULP if self.root.rounded <= 16 else 0.0)  # there squares may be cut
        least = math.sqrt(known**2 + epsilon)
        lost = least - rounded - moved / least
        if lost <= 0:
            return math.inf
        relative = rounded * min(1 / least, 1 / (2 * math.sqrt(epsilon))) + moved / lost**2
        grown = least / lost  # s over the private s, at most
        return math.sqrt(self.count) * grown * (relative + self.root.relative * (1 + relative))


def norms(plan: ModelPlan, functions: dict[int, Wide]) -> dict[int, Norm]:
    """The norms of a plan with these functions of a wide range, by the number of the layer that makes their output."""
    found = ((number, _norm(plan, functions, layer)) for number, layer in enumerate(plan.layers))
    return {number: norm for number, norm in found if norm}


def _norm(plan: ModelPlan, functions: dict[int, Wide], last: layers.Layer) -> Norm | None:
    """What ends in ``last``, if it is a norm as :mod:`sotto.mpc.lowering.graph_builder` makes it."""
    walk = Walk(plan)
    inverse = walk.at(last.other) if isinstance(last, layers.Multiply) else None
    if not isinstance(last, layers.Multiply) or not isinstance(inverse, layers.Round):
        return None
    root = functions.get(walk.number(inverse.source) - 1)
    if root is None or root.name != "rsqrt":
        return None
    square, x = MeanSquare.of(plan, {}, root.source), walk.at(last.source)
    kept = walk.at(square.source) if square and isinstance(walk.at(root.source), layers.Mean) else None
    if square is None or not isinstance(kept, layers.Round) or kept.source != last.source:
        return None
    if not isinstance(x, layers.Round) or x.fraction > 16:  # which no product cuts
        return None
    return Norm(last.source, kept.fraction, inverse.fraction, square.count, root, last.limit)


@dataclass(frozen=True)
class MeanSquare:
    """A value that is ``factor`` · mean x² + c, c >= 0, of ``count`` elements x that have number ``source``.

    What is done to the mean adds ``error``, and ``relative`` to the value, and never makes it negative.  A sum of
    squares or a single one is such a mean, too.
    """

    source: int
    count: int
    factor: float
    error: float
    relative: float

    def argument(self, known: Argument, off: float) -> Argument:
        """What else is known of the value where no x is off by more than ``off``: each is cut before it is squared."""
        root = torch.full_like(known.off, math.sqrt(self.factor) * (off + ULP))
        after = self.error + ULP + self.relative * known.most
        return replace(known, root=root, after=after)

    @classmethod
    def of(cls, plan: ModelPlan, weights: Weights, value: int) -> MeanSquare | None:
        """Number ``value`` of the plan as a mean square; None for anything else."""
        walk, factor, error, relative = Walk(plan), 1.0, 0.0, 0.0
        while not isinstance(layer := walk.at(value), layers.Mean | layers.Total | layers.Multiply):
            match layer:
                case layers.Times() if layer.factor > 0:
                    own, inexact = layer.factor / 2**layer.shift, factor_error(layer)
                    error += factor * (own + 1) * ULP
                    factor, relative = factor * (own + inexact), relative + inexact / own
                    value = layer.source
                case layers.Add() if (most := _positive_constant(plan, weights, layer.other)) is not None:
                    error += factor * (2 * ULP + FLOAT * most)
                    value = layer.source
                case _:
                    return None
        if isinstance(layer, layers.Multiply):
            count, square = 1, walk.at(value)
        else:
            shape = plan.shapes()[layer.source]
            count, square = math.prod(shape[axis] for axis in layer.axes), walk.at(layer.source)
        if not isinstance(square, layers.Multiply) or square.source != square.other:
            return None
        if isinstance(layer, layers.Total):
            factor *= count
        return cls(square.source, count, factor, error and error + factor * ULP, relative)


def _positive_constant(plan: ModelPlan, weights: Weights, value: int) -> float | None:
    """The largest number of a constant without negative ones; None for anything else."""
    walk = Walk(plan)
    layer = walk.at(value)
    if isinstance(layer, layers.Strided):
        return _positive_constant(plan, weights, layer.source)
    if not isinstance(layer, layers.Constant):
        return None
    own = weights.get(walk.number(value) - 1, {}).get("value")
    return float(own.max()) if own is not None and (own >= 0).all() else None
