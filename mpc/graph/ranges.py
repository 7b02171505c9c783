"""How large any wire can become: worked out by Bob from his weights and the public input limit, then made public.

A comparison is exact only while its operand stays inside the width it was made for, so the widths must hold for *every*
input within the limit, not for the usual ones.  Interval arithmetic through the layers, over the weights and one unit
of their rounding, gives bounds for each value of the plan; only the power of two above them is told to the others, a
few bits about the weights, which is the price of shorter comparisons.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch

from sotto.mpc.errors import ModelRefused, PlanError
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.plan import ModelPlan, Weights

Ranges: TypeAlias = tuple[int, ...]
Interval: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # float64 (1, *shape): least and largest value

_ULP = 2.0**-FRACTION_BITS
_SMALLEST, _LARGEST = -FRACTION_BITS, 46  # what fits a 64-bit word with 16 fractional bits


def value_ranges(plan: ModelPlan, weights: Weights) -> Ranges:
    """For each value of ``plan`` a b with |value| < 2^b for all inputs within the plan's limit.

    Raises :class:`ModelRefused` when some value could leave 64-bit fixed point.
    """
    limit = torch.full((1, *plan.input_shape), plan.input_limit + _ULP, dtype=torch.float64)
    values: list[Interval] = [(-limit, limit)]
    ranges = [_bits(values[0])]
    with torch.no_grad():
        for number, layer in enumerate(plan.layers):
            own = {name: torch.tensor(tensor).double() for name, tensor in weights.get(number, {}).items()}
            values.append(_interval(layer, own, [values[source] for source in layer.sources]))
            ranges.append(_bits(values[-1]))
            if ranges[-1] > _LARGEST:
                raise ModelRefused(
                    f"layer {number} ({type(layer).__name__}) can reach 2^{ranges[-1]} for inputs within "
                    f"±{plan.input_limit:g}, beyond the fixed point: lower input_limit or scale the weights down"
                )
    return tuple(ranges)


def require_ranges(ranges: Ranges, plan: ModelPlan) -> None:
    """Raise :class:`PlanError` unless there is one possible range for each value of ``plan``."""
    if len(ranges) != len(plan.layers) + 1 or not all(_SMALLEST <= bits <= _LARGEST for bits in ranges):
        raise PlanError("the ranges do not belong to the plan: both sides need the same release")
    if 2.0 ** ranges[0] < plan.input_limit:
        raise PlanError("the range of the input is smaller than the input limit")


def _interval(layer: layers.Layer, own: dict[str, torch.Tensor], inputs: list[Interval]) -> Interval:
    """Bounds of ``layer``'s output; a rounded weight or a cut value may be off by one unit."""
    low, high = inputs[0]
    if not isinstance(layer, layers.Convolution | layers.Linear | layers.ChannelAffine):
        bounds = [layer_output(layer, own, list(side)) for side in zip(*inputs, strict=True)]
        return bounds[0] - 2 * _ULP, bounds[1] + 2 * _ULP
    centre, radius = (high + low) / 2, (high - low) / 2
    multiplier, shift = ("scale", "shift") if isinstance(layer, layers.ChannelAffine) else ("weight", "bias")
    still = {shift: torch.zeros_like(own[shift])} if shift in own else {}
    size = own[multiplier].abs() + _ULP
    middle = layer_output(layer, own, [centre])
    spread = layer_output(layer, {multiplier: size, **still}, [radius])
    rounding = layer_output(layer, {multiplier: torch.full_like(size, _ULP), **still}, [centre.abs()])
    return middle - spread - rounding - _ULP, middle + spread + rounding + _ULP


def _bits(interval: Interval) -> int:
    """The least b with 2^b above every magnitude in the interval; more than can be used where it is not finite."""
    largest = max(float(side.abs().max()) for side in interval)
    if not math.isfinite(largest):
        return _LARGEST + 1
    return max(_SMALLEST, math.frexp(largest)[1])
