"""What the plan of a softmax says of its values, and intervals do not.

x - max x is at most 0, and the sum of its exponentials at least that of 0, because the curve of an exponential is
nowhere negative: what a softmax divides by, or takes the logarithm of, is next to 1 or above, however coarse the curve.
"""

from __future__ import annotations

import math

from sotto.mpc.graph import layers
from sotto.mpc.graph.bounds.function_bound import ULP, Walk
from sotto.mpc.graph.layers import strides_of
from sotto.mpc.graph.plan import Curve, ModelPlan

_UNITS = 4  # that an exponential can be off by what is cut: of x, of max x, of their difference, of itself


def least_total(powers: Curve, count: int) -> float:
    """What ``count`` values of this curve add up to at least if one is that of 0."""
    return 1 - powers.error - count * _UNITS * ULP


def most_total(powers: Curve, count: int) -> float:
    """What they add up to at most if all are those of numbers up to 0."""
    return count * (1 + powers.error + _UNITS * ULP)


def least_sum(plan: ModelPlan, layer: layers.Bend) -> float:
    """What a plan says of a curve's least argument if that is a softmax's sum; minus infinity for anything else."""
    if plan.curves[layer.curve].name not in ("reciprocal", "log"):
        return -math.inf
    walk = Walk(plan)
    total = walk.at(layer.source)
    powers = walk.at(total.source) if isinstance(total, layers.Total) else None
    if not isinstance(powers, layers.Bend) or plan.curves[powers.curve].name != "exp":
        return -math.inf
    shifted = walk.at(powers.source)
    if not isinstance(total, layers.Total) or not isinstance(shifted, layers.Add) or len(total.axes) != 1:
        return -math.inf
    axis = less_largest(plan, shifted)
    if axis is None or axis != _from_the_end(plan, total.axes[0], total.source, powers.source):
        return -math.inf
    return least_total(plan.curves[powers.curve], plan.shapes()[total.source][total.axes[0]])


def less_largest(plan: ModelPlan, shifted: layers.Add) -> int | None:
    """The axis, counted from the end, along which a sum is x - max x; None where it is none."""
    walk = Walk(plan)
    less = walk.at(shifted.other)
    if not isinstance(less, layers.Times) or less.factor != -(1 << less.shift):
        return None
    spread = walk.at(less.source)
    if not isinstance(spread, layers.Strided) or spread.offset:
        return None
    largest = walk.at(spread.source)
    if not isinstance(largest, layers.Largest):
        return None
    axis = _from_the_end(plan, largest.axis, largest.source, shifted.source)
    if axis is None or walk.number(largest.source) != walk.number(shifted.source):
        return None
    lengths = [length if at != len(spread.shape) + axis else 1 for at, length in enumerate(spread.shape)]
    wanted = [0 if at == len(spread.shape) + axis else each for at, each in enumerate(strides_of(tuple(lengths)))]
    fits = all(n == 1 or has == want for n, has, want in zip(spread.shape, spread.strides, wanted, strict=True))
    return axis if fits else None


def _from_the_end(plan: ModelPlan, axis: int, value: int, other: int) -> int | None:
    """An axis of a value counted from the end; None where another's shape differs by more than axes in front."""
    shape, same = (plan.shapes()[each] for each in (value, other))
    shorter = min(len(shape), len(same))
    padded = math.prod(shape) == math.prod(same) and shape[-shorter:] == same[-shorter:]
    return axis - len(shape) if padded else None
