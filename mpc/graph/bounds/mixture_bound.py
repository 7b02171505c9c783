"""What lies between two values, as a GRU's next state does: n + u (h - n) with a gate u in [0, 1].

Intervals see n twice, so states would grow and errors double step by step.  But it is (1 - u) n + u h, between n and h,
and moves by no more than the larger of their errors, and by h - n times the gate's.  What a gate can be beyond [0, 1]
counts: of any other factor the bounds say less than intervals do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from sotto.mpc.graph import layers
from sotto.mpc.graph.bounds.function_bound import ULP, Walk
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.ranges import Interval

_CUT = 8 * ULP  # n, h, h - n and the product may each be cut, h - n and the product of what was


@dataclass(frozen=True)
class Mixture:
    """``first`` + ``gate`` · (``second`` - ``first``), all numbers of values; ``second`` is None for 0."""

    first: int
    gate: int
    second: int | None

    def inside(self, values: list[Interval]) -> Interval:
        """Bounds of the value from those of all values."""
        low, high = self._hull(values)
        slack = self._beyond(values) * (high - low) + _CUT
        return low - slack, high + slack

    def error(self, private: list[Interval], exact: list[Interval], errors: list[torch.Tensor]) -> torch.Tensor:
        """How far it can be off."""
        low, high = self._hull(private)
        second = torch.zeros_like(low) if self.second is None else errors[self.second]
        carried = errors[self.first].maximum(second) * (1 + 2 * self._beyond(exact))
        return carried + (high - low) * (errors[self.gate] + ULP) + _CUT

    def _beyond(self, values: list[Interval]) -> torch.Tensor:
        """How far the gate can be from [0, 1]."""
        low, high = values[self.gate]
        return (-low).maximum(high - 1).clamp(min=0) + ULP

    def _hull(self, values: list[Interval]) -> Interval:
        low, high = values[self.first]
        if self.second is None:
            return low.clamp(max=0), high.clamp(min=0)
        return low.minimum(values[self.second][0]), high.maximum(values[self.second][1])


def mixture(plan: ModelPlan, layer: layers.Layer) -> Mixture | None:
    """What ``layer`` ends; None where its form is another."""
    if not isinstance(layer, layers.Add):
        return None
    walk = Walk(plan)
    for first, product in itertools.permutations((layer.source, layer.other)):
        factors = walk.at(product)
        if not isinstance(factors, layers.Multiply):
            continue
        for gate, apart in itertools.permutations((factors.source, factors.other)):
            difference = walk.at(apart)
            second, less = (
                (difference.source, difference.other) if isinstance(difference, layers.Add) else (None, apart)
            )
            if walk.multiple(less, first) == (-1.0, 0.0):
                return Mixture(first, gate, second)
    return None
