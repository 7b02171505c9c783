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

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import curves, layers
from sotto.mpc.graph.fixed_point import FRACTION_BITS, LEAST_RANGE, MOST_RANGE
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.plan import Curve, ModelPlan, Ranges, Weights

Interval: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # float64 (1, *shape): least and largest value

_ULP = 2.0**-FRACTION_BITS


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
            curve = plan.curves[layer.curve] if isinstance(layer, layers.Bend) else None
            values.append(interval(layer, own, [values[source] for source in layer.sources], curve))
            ranges.append(_bits(values[-1]))
            if ranges[-1] > MOST_RANGE:
                raise ModelRefused(
                    "out-of-range",
                    f"layer {number} ({type(layer).__name__}) can reach 2^{ranges[-1]} for inputs within "
                    f"±{plan.input_limit:g}, beyond the fixed point: lower input_limit or scale the weights down",
                )
    return tuple(ranges)


def interval(
    layer: layers.Layer, own: dict[str, torch.Tensor], inputs: list[Interval], curve: Curve | None = None
) -> Interval:
    """Bounds of ``layer``'s output; a rounded weight or a cut value may be off by one unit."""
    if isinstance(layer, layers.Constant):
        value = layer_output(layer, own, [])
        return value - _ULP, value + _ULP
    low, high = inputs[0]
    match layer:
        case layers.Multiply():
            return _limited(layer.limit, *_products(*inputs, square=layer.source == layer.other))
        case layers.MatMul():
            return _limited(layer.limit, *_matrix_products(*inputs))
        case layers.Bend() if curve is not None:
            return _bent(curve, low, high)
        case layers.Times() if layer.factor < 0:
            low, high = (layer_output(layer, own, [side]) for side in (high, low))
            return low - 2 * _ULP, high + 2 * _ULP
        case layers.Round():
            unit = 2.0 ** (1 - layer.fraction) + 2 * _ULP
            return low - unit, high + unit
    if not isinstance(layer, layers.Convolution | layers.Linear | layers.ChannelAffine | layers.Scale):
        bounds = [layer_output(layer, own, list(side)) for side in zip(*inputs, strict=True)]
        return bounds[0] - 2 * _ULP, bounds[1] + 2 * _ULP
    centre, radius = (high + low) / 2, (high - low) / 2
    multiplier, shift = ("scale", "shift") if "scale" in own else ("weight", "bias")
    still = {shift: torch.zeros_like(own[shift])} if shift in own else {}
    size = own[multiplier].abs() + _ULP
    middle = layer_output(layer, own, [centre])
    spread = layer_output(layer, {multiplier: size, **still}, [radius])
    rounding = layer_output(layer, {multiplier: torch.full_like(size, _ULP), **still}, [centre.abs()])
    return middle - spread - rounding - _ULP, middle + spread + rounding + _ULP


def _products(left: Interval, right: Interval, *, square: bool) -> Interval:
    """Of factors that may each be cut, and so off by a unit."""
    a, b, c, d = left[0] - _ULP, left[1] + _ULP, right[0] - _ULP, right[1] + _ULP
    corners = [a * c, a * d, b * c, b * d]
    least, largest = corners[0], corners[0]
    for corner in corners[1:]:
        least, largest = least.minimum(corner), largest.maximum(corner)
    if square:
        least = torch.where((a < 0) & (b > 0), 0.0, (a * a).minimum(b * b))
    return least - 2 * _ULP, largest + 2 * _ULP


def _matrix_products(left: Interval, right: Interval) -> Interval:
    middles = [(low + high) / 2 for low, high in (left, right)]
    first, second = [(high - low) / 2 + _ULP for low, high in (left, right)]
    middle = middles[0] @ middles[1]
    radius = middles[0].abs() @ second + first @ (middles[1].abs() + second) + 2 * _ULP
    return middle - radius, middle + radius


def _limited(limit: float, low: torch.Tensor, high: torch.Tensor) -> Interval:
    """Within ``limit`` too where one is known."""
    return (low.clamp(-limit, limit), high.clamp(-limit, limit)) if limit else (low, high)


def _bent(curve: Curve, low: torch.Tensor, high: torch.Tensor) -> Interval:
    """The input may be off by a unit, and so may the knots; none has more fraction bits than the curve."""
    unit = 2.0 ** -max(FRACTION_BITS, curve.fraction)
    bent = sum(abs(bend) for _, bend, _ in curve.knots) * 2.0**-curve.slope_fraction
    slack = unit * (2 + 2 * curves.steepest(curve) + bent)
    least, largest = curves.bounds(curve, low - 2 * unit, high + 2 * unit)
    return least - slack, largest + slack


def _bits(interval: Interval) -> int:
    """The least b with 2^b above every magnitude in the interval; more than can be used where it is not finite."""
    largest = max(float(side.abs().max()) for side in interval)
    if not math.isfinite(largest):
        return MOST_RANGE + 1
    return max(LEAST_RANGE, math.frexp(largest)[1])
